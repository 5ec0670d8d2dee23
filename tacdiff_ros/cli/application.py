"""All commands of `tacdiff`, and how their errors reach a person."""

from __future__ import annotations

import sys
from typing import Any

import typer

from tacdiff_ros.cli.benchmark import benchmark
from tacdiff_ros.cli.calibrate import calibrate
from tacdiff_ros.cli.compare import compare
from tacdiff_ros.cli.dataset import dataset
from tacdiff_ros.cli.demo import demo
from tacdiff_ros.cli.evaluate import evaluate
from tacdiff_ros.cli.invert import invert
from tacdiff_ros.cli.markers import markers
from tacdiff_ros.cli.simulate import simulate
from tacdiff_ros.cli.train import train
from tacdiff_ros.cli.translate import translate
from tacdiff_ros.cli.units import units
from tacdiff_ros.errors import InputError

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
application.command()(evaluate)
application.command()(invert)
application.command()(markers)
application.command()(simulate)
application.command()(train)
application.command()(translate)
application.command()(units)
application.add_typer(dataset, name="dataset")


@application.callback()
def _keep_command_names() -> None:
    """A calibrated, differentiable twin of a GelSight Mini. Every command takes --json."""


def run(arguments: list[str] | None = None) -> int:
    """Run a command line; bad input gives one line on stderr and exit code 2."""
    try:
        code = application(args=arguments, standalone_mode=False)
    except InputError as error:
        return _refuse(str(error))
    except typer.Exit as ending:
        return ending.exit_code
    except USAGE_ERROR as error:
        return _refuse(f"{error.format_message().rstrip('.')}: see `tacdiff --help`.")
    except (typer.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return 130
    return code if isinstance(code, int) else 0


def _refuse(message: str) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return 2
