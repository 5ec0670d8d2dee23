"""Recorded runs: bags and run folders, written, repaired and read."""
