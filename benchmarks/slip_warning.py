"""How early a slip head warns of gross slip: simulated grasps it has not seen, and real videos."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from real_touches import grasp_medians, read_grasp, read_labels
from sensor_references import sensor_references

from tacdiff_ros.errors import InputError
from tacdiff_ros.touch_features.simulation.simulated_grips import (
    Grips,
    GripSettings,
    simulate_grips,
)
from tacdiff_ros.touch_features.simulation.touch_motion import RATE_HZ
from tacdiff_ros.touch_features.slip.slip_head import SlipHead, load_slip_head
from tacdiff_ros.touch_features.slip.slip_training import FIRST_S, slip_scores
from tacdiff_ros.touch_features.slip.slip_watch import SMOOTHED_FRAMES, WARNING_FRACTION
from tacdiff_ros.touch_features.touch_encoder import TouchEncoder, TouchStream

SEED, GRASPS, QUICK_GRASPS, PROCESSES = 99, 60, 5, 2
# A slip is slow if at least this fraction of the contact slips for this time before it. In
# a safe grasp less than this fraction ever slips.
INCIPIENT, EARLY_S = 0.3, 0.2
REAL_SPACING, QUICK_REAL_SPACING, REAL_FRAMES, BEGIN_FRAMES = 3, 40, 250, 75

Floats = NDArray[np.floating]


def simulated_rows(folder: Path, quick: bool) -> list[dict[str, Any]]:
    """Return the scores on simulated grasps of other objects by other sensors.

    Args:
        folder: folder of the encoder.
        quick: whether few grasps are enough.
    """
    head, encoder = _head(folder)
    settings = GripSettings(
        encoder=str(folder),
        checksum=encoder.checksum,
        seed=SEED,
        grasps=QUICK_GRASPS if quick else GRASPS,
        processes=PROCESSES,
    )
    with TemporaryDirectory() as temporary:
        grips = simulate_grips(settings, Path(temporary) / "grips")
    estimate = np.array([_smoothed(_fractions(head, maps)) for maps in grips.surface])
    groups = {
        "all": np.ones(len(estimate), bool),
        "with markers": grips.has_markers,
        "without markers": ~grips.has_markers,
    }
    return [
        {"grasps": name, **_scores(_chosen(grips, rows), estimate[rows])}
        for name, rows in groups.items()
        if rows.any()
    ]


def real_means(folder: Path, videos: Path, quick: bool) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return the mean slip fraction of real videos and of their first seconds, and which slip.

    Args:
        folder: folder of the encoder.
        videos: folder of the videos and their labels.
        quick: whether few videos are enough.
    """
    head, encoder = _head(folder)
    labels = read_labels(videos)
    references, sensor = sensor_references(grasp_medians(videos, labels["video"]))
    slips, begin, whole = [], [], []
    for k in range(0, len(sensor), QUICK_REAL_SPACING if quick else REAL_SPACING):
        frames, rate_hz = read_grasp(videos / labels["video"][k])
        stream = TouchStream(encoder)
        stream.set_reference(references[sensor[k]])
        maps = [
            stream.read(image, n / rate_hz).surface for n, image in enumerate(frames[:REAL_FRAMES])
        ]
        fractions = _fractions(head, np.array(maps), rate_hz)
        begin.append(np.nanmean(fractions[:BEGIN_FRAMES]))
        whole.append(np.nanmean(fractions))
        slips.append(labels["slip"][k] == "1")
    return np.array(whole), np.array(begin), np.array(slips)


def _head(folder: Path) -> tuple[SlipHead, TouchEncoder]:
    encoder = TouchEncoder(folder, threads=1)
    head = load_slip_head(folder, encoder.checksum)
    if head is None:
        raise InputError(f"{folder} has no slip head: train it (`tacdiff touch slip`)")
    return head, encoder


def _fractions(head: SlipHead, maps: NDArray[Any], rate_hz: float = RATE_HZ) -> Floats:
    head.reset()
    return np.array([head.update(one, k / rate_hz) for k, one in enumerate(maps)])


def _smoothed(fractions: Floats) -> Floats:
    """Return the mean of the last images, as `SlipWatch` has it."""
    padded = np.concatenate([np.full(SMOOTHED_FRAMES - 1, fractions[0]), fractions])
    return np.convolve(padded, np.ones(SMOOTHED_FRAMES) / SMOOTHED_FRAMES, "valid")


def _chosen(grips: Grips, rows: NDArray[np.bool_]) -> Grips:
    return Grips(**{name: values[rows] for name, values in vars(grips).items()})


def _scores(grips: Grips, estimate: Floats) -> dict[str, Any]:
    time_s = np.arange(estimate.shape[1]) / RATE_HZ
    leads, false = [], []
    for k in range(len(estimate)):
        rated = time_s >= FIRST_S
        slipping = np.flatnonzero(rated & (grips.slip_fraction[k] >= INCIPIENT))
        warned = np.flatnonzero(rated & (estimate[k] >= WARNING_FRACTION))
        gross = np.flatnonzero(grips.gross_slip[k] & (time_s > grips.begin_s[k]))
        if len(slipping) == 0:
            false.append(len(warned) > 0)
        elif len(gross) and time_s[gross[0]] - time_s[slipping[0]] >= EARLY_S:
            is_late = len(warned) == 0 or warned[0] > gross[0]
            leads.append(0.0 if is_late else time_s[gross[0]] - time_s[warned[0]])
    scores = slip_scores(estimate.astype(np.float32), grips)
    return {
        **scores._asdict(),
        "slow_slips": len(leads),
        "warned_200_ms_before": round(float(np.mean(np.array(leads) >= EARLY_S)), 3)
        if leads
        else None,
        "median_lead_s": round(float(np.median(leads)), 2) if leads else None,
        "safe_grasps": len(false),
        "false_warnings": round(float(np.mean(false)), 3) if false else None,
    }
