"""Photometric stereo in the manner of gs_sdk, as a baseline.

A network maps the colour change and the position of each pixel to the surface slope (Wang et al.,
"GelSight Wedge", ICRA 2021); the slopes are integrated by a fast Poisson solver. It is trained on
many labelled presses with the slopes of the ball inside the labelled contact and zero outside.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from press_scores import RealSet
from scipy.fft import dstn, idstn
from torch import nn

HIDDEN = (128, 32, 32)
STEPS, BATCH, RATE = 3000, 4096, 2e-3
FLAT_FRACTION = 1.0  # training pixels outside / inside the contact
STEEPEST = 0.98  # maximum distance / ball radius at which slopes are used

Floats = NDArray[np.float64]
Image = NDArray[np.uint8]


class PhotometricStereo:
    """Slope estimator of one sensor."""

    def __init__(self, data: RealSet, presses: list[int], mm_per_px: float) -> None:
        """Train on labelled presses."""
        torch.manual_seed(0)
        self._background, self._mm_per_px = data.background, mm_per_px
        widths = (5, *HIDDEN)
        layers: list[nn.Module] = []
        for a, b in pairwise(widths):
            layers += [nn.Linear(a, b), nn.ReLU()]
        self._network = nn.Sequential(*layers, nn.Linear(widths[-1], 2))
        inputs, slopes = self._samples(data, presses)
        optimiser = torch.optim.Adam(self._network.parameters(), RATE)
        random = torch.Generator().manual_seed(0)
        for _ in range(STEPS):
            chosen = torch.randint(len(inputs), (BATCH,), generator=random)
            loss = nn.functional.mse_loss(self._network(inputs[chosen]), slopes[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    def height_mm(self, image: Image) -> Floats:
        """Return the (H, W) height, mm, negative where the gel is indented; 0 at the border."""
        height, width = image.shape[:2]
        with torch.no_grad():
            slopes = self._network(self._features(image)).numpy().reshape(height, width, 2)
        depth_px = poisson(slopes[..., 0].astype(np.float64), slopes[..., 1].astype(np.float64))
        return -self._mm_per_px * depth_px

    def _samples(self, data: RealSet, presses: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        random = np.random.default_rng(0)
        inputs, slopes = [], []
        for number in presses:
            slope, in_contact = ball_slopes(data, number, self._mm_per_px)
            flat = np.flatnonzero(~in_contact.ravel())
            count = min(len(flat), round(FLAT_FRACTION * in_contact.sum()))
            selected = np.concatenate(
                [np.flatnonzero(in_contact), random.choice(flat, count, replace=False)]
            )
            inputs.append(self._features(data.presses[number])[selected])
            slopes.append(torch.from_numpy(slope.reshape(-1, 2)[selected]))
        return torch.cat(inputs), torch.cat(slopes)

    def _features(self, image: Image) -> torch.Tensor:
        """Return the (pixels, 5) features: colour change and position."""
        height, width = image.shape[:2]
        change = (image.astype(np.float32) - self._background) / 64.0
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        position = np.stack([x / width - 0.5, y / height - 0.5], axis=-1)
        return torch.from_numpy(np.concatenate([change, position], axis=-1).reshape(-1, 5))


def ball_slopes(data: RealSet, number: int, mm_per_px: float) -> tuple[NDArray[np.float32], Image]:
    """Return (H, W, 2) slopes of the depth along x and y, and the (H, W) mask of the contact."""
    x0, y0, contact_px = data.labels[number]
    height, width = data.background.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    dx, dy = x - x0, y - y0
    ball_px = 0.5 * data.diameter_mm / mm_per_px
    away = np.hypot(dx, dy)
    in_contact = away < min(contact_px, STEEPEST * ball_px)
    steep = np.sqrt(np.maximum(ball_px**2 - away**2, 1.0))
    slope = np.where(in_contact[..., None], -np.stack([dx, dy], axis=-1) / steep[..., None], 0.0)
    return slope.astype(np.float32), in_contact


def poisson(slope_x: Floats, slope_y: Floats) -> Floats:
    """Return the field, 0 at the border, whose slopes are closest to the given ones."""
    divergence = np.zeros_like(slope_x)
    divergence[:, 1:-1] += 0.5 * (slope_x[:, 2:] - slope_x[:, :-2])
    divergence[1:-1] += 0.5 * (slope_y[2:] - slope_y[:-2])
    inner = divergence[1:-1, 1:-1]
    rows, columns = inner.shape
    row = 2.0 * np.cos(np.pi * np.arange(1, rows + 1) / (rows + 1)) - 2.0
    column = 2.0 * np.cos(np.pi * np.arange(1, columns + 1) / (columns + 1)) - 2.0
    solved = idstn(dstn(inner, type=1) / (row[:, None] + column), type=1)
    return np.pad(solved, 1)
