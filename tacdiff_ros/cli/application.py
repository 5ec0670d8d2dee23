"""All commands of `tacdiff`, and how their errors reach a person."""

from __future__ import annotations

import sys

import typer
from click.exceptions import Abort, ClickException
from click.exceptions import Exit as ClickExit

from tacdiff_ros.cli.demo import demo
from tacdiff_ros.cli.markers import markers
from tacdiff_ros.errors import InputError

application = typer.Typer(
    name="tacdiff",
    help="A calibrated, differentiable twin of a GelSight Mini. Every command takes --json.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
)
application.command()(demo)
application.command()(markers)


@application.callback()
def _keep_command_names() -> None:
    """A calibrated, differentiable twin of a GelSight Mini. Every command takes --json."""


def run(arguments: list[str] | None = None) -> int:
    """Run a command line; bad input gives one line on stderr and exit code 2."""
    try:
        code = application(args=arguments, standalone_mode=False)
    except InputError as error:
        return _refuse(str(error))
    except ClickExit as ending:
        return ending.exit_code
    except ClickException as error:
        return (
            _refuse(f"{error.format_message()} See `tacdiff --help`.")
            if (error.exit_code == 2 and error.format_message())
            else error.exit_code
        )
    except (Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return 130
    return code if isinstance(code, int) else 0


def _refuse(message: str) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return 2
