"""Calibration of a sensor instance from images."""
