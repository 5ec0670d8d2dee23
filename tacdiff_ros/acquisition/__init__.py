"""Acquisition of presses: the arm presses the sensor onto an indenter, within safety limits."""
