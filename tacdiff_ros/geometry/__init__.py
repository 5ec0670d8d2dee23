"""Poses of frames and of the indenter, and the geometry of the rig."""
