"""A dimple that is pressed and dragged, seen by the default sensor on a finer mesh with noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from tacdiff_ros.optics import llvm
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_file import default_sensor

CENTRE_MM, WIDTH_MM, DEPTH_MM, DRAG_MM = (1.5, -1.0), 1.8, 0.7, (0.25, -0.15)


@dataclass(frozen=True)
class Scene:
    """A sensor, images of it, and the true surface."""

    model: object
    reference: np.ndarray
    image: np.ndarray
    surface: GelSurface


def dimple(model, depth_mm=DEPTH_MM, drag_mm=DRAG_MM, spacing_mm=0.1) -> GelSurface:
    columns = round(model.gel.width_mm / spacing_mm) + 1
    rows = round(model.gel.height_mm / spacing_mm) + 1
    flat = GelSurface.flat(model.gel.width_mm, model.gel.height_mm, rows, columns)
    away = flat.rest[:, :2] - np.array(CENTRE_MM, np.float32)
    size2 = np.sum(away**2, axis=1) / WIDTH_MM**2
    shape = (1.0 - 0.25 * size2) * np.exp(-size2)
    position = flat.rest.copy()
    position[:, 2] -= depth_mm * shape
    position[:, :2] += np.exp(-0.4 * size2)[:, None] * np.array(drag_mm, np.float32)
    return flat.moved(position)


def seen(model, surface: GelSurface, seed=0) -> np.ndarray:
    from tacdiff_ros.optics.renderer import Renderer, RenderSettings

    renderer = Renderer(model)
    renderer.set_surface(surface)
    values = 255.0 * renderer.image(RenderSettings(samples=2, seed=seed))
    noise = np.random.default_rng(seed).normal(0.0, 1.0, values.shape)
    return np.clip(np.rint(values + noise), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def scene() -> Scene:
    if llvm.find_library() is None:
        pytest.skip("no LLVM >= 19 is installed, Mitsuba cannot run")
    model = default_sensor()
    flat = GelSurface.flat(model.gel.width_mm, model.gel.height_mm, 11, 13)
    surface = dimple(model)
    return Scene(model, seen(model, flat, 1), seen(model, surface, 2), surface)
