"""Simulated touches by the thousand: planned, simulated, rendered, stored and read."""
