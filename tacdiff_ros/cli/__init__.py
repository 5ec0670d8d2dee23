"""The `tacdiff` command."""

from __future__ import annotations

import sys


def main() -> int:
    """Entry point: 0, or 2 with one clear line on bad input."""
    try:
        from tacdiff_ros.machine.process_setup import prepare_process

        prepare_process()
        from tacdiff_ros.cli.application import run
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return run()
