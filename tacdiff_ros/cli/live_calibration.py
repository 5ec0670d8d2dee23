"""The loop of `tacdiff calibrate --live`: camera, guide, terminal and page."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from rich.console import Console

from tacdiff_ros.calibration.guided.guidance import Guidance
from tacdiff_ros.calibration.guided.guide import CalibrationGuide
from tacdiff_ros.calibration.guided.session_folder import SessionFolder
from tacdiff_ros.cli.live_images import LiveImages, open_live_images
from tacdiff_ros.cli.live_page import LivePage
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.crop import sensor_crop
from tacdiff_ros.sensor.sensor_model import SensorModel

KEYS = {"": "take", "u": "undo", "f": "finish"}
KEYS_HELP = "Enter takes, u undoes, f finishes (each with Enter); Ctrl-C keeps all images"
END = "end"  # of the standard input
PAGE_PERIOD_S = 0.1
LAST_STATE_S = 0.5  # in which the page fetches the last state


@dataclass(frozen=True)
class LiveSettings:
    """Settings of a guided session.

    Attributes:
        device: source of the images, see `open_live_images`.
        diameter_mm: diameter of the ball, mm.
        folder: folder of the session's images.
        port: port of the page on this machine; 0 for any free one.
    """

    device: str
    diameter_mm: float
    folder: Path
    port: int = 0


class LiveSession:
    """Guided session on a terminal and a page."""

    def __init__(
        self, model: SensorModel, settings: LiveSettings, page: LivePage, console: Console
    ) -> None:
        """Open the session's folder.

        Args:
            model: initial sensor model.
            settings: settings of the session.
            page: page that shows the session, and whose buttons it follows.
            console: console of the standard error stream.

        Raises:
            InputError: the folder holds other files.
        """
        folder = SessionFolder(settings.folder)
        self._guide = CalibrationGuide(model, folder, settings.diameter_mm)
        self._settings, self._page, self._console = settings, page, console
        self._crop = sensor_crop(model)
        self._instruction = ""
        self._updated_s = 0.0

    def take_images(self) -> int:
        """Lead through the images of a calibration.

        Returns:
            Number of presses in the session's folder.

        Raises:
            InputError: no camera, images that cannot be used, or an end of the standard input.
        """
        self._say(f"live picture: {self._page.url}\n{KEYS_HELP}")
        self._page.show(session=f"images: {self._guide.folder.path}", busy=True)
        settings = self._settings
        images = open_live_images(settings.device, settings.diameter_mm, self._crop)
        try:
            self._say(self._guide.resume())
            keys = threading.Thread(
                target=_read_keys, args=(sys.stdin, self._page.commands), daemon=True
            )
            keys.start()
            return self._follow_commands(images)
        finally:
            images.close()

    def show_end(self, line: str) -> None:
        """Show what happens with the images that were taken."""
        self._page.show(instruction=line, hint="", can_take=False, busy=True, ended=True)

    def _follow_commands(self, images: LiveImages) -> int:
        """Show images and execute commands until the images are enough; see `take_images`."""
        while True:
            self._show(self._guide.watch(images.next(self._guide.target_mm)))
            command = self._page.next_command() if self._guide.has_images else None
            if command == END:
                kept = (
                    f"the images are in {self._settings.folder}, and the same command resumes with "
                    "them"
                    if self._settings.folder.exists()
                    else "nothing was taken"
                )
                raise InputError(f"the standard input has ended: {kept}")
            if command is None or not self._execute(command):
                continue
            if command == "finish":
                return self._guide.finish()
            if command == "take":
                images.after_take()

    def _execute(self, command: str) -> bool:
        """Execute a command, and show its result.

        Returns:
            Whether it was done, or an image was refused.
        """
        actions: dict[str, Callable[[], str]] = {
            "take": self._guide.take,
            "undo": self._guide.undo,
            "finish": lambda: f"{self._guide.finish()} presses: the calibration starts",
        }
        self._page.show(hint="checking the image, some seconds", can_take=False, busy=True)
        try:
            message, is_done = actions[command](), True
        except InputError as error:
            message, is_done = f"not done: {error}", False
        self._say(message, None if is_done else "yellow")
        self._page.show(message=message)
        return is_done or command == "take"

    def _say(self, text: str, style: str | None = None) -> None:
        """Print a text, unless it is empty."""
        if text:
            self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def _show(self, guidance: Guidance) -> None:
        """Show the state at one image: a new instruction, and the page at its own rate."""
        if guidance.instruction != self._instruction:
            self._instruction = guidance.instruction
            self._say("\n".join([*guidance.known, guidance.instruction]))
        if time.monotonic() < self._updated_s + PAGE_PERIOD_S:
            return
        self._updated_s = time.monotonic()
        self._page.show(
            guidance.picture,
            instruction=guidance.instruction,
            hint=guidance.hint,
            can_take=guidance.can_take,
            known=guidance.known,
            busy=False,
        )


@contextmanager
def live_session(
    model: SensorModel, settings: LiveSettings, console: Console
) -> Iterator[LiveSession]:
    """Open a guided session with its page, which is served until the block ends.

    Args:
        model: initial sensor model.
        settings: settings of the session.
        console: console of the standard error stream.

    Raises:
        InputError: the folder holds other files, or the port is taken.
    """
    page = LivePage(settings.port)
    try:
        yield LiveSession(model, settings, page, console)
        time.sleep(LAST_STATE_S)
    finally:
        page.close()


def _read_keys(stream: TextIO, commands: queue.Queue[str]) -> None:
    """Translate lines of the standard input to commands; unknown ones are left out."""
    for line in stream:
        if (command := KEYS.get(line.strip().lower())) is not None:
            commands.put(command)
    commands.put(END)
