"""A recording, simulated again and compared."""
