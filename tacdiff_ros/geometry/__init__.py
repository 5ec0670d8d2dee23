"""Poses of frames and of the indenter."""
