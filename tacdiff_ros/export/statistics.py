"""Statistics of a stream of vectors, for the normalisation of learned policies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}

Stats = dict[str, NDArray[np.float64]]


def vector_statistics(values: NDArray[np.floating]) -> Stats:
    """Return min, max, mean, std, count and quantiles of (N, D) vectors, as (D,) arrays."""
    wide = np.asarray(values, np.float64)
    return {
        "min": wide.min(axis=0),
        "max": wide.max(axis=0),
        "mean": wide.mean(axis=0),
        "std": wide.std(axis=0),
        "count": np.array([len(wide)]),
        **{name: np.quantile(wide, part, axis=0) for name, part in QUANTILES.items()},
    }


def merged_statistics(first: Stats, second: Stats) -> Stats:
    """Return the statistics of two sets together.

    Moments and limits are exact (Chan, Golub and LeVeque, 1979); quantiles are weighted means of
    both, as LeRobot merges them.
    """
    n, m = float(first["count"][0]), float(second["count"][0])
    weight = m / (n + m)
    offset = second["mean"] - first["mean"]
    variance = (1 - weight) * first["std"] ** 2 + weight * second["std"] ** 2
    return {
        "min": np.minimum(first["min"], second["min"]),
        "max": np.maximum(first["max"], second["max"]),
        "mean": first["mean"] + weight * offset,
        "std": np.sqrt(variance + weight * (1 - weight) * offset**2),
        "count": first["count"] + second["count"],
        **{name: (1 - weight) * first[name] + weight * second[name] for name in QUANTILES},
    }
