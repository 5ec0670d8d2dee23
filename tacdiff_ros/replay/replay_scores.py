"""What a replayed recording comes to: tables by phase and depth, with honest intervals."""

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
MIN_TRIALS = 5  # below, frames are drawn again in blocks of a second
BLOCK_NS = 1_000_000_000
DRAWS, CONFIDENCE, SEED = 1000, 0.95, 0x7ACD
KEPT_PICTURES = 6


@dataclass(frozen=True)
class ComparedFrame:
    """One frame of a recording beside its simulation.

    Attributes:
        stamp_ns: of the real image.
        trial: number.
        phase: of the protocol.
        depth_mm: of the indenter.
        agreement: of both images.
    """

    stamp_ns: int
    trial: int
    phase: str
    depth_mm: float
    agreement: Agreement


@dataclass(frozen=True)
class WorstFrame:
    """A frame that agrees badly.

    Attributes:
        frame: which.
        picture: (H, 3 W, 3) uint8: real, simulated, difference.
    """

    frame: ComparedFrame
    picture: Image


@dataclass
class SkippedFrames:
    """Frames of a recording that were read and not compared, by reason.

    Attributes:
        counts: number of frames of each reason.
        examples: message of the first frame of a reason, where there is one.
    """

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, message: str = "") -> None:
        """Count one frame.

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
        """Number of frames of each reason, most frequent first."""
        return dict(sorted(self.counts.items(), key=lambda entry: (-entry[1], entry[0])))

    def summary(self) -> str:
        """Counts in one line, "12 no recorded pose, 6 phase move_to_start"; empty for no frame."""
        return ", ".join(f"{count} {reason}" for reason, count in self.by_reason.items())


class WorstFrames:
    """Keeps the frames of the lowest PSNR in the contact."""

    def __init__(self, kept: int = KEPT_PICTURES) -> None:
        """Keep so many."""
        self._kept = kept
        self._found: list[tuple[float, int, WorstFrame]] = []

    def add(self, frame: ComparedFrame, simulated: Image, real: Image) -> None:
        """Look at a frame; those without contact are no candidates."""
        contact = frame.agreement.contact
        if contact is None:
            return
        if len(self._found) == self._kept and contact.psnr_db >= self._found[-1][0]:
            return
        entry = WorstFrame(frame, side_by_side(simulated, real))
        self._found.append((contact.psnr_db, frame.stamp_ns, entry))
        self._found = sorted(self._found, key=lambda found: found[:2])[: self._kept]

    def pictures(self) -> tuple[WorstFrame, ...]:
        """The worst first."""
        return tuple(entry for _, _, entry in self._found)


def values_of(frame: ComparedFrame) -> dict[str, float]:
    """All numbers of a frame; NaN where there is none."""
    found = frame.agreement
    numbers: dict[str, float] = {}
    for part in ("whole", "contact", "background_whole", "background_contact"):
        score = getattr(found, part)
        for name in ("mse", "psnr_db", "ssim", "smape"):
            numbers[f"{part}_{name}"] = math.nan if score is None else getattr(score, name)
    return {
        **numbers,
        "contact_gain_db": found.contact_gain_db,
        "contact_pixels": float(found.contact_pixels),
        "marker_rms_px": found.marker_rms_px,
    }


def summarise(frames: Sequence[ComparedFrame]) -> dict[str, Any]:
    """For each figure: number of frames, median with its interval, and the worst."""
    columns: dict[str, list[float]] = {name: [] for name in values_of(frames[0])} if frames else {}
    for frame in frames:
        for name, value in values_of(frame).items():
            columns[name].append(value)
    return {
        "frames": len(frames),
        **{name: _figure(name, np.array(values), frames) for name, values in columns.items()},
    }


def by_phase(frames: Sequence[ComparedFrame]) -> dict[str, dict[str, Any]]:
    """A summary for each phase."""
    phases = sorted({frame.phase for frame in frames})
    return {phase: summarise([f for f in frames if f.phase == phase]) for phase in phases}


def by_depth(frames: Sequence[ComparedFrame]) -> dict[str, dict[str, Any]]:
    """A summary for each range of depths that has frames."""
    found = {}
    for low, high in itertools.pairwise(DEPTH_EDGES_MM):
        inside = [frame for frame in frames if low < frame.depth_mm <= high]
        if inside:
            found[f"{low:g}-{high:g} mm"] = summarise(inside)
    return found


def _figure(
    name: str, values: NDArray[np.float64], frames: Sequence[ComparedFrame]
) -> dict[str, Any] | None:
    known = np.isfinite(values)
    if not known.any():
        return None
    chosen = [frame for frame, good in zip(frames, known, strict=True) if good]
    good = values[known]
    falling = name.endswith(("mse", "smape", "rms_px"))
    low, high = _interval(good, _groups(chosen)) or (None, None)
    return {
        "frames": int(known.sum()),
        "median": _rounded(float(np.median(good))),
        "median_low": low,
        "median_high": high,
        "worst": _rounded(float(good.max() if falling else good.min())),
    }


def _groups(frames: Sequence[ComparedFrame]) -> NDArray[np.int64]:
    """What is drawn again as one, since neighbours in time are alike: trials, or seconds."""
    trials = np.array([frame.trial for frame in frames], np.int64)
    if len(np.unique(trials)) >= MIN_TRIALS:
        return trials
    return np.array([frame.stamp_ns // BLOCK_NS for frame in frames], np.int64)


def _interval(values: NDArray[np.float64], groups: NDArray[np.int64]) -> tuple[float, float] | None:
    """Of the median, by drawing groups with replacement; the same draws every time.

    None for a single group, which says nothing of how others would be.
    """
    names, group_of = np.unique(groups, return_inverse=True)
    count = len(names)
    if count < 2:
        return None
    random = np.random.default_rng(SEED)
    drawn = [np.bincount(random.integers(0, count, count), minlength=count) for _ in range(DRAWS)]
    order = np.argsort(values, kind="stable")
    # How many of each draw's values come up to each value, in rising order.
    reached = np.cumsum(np.array(drawn)[:, group_of[order]], axis=1)
    middle = reached[:, -1:]
    lower, upper = (
        values[order][np.argmax(reached > rank, axis=1)]
        for rank in ((middle - 1) // 2, middle // 2)
    )
    medians = 0.5 * (lower + upper)
    tail = (1.0 - CONFIDENCE) / 2.0
    return _rounded(float(np.quantile(medians, tail))), _rounded(
        float(np.quantile(medians, 1.0 - tail))
    )


def _rounded(value: float) -> float:
    return round(value, 6)
