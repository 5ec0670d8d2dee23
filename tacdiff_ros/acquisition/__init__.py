"""Touching an indenter with the arm, safely, and recording what the sensor sees."""
