"""How benchmarks print."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

Part = tuple[list[dict[str, Any]], dict[str, Any]]


def print_rows(title: str, rows: list[dict[str, Any]]) -> None:
    """A table with a column a key."""
    print(f"\n{title}")
    names = list(rows[0])
    texts = [[str(row[name]) for name in names] for row in rows]
    widths = [max(len(line[i]) for line in [names, *texts]) for i in range(len(names))]
    for line in [names, *texts]:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)))


def dump(figures: dict[str, Any]) -> None:
    """One JSON object."""
    print(json.dumps(figures))


def run_parts(
    parts: dict[str, Callable[[argparse.Namespace], Part]],
    names: list[str],
    options: argparse.Namespace,
) -> int:
    """Measure the named parts; print their tables and figures, or with --json one object."""
    figures: dict[str, Any] = {}
    for name in names:
        rows, found = parts[name](options)
        figures |= found
        if rows and not options.json:
            print_rows(name, rows)
    if options.json:
        dump(figures)
    elif figures:
        print_rows("figures", [{"figure": key, "value": value} for key, value in figures.items()])
    return 0
