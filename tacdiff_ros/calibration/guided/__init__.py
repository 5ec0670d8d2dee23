"""Guided calibration: what to do next, checks of every image, and what is known so far."""
