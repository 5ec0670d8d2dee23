"""Connectors beyond those of the publication; frames and units as in `connector_shapes`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from trimesh import Trimesh

from tacdiff_ros.touch_features.connectors.connector_shapes import PAPER_CONNECTORS, Connector
from tacdiff_ros.touch_features.connectors.solid_parts import (
    bar,
    box,
    cylinder,
    hexagon,
    revolved,
    rounded_bar,
    rounded_outline,
    thread,
)


@dataclass(frozen=True)
class UsbCPlug(Connector):
    """USB Type-C plug on its overmould.

    Attributes:
        width: width of the metal shell (USB Type-C specification, section 3.2.1).
        height: height of the metal shell (same section).
        shell: length of the shell outside the overmould (same section).
        body_width: width of the overmould, at most 12.35 (same section).
        body_height: height of the overmould, at most 6.5 (same section).
        body: length of the overmould.
        relief: length of the strain relief.
        cable: diameter of the cable.
    """

    width: float = 8.25
    height: float = 2.4
    shell: float = 6.65
    body_width: float = 11.0
    body_height: float = 5.5
    body: float = 20.0
    relief: float = 9.0
    cable: float = 3.5

    def parts(self) -> list[Trimesh]:
        """Return shell, overmould and strain relief."""
        rear = self.shell + self.body
        start = rounded_outline(self.cable + 2.0, self.cable + 1.0, 1.5)
        return [
            rounded_bar(0.0, self.shell + 1.0, self.width, self.height, self.height / 2),
            rounded_bar(self.shell, rear, self.body_width, self.body_height, 2.0),
            bar(rear - 0.5, rear + self.relief, start, start * self.cable / (self.cable + 2.0)),
        ]


@dataclass(frozen=True)
class Rj45Plug(Connector):
    """Modular plug 8P8C (RJ45), its contacts below and its latch above.

    Attributes:
        width: width (IEC 60603-7).
        height: height without the latch (IEC 60603-7).
        body: length.
        pitch: distance of the contacts (IEC 60603-7).
        slot: width of the slots over the contacts.
        slot_depth: depth of these slots.
        slot_length: length of these slots.
        cable: diameter of the cable.
        cable_length: length of the cable.
    """

    width: float = 11.68
    height: float = 6.6
    body: float = 21.5
    pitch: float = 1.02
    slot: float = 0.5
    slot_depth: float = 0.6
    slot_length: float = 6.0
    cable: float = 5.4
    cable_length: float = 16.0

    def parts(self) -> list[Trimesh]:
        """Return body, ribs between the contacts, latch and cable."""
        half, top = self.width / 2, self.height / 2
        floor = (-top, -top + self.slot_depth)
        centres = [(k - 3.5) * self.pitch for k in range(8)]
        starts = [-half, *(centre + self.slot / 2 for centre in centres)]
        ends = [*(centre - self.slot / 2 for centre in centres), half]
        sides = zip(starts, ends, strict=True)
        ribs = [box((0.0, self.slot_length), side, floor) for side in sides]
        latch = np.array([(-3.0, top - 0.2), (3.0, top - 0.2), (3.0, top + 1.2), (-3.0, top + 1.2)])
        return [
            box((0.0, self.body), (-half, half), (floor[1], top)),
            box((self.slot_length, self.body), (-half, half), floor),
            *ribs,
            bar(1.0, 15.0, latch),
            cylinder(self.body - 0.5, self.body + self.cable_length, self.cable),
        ]


@dataclass(frozen=True)
class BarrelPlug(Connector):
    """Coaxial direct-current plug on its housing.

    Attributes:
        diameter: outer diameter of the barrel (IEC 60130-10, type A).
        barrel: length of the barrel (same standard).
        housing_diameter: diameter of the housing.
        housing: length of the housing.
        relief: length of the strain relief.
        cable: diameter of the cable.
    """

    diameter: float = 5.5
    barrel: float = 9.5
    housing_diameter: float = 10.0
    housing: float = 17.0
    relief: float = 12.0
    cable: float = 3.8

    def parts(self) -> list[Trimesh]:
        """Return barrel, housing and strain relief."""
        radius, rear = self.housing_diameter / 2, self.barrel + self.housing
        return [
            cylinder(0.0, self.barrel + 1.0, self.diameter),
            revolved(
                [(self.barrel, radius), (self.barrel + 4.0, radius), (rear, 0.75 * radius)],
            ),
            revolved([(rear - 0.5, 0.65 * radius), (rear + self.relief, self.cable / 2)]),
        ]


@dataclass(frozen=True)
class HexBolt(Connector):
    """Hexagon bolt, head at the cable's end.

    Attributes:
        diameter: major diameter (ISO 4017: M6).
        pitch: pitch of the thread (ISO 261: M6 coarse).
        length: length below the head.
        across_flats: width of the head across its flats (ISO 4017: M6).
        head: height of the head (ISO 4017: M6).
    """

    diameter: float = 6.0
    pitch: float = 1.0
    length: float = 30.0
    across_flats: float = 10.0
    head: float = 4.0

    def parts(self) -> list[Trimesh]:
        """Return thread and head."""
        return [
            thread(0.0, self.length + 0.5, self.diameter, self.pitch),
            hexagon(self.length, self.length + self.head, self.across_flats),
        ]


@dataclass(frozen=True)
class HdmiPlug(Connector):
    """HDMI type A plug on its overmould, the narrow side below.

    Attributes:
        width: width of the metal shell (HDMI specification 1.4, section 4.1.9).
        height: height of the metal shell (same section).
        shell: length of the shell outside the overmould.
        bevel: width and height of the bevels of the narrow side.
        body_width: width of the overmould.
        body_height: height of the overmould.
        body: length of the overmould.
        relief: length of the strain relief.
        cable: diameter of the cable.
    """

    width: float = 13.9
    height: float = 4.45
    shell: float = 11.3
    bevel: float = 1.6
    body_width: float = 20.0
    body_height: float = 9.5
    body: float = 18.0
    relief: float = 9.0
    cable: float = 5.0

    def parts(self) -> list[Trimesh]:
        """Return shell, overmould and strain relief."""
        half, top, low = self.width / 2, self.height / 2, -self.height / 2
        slope = math.tan(math.radians(50.0)) * self.bevel
        shell = [(half, top), (half, low + slope), (half - self.bevel, low)]
        outline = np.array([(sign * y, z) for y, z in shell for sign in (1, -1)])
        rear = self.shell + self.body
        start = rounded_outline(self.cable + 3.0, self.cable + 2.0, 2.0)
        return [
            bar(0.0, self.shell + 1.0, outline),
            rounded_bar(self.shell, rear, self.body_width, self.body_height, 2.0),
            bar(rear - 0.5, rear + self.relief, start, start * self.cable / (self.cable + 3.0)),
        ]


FURTHER_CONNECTORS: dict[str, Connector] = {
    "usb_c": UsbCPlug(),
    "rj45": Rj45Plug(),
    "barrel": BarrelPlug(),
    "bolt": HexBolt(),
    "hdmi": HdmiPlug(),
}
ALL_CONNECTORS = PAPER_CONNECTORS | FURTHER_CONNECTORS
