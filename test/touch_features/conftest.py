"""A small touch set of noise and discs, which is quick to train on."""

from __future__ import annotations

import numpy as np
import pytest

from tacdiff_ros.touch_features.touch_set import TouchSet

SENSORS, TOUCHES = 3, 10


def make_touch_set(seed: int = 0) -> TouchSet:
    """Discs of another size for each touch, on sensors of another colour."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:120, :160]
    images, maps, rows = [], [], []
    references = random.integers(60, 180, (SENSORS, 1, 1, 3)) + np.zeros((1, 120, 160, 1), int)
    radius = np.linspace(10, 50, TOUCHES)
    for touch in range(TOUCHES):
        disc = (np.hypot(x - 80, y - 60) < radius[touch]).astype(float)
        for sensor in range(SENSORS):
            gain = random.uniform(20, 60, 3)
            images.append(references[sensor] + disc[..., None] * gain)
            reduced = disc.reshape(30, 4, 40, 4).mean((1, 3))
            maps.append(np.stack([reduced, *np.gradient(reduced)[::-1], 0 * reduced, 0 * reduced]))
            rows.append((sensor, touch))
    sensor, touch = np.array(rows, np.int32).T
    count = len(images)
    return TouchSet(
        card={"name": "discs"},
        images=np.clip(images, 0, 255).astype(np.uint8),
        references=references.astype(np.uint8),
        sensor=sensor,
        video=np.arange(count, dtype=np.int32),
        frame=np.zeros(count, np.int32),
        earlier=np.full(count, -1, np.int32),
        touch=touch,
        labels={
            "force_n": np.stack([0 * touch, 0 * touch, 0.1 * radius[touch]], axis=1),
            "contact_area_mm2": radius[touch] ** 2 / 50.0,
            "texture": np.where(touch % 2 == 0, "woven", "smooth"),
        },
        maps=np.array(maps, np.float16),
    )


@pytest.fixture(scope="session")
def touch_set() -> TouchSet:
    return make_touch_set()
