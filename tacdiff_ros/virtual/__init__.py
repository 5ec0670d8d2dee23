"""A virtual arm and a virtual sensor, with ground truth, for tests and demonstrations."""
