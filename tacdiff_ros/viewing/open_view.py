"""Choice of the view that fits a file or folder."""

from __future__ import annotations

from pathlib import Path

from tacdiff_ros.errors import InputError
from tacdiff_ros.images.frame_sources import IMAGE_ENDINGS, has_images
from tacdiff_ros.input_files import printable
from tacdiff_ros.recording.bag_storage import is_bag
from tacdiff_ros.viewing.maps import view_map
from tacdiff_ros.viewing.page import View
from tacdiff_ros.viewing.recordings import view_recording
from tacdiff_ros.viewing.results import (
    MESH_ENDINGS,
    is_result,
    view_image,
    view_mesh,
    view_result,
)
from tacdiff_ros.viewing.sensors import view_sensor

VIDEO_ENDINGS = (".avi", ".mp4", ".mov", ".mkv", ".webm")
KNOWN = (
    "an image, a map (.npy, .npz), a mesh (.ply, .stl, .obj), a sensor file (.yaml), a folder of "
    "`simulate` or `invert`, a recorded run, a bag, a video, a folder of images, or a dataset"
)


def open_view(path: Path, topic: str | None = None) -> View:
    """Return the view of a file or folder, whose kind is found from its content and ending.

    Args:
        path: see `KNOWN`.
        topic: image topic of a bag; None for the only one.

    Raises:
        InputError: the path does not exist, is of no known kind, or is damaged.
    """
    if not path.exists():
        raise InputError(f"nothing at {printable(path)}: give {KNOWN}")
    return _folder_view(path, topic) if path.is_dir() else _file_view(path, topic)


def _folder_view(folder: Path, topic: str | None) -> View:
    if (folder / "zarr.json").is_file():
        try:
            from tacdiff_ros.viewing.datasets import view_dataset
        except ImportError as error:
            raise InputError(
                f"datasets need {error.name}: `pip install 'tacdiff_ros[cluster]'`"
            ) from error
        return view_dataset(folder)
    if is_result(folder):
        return view_result(folder)
    if (folder / "index.csv").is_file() or is_bag(folder) or has_images(folder):
        return view_recording(folder, topic)
    raise InputError(f"the folder {printable(folder)} holds nothing known: give {KNOWN}")


def _file_view(path: Path, topic: str | None) -> View:
    ending = path.suffix.lower()
    if ending in (".yaml", ".yml"):
        return view_sensor(path)
    if ending in (".npy", ".npz"):
        return view_map(path)
    if ending in MESH_ENDINGS:
        return view_mesh(path)
    if ending in IMAGE_ENDINGS:
        return view_image(path)
    if ending in VIDEO_ENDINGS or is_bag(path):
        return view_recording(path, topic)
    raise InputError(f"{printable(path)} is of no known kind: give {KNOWN}")
