"""Videos of the LeRobot dataset format: H.264 with all colours, every second image a key frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CODEC = "libx264"
# Colours are not subsampled, because those of a tactile image are its slopes. LeRobot reads single
# frames, so key frames are frequent.
PIXEL_FORMAT, OPTIONS = "yuv444p", {"crf": "18", "g": "2"}


class VideoFile:
    """Numbered MP4 files of consecutive episodes; a full file is followed by another.

    Attributes:
        number: number of the file that is being written; -1 before the first.
    """

    def __init__(self, path_of: Callable[[int], Path], fps: int, max_mb: float) -> None:
        """Remember where to write; the first file is created with its first image.

        Args:
            path_of: function that returns the path of a file by its number.
            fps: rate of the images, Hz.
            max_mb: size from which the next episode begins a new file, MB.
        """
        self.number = -1
        self._path_of, self._fps, self._max_bytes = path_of, fps, 1e6 * max_mb
        self._container: Any = None
        self._stream: Any = None
        self._frames = 0

    def begin_episode(self) -> float:
        """Return the time in the file at which the next image will be, s."""
        import av

        full = self._container is not None and (
            self._path_of(self.number).stat().st_size > self._max_bytes
        )
        if full:
            self.close()
        if self._container is None:
            self.number += 1
            self._frames = 0
            path = self._path_of(self.number)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(str(path), "w")
            self._stream = self._container.add_stream(CODEC, rate=self._fps, options=OPTIONS)
            self._stream.pix_fmt = PIXEL_FORMAT
        return self._frames / self._fps

    def write(self, image: NDArray[np.uint8]) -> None:
        """Append an image (H, W, 3) uint8 RGB."""
        import av

        if self._frames == 0:
            self._stream.height, self._stream.width = image.shape[:2]
        for packet in self._stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
            self._container.mux(packet)
        self._frames += 1

    def close(self) -> None:
        """Write the rest of the open file."""
        if self._container is None:
            return
        for packet in self._stream.encode() if self._frames else ():
            self._container.mux(packet)
        self._container.close()
        self._container = None

    def properties(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """Return what LeRobot stores about a video of images of a shape (H, W, 3)."""
        return {
            "video.height": shape[0],
            "video.width": shape[1],
            "video.codec": "h264",
            "video.pix_fmt": PIXEL_FORMAT,
            "video.is_depth_map": False,
            "video.fps": self._fps,
            "video.channels": 3,
            "has_audio": False,
        }
