"""Scores of a network on a dataset's samples, and an image that shows typical results."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.evaluation.image_metrics import ImageScore, score_images

Image = NDArray[np.uint8]
ERROR_GAIN = 8  # factor of the error images
LABEL_PX = 18  # height of a label
METRICS = ("mse", "psnr_db", "ssim", "smape")


@dataclass(frozen=True)
class RenderedSample:
    """A sample and the image that the network generated for it.

    Attributes:
        indenter: specification of the indenter.
        trial: index of the trial.
        step: index of the state in the trial.
        input_image: (H, W, 3) uint8 image of the network's input.
        generated: (H, W, 3) uint8 image of the network.
        truth: (H, W, 3) uint8 image of the dataset.
    """

    indenter: str
    trial: int
    step: int
    input_image: Image
    generated: Image
    truth: Image


@dataclass(frozen=True)
class SampleScore:
    """Metrics of one sample.

    Attributes:
        indenter: specification of the indenter.
        trial: index of the trial.
        step: index of the state in the trial.
        score: metrics of the generated image.
    """

    indenter: str
    trial: int
    step: int
    score: ImageScore


def score_samples(
    samples: Iterable[RenderedSample], progress: Callable[[int], None] | None = None
) -> tuple[list[SampleScore], list[RenderedSample]]:
    """Compute the metrics of all samples, and select a typical sample of every indenter.

    Args:
        samples: samples with generated images.
        progress: callback after every sample; its argument is the number of samples done.

    Returns:
        Metrics of every sample, and for every indenter the sample of its median PSNR.
    """
    scores: list[SampleScore] = []
    by_indenter: dict[str, list[tuple[float, RenderedSample]]] = {}
    for sample in samples:
        score = score_images(sample.generated, sample.truth)
        scores.append(SampleScore(sample.indenter, sample.trial, sample.step, score))
        by_indenter.setdefault(sample.indenter, []).append((score.psnr_db, sample))
        if progress is not None:
            progress(len(scores))
    typical = []
    for indenter in sorted(by_indenter):
        ordered = sorted(by_indenter[indenter], key=lambda entry: entry[0])
        typical.append(ordered[len(ordered) // 2][1])
    return scores, typical


def summary(scores: list[SampleScore]) -> dict[str, float]:
    """Return the means of all metrics over samples, and the worst PSNR and SSIM, by name."""
    means = {
        name: float(np.mean([getattr(score.score, name) for score in scores])) for name in METRICS
    }
    worst = {
        f"{name}_worst": float(np.min([getattr(score.score, name) for score in scores]))
        for name in ("psnr_db", "ssim")
    }
    return means | worst


def rows_by_indenter(scores: list[SampleScore]) -> list[dict[str, Any]]:
    """Return one row per indenter: its name, its number of images and the values of `summary`."""
    rows = []
    for indenter in sorted({score.indenter for score in scores}):
        own = [score for score in scores if score.indenter == indenter]
        means = {name: round(value, 4) for name, value in summary(own).items()}
        rows.append({"indenter": indenter, "images": len(own), **means})
    return rows


def picture_sheet(samples: list[RenderedSample]) -> Image:
    """Render an overview image with one row per sample.

    Args:
        samples: samples with images of one size.

    Returns:
        (H, W, 3) uint8 RGB; every row has the input, the generated image, the true image and the
        amplified error.
    """
    return np.concatenate([_row(sample) for sample in samples])


def _row(sample: RenderedSample) -> Image:
    """Labelled images of one sample side by side."""
    difference = np.abs(sample.generated.astype(np.int16) - sample.truth)
    error = np.clip(ERROR_GAIN * difference, 0, 255).astype(np.uint8)
    pictures = np.concatenate([sample.input_image, sample.generated, sample.truth, error], axis=1)
    label = np.full((LABEL_PX, pictures.shape[1], 3), 255, np.uint8)
    titles = ("input", "generated", "truth", f"error x {ERROR_GAIN}")
    for k, title in enumerate(titles):
        text = f"{sample.indenter[:20]}: {title}" if k == 0 else title
        origin = (4 + k * sample.generated.shape[1], 13)
        cv2.putText(label, text, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.asarray(np.concatenate([label, pictures]), np.uint8)
