"""Pose of an object in the hand from depth, silhouette, touch, contact and gravity.

Units here and in `objects`: metres, radians, newtons, kilograms, because meshes, URDF files and
depth images come in metres.
"""
