"""How well a network draws a dataset's images, and a sheet of pictures that shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.evaluation.image_metrics import ImageScore, score_images

Image = NDArray[np.uint8]
ERROR_GAIN = 8  # of the error pictures
LABEL_PX = 18
METRICS = ("mse", "psnr_db", "ssim", "smape")


@dataclass(frozen=True)
class RenderedSample:
    """A sample and what the network made of it.

    Attributes:
        indenter: spec.
        trial: number.
        step: number in the trial.
        shown: (H, W, 3) uint8, the input as a picture.
        drawn: (H, W, 3) uint8.
        truth: (H, W, 3) uint8.
    """

    indenter: str
    trial: int
    step: int
    shown: Image
    drawn: Image
    truth: Image


@dataclass(frozen=True)
class SampleScore:
    """Metrics of one sample."""

    indenter: str
    trial: int
    step: int
    score: ImageScore


def score_samples(
    samples: Iterable[RenderedSample], progress: Callable[[int], None] | None = None
) -> tuple[list[SampleScore], list[RenderedSample]]:
    """Metrics of all samples, and for every indenter the sample of its median PSNR."""
    scores: list[SampleScore] = []
    kept: dict[str, list[tuple[float, RenderedSample]]] = {}
    for sample in samples:
        score = score_images(sample.drawn, sample.truth)
        scores.append(SampleScore(sample.indenter, sample.trial, sample.step, score))
        kept.setdefault(sample.indenter, []).append((score.psnr_db, sample))
        if progress is not None:
            progress(len(scores))
    typical = []
    for indenter in sorted(kept):
        ordered = sorted(kept[indenter], key=lambda entry: entry[0])
        typical.append(ordered[len(ordered) // 2][1])
    return scores, typical


def summary(scores: list[SampleScore]) -> dict[str, float]:
    """Means over samples, and the worst PSNR and SSIM."""
    means = {
        name: float(np.mean([getattr(score.score, name) for score in scores])) for name in METRICS
    }
    worst = {
        f"{name}_worst": float(np.min([getattr(score.score, name) for score in scores]))
        for name in ("psnr_db", "ssim")
    }
    return means | worst


def rows_by_indenter(scores: list[SampleScore]) -> list[dict[str, Any]]:
    """A row an indenter: number of samples and means."""
    rows = []
    for indenter in sorted({score.indenter for score in scores}):
        own = [score for score in scores if score.indenter == indenter]
        means = {name: round(value, 4) for name, value in summary(own).items()}
        rows.append({"indenter": indenter, "images": len(own), **means})
    return rows


def picture_sheet(samples: list[RenderedSample]) -> Image:
    """(H, W, 3) uint8: a row a sample with input, generated, truth and 8 times the error."""
    return np.concatenate([_row(sample) for sample in samples])


def _row(sample: RenderedSample) -> Image:
    difference = np.abs(sample.drawn.astype(np.int16) - sample.truth)
    error = np.clip(ERROR_GAIN * difference, 0, 255).astype(np.uint8)
    pictures = np.concatenate([sample.shown, sample.drawn, sample.truth, error], axis=1)
    label = np.full((LABEL_PX, pictures.shape[1], 3), 255, np.uint8)
    titles = ("input", "generated", "truth", f"error x {ERROR_GAIN}")
    for k, title in enumerate(titles):
        text = f"{sample.indenter[:20]}: {title}" if k == 0 else title
        place = (4 + k * sample.drawn.shape[1], 13)
        cv2.putText(label, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.asarray(np.concatenate([label, pictures]), np.uint8)
