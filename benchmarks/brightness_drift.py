"""Inverts presses whose light drifted: the whole image, one colour, or one side of the image."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from press_scores import read_set
from scipy.optimize import least_squares
from tables import Part

from tacdiff_ros.inversion.contact_summary import Contact
from tacdiff_ros.inversion.inversion_settings import InversionSettings
from tacdiff_ros.inversion.inverter import Inverter
from tacdiff_ros.mechanics.imprint import Imprint, imprint_surface
from tacdiff_ros.optics.renderer import Renderer, RenderSettings
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.virtual.exposure import usable_exposure
from tacdiff_ros.virtual.random_sensors import random_sensor, undeformed_surface

Image = NDArray[np.uint8]

EVEN = (-0.1, -0.05, 0.05, 0.1)
COLOURS = {"all": (0, 1, 2), "red": (0,), "green": (1,), "blue": (2,)}
UNEVEN = 0.1  # brightness at one border of the image
IMPRINTS = (
    Imprint("sphere", 6.0, at_mm=(1.5, -1.0), depth_mm=0.8, shear_mm=(0.2, 0.1)),
    Imprint("cross", 7.0, at_mm=(-1.0, 0.5), depth_mm=0.6),
)
NOISE_GREY = 1.0
REAL_PRESSES, REAL_RADIUS_MM, BALL_FRACTION = 8, 2.5, 0.6


@dataclass(frozen=True)
class Case:
    """A press whose light is changed.

    Attributes:
        name: name of the case.
        inverter: inverter of its sensor.
        image: (H, W, 3) uint8 RGB.
    """

    name: str
    inverter: Inverter
    image: Image


def measure_drift(options: argparse.Namespace) -> Part:
    """Change the light of virtual and real presses, and compare their contacts.

    The figures are the worst of all presses and drifts; `compensation_*` are radius errors of real
    presses whose light did not drift.
    """
    real, uncompensated = real_cases(options.data, 2 if options.quick else REAL_PRESSES)
    changed = real[:: max(len(real) // 2, 1)]
    cases = [*virtual_cases(1 if options.quick else 3), *changed[: 1 if options.quick else None]]
    rows = []
    for case in cases[1 if options.quick else 0 :]:
        before = case.inverter.invert(case.image).contact
        for name, gain in drifts(case.image.shape, options.quick):
            rows.append(drift_row(case, name, gain, before))
            print(rows[-1], file=sys.stderr, flush=True)
    figures = {
        "drift_depth_error": _worst(rows, "even", "depth_error"),
        "drift_area_error": _worst(rows, "even", "area_error"),
        "drift_uneven_depth_error": _worst(rows, "uneven", "depth_error"),
        "drift_uneven_area_error": _worst(rows, "uneven", "area_error"),
    }
    for name, part in (("on", real), ("off", uncompensated)):
        errors = [abs(ball_radius_mm(case) / REAL_RADIUS_MM - 1.0) for case in part]
        if errors:
            figures[f"compensation_{name}_radius_error"] = round(float(np.median(errors)), 4)
    return rows, figures


def ball_radius_mm(case: Case) -> float:
    """Return the radius of the sphere fitted to the middle of a contact, mm."""
    inversion = case.inverter.invert(case.image)
    points = inversion.surface.position.astype(np.float64)
    centre = points[inversion.contact.mask.ravel(), :2].mean(axis=0)
    reach = BALL_FRACTION * np.sqrt(inversion.contact.area_mm2 / np.pi)
    near = points[np.linalg.norm(points[:, :2] - centre, axis=1) < reach]
    start = [*centre, near[:, 2].min() + REAL_RADIUS_MM, REAL_RADIUS_MM]
    fit = least_squares(lambda s: np.linalg.norm(near - s[:3], axis=1) - s[3], start)
    return float(fit.x[3])


def drifts(shape: tuple[int, ...], quick: bool) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield name and gain (H, W, 3) of each drift."""
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    for amount in EVEN[:: 3 if quick else 1]:
        for name, colours in COLOURS.items():
            gain = np.ones(shape)
            gain[..., colours] += amount
            yield f"even {name} {amount:+.2f}", gain
    tilt = np.stack([x, y, -x], axis=-1)
    yield f"uneven tilt {UNEVEN:+.2f}", 1.0 + UNEVEN * tilt
    yield (
        f"uneven vignette {UNEVEN:+.2f}",
        1.0 - 0.5 * UNEVEN * (x**2 + y**2)[..., None] * np.ones(3),
    )


def virtual_cases(sensors: int) -> Iterator[Case]:
    """Yield presses by closed form on random sensors, rendered finer than they are inverted."""
    for seed in range(1, sensors + 1):
        model = usable_exposure(random_sensor(seed))
        random = np.random.default_rng(seed)
        inverter = Inverter(model, _photograph(model, undeformed_surface(model), random))
        for imprint in IMPRINTS:
            image = _photograph(model, imprint_surface(model.gel, imprint, 0.1), random)
            yield Case(f"virtual {seed} {imprint.shape}", inverter, image)


def real_cases(folder: Path, count: int) -> tuple[list[Case], list[Case]]:
    """Return presses of a real ball, and the same with an inverter that compensates nothing."""
    data = read_set(folder / "mini_dots_ball", "5.000mm")
    if data is None:
        return [], []
    chosen = data.spread(2)
    model = data.calibrate(chosen).model
    unseen = [k for k in data.numbers if k not in chosen]
    numbers = unseen[:: max(len(unseen) // count, 1)][:count]
    settings = (InversionSettings(), InversionSettings(compensate_brightness=False))
    with_it, without_it = (
        [Case(f"real {k}", inverter, data.presses[k]) for k in numbers]
        for inverter in (Inverter(model, data.background, part) for part in settings)
    )
    return with_it, without_it


def drift_row(case: Case, name: str, gain: NDArray[np.float64], before: Contact) -> dict[str, Any]:
    """Invert a press under a drift and compare the contact with that before the drift."""
    image = np.clip(np.rint(gain * case.image), 0, 255).astype(np.uint8)
    contact = case.inverter.invert(image).contact
    return {
        "press": case.name,
        "drift": name,
        "depth_mm": round(contact.depth_mm, 3),
        "depth_error": round(contact.depth_mm / before.depth_mm - 1.0, 4),
        "area_error": round(contact.area_mm2 / before.area_mm2 - 1.0, 4),
    }


def _photograph(model: SensorModel, surface: GelSurface, random: np.random.Generator) -> Image:
    renderer = Renderer(model)
    renderer.set_surface(surface)
    renderer.gather_local_interreflection()
    values = 255.0 * renderer.image(RenderSettings(samples=2))
    noisy = values + random.normal(0.0, NOISE_GREY, values.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def _worst(rows: list[dict[str, Any]], kind: str, key: str) -> float:
    return max(abs(row[key]) for row in rows if row["drift"].startswith(kind))
