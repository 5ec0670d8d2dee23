"""The `tacdiff` command."""

from __future__ import annotations

import sys

from tacdiff_ros.shortages import shortage


def main() -> int:
    """Run the `tacdiff` command and return its exit code: 0, or 2 with one line on bad input."""
    try:
        from tacdiff_ros.machine.process_setup import prepare_process

        prepare_process()
        from tacdiff_ros.cli.application import run
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:  # imports fail without memory or file descriptors
        line = shortage(error)
        if line is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        return 2
    return run()
