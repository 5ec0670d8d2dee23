"""Checks of this machine for `tacdiff doctor`, and the environment of our processes."""
