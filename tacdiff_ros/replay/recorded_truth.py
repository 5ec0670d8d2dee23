"""Ground truth that virtual hardware records with its images, and live comparisons."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.recording.bag_reading import messages
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.sensor.surface_points import surface_of_points

METRICS_TYPE = "tacdiff_ros/msg/SimRealMetrics"
CLOUD_TYPE = "sensor_msgs/msg/PointCloud2"
TRUE_POINTS = "/ground_truth/gel_points"


@dataclass(frozen=True)
class LiveComparisons:
    """Messages of `comparator` in a recorded run; NaN for unavailable values.

    Attributes:
        stamp_ns: (N,) int64 stamps of the real images, ns.
        contact_psnr_db: (N,) PSNR inside the contact, dB.
        background_psnr_db: (N,) PSNR of the reference image inside the contact, dB.
        marker_px: (N,) RMS distance of markers, px.
        deformation_mm: (N,) RMS error of the surface height, mm.
        latency_s: (N,) time from the real image's stamp to the message, s.
    """

    stamp_ns: NDArray[np.int64]
    contact_psnr_db: NDArray[np.float64]
    background_psnr_db: NDArray[np.float64]
    marker_px: NDArray[np.float64]
    deformation_mm: NDArray[np.float64]
    latency_s: NDArray[np.float64]


def read_comparisons(bag: Path) -> LiveComparisons:
    """Read all comparisons of a bag.

    Args:
        bag: rosbag2 folder, mcap or sqlite3.

    Returns:
        Comparisons in the order of recording.

    Raises:
        InputError: the bag cannot be read or has no comparisons.
    """
    try:
        rows = [
            (
                stamp,
                m.contact.psnr_db,
                m.background_contact.psnr_db,
                m.marker_rms_px,
                1e3 * m.deformation_rms,
                m.latency,
            )
            for stamp, m in messages(bag, METRICS_TYPE)
        ]
        stamps = np.array([row[0] for row in rows], np.int64)
        columns = np.array([row[1:] for row in rows], np.float64).reshape(-1, 5).T
    except (AttributeError, TypeError, OverflowError) as error:
        raise InputError(f"{bag}: a message is not of type {METRICS_TYPE} ({error})") from error
    return LiveComparisons(stamps, *columns)


def true_surfaces(bag: Path, model: SensorModel, stamps: set[int]) -> dict[int, GelSurface]:
    """Read the true surfaces of some images.

    Args:
        bag: rosbag2 folder, mcap or sqlite3.
        model: sensor model.
        stamps: stamps of the images, ns.

    Returns:
        True surfaces by stamp.

    Raises:
        InputError: the bag cannot be read or has no true surfaces.
    """
    return {
        stamp: surface_of_points(cloud, model.gel)
        for stamp, cloud in messages(bag, CLOUD_TYPE, TRUE_POINTS)
        if stamp in stamps
    }
