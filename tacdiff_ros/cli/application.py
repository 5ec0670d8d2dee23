"""All commands of `tacdiff`, and the conversion of errors to one line and an exit code."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from tacdiff_ros import __version__
from tacdiff_ros.cli.benchmark import benchmark
from tacdiff_ros.cli.calibrate import calibrate
from tacdiff_ros.cli.compare import compare
from tacdiff_ros.cli.dataset import dataset
from tacdiff_ros.cli.demo import demo
from tacdiff_ros.cli.doctor import doctor
from tacdiff_ros.cli.evaluate import evaluate
from tacdiff_ros.cli.export import export
from tacdiff_ros.cli.identify import identify
from tacdiff_ros.cli.interrupts import EXIT_CODE, watch_interrupts
from tacdiff_ros.cli.invert import invert
from tacdiff_ros.cli.markers import markers
from tacdiff_ros.cli.pose import pose
from tacdiff_ros.cli.record import record
from tacdiff_ros.cli.rig import rig
from tacdiff_ros.cli.sbom import sbom
from tacdiff_ros.cli.simulate import simulate
from tacdiff_ros.cli.touch import touch
from tacdiff_ros.cli.train import train
from tacdiff_ros.cli.translate import translate
from tacdiff_ros.cli.view import view
from tacdiff_ros.cli.virtual_sensors import deprecated_virtual_sensors, virtual_sensors
from tacdiff_ros.errors import InputError
from tacdiff_ros.shortages import shortage

# Click's UsageError, which recent versions of typer bundle and older ones import.
USAGE_ERROR: Any = typer.BadParameter.__bases__[0]

application = typer.Typer(
    name="tacdiff",
    help="A calibrated, differentiable twin of a GelSight Mini. Every command takes --json.",
    add_completion=False,
    rich_markup_mode=None,
)
# One line each in `tacdiff --help`; a docstring would be cut off.
COMMANDS: dict[str, tuple[Callable[..., Any], str]] = {
    "demo": (demo, "the whole workflow on virtual hardware"),
    "doctor": (doctor, "check this machine, or the rig"),
    "record": (record, "images for a calibration, pressed by hand"),
    "calibrate": (calibrate, "sensor file from a reference image and presses"),
    "invert": (invert, "gel surface from an image"),
    "markers": (markers, "track the markers of images or a video"),
    "simulate": (simulate, "one touch: image, maps, mesh, forces"),
    "compare": (compare, "agreement of two images"),
    "benchmark": (benchmark, "simulate a recording again and compare"),
    "identify": (identify, "stiffness and friction from force curves"),
    "pose": (pose, "pose of an object in the hand"),
    "train": (train, "train a network from maps to images"),
    "evaluate": (evaluate, "score a network on test trials"),
    "translate": (translate, "images from maps by a network"),
    "virtual-sensors": (virtual_sensors, "random sensors, path-traced images"),
    "view": (view, "page of a file or folder; live camera"),
    "export": (export, "runs and datasets for LeRobot, or as HDF5"),
    "sbom": (sbom, "software bill of materials, licences"),
}
for name, (command, help_line) in COMMANDS.items():
    application.command(name, short_help=help_line)(command)
application.command("units", hidden=True)(deprecated_virtual_sensors)
application.add_typer(rig, name="rig", short_help="the rig file; mount of the sensor from touches")
application.add_typer(dataset, name="dataset", short_help="generate a dataset of simulated touches")
application.add_typer(
    touch, name="touch", short_help="learned features of touch: train, embed, probe"
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print(f"tacdiff {__version__}")
        raise typer.Exit


@application.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="print the version and exit"
        ),
    ] = False,
) -> None:
    """A calibrated, differentiable twin of a GelSight Mini. Every command takes --json."""


def run(arguments: list[str] | None = None) -> int:
    """Run a command line; bad input prints one line to stderr and returns exit code 2.

    Args:
        arguments: command line arguments; None for those of this process.

    Returns:
        Exit code.
    """
    with watch_interrupts() as interrupts:
        try:
            code = _run(arguments)
        except Exception:
            if not interrupts.received:  # else a library has converted the interrupt
                raise
            code = EXIT_CODE
        except KeyboardInterrupt:
            code = EXIT_CODE
    if code == EXIT_CODE:
        print("interrupted", file=sys.stderr)
    return code


def _run(arguments: list[str] | None) -> int:
    """Run a command line and convert its errors to a line on stderr and an exit code."""
    try:
        _check_text(sys.argv[1:] if arguments is None else arguments)
        code = application(args=arguments, standalone_mode=False)
        sys.stdout.flush()
    except InputError as error:
        return _report_error(str(error))
    except typer.Exit as exit_request:
        return exit_request.exit_code
    except USAGE_ERROR as error:
        return _report_error(
            f"{error.format_message().rstrip('.')}: see `{_failed_command(error)} --help`."
        )
    except typer.Abort:
        return EXIT_CODE
    except BrokenPipeError:  # `tacdiff markers video.avi | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        line = shortage(error)
        if line is None:
            raise
        return _report_error(line)
    return code if isinstance(code, int) else 0


def _failed_command(error: Exception) -> str:
    """Return the command, such as "tacdiff dataset info", that raised a usage error."""
    names: list[str] = []
    context = getattr(error, "ctx", None)
    while context is not None and context.parent is not None:
        names.insert(0, context.info_name or "")
        context = context.parent
    return " ".join(["tacdiff", *names])


def _check_text(arguments: list[str]) -> None:
    """Check that all arguments are UTF-8 text, as OpenCV and Mitsuba require of file names.

    Raises:
        InputError: a file name has another encoding, such as one from an old Windows archive, or
            the value of `--out` is empty.
    """
    for option, argument in itertools.pairwise(["", *arguments]):
        if argument == "--out=" or (option == "--out" and not argument):
            raise InputError("--out is empty: is a shell variable not set?")
        try:
            argument.encode("utf-8")
        except UnicodeEncodeError as error:
            text = os.fsencode(argument).decode("utf-8", "replace")
            raise InputError(f"{text} is not UTF-8 text: rename the file or folder") from error


def _report_error(message: str) -> int:
    _discard_unwritten_output()
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return 2


def _discard_unwritten_output() -> None:
    """Discard buffered output that stdout does not accept: Python would report it again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
