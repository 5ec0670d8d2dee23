"""Converts forces on the gel and the gel's health into messages in SI units, frame `gel`."""

from __future__ import annotations

import math
from typing import Any

from geometry_msgs.msg import Vector3, Wrench, WrenchStamped
from std_msgs.msg import Header

from tacdiff_ros.inversion.contact_forces import ContactForces
from tacdiff_ros.inversion.gel_health import GelHealth
from tacdiff_ros.msg import ContactForces as ContactForcesMessage
from tacdiff_ros.msg import GelHealth as GelHealthMessage
from tacdiff_ros.nodes.conversion.geometry import to_wrench

PASCAL_PER_MPA = 1e6
N_M_PER_N_MM = 1e-3
NOT_COMPUTED = Vector3(x=math.nan, y=math.nan, z=math.nan)


def to_contact_forces(
    forces: ContactForces | None, stamp: Any, frame_id: str
) -> ContactForcesMessage:
    """Convert net forces of a contact into a message.

    Args:
        forces: forces on the gel; None if they were not computed, which gives NaN.
        stamp: time of the image.
        frame_id: frame of the gel.
    """
    header = Header(stamp=stamp, frame_id=frame_id)
    if forces is None:
        nothing = Wrench(force=NOT_COMPUTED, torque=NOT_COMPUTED)
        return ContactForcesMessage(
            header=header,
            wrench=nothing,
            stddev=nothing,
            modulus_fraction=math.nan,
            slip_margin=math.nan,
            friction=math.nan,
        )
    return ContactForcesMessage(
        header=header,
        valid=True,
        wrench=to_wrench(forces.force_n, N_M_PER_N_MM * forces.torque_n_mm),
        stddev=to_wrench(forces.force_stddev_n, N_M_PER_N_MM * forces.torque_stddev_n_mm),
        modulus_fraction=forces.modulus_fraction,
        slip_margin=forces.net_slip_margin,
        friction=forces.friction,
    )


def to_contact_wrench(forces: ContactForces, stamp: Any, frame_id: str) -> WrenchStamped:
    """Convert the net force and torque on the gel into a message.

    Args:
        forces: forces on the gel.
        stamp: time of the image.
        frame_id: frame of the gel, whose origin the torque is about.
    """
    return WrenchStamped(
        header=Header(stamp=stamp, frame_id=frame_id),
        wrench=to_wrench(forces.force_n, N_M_PER_N_MM * forces.torque_n_mm),
    )


def to_gel_health(health: GelHealth, stamp: Any, frame_id: str) -> GelHealthMessage:
    """Convert the gel's health into a message.

    Args:
        health: condition of the gel in one image.
        stamp: time of the image.
        frame_id: frame of the gel.
    """
    return GelHealthMessage(
        header=Header(stamp=stamp, frame_id=frame_id),
        markers_expected=health.markers_expected,
        markers_detected=health.markers_detected,
        markers_lost=health.markers_lost,
        specks=health.specks,
        speck_fraction=health.speck_fraction,
        undeformed_change=health.undeformed_change,
        brightness=list(health.brightness),
        brightness_variation=health.brightness_variation,
        warnings=list(health.warnings),
    )
