"""`tacdiff record`: images for a calibration from a camera, pressed by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from tacdiff_ros.calibration.hand_recording import HandRecording
from tacdiff_ros.cli.live_images import open_live_images
from tacdiff_ros.cli.output_folder import check_output_folder, quoted
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.crop import default_crop
from tacdiff_ros.output_files import atomic_folder, write_files

STALE_IMAGES = 3  # images that wait in the camera's buffers from before the key was pressed
REFERENCE_IMAGES = 5  # averaged against noise
# Positions of a virtual hand's presses in the frame `gel`, mm.
POSITIONS_MM = ((-5.0, -3.5), (5.0, 3.5), (5.0, -3.5), (-5.0, 3.5), (0.0, 0.0))


def record(
    out: Annotated[Path, typer.Option(help="folder to write, for `tacdiff calibrate --folder`")],
    diameter: Annotated[
        float, typer.Option(min=0.5, max=100.0, help="diameter of the ball, mm")
    ] = 5.0,
    presses: Annotated[int, typer.Option(min=1, max=16, help="number of presses")] = 2,
    device: Annotated[
        str,
        typer.Option(
            help="part of the camera's name, /dev/videoN, a folder of images in order, or virtual "
            "(a virtual sensor that is pressed by itself)"
        ),
    ] = "GelSight Mini",
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Take a reference image and presses of a ball by hand, without an arm."""
    check_output_folder(out.parent, [])
    if out.exists():
        raise InputError(f"{out} exists already: take another folder")
    camera = _Camera(device, diameter)
    try:
        _ask("nothing touches the gel; Enter takes the reference image")
        recording = HandRecording(camera.reference())
        while len(recording.presses) < presses:
            number = len(recording.presses) + 1
            _ask(f"press {number} of {presses}: press the ball about 1 mm deep, hold it, Enter")
            before, image = camera.pair(POSITIONS_MM[(number - 1) % len(POSITIONS_MM)])
            try:
                press = recording.add(image, before)
            except InputError as error:
                print(f"not taken: {error}", file=sys.stderr)
                continue
            x, y = press.centre_px
            print(f"taken: contact around ({x:.0f}, {y:.0f}) px", file=sys.stderr)
    finally:
        camera.close()
    with atomic_folder(out) as folder:
        for name, content in recording.files(diameter).items():
            write_files((folder / name).parent, {Path(name).name: content})
    if as_json:
        centres_px = [list(press.centre_px) for press in recording.presses]
        print(json.dumps({"out": str(out), "presses": presses, "centres_px": centres_px}))
        return
    print(
        f"{out}: reference image and {presses} presses\n"
        f"next: `tacdiff calibrate --folder {quoted(out)} --sensor-id MY_SENSOR "
        "--out my_sensor.yaml --report report.html`"
    )


class _Camera:
    """Images of the camera that were taken after a key was pressed."""

    def __init__(self, device: str, diameter_mm: float) -> None:
        """Open the camera and wait until its exposure has settled."""
        self._images = open_live_images(device, diameter_mm, default_crop())

    def close(self) -> None:
        """Release the camera."""
        self._images.close()

    def reference(self) -> NDArray[np.uint8]:
        """Return the mean of some images, (H, W, 3) uint8 RGB."""
        self._discard(None)
        mean = np.mean([self._images.next(None) for _ in range(REFERENCE_IMAGES)], axis=0)
        self._images.after_take()
        return np.asarray(np.rint(mean), np.uint8)

    def pair(self, position_mm: tuple[float, float]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return two images in succession, (H, W, 3) uint8 RGB.

        Args:
            position_mm: position that a virtual hand presses, (x, y) in the frame `gel`, mm.
        """
        self._discard(position_mm)
        images = self._images.next(position_mm), self._images.next(position_mm)
        self._images.after_take()
        return images

    def _discard(self, position_mm: tuple[float, float] | None) -> None:
        for _ in range(STALE_IMAGES):
            self._images.next(position_mm)


def _ask(line: str) -> None:
    """Print a line and wait for Enter.

    Raises:
        InputError: the standard input has ended.
    """
    print(line, end=" ", file=sys.stderr, flush=True)
    if not sys.stdin.readline():
        raise InputError("the standard input has ended: nothing was written")
