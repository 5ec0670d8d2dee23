"""Monitoring of the agreement between simulation and reality over the latest images."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tacdiff_ros.evaluation.agreement import Agreement


class WatchLimits(BaseModel):
    """Limits of the agreement beyond which the sensor should be calibrated again.

    The names of the fields are ROS parameters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    window: int = Field(
        50, ge=5, le=10_000, description="number of latest comparisons that medians are taken over"
    )
    min_whole_psnr_db: float = Field(
        25.0,
        ge=0,
        le=80,
        description="minimum of the median PSNR of the whole image, dB",
        json_schema_extra={"renamed_from": "least_whole_psnr_db"},
    )
    min_contact_gain_db: float = Field(
        3.0,
        ge=-20,
        le=60,
        description="minimum of the median PSNR gain in the contact over the reference image, dB",
        json_schema_extra={"renamed_from": "least_contact_gain_db"},
    )
    max_marker_rms_px: float = Field(
        2.0,
        gt=0,
        le=100,
        description="maximum of the median RMS distance of markers, px",
        json_schema_extra={"renamed_from": "most_marker_rms_px"},
    )


@dataclass(frozen=True)
class WatchReport:
    """Medians over the window, and the limits that they violate.

    Attributes:
        compared: number of comparisons in the window.
        whole_psnr_db: median PSNR of the whole image, dB; NaN before the first comparison.
        contact_gain_db: median PSNR gain in the contact over the reference image, dB; NaN if no
            comparison has contact.
        marker_rms_px: median RMS distance of markers, px; NaN if no comparison has markers.
        complaints: one message per violated limit, with the value, the limit and what to do; empty
            if no limit is violated.
    """

    compared: int
    whole_psnr_db: float
    contact_gain_db: float
    marker_rms_px: float
    complaints: tuple[str, ...]


class AgreementWatch:
    """Compares the medians over the latest comparisons with limits."""

    def __init__(self, limits: WatchLimits | None = None) -> None:
        """Set the limits.

        Args:
            limits: limits and window; default: those of `WatchLimits`.
        """
        self._limits = limits or WatchLimits()
        self._latest: deque[tuple[float, float, float]] = deque(maxlen=self._limits.window)

    def add(self, agreement: Agreement) -> None:
        """Add a comparison; the oldest one leaves the window if it is full."""
        self._latest.append(
            (agreement.whole.psnr_db, agreement.contact_gain_db, agreement.marker_rms_px)
        )

    def report(self) -> WatchReport:
        """Return the medians over the window and the violated limits."""
        whole_psnr_db, contact_gain_db, marker_rms_px = (
            (_median(values) for values in zip(*self._latest, strict=True))
            if self._latest
            else (float("nan"),) * 3
        )
        return WatchReport(
            compared=len(self._latest),
            whole_psnr_db=whole_psnr_db,
            contact_gain_db=contact_gain_db,
            marker_rms_px=marker_rms_px,
            complaints=self._complaints(whole_psnr_db, contact_gain_db, marker_rms_px),
        )

    def _complaints(
        self, whole_psnr_db: float, contact_gain_db: float, marker_rms_px: float
    ) -> tuple[str, ...]:
        """One message per violated limit; comparisons with NaN violate none."""
        limits = self._limits
        complaints = []
        if whole_psnr_db < limits.min_whole_psnr_db:
            complaints.append(
                f"PSNR of the whole image is {whole_psnr_db:.1f} dB, expected at least "
                f"{limits.min_whole_psnr_db:g} dB: take a new reference; if that does not help, "
                "the gel is worn or was replaced: calibrate"
            )
        if contact_gain_db < limits.min_contact_gain_db:
            complaints.append(
                f"PSNR in the contact is {contact_gain_db:.1f} dB above that of the reference "
                f"image, expected at least {limits.min_contact_gain_db:g} dB: check the indenter "
                "and its pose, or calibrate"
            )
        if marker_rms_px > limits.max_marker_rms_px:
            complaints.append(
                f"RMS distance of the markers is {marker_rms_px:.1f} px, expected up to "
                f"{limits.max_marker_rms_px:g} px: check the indenter's pose and the friction, or "
                "calibrate"
            )
        return tuple(complaints)


def _median(values: tuple[float, ...]) -> float:
    """Median of the values that are not NaN; NaN if there are none."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.median(known)) if known else float("nan")
