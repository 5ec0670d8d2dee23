"""Converts readings of the touch encoder into messages in SI units."""

from __future__ import annotations

import math
from typing import Any

from geometry_msgs.msg import Vector3
from std_msgs.msg import Header

from tacdiff_ros.msg import TouchEmbedding, TouchProperties, TouchSlip
from tacdiff_ros.touch_features.slip.slip_watch import SlipState
from tacdiff_ros.touch_features.touch_encoder import TouchReading

METRES_PER_MM = 1e-3


def to_embedding(reading: TouchReading, stamp: Any, frame_id: str) -> TouchEmbedding:
    """Convert the features of an image into a message.

    Args:
        reading: reading of the image.
        stamp: time of the image.
        frame_id: frame of the gel.
    """
    return TouchEmbedding(
        header=Header(stamp=stamp, frame_id=frame_id),
        embedding=reading.embedding,
        touch=reading.touch,
    )


def to_slip(slip: SlipState, stamp: Any, frame_id: str) -> TouchSlip:
    """Convert the slip of a touch into a message.

    Args:
        slip: slip after the image.
        stamp: time of the image.
        frame_id: frame of the gel.
    """
    return TouchSlip(
        header=Header(stamp=stamp, frame_id=frame_id),
        in_contact=slip.in_contact,
        slip_fraction=slip.slip_fraction,
        warning=slip.warning,
        shear=_vector(slip.shear_mm),
        shear_rate=_vector(slip.shear_rate_mm_s),
    )


def to_properties(reading: TouchReading, stamp: Any, frame_id: str) -> TouchProperties:
    """Convert the properties of a touch into a message.

    Without contact, force and area are 0 and the properties of the object NaN; NaN is also a
    property that the encoder does not estimate.

    Args:
        reading: reading of the image.
        stamp: time of the image.
        frame_id: frame of the gel.
    """
    header = Header(stamp=stamp, frame_id=frame_id)
    if not reading.contact:
        names = ("curvature", "roughness", "wavelength", "compliance")
        return TouchProperties(header=header, **dict.fromkeys(names, math.nan))
    known = {name: float(value) for name, value in reading.properties.items()}
    return TouchProperties(
        header=header,
        in_contact=True,
        force=known.get("force", math.nan),
        area=METRES_PER_MM**2 * known.get("contact_area_mm2", math.nan),
        curvature=known.get("curvature", math.nan) / METRES_PER_MM,
        roughness=METRES_PER_MM * known.get("texture_rms_mm", math.nan),
        wavelength=METRES_PER_MM * known.get("texture_wavelength_mm", math.nan),
        compliance=known.get("compliance", math.nan),
    )


def _vector(values_mm: Any) -> Vector3:
    x, y = (METRES_PER_MM * float(value) for value in values_mm)
    return Vector3(x=x, y=y)
