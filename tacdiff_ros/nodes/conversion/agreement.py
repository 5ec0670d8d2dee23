"""Converts image comparisons into ROS messages."""

from __future__ import annotations

from typing import Any

from tacdiff_ros.evaluation.agreement import Agreement
from tacdiff_ros.evaluation.image_metrics import ImageScore
from tacdiff_ros.msg import ImageAgreement, SimRealMetrics
from tacdiff_ros.nodes.conversion.surface import METRES_PER_MM


def to_metrics(agreement: Agreement, pixels: int, mm_per_px: float) -> SimRealMetrics:
    """Convert a comparison into a message without header, stamps, names and latency.

    Args:
        agreement: metrics of one simulated image against the real image.
        pixels: number of pixels of the image.
        mm_per_px: size of a pixel on the gel surface, mm/px.

    Returns:
        Message whose `deformation_rms` is NaN and whose header, `simulated_stamp`, `sensor_id`,
        `simulator` and `latency` are still to be set.
    """
    message = SimRealMetrics()
    message.whole = to_score(agreement.whole, pixels)
    message.contact = to_score(agreement.contact, agreement.contact_pixels)
    message.background_whole = to_score(
        agreement.background_whole, pixels if agreement.background_whole else 0
    )
    message.background_contact = to_score(agreement.background_contact, agreement.contact_pixels)
    message.markers_compared = agreement.markers_compared
    message.marker_rms_px = agreement.marker_rms_px
    message.marker_rms = agreement.marker_rms_px * mm_per_px * METRES_PER_MM
    message.deformation_rms = float("nan")
    return message


def to_score(score: ImageScore | None, pixels: int) -> Any:
    """Convert the metrics of one set of pixels.

    Args:
        score: metrics of the pixels; None if the set is empty.
        pixels: number of pixels in the set.

    Returns:
        `ImageAgreement` message; without a score its metrics are NaN and its pixel count is 0.
    """
    if score is None:
        nan = float("nan")
        return ImageAgreement(pixel_count=0, mse=nan, psnr_db=nan, ssim=nan, smape=nan)
    return ImageAgreement(
        pixel_count=pixels,
        mse=score.mse,
        psnr_db=score.psnr_db,
        ssim=score.ssim,
        smape=score.smape,
    )
