"""Rigid objects, hands and depth cameras: what an estimate of an object's pose is made of.

Lengths are metres here (object models, URDF and depth images are), unlike in the gel's frame.
"""
