"""Dots (markers) of a tactile gel: find them in an image, follow them through a video.

The parts: `marker_blobs` (what is dark and round), `marker_lattice` (its order),
`marker_anchor` (its numbers), `marker_measure` and `marker_outline` (sub-pixel centres).
"""

from __future__ import annotations

from tacdiff_ros.calibration.marker_detection import detect_markers
from tacdiff_ros.calibration.marker_field import MarkerField
from tacdiff_ros.calibration.marker_tracking import MarkerTracker

__all__ = ["MarkerField", "MarkerTracker", "detect_markers"]
