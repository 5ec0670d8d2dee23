"""Recorded runs: writing, repairing and reading of bags and run folders."""
