"""Markers printed on the gel: detected, indexed, measured and tracked."""
