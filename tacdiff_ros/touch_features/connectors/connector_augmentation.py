"""Augmentation of views and masks, and occlusion of views.

`motion` moves view and mask together, as another pose would. The publication trains classifiers
without it; its grid then is learned by heart. For the transfer to reality it names noise, random
centre crops and occlusions for views, slight rotations and morphological transformations for masks;
the amounts here are this module's.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from tacdiff_ros.touch_features.connectors.connector_views import (
    PAD_MM_PER_PX,
    PAD_PX,
    VIEW_MM,
)

Augmentation = Literal["none", "motion", "occlusion", "transfer"]
VIEW_SCALE_MM = 10.0  # height that has the value 1 in the network's input
NOISE_MM = 0.2  # standard deviation of the noise of heights
MIN_CROP = 0.8  # smallest side of a centre crop
MAX_ROTATION_RAD = math.radians(5.0)  # of masks; of both in a motion
MAX_SHIFT_MM = 2.5  # along x and y, of both in a motion: half of the grid's step
OCCLUDER_MM = (15.0, 30.0)  # range of heights of an occluder
OCCLUDED_FRACTION = 0.5  # of the image
MIN_HEIGHT_MM = 0.1  # of a pixel that shows a connector
MIN_SIDE = 0.55  # smallest side of an occluder, in sides of the image


def augment(
    views: Tensor, touches: Tensor, kind: Augmentation, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return a changed batch.

    Args:
        views: (B, 1, H, W) heights in units of `VIEW_SCALE_MM`.
        touches: (B, 1, h, w) contact masks, 0 or 1.
        kind: `none`; `motion`: one rigid motion of both; `occlusion`: the same, and occluders of
            random size over views; `transfer`: noise and centre crops of views, rotations and
            morphology of masks.
        random: random generator.
    """
    if kind == "none":
        return views, touches
    if kind in ("motion", "occlusion"):
        views, touches = move(views, touches, random)
        return (views if kind == "motion" else occlude(views, random, fraction=None)), touches
    views = centre_crop(views, random)
    views = views + NOISE_MM / VIEW_SCALE_MM * torch.randn(views.shape, generator=random)
    return views, morphology(rotate(touches, random), random)


def move(views: Tensor, touches: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rotate and shift each connector in the gripper, in its view and its mask alike.

    What enters a mask from outside the pad is missing, as is the perspective of a view.
    """
    count = len(views)
    angle = MAX_ROTATION_RAD * (2 * torch.rand(count, generator=random) - 1)
    shift = MAX_SHIFT_MM * (2 * torch.rand((2, count), generator=random) - 1)
    pad = PAD_PX[1] * PAD_MM_PER_PX, PAD_PX[0] * PAD_MM_PER_PX
    moved_view = _resample(views, _motion(angle, shift, (VIEW_MM, VIEW_MM), up=True))
    return moved_view, _resample(touches, _motion(angle, shift, pad, up=False))


def _motion(angle: Tensor, shift: Tensor, size_mm: tuple[float, float], up: bool) -> Tensor:
    """Return the transforms (B, 2, 3) from moved to original image coordinates.

    Args:
        angle: (B,) rotations in the gripper's frame, rad.
        shift: (2, B) shifts, mm.
        size_mm: width and height of the image.
        up: whether y points up in the image.
    """
    sign = -1.0 if up else 1.0
    c, s = torch.cos(angle), sign * torch.sin(angle)
    x, y = 2 * shift[0] / size_mm[0], 2 * sign * shift[1] / size_mm[1]
    aspect = size_mm[1] / size_mm[0]
    first = torch.stack([c, s * aspect, -c * x - s * aspect * y], 1)
    second = torch.stack([-s / aspect, c, s / aspect * x - c * y], 1)
    return torch.stack([first, second], 1)


def occlude(
    views: Tensor, random: torch.Generator, fraction: float | None = OCCLUDED_FRACTION
) -> Tensor:
    """Cover a rectangle of random shape and position in each view.

    Args:
        views: (B, 1, H, W) heights in units of `VIEW_SCALE_MM`.
        random: random generator.
        fraction: covered fraction of the image; None for a random one from 0 to
            `OCCLUDED_FRACTION`.
    """
    count, _, height, width = views.shape
    covered = torch.full((count,), OCCLUDED_FRACTION if fraction is None else fraction)
    if fraction is None:
        covered = covered * torch.rand(count, generator=random)
    low = torch.maximum(covered, MIN_SIDE * torch.sqrt(covered / OCCLUDED_FRACTION))
    high = (covered / low).clamp(min=1e-6)
    swap = low + (high - low) * torch.rand(count, generator=random)  # side along x
    sides = torch.stack([covered / swap.clamp(min=1e-6), swap])
    start = (1 - sides) * torch.rand((2, count), generator=random)
    rows = (torch.arange(height) + 0.5) / height
    columns = (torch.arange(width) + 0.5) / width
    in_rows = (rows >= start[0, :, None]) & (rows < (start + sides)[0, :, None])
    in_columns = (columns >= start[1, :, None]) & (columns < (start + sides)[1, :, None])
    inside = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    lowest, highest = OCCLUDER_MM
    value = lowest + (highest - lowest) * torch.rand(count, generator=random)
    return torch.where(inside, value[:, None, None, None] / VIEW_SCALE_MM, views)


def occlude_half_of_object(views: Tensor, random: torch.Generator) -> Tensor:
    """Cover each view on one side of a straight edge that halves the connector's pixels.

    Args:
        views: (B, 1, H, W) heights in units of `VIEW_SCALE_MM`.
        random: random generator.
    """
    count, _, height, width = views.shape
    angle = 2 * math.pi * torch.rand(count, generator=random)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    along = torch.cos(angle)[:, None, None] * columns + torch.sin(angle)[:, None, None] * rows
    on_object = torch.where(views[:, 0] > MIN_HEIGHT_MM / VIEW_SCALE_MM, along, torch.nan)
    middle = torch.nan_to_num(on_object.flatten(1).nanmedian(dim=1).values)
    lowest, highest = OCCLUDER_MM
    value = lowest + (highest - lowest) * torch.rand(count, generator=random)
    inside = (along > middle[:, None, None])[:, None]
    return torch.where(inside, value[:, None, None, None] / VIEW_SCALE_MM, views)


def centre_crop(views: Tensor, random: torch.Generator) -> Tensor:
    """Enlarge a centred part of random size of each view to the whole image."""
    side = MIN_CROP + (1 - MIN_CROP) * torch.rand(len(views), generator=random)
    transform = torch.zeros(len(views), 2, 3)
    transform[:, 0, 0] = transform[:, 1, 1] = side
    return _resample(views, transform)


def rotate(masks: Tensor, random: torch.Generator) -> Tensor:
    """Rotate each mask about its centre by up to 5 deg."""
    angle = MAX_ROTATION_RAD * (2 * torch.rand(len(masks), generator=random) - 1)
    height, width = masks.shape[2:]
    c, s = torch.cos(angle), torch.sin(angle)
    zero = torch.zeros_like(c)
    rows = [[c, -s * height / width, zero], [s * width / height, c, zero]]
    return _resample(masks, torch.stack([torch.stack(row, 1) for row in rows], 1))


def morphology(masks: Tensor, random: torch.Generator) -> Tensor:
    """Dilate, erode or keep each mask, by one pixel."""
    kind = torch.randint(0, 3, (len(masks), 1, 1, 1), generator=random)
    dilated = functional.max_pool2d(masks, 3, 1, 1)
    eroded = -functional.max_pool2d(-masks, 3, 1, 1)
    return torch.where(kind == 1, dilated, torch.where(kind == 2, eroded, masks))


def _resample(images: Tensor, transform: Tensor) -> Tensor:
    grid = functional.affine_grid(transform, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)
