"""Replay: simulation of a recording and comparison with its images."""
