"""The method of the literature and ICP on the cases of the benchmark."""

from __future__ import annotations

import argparse

from tables import Part


def measure_literature(options: argparse.Namespace) -> Part:
    """Not here yet."""
    return [], {}
