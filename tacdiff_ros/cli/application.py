"""All commands of `tacdiff`, and how their errors reach a person."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer

from tacdiff_ros.cli.benchmark import benchmark
from tacdiff_ros.cli.calibrate import calibrate
from tacdiff_ros.cli.compare import compare
from tacdiff_ros.cli.dataset import dataset
from tacdiff_ros.cli.demo import demo
from tacdiff_ros.cli.doctor import doctor
from tacdiff_ros.cli.evaluate import evaluate
from tacdiff_ros.cli.interrupts import EXIT_CODE, watch_interrupts
from tacdiff_ros.cli.invert import invert
from tacdiff_ros.cli.markers import markers
from tacdiff_ros.cli.sbom import sbom
from tacdiff_ros.cli.simulate import simulate
from tacdiff_ros.cli.train import train
from tacdiff_ros.cli.translate import translate
from tacdiff_ros.cli.virtual_sensors import units, virtual_sensors
from tacdiff_ros.errors import InputError
from tacdiff_ros.shortages import shortage

# Click's, which recent versions of typer carry inside and older ones import.
USAGE_ERROR: Any = typer.BadParameter.__bases__[0]

application = typer.Typer(
    name="tacdiff",
    help="A calibrated, differentiable twin of a GelSight Mini. Every command takes --json.",
    add_completion=False,
    rich_markup_mode=None,
)
application.command()(benchmark)
application.command()(calibrate)
application.command()(compare)
application.command()(demo)
application.command()(doctor)
application.command()(evaluate)
application.command()(invert)
application.command()(markers)
application.command()(sbom)
application.command()(simulate)
application.command()(train)
application.command()(translate)
application.command()(virtual_sensors)
application.command(hidden=True)(units)
application.add_typer(dataset, name="dataset")


@application.callback()
def _keep_command_names() -> None:
    """A calibrated, differentiable twin of a GelSight Mini. Every command takes --json."""


def run(arguments: list[str] | None = None) -> int:
    """Run a command line; bad input gives one line on stderr and exit code 2."""
    with watch_interrupts() as interrupts:
        try:
            code = _run(arguments)
        except Exception:
            if not interrupts.came:  # else some library made it of the interrupt
                raise
            code = EXIT_CODE
        except KeyboardInterrupt:
            code = EXIT_CODE
    if code == EXIT_CODE:
        print("interrupted", file=sys.stderr)
    return code


def _run(arguments: list[str] | None) -> int:
    try:
        _check_text(sys.argv[1:] if arguments is None else arguments)
        code = application(args=arguments, standalone_mode=False)
        sys.stdout.flush()
    except InputError as error:
        return _refuse(str(error))
    except typer.Exit as ending:
        return ending.exit_code
    except USAGE_ERROR as error:
        return _refuse(f"{error.format_message().rstrip('.')}: see `{_page(error)} --help`.")
    except typer.Abort:
        return EXIT_CODE
    except BrokenPipeError:  # `tacdiff markers video.avi | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        line = shortage(error)
        if line is None:
            raise
        return _refuse(line)
    return code if isinstance(code, int) else 0


def _page(error: Exception) -> str:
    """The command whose help explains a wrong call."""
    names: list[str] = []
    context = getattr(error, "ctx", None)
    while context is not None and context.parent is not None:
        names.insert(0, context.info_name or "")
        context = context.parent
    return " ".join(["tacdiff", *names])


def _check_text(arguments: list[str]) -> None:
    """Refuse names that are no UTF-8 text: OpenCV and Mitsuba take no others.

    Raises:
        InputError: a file is named in another encoding, as old Windows archives leave them.
    """
    for argument in arguments:
        try:
            argument.encode("utf-8")
        except UnicodeEncodeError as error:
            text = os.fsencode(argument).decode("utf-8", "replace")
            raise InputError(f"{text} is no UTF-8 text: rename the file or folder") from error


def _refuse(message: str) -> int:
    _drop_unprinted()
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return 2


def _drop_unprinted() -> None:
    """Forget what stdout does not take, or Python would report it again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
