"""Slip of a touch, from the readings of consecutive images."""
