"""Connectors as parametric solids: the four of the publication.

A connector is a union of overlapping closed parts. Its frame: x from the tip to the cable, z up,
lying with its lowest point at z = 0; x = 0 in the middle of its length. Sizes are in mm. Where a
standard states a size, the field names it; the other sizes are those of common parts.

Source of the classes: Bronars and Sunil, "Self-Supervised Visuotactile Representation Learning for
Dexterous Manipulation", Fig. 2, which gives no sizes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import trimesh
from trimesh import Trimesh

from tacdiff_ros.errors import InputError
from tacdiff_ros.touch_features.connectors.solid_parts import (
    bar,
    box,
    hexagon,
    plate,
    revolved,
    rounded_bar,
    rounded_outline,
    thread,
)

MIN_MM, MAX_MM = 0.1, 60.0  # range of every size


@dataclass(frozen=True)
class Connector(ABC):
    """A connector of given sizes.

    Raises:
        InputError: a size is no number from 0.1 to 60 mm.
    """

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            valid = isinstance(value, int | float) and MIN_MM <= value <= MAX_MM
            if not valid or isinstance(value, bool):
                raise InputError(
                    f"{type(self).__name__}: {field.name} is {value!r}, expected {MIN_MM:g} to "
                    f"{MAX_MM:g}"
                )

    @abstractmethod
    def parts(self) -> list[Trimesh]:
        """Return the closed parts, whose axis may lie anywhere along x."""

    def mesh(self) -> Trimesh:
        """Return the parts as one mesh in the connector's frame, mm."""
        return lying(self.parts())


def lying(parts: Sequence[Trimesh]) -> Trimesh:
    """Return parts as one mesh, shifted to x = 0 in the middle and z = 0 at the lowest point."""
    mesh = trimesh.util.concatenate(list(parts))
    assert isinstance(mesh, Trimesh)  # noqa: S101
    low, high = mesh.bounds
    mesh.apply_translation([-(low[0] + high[0]) / 2, 0.0, -low[2]])
    return mesh


@dataclass(frozen=True)
class AuxPlug(Connector):
    """3.5 mm jack (AUX) on its cable housing.

    Attributes:
        diameter: diameter of the plug (IEC 60603-11).
        plug: length of the plug (JEITA RC-5325A).
        groove: width of the insulating rings, which are recessed.
        housing_diameter: diameter of the cable housing.
        housing: length of the cable housing.
        relief: length of the strain relief.
        cable: diameter of the cable.
    """

    diameter: float = 3.5
    plug: float = 14.0
    groove: float = 0.7
    housing_diameter: float = 7.0
    housing: float = 18.0
    relief: float = 8.0
    cable: float = 3.0

    def parts(self) -> list[Trimesh]:
        """Return plug, housing and strain relief."""
        radius, neck = self.diameter / 2, self.diameter / 2 - 0.35
        tip = [(0.0, 0.4), (1.6, radius), (2.6, 0.8 * radius), (3.6, radius)]
        grooves: list[tuple[float, float]] = []
        for start in (4.6, 7.9):
            end = start + self.groove
            grooves += [(start, radius), (start, neck), (end, neck), (end, radius)]
        rear = self.plug + self.housing
        return [
            revolved([*tip, *grooves, (self.plug + 1.0, radius)]),
            revolved(
                [
                    (self.plug, 0.4 * self.housing_diameter),
                    (self.plug + 1.0, self.housing_diameter / 2),
                    (rear, self.housing_diameter / 2),
                ]
            ),
            revolved(
                [(rear - 0.5, 0.36 * self.housing_diameter), (rear + self.relief, self.cable / 2)]
            ),
        ]


@dataclass(frozen=True)
class UsbAPlug(Connector):
    """USB Standard-A plug on its overmould, the seam below.

    Attributes:
        width: width of the metal shell (USB 2.0 specification, section 6.5.3).
        height: height of the metal shell (same section).
        shell: length of the shell outside the overmould (same section).
        window: length of the two openings in each broad side.
        window_width: width of these openings.
        wall: thickness of the sheet metal.
        body_width: width of the overmould, at most 16 (same section).
        body_height: height of the overmould, at most 8 (same section).
        body: length of the overmould.
        relief: length of the strain relief.
        cable: diameter of the cable.
    """

    width: float = 12.0
    height: float = 4.5
    shell: float = 11.75
    window: float = 2.0
    window_width: float = 2.5
    wall: float = 0.3
    body_width: float = 15.7
    body_height: float = 7.7
    body: float = 20.0
    relief: float = 8.0
    cable: float = 4.0

    def parts(self) -> list[Trimesh]:
        """Return core, perforated broad sides, overmould and strain relief."""
        half, top, end = self.width / 2, self.height / 2, self.shell + 1.0
        inner, outer = 1.25, 1.25 + self.window_width
        front = self.shell - 4.8 - self.window
        core = box((0, end), (-half, half), (-top + self.wall, top - self.wall))
        sides = []
        for z in ((-top, -top + self.wall), (top - self.wall, top)):
            sides += [box((0, front), (-half, half), z)]
            sides += [box((front + self.window, end), (-half, half), z)]
            for y in ((-half, -outer), (-inner, inner), (outer, half)):
                sides.append(box((front, front + self.window), y, z))
        rear = self.shell + self.body
        start = rounded_outline(self.cable + 3.0, self.cable + 2.0, 2.0)
        return [
            core,
            *sides,
            rounded_bar(self.shell, rear, self.body_width, self.body_height, 1.5),
            bar(rear - 0.5, rear + self.relief, start, start * self.cable / (self.cable + 3.0)),
        ]


@dataclass(frozen=True)
class PinRow(Connector):
    """Single row of square pins in a plastic body, lying on its side, pins along y.

    Attributes:
        pitch: distance of the pins (0.1 inch).
        pins: number of pins.
        pin: side of a pin (0.025 inch).
        body: height and width of the plastic body.
        chamfer: chamfer between neighbours of the body's segments.
        long_end: free length of the pins on one side.
        short_end: free length on the other side.
    """

    pitch: float = 2.54
    pins: float = 8
    pin: float = 0.64
    body: float = 2.54
    chamfer: float = 0.5
    long_end: float = 6.0
    short_end: float = 3.0

    def parts(self) -> list[Trimesh]:
        """Return one octagonal segment and one pin for each position."""
        side, cut, pin = self.pitch / 2, self.chamfer, self.pin / 2
        deep = self.body / 2
        corner = [(side - cut, deep), (side, deep - cut)]
        outline = np.array(
            [(sx * x, sy * y) for x, y in corner for sx in (1, -1) for sy in (1, -1)]
        )
        parts = []
        for k in range(round(self.pins)):
            x = (k + 0.5) * self.pitch
            parts.append(plate(outline + np.array([x, 0.0]), (-self.body / 2, self.body / 2)))
            span = (-deep - self.long_end, deep + self.short_end)
            parts.append(box((x - pin, x + pin), span, (-pin, pin)))
        return parts


@dataclass(frozen=True)
class Stud(Connector):
    """Stud with two threaded ends and a hexagonal middle.

    Attributes:
        diameter: major diameter of the threads (ISO 261: M4).
        pitch: pitch of the threads (ISO 261: M4 coarse).
        thread: length of the longer threaded end.
        rear_thread: length of the shorter threaded end.
        across_flats: width of the hexagon across its flats (ISO 272: M4).
        hexagon: length of the hexagon.
    """

    diameter: float = 4.0
    pitch: float = 0.7
    thread: float = 16.0
    rear_thread: float = 8.0
    across_flats: float = 7.0
    hexagon: float = 14.0

    def parts(self) -> list[Trimesh]:
        """Return both threads and the hexagon."""
        start, end = self.thread, self.thread + self.hexagon
        return [
            thread(0.0, start + 0.5, self.diameter, self.pitch),
            hexagon(start, end, self.across_flats),
            thread(end - 0.5, end + self.rear_thread, self.diameter, self.pitch),
        ]


PAPER_CONNECTORS: dict[str, Connector] = {
    "aux": AuxPlug(),
    "pin": PinRow(),
    "usb_a": UsbAPlug(),
    "stud": Stud(),
}
