"""Readings of the touch encoder on simulated touches of objects and sensors it has never seen."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.touch_features.simulation.simulated_touch import SimulationSettings
from tacdiff_ros.touch_features.simulation.simulated_touches import simulate_touches
from tacdiff_ros.touch_features.touch_encoder import TouchEncoder, TouchReading
from tacdiff_ros.touch_features.touch_set import TouchSet, read_touch_set
from tacdiff_ros.touch_features.words import quantity

SEED = 99  # other objects, motions and sensors than those of the training
OBJECTS, QUICK_OBJECTS = 60, 2
TOUCHED_N = 0.3
FALSE_RATE = 0.05

Rows = list[dict[str, Any]]
Floats = NDArray[np.float64]


def unseen_touches(folder: Path | None, quick: bool) -> TouchSet:
    """Return the touch set in a folder, or simulate one."""
    if folder is not None:
        return read_touch_set(folder)
    settings = SimulationSettings(seed=SEED, objects=QUICK_OBJECTS if quick else OBJECTS)
    with TemporaryDirectory() as temporary:
        return simulate_touches(settings, Path(temporary) / "set")


def readings(folder: Path, touches: TouchSet) -> list[TouchReading]:
    """Return the reading of each image, with the quantities that the encoder withholds."""
    encoder = TouchEncoder(folder, threads=1, give_withheld=True)
    result = []
    for image, sensor, earlier in zip(touches.images, touches.sensor, touches.earlier, strict=True):
        before = np.array(touches.images[earlier]) if earlier >= 0 else None
        result.append(encoder.read(np.array(image), touches.references[sensor], before))
    return result


def quantity_rows(touches: TouchSet, read: list[TouchReading]) -> Rows:
    """Return correlation and typical factor of each estimated quantity, of touched gels."""
    force = quantity(touches.labels, "force")
    rows = []
    for name in read[0].properties:
        true = quantity(touches.labels, name)
        if force is None or true is None:
            continue
        estimate = np.array([reading.properties[name] for reading in read])
        used = (force > TOUCHED_N) & np.isfinite(true) & (true > 0) & (estimate > 0)
        if used.sum() < 3:
            continue
        logs = np.log(estimate[used]), np.log(true[used])
        factor = np.exp(np.median(np.abs(logs[0] - logs[1])))
        rows.append(
            {
                "quantity": name,
                "correlation_log": round(float(np.corrcoef(*logs)[0, 1]), 3),
                "factor_median": round(float(factor), 2),
                "images": int(used.sum()),
            }
        )
    return rows


def similarities(touches: TouchSet, read: list[TouchReading]) -> tuple[Floats, Floats]:
    """Return the similarity of the same touch on two sensors, and of touches of two objects."""
    force = quantity(touches.labels, "force")
    assert force is not None  # noqa: S101
    kept = np.flatnonzero(force > TOUCHED_N)
    features = np.stack([read[k].touch for k in kept])
    cosine = features @ features.T
    touch, sensor = touches.touch[kept], touches.sensor[kept]
    objects = touches.labels["object"][kept]
    other_sensor = sensor[:, None] != sensor[None]
    same = (touch[:, None] == touch[None]) & other_sensor
    different = (objects[:, None] != objects[None]) & other_sensor
    return cosine[same].astype(float), cosine[different].astype(float)


def threshold_row(same: Floats, different: Floats, threshold: float) -> dict[str, Any]:
    """Return what a threshold of the similarity gets right, and that of a rare false match."""
    return {
        "threshold": threshold,
        "same_touch_accepted": round(float((same >= threshold).mean()), 3),
        "other_object_accepted": round(float((different >= threshold).mean()), 3),
        "threshold_5_percent": round(float(np.quantile(different, 1.0 - FALSE_RATE)), 3),
    }
