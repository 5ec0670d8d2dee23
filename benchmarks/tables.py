"""How benchmarks print."""

from __future__ import annotations

import json
from typing import Any


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
