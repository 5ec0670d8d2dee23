"""Pairs whose truth is known in closed form, so that what a network learns can be judged."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; `make setup` brings it")
torch.set_num_threads(1)  # two wait for each other wherever cores are busy

HEIGHT, WIDTH = 48, 64


class DottedPairs:
    """A dotted skin that moves and dents: dots go with channels 0 and 1, shading with 2's slope."""

    def __init__(self, count: int, seed: int) -> None:
        self._random = [np.random.default_rng([seed, number]) for number in range(count)]
        self._parameters = [
            (random.uniform(-0.05, 0.05, 2), random.uniform(0.3, 0.7, 2)) for random in self._random
        ]

    def __len__(self) -> int:
        return len(self._parameters)

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        if not 0 <= number < len(self):
            raise IndexError(number)
        return draw(*self._parameters[number])


def draw(shift, dent, depth: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """NOCS map (3, H, W) and image (3, H, W) uint8."""
    x, y = np.meshgrid((np.arange(WIDTH) + 0.5) / WIDTH, (np.arange(HEIGHT) + 0.5) / HEIGHT)
    bump = depth * np.exp(-((x - dent[0]) ** 2 + (y - dent[1]) ** 2) / 0.02)
    u, v = np.clip(0.1 + 0.8 * x - shift[0], 0, 1), np.clip(0.1 + 0.8 * y - shift[1], 0, 1)
    dots = 1 - 0.8 / (1 + np.exp(-60 * (np.cos(12 * np.pi * u) * np.cos(10 * np.pi * v) - 0.6)))
    slope_y, slope_x = np.gradient(bump)
    shades = [0.5 + 0.2 * x + 4 * slope_x, 0.5 + 4 * slope_y, 0.6 - 2 * slope_x - 2 * slope_y]
    image = np.clip(255 * np.stack(shades) * dots, 0, 255).astype(np.uint8)
    return np.stack([u, v, 1 - bump]).astype(np.float32), image


@pytest.fixture(scope="session")
def pairs():
    return DottedPairs(64, 0), DottedPairs(12, 1)


@pytest.fixture(scope="session")
def untouched():
    from tacdiff_ros.translation.training import ReferenceSample

    return ReferenceSample(*draw((0.0, 0.0), (0.5, 0.5), 0.0))


@pytest.fixture(scope="session")
def small():
    from tacdiff_ros.translation.network_settings import NetworkSettings

    return NetworkSettings(height_px=HEIGHT, width_px=WIDTH, width=8, texture=(4, 96, 128))
