"""Output of the benchmarks as tables or JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

Part = tuple[list[dict[str, Any]], dict[str, Any]]


def print_rows(title: str, rows: list[dict[str, Any]]) -> None:
    """Print a table with one column per key."""
    print(f"\n{title}")
    names = list(rows[0])
    texts = [[str(row[name]) for name in names] for row in rows]
    widths = [max(len(line[i]) for line in [names, *texts]) for i in range(len(names))]
    for line in [names, *texts]:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)))


def dump(figures: dict[str, Any]) -> None:
    """Print one JSON object."""
    print(json.dumps(figures))


def run_parts(
    parts: dict[str, Callable[[argparse.Namespace], Part]],
    names: list[str],
    options: argparse.Namespace,
) -> int:
    """Measure the named parts and print their tables and figures, or with --json one object.

    Args:
        parts: measuring functions by name.
        names: names of the parts to measure.
        options: command line options.

    Returns:
        Exit code 0.
    """
    figures: dict[str, Any] = {}
    for name in names:
        rows, part_figures = parts[name](options)
        figures |= part_figures
        if rows and not options.json:
            print_rows(name, rows)
    if options.json:
        dump(figures)
    elif figures:
        print_rows("figures", [{"figure": key, "value": value} for key, value in figures.items()])
    return 0
