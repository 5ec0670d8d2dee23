"""Picture of a contact's pressure, tangential tractions and net force."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.inversion.contact_forces import ContactForces
from tacdiff_ros.sensor.gel_surface import GelSurface

PX_PER_MM = 24.0
ARROW_PITCH_MM = 0.8
ARROW_MM = 1.2  # length of the longest arrow
MARGIN_PX = 64  # below the map, for the numbers
WHITE, GREY, BLACK = (255, 255, 255), (120, 120, 120), (20, 20, 20)  # RGB
FONT, FONT_SCALE, LINE_PX = cv2.FONT_HERSHEY_SIMPLEX, 0.5, 22


def draw_tractions(surface: GelSurface, forces: ContactForces) -> NDArray[np.uint8]:
    """Draw the pressure as colour, tangential tractions as arrows, the outline and the net force.

    Args:
        surface: inverted surface, which gives the material points of the fields.
        forces: forces of the contact.

    Returns:
        (H, W, 3) uint8 RGB, in the orientation of the sensor's image.
    """
    origin = np.array([surface.x_mm[0], surface.y_mm[0]], np.float64)
    extent = np.array([surface.x_mm[-1], surface.y_mm[-1]]) - origin
    width, height = (int(part) for part in np.rint(extent * PX_PER_MM))
    peak = float(forces.pressure_mpa.max())
    relative = forces.pressure_mpa / max(peak, 1e-9)
    fine = cv2.resize((255.0 * relative).astype(np.float32), (width, height))
    coloured = cv2.applyColorMap(np.rint(fine).astype(np.uint8), cv2.COLORMAP_INFERNO)
    canvas = np.full((height + MARGIN_PX, width, 3), 255, np.uint8)
    canvas[:height] = coloured[..., ::-1]
    for polygon in forces.outline_mm:
        points = np.rint((polygon - origin) * PX_PER_MM).astype(np.int32)
        cv2.polylines(canvas, [points], True, WHITE, 1, cv2.LINE_AA)
    _draw_arrows(canvas, surface, forces, origin)
    for line, text in enumerate(_numbers(forces, peak)):
        position = (8, height + LINE_PX * (line + 1))
        cv2.putText(canvas, text, position, FONT, FONT_SCALE, BLACK, 1, cv2.LINE_AA)
    return canvas


def _draw_arrows(
    canvas: NDArray[np.uint8],
    surface: GelSurface,
    forces: ContactForces,
    origin: NDArray[np.float64],
) -> None:
    """Draw the tangential traction of every few vertices in the contact."""
    max_traction = float(np.linalg.norm(forces.traction_mpa, axis=-1).max())
    if max_traction <= 0.0:
        return
    step = max(1, round(ARROW_PITCH_MM / float(np.diff(surface.x_mm).mean())))
    for row in range(0, surface.rows, step):
        for column in range(0, surface.columns, step):
            if not forces.contact[row, column]:
                continue
            start = np.array([surface.x_mm[column], surface.y_mm[row]]) - origin
            tip = start + ARROW_MM * forces.traction_mpa[row, column] / max_traction
            first, last = (np.rint(part * PX_PER_MM).astype(int).tolist() for part in (start, tip))
            cv2.arrowedLine(canvas, first, last, WHITE, 1, cv2.LINE_AA, tipLength=0.3)


def _numbers(forces: ContactForces, peak: float) -> list[str]:
    """Two lines of text with the net force and torque, and the largest values of the fields."""
    if not forces.in_contact:
        return ["no contact"]
    force, torque = (
        ", ".join(
            f"{value:.3g} +- {stddev:.1g}" for value, stddev in zip(values, stddevs, strict=True)
        )
        for values, stddevs in (
            (forces.force_n, forces.force_stddev_n),
            (forces.torque_n_mm, forces.torque_stddev_n_mm),
        )
    )
    tangential = float(np.linalg.norm(forces.traction_mpa, axis=-1).max())
    return [
        f"force {force} N, slip margin {forces.net_slip_margin:.2f}",
        f"torque {torque} N mm; pressure to {peak:.3g}, traction to {tangential:.2g} MPa",
    ]
