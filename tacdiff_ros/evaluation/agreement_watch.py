"""Says when simulation and reality drift apart, and what that may mean."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tacdiff_ros.evaluation.agreement import Agreement


class WatchLimits(BaseModel):
    """Below what a calibration should be done again."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    window: int = Field(50, ge=5, le=10_000, description="comparisons that are looked at together")
    least_whole_psnr_db: float = Field(
        25.0, ge=0, le=80, description="median over the window, whole image"
    )
    least_contact_gain_db: float = Field(
        3.0, ge=-20, le=60, description="median PSNR in the contact over 'nothing happened'"
    )
    most_marker_rms_px: float = Field(2.0, gt=0, le=100, description="median over the window")


@dataclass(frozen=True)
class WatchReport:
    """Where things stand.

    Attributes:
        compared: comparisons in the window.
        whole_psnr_db: median; NaN before the first.
        contact_gain_db: median over those with contact; NaN without.
        marker_rms_px: median over those with dots; NaN without.
        complaints: what is beyond its limit and what to do; empty when all is well.
    """

    compared: int
    whole_psnr_db: float
    contact_gain_db: float
    marker_rms_px: float
    complaints: tuple[str, ...]


class AgreementWatch:
    """Medians over the last comparisons."""

    def __init__(self, limits: WatchLimits | None = None) -> None:
        """With limits."""
        self._limits = limits or WatchLimits()
        self._seen: deque[tuple[float, float, float]] = deque(maxlen=self._limits.window)

    def add(self, found: Agreement) -> None:
        """Take in a comparison."""
        self._seen.append((found.whole.psnr_db, found.contact_gain_db, found.marker_rms_px))

    def report(self) -> WatchReport:
        """Of the window."""
        whole, gain, dots = (
            (_median(values) for values in zip(*self._seen, strict=True))
            if (self._seen)
            else (float("nan"),) * 3
        )
        return WatchReport(len(self._seen), whole, gain, dots, self._complaints(whole, gain, dots))

    def _complaints(self, whole: float, gain: float, dots: float) -> tuple[str, ...]:
        limits = self._limits
        found = []
        if whole < limits.least_whole_psnr_db:
            found.append(
                f"whole image {whole:.1f} dB, expected {limits.least_whole_psnr_db:g}: take a new "
                "reference; if that does not help, the gel is worn or another one: calibrate"
            )
        if gain < limits.least_contact_gain_db:
            found.append(
                f"contact {gain:.1f} dB better than nothing, expected "
                f"{limits.least_contact_gain_db:g}: check the indenter and its pose, or calibrate"
            )
        if dots > limits.most_marker_rms_px:
            found.append(
                f"dots {dots:.1f} px off, expected {limits.most_marker_rms_px:g}: check the "
                "indenter's pose and the friction, or calibrate"
            )
        return tuple(found)


def _median(values: tuple[float, ...]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.median(known)) if known else float("nan")
