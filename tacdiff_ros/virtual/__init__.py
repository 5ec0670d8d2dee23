"""Virtual arm and virtual sensor with ground truth, for tests and demonstrations."""
