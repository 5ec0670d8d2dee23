"""`tacdiff touch embed`: features and properties of images and videos."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from tacdiff_ros.cli.crop_option import CropOption
from tacdiff_ros.cli.output_folder import quoted
from tacdiff_ros.cli.progress_bar import ProgressBar
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.crop import Crop, default_crop
from tacdiff_ros.images.frame_sources import (
    IMAGE_ENDINGS,
    VideoFrames,
    image_and_video_paths,
)
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.input_files import printable
from tacdiff_ros.output_files import check_space
from tacdiff_ros.resources import shipped_encoder

if TYPE_CHECKING:
    from tacdiff_ros.touch_features.feature_file import TouchFeatures
    from tacdiff_ros.touch_features.touch_encoder import TouchEncoder, TouchReading

MAX_TABLE_ROWS = 40
SHORT_NAMES = {
    "force": "force/N",
    "contact_area_mm2": "area/mm2",
    "curvature": "curv./mm-1",
    "texture_rms_mm": "rough./mm",
    "texture_wavelength_mm": "wavel./mm",
    "compliance": "compliance",
    "slip_fraction": "slip",
}

Image = NDArray[np.uint8]


class _Video(NamedTuple):
    """Images in the order of their time; a single image has one.

    Attributes:
        name: name of the file, below the folder that was given.
        path: file of the image or video.
        frames: images.
    """

    name: str
    path: Path
    frames: Iterator[Image]


def embed(
    images: Annotated[
        list[Path], typer.Option(help="image, folder of images and videos, or video; repeatable")
    ],
    out: Annotated[Path, typer.Option(help="features.npz to write")],
    reference: Annotated[
        Path | None, typer.Option(help="image of the untouched gel of the same sensor")
    ] = None,
    first_frame: Annotated[
        bool,
        typer.Option("--first-frame", help="the first frame of each video is its reference image"),
    ] = False,
    encoder: Annotated[
        Path | None, typer.Option(help="folder of the encoder; default: the shipped one")
    ] = None,
    rate: Annotated[float, typer.Option(min=1.0, max=1000.0, help="rate of videos, Hz")] = 25.0,
    crop: CropOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Write features of images: files, frames, embedding, touch, properties; print properties."""
    from tacdiff_ros.touch_features.feature_file import FeatureRows
    from tacdiff_ros.touch_features.touch_encoder import TouchEncoder

    if (reference is None) == (not first_frame):
        raise InputError(
            "expected either --reference, an image of the untouched gel, or --first-frame for "
            "videos that begin without a touch"
        )
    _check_out(out)
    frames_crop = default_crop(crop)
    videos = [video for given in images for video in _videos(given, frames_crop)]
    if first_frame and (single := [video for video in videos if _is_image(video.path)]):
        raise InputError(
            f"{printable(single[0].path)} is an image, --first-frame is for videos: give "
            "--reference"
        )
    reference_image = None
    if reference is not None:
        reference_image = frames_crop.reduce(read_image(reference), printable(reference.name))
    touch_encoder = TouchEncoder(encoder or shipped_encoder())
    rows = FeatureRows(touch_encoder.card.properties, touch_encoder.checksum)
    with ProgressBar("embedding", len(videos)) as bar:
        for video in bar.track(videos):
            for frame, reading in enumerate(_readings(touch_encoder, video, reference_image, rate)):
                rows.add(video.name, frame, reading)
    features = rows.features()
    features.save(out)
    if as_json:
        print(json.dumps({"out": str(out), **_summary(features)}))
    else:
        _print_table(features)
        contacts = int(features.contact.sum())
        print(
            f"{out}: {len(features.files)} images of {len(videos)} files, {contacts} "
            f"in contact\nnext: `tacdiff touch probe --features {quoted(out)} --labels labels.csv`"
        )


def _check_out(out: Path) -> None:
    if out.is_dir() or out.suffix != ".npz":
        raise InputError(f"--out is {printable(out)}, expected a file name ending in .npz")
    check_space(out.absolute().parent)


def _videos(given: Path, crop: Crop) -> list[_Video]:
    """Return the images and videos that a path stands for.

    Raises:
        InputError: it does not exist, or the folder has none.
    """
    if not given.exists():
        raise InputError(f"no file or folder at {printable(given)}")
    paths = image_and_video_paths(given) if given.is_dir() else [given]
    names = [str(path.relative_to(given)) if given.is_dir() else path.name for path in paths]
    return [
        _Video(name, path, _frames(path, crop)) for name, path in zip(names, paths, strict=True)
    ]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_ENDINGS


def _frames(path: Path, crop: Crop) -> Iterator[Image]:
    name = printable(path.name)
    if _is_image(path):
        yield crop.reduce(read_image(path), name)
        return
    video = VideoFrames(path, loop=False)
    try:
        while (frame := video.read()) is not None:
            yield crop.reduce(frame, f"a frame of {name}")
    finally:
        video.close()


def _readings(
    encoder: TouchEncoder, video: _Video, reference: Image | None, rate_hz: float
) -> Iterator[TouchReading]:
    """Yield the reading of each image of a video.

    Args:
        encoder: touch encoder.
        video: images.
        reference: reference image; None for the first image.
        rate_hz: rate of the images, Hz.

    Raises:
        InputError: an image is unusable; the message names its file.
    """
    from tacdiff_ros.touch_features.touch_encoder import TouchStream

    stream = TouchStream(encoder)
    try:
        for frame, image in enumerate(video.frames):
            if frame == 0:
                stream.set_reference(image if reference is None else reference)
            yield stream.read(image, frame / rate_hz)
    except InputError as error:
        name = printable(video.path)
        raise InputError(str(error) if name in str(error) else f"{name}: {error}") from error


def _summary(features: TouchFeatures) -> dict[str, Any]:
    names = features.property_names.tolist()
    return {
        "images": len(features.files),
        "in_contact": int(features.contact.sum()),
        "features": int(features.embedding.shape[1]),
        "mean_properties": {
            name: round(float(column.mean()), 5)
            for name, column in zip(names, features.properties.T, strict=True)
        },
    }


def _print_table(features: TouchFeatures) -> None:
    """Print the properties of the first images, one line each."""
    names = features.property_names.tolist()
    width = max(len(name) for name in features.files[:MAX_TABLE_ROWS]) + 6
    header = "  ".join(f"{SHORT_NAMES.get(name, name):>10}" for name in names)
    print(f"{'image':{width}}  contact  {header}")
    for row in range(min(len(features.files), MAX_TABLE_ROWS)):
        name = f"{printable(features.files[row])}:{features.frames[row]}"
        values = "  ".join(f"{value:10.3f}" for value in features.properties[row])
        print(f"{name:{width}}  {'yes' if features.contact[row] else 'no':>7}  {values}")
    hidden = len(features.files) - MAX_TABLE_ROWS
    if hidden > 0:
        print(f"... and {hidden} more in the file")
