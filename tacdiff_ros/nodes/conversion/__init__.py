"""Conversion between ROS messages in SI units and the core's data in millimetres."""
