"""The `tacdiff` command."""

from __future__ import annotations


def main() -> int:
    """Entry point: 0, or 2 with one clear line on bad input."""
    from tacdiff_ros.machine.process_setup import prepare_process

    prepare_process()
    from tacdiff_ros.cli.application import run

    return run()
