"""Scores of a replayed recording by phase and depth, with confidence intervals."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.evaluation.agreement import Agreement, side_by_side

Image = NDArray[np.uint8]
DEPTH_EDGES_MM = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
MIN_TRIALS = 5  # minimum to resample trials; with fewer trials, blocks of a second are resampled
BLOCK_NS = 1_000_000_000
RESAMPLES, INTERVAL_PROBABILITY, SEED = 1000, 0.95, 0x7ACD
MAX_WORST_FRAMES = 6
SAME_MOMENT_NS = 1_000_000_000  # of frames nearer than this, only the worst is shown
MAX_BATCH_VALUES = 2**20  # resampled values that are in memory at a time


@dataclass(frozen=True)
class ComparedFrame:
    """Comparison of one frame of a recording with its simulation.

    Attributes:
        stamp_ns: stamp of the real image, ns.
        trial: number of the trial.
        phase: phase of the protocol.
        depth_mm: indentation depth, mm.
        agreement: agreement of the real and the simulated image.
    """

    stamp_ns: int
    trial: int
    phase: str
    depth_mm: float
    agreement: Agreement


@dataclass(frozen=True)
class WorstFrame:
    """A frame with low agreement.

    Attributes:
        frame: comparison of the frame.
        picture: (H, 3 W, 3) uint8 real image, simulated image and difference, side by side.
    """

    frame: ComparedFrame
    picture: Image


@dataclass
class SkippedFrames:
    """Frames of a recording that were read and not compared, by reason.

    Attributes:
        counts: number of frames by reason.
        examples: message of the first frame with a message, by reason.
    """

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, message: str = "") -> None:
        """Count one skipped frame.

        Args:
            reason: short text that is the same for all frames of this kind.
            message: error line of this frame.
        """
        self.counts[reason] = self.counts.get(reason, 0) + 1
        if message:
            self.examples.setdefault(reason, message)

    @property
    def total(self) -> int:
        """Number of skipped frames."""
        return sum(self.counts.values())

    @property
    def by_reason(self) -> dict[str, int]:
        """Number of frames by reason, most frequent first."""
        return dict(sorted(self.counts.items(), key=lambda entry: (-entry[1], entry[0])))

    def summary(self) -> str:
        """Return the counts in one line ("12 no recorded pose, 6 phase move_to_start"), or ""."""
        return ", ".join(f"{count} {reason}" for reason, count in self.by_reason.items())


@dataclass
class StampRange:
    """Number and time range of the frames that were read.

    Attributes:
        count: number of frames.
        first_ns: lowest stamp, ns; 0 without a frame.
        last_ns: highest stamp, ns; 0 without a frame.
    """

    count: int = 0
    first_ns: int = 0
    last_ns: int = 0

    def add(self, stamp_ns: int) -> None:
        """Add the stamp of one frame, ns."""
        self.first_ns = min(self.first_ns, stamp_ns) if self.count else stamp_ns
        self.last_ns = max(self.last_ns, stamp_ns) if self.count else stamp_ns
        self.count += 1

    @property
    def seconds(self) -> float:
        """Time from the first to the last stamp, s."""
        return 1e-9 * (self.last_ns - self.first_ns)


class WorstFrames:
    """Collects the frames with the lowest PSNR in the contact, a second or more apart."""

    def __init__(self, count: int = MAX_WORST_FRAMES) -> None:
        """Start empty; at most `count` frames are collected."""
        self._count = count
        self._entries: list[tuple[float, int, WorstFrame]] = []

    def add(self, frame: ComparedFrame, simulated: Image, real: Image) -> None:
        """Add a frame if the PSNR of its contact is among the lowest; ignore frames without one.

        Args:
            frame: comparison of the frame.
            simulated: (H, W, 3) uint8 simulated image.
            real: (H, W, 3) uint8 real image.
        """
        contact = frame.agreement.contact
        if contact is None:
            return
        if len(self._entries) == self._count and contact.psnr_db >= self._entries[-1][0]:
            return
        near = [e for e in self._entries if abs(e[1] - frame.stamp_ns) < SAME_MOMENT_NS]
        if any(entry[0] <= contact.psnr_db for entry in near):
            return
        worst = WorstFrame(frame, side_by_side(simulated, real))
        kept = [entry for entry in self._entries if entry not in near]
        kept.append((contact.psnr_db, frame.stamp_ns, worst))
        self._entries = sorted(kept, key=lambda entry: entry[:2])[: self._count]

    def pictures(self) -> tuple[WorstFrame, ...]:
        """Return the collected frames, lowest PSNR first."""
        return tuple(worst for _, _, worst in self._entries)


def values_of(frame: ComparedFrame) -> dict[str, float]:
    """Return all scores of a frame by name.

    Args:
        frame: comparison of the frame.

    Returns:
        Scores; NaN for a score that is not available.
    """
    agreement = frame.agreement
    numbers: dict[str, float] = {}
    for part in ("whole", "contact", "background_whole", "background_contact"):
        score = getattr(agreement, part)
        for name in ("mse", "psnr_db", "ssim", "smape"):
            numbers[f"{part}_{name}"] = math.nan if score is None else getattr(score, name)
    return {
        **numbers,
        "contact_gain_db": agreement.contact_gain_db,
        "contact_pixels": float(agreement.contact_pixels),
        "marker_rms_px": agreement.marker_rms_px,
    }


def summarise(frames: Sequence[ComparedFrame]) -> dict[str, Any]:
    """Summarise the scores of frames.

    Args:
        frames: compared frames.

    Returns:
        Number of frames and, for each score, the number of frames with the score, the median with
        its confidence interval, and the worst value.
    """
    columns: dict[str, list[float]] = {name: [] for name in values_of(frames[0])} if frames else {}
    for frame in frames:
        for name, value in values_of(frame).items():
            columns[name].append(value)
    return {
        "frames": len(frames),
        **{name: _figure(name, np.array(values), frames) for name, values in columns.items()},
    }


def by_phase(frames: Sequence[ComparedFrame]) -> dict[str, dict[str, Any]]:
    """Return the summary of the frames of each phase, see `summarise`."""
    phases = dict.fromkeys(frame.phase for frame in frames)  # in the order of the protocol
    return {phase: summarise([f for f in frames if f.phase == phase]) for phase in phases}


def by_depth(frames: Sequence[ComparedFrame]) -> dict[str, dict[str, Any]]:
    """Return the summary of the frames of each range of depths with frames, see `summarise`."""
    summaries = {}
    for low, high in itertools.pairwise(DEPTH_EDGES_MM):
        inside = [frame for frame in frames if low < frame.depth_mm <= high]
        if inside:
            summaries[f"{low:g}-{high:g} mm"] = summarise(inside)
    return summaries


def _figure(
    name: str, values: NDArray[np.float64], frames: Sequence[ComparedFrame]
) -> dict[str, Any] | None:
    """Return the summary of one score; None if no frame has it."""
    is_finite = np.isfinite(values)
    if not is_finite.any():
        return None
    frames_with_value = [frame for frame, valid in zip(frames, is_finite, strict=True) if valid]
    finite = values[is_finite]
    smaller_is_better = name.endswith(("mse", "smape", "rms_px"))
    low, high = _interval(finite, _groups(frames_with_value)) or (None, None)
    return {
        "frames": int(is_finite.sum()),
        "median": _rounded(float(np.median(finite))),
        "median_low": low,
        "median_high": high,
        "worst": _rounded(float(finite.max() if smaller_is_better else finite.min())),
    }


def _groups(frames: Sequence[ComparedFrame]) -> NDArray[np.int64]:
    """Return (N,) resampling groups, trials or seconds, as consecutive frames are correlated."""
    trials = np.array([frame.trial for frame in frames], np.int64)
    if len(np.unique(trials)) >= MIN_TRIALS:
        return trials
    return np.array([frame.stamp_ns // BLOCK_NS for frame in frames], np.int64)


def _interval(values: NDArray[np.float64], groups: NDArray[np.int64]) -> tuple[float, float] | None:
    """Return the confidence interval of the median by a bootstrap over groups with a fixed seed.

    None for a single group, which contains no information on the variation between groups.
    """
    names, group_of = np.unique(groups, return_inverse=True)
    count = len(names)
    if count < 2:
        return None
    random = np.random.default_rng(SEED)
    order = np.argsort(values, kind="stable")
    batch = max(1, MAX_BATCH_VALUES // len(values))
    medians = np.concatenate(
        [
            _resampled_medians(
                values[order], group_of[order], count, random, min(batch, RESAMPLES - start)
            )
            for start in range(0, RESAMPLES, batch)
        ]
    )
    tail = (1.0 - INTERVAL_PROBABILITY) / 2.0
    return _rounded(float(np.quantile(medians, tail))), _rounded(
        float(np.quantile(medians, 1.0 - tail))
    )


def _resampled_medians(
    values: NDArray[np.float64],
    group_of: NDArray[np.intp],
    groups: int,
    random: np.random.Generator,
    resamples: int,
) -> NDArray[np.float64]:
    """Return the medians of some resamples of whole groups.

    Args:
        values: (N,) values in ascending order.
        group_of: (N,) group of each value.
        groups: number of groups.
        random: generator of the resamples.
        resamples: number of resamples.
    """
    group_counts = [
        np.bincount(random.integers(0, groups, groups), minlength=groups) for _ in range(resamples)
    ]
    # Cumulative number of values in each resample, in ascending order of the values.
    cumulative = np.cumsum(np.array(group_counts)[:, group_of], axis=1)
    total = cumulative[:, -1:]
    lower, upper = (
        values[np.argmax(cumulative > rank, axis=1)] for rank in ((total - 1) // 2, total // 2)
    )
    return np.asarray(0.5 * (lower + upper))


def _rounded(value: float) -> float:
    return round(value, 6)
