"""Warnings of a command on the console."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console


def print_warnings(console: Console, lines: Iterable[str]) -> None:
    """Print one line per warning.

    Args:
        console: console of the standard error stream.
        lines: texts of the warnings.
    """
    for line in lines:
        console.print(
            f"warning: {line}", style="yellow", markup=False, highlight=False, soft_wrap=True
        )
