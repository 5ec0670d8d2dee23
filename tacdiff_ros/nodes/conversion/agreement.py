"""Comparisons as messages."""

from __future__ import annotations

from typing import Any

from tacdiff_ros.evaluation.agreement import Agreement
from tacdiff_ros.evaluation.image_metrics import ImageScore
from tacdiff_ros.msg import ImageAgreement, SimRealMetrics

METRES = 1e-3


def to_metrics(found: Agreement, pixels: int, mm_per_px: float) -> SimRealMetrics:
    """All but header, stamps, names and latency.

    Args:
        found: the comparison.
        pixels: of the image.
        mm_per_px: on the gel, of the sensor.
    """
    message = SimRealMetrics()
    message.whole = to_score(found.whole, pixels)
    message.contact = to_score(found.contact, found.contact_pixels)
    message.background_whole = to_score(
        found.background_whole, pixels if found.background_whole else 0
    )
    message.background_contact = to_score(found.background_contact, found.contact_pixels)
    message.markers_compared = found.markers_compared
    message.marker_rms_px = found.marker_rms_px
    message.marker_rms = found.marker_rms_px * mm_per_px * METRES
    message.deformation_rms = float("nan")
    return message


def to_score(score: ImageScore | None, pixels: int) -> Any:
    """Metrics of one set of pixels; of none where there is no score."""
    if score is None:
        nothing = float("nan")
        return ImageAgreement(
            pixel_count=0, mse=nothing, psnr_db=nothing, ssim=nothing, smape=nothing
        )
    return ImageAgreement(
        pixel_count=pixels,
        mse=score.mse,
        psnr_db=score.psnr_db,
        ssim=score.ssim,
        smape=score.smape,
    )
