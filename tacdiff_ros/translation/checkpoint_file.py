"""Reads the checkpoint of a training; nothing of it is used before all of it is checked.

PyTorch's files are zip archives with a pickle inside. It is read by PyTorch's own restricted
reader, and only from archives whose parts are as large as the file says.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import check_file, one_line, printable

MAX_CHECKPOINT_BYTES = 2_000_000_000
MAX_MEMBERS = 10_000
MAX_PICKLE_BYTES = 4_000_000
MOMENTS = ("exp_avg", "exp_avg_sq")  # of Adam


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes:
        step: step of the optimiser.
        best_step: step of the best validation.
        best_psnr: PSNR of the best validation, dB.
        validations_since_best: number of validations without a better one.
    """

    step: int
    best_step: int
    best_psnr: float
    validations_since_best: int


def read_checkpoint(path: Path, device: str) -> dict[str, Any]:
    """What a checkpoint holds: tensors, numbers and texts by name, unchecked.

    Raises:
        InputError: missing, too large, or damaged.
    """
    check_file(path, "checkpoint", MAX_CHECKPOINT_BYTES)
    try:
        _check_archive(path)
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # a damaged file raises what it likes
        raise _damaged(path, one_line(error, 120)) from error
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise _damaged(path, "no table of names")
    return state


def check_progress(state: Mapping[str, Any], steps: int, path: Path) -> Progress:
    """How far the training is, of up to `steps` steps.

    Raises:
        InputError: a number is missing, of another kind or out of range.
    """
    try:
        step, best = state["step"], state["best"]
        if not isinstance(best, list):
            raise TypeError("best is no list")
        best_step, best_psnr, since = best
        whole = [step, best_step, since]
        if not all(type(number) is int for number in whole) or type(best_psnr) is not float:
            raise ValueError("step and best are no numbers")
        if not 0 <= best_step <= step <= steps or since < 0 or math.isnan(best_psnr):
            raise ValueError(f"step {step} of {steps}, best step {best_step}")
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, one_line(error)) from error
    return Progress(step, best_step, best_psnr, since)


def checked_weights(values: Any, network: nn.Module, path: Path) -> dict[str, Tensor]:
    """Weights that a network can take.

    Args:
        values: part of a checkpoint.
        network: network of the weights.
        path: path of the checkpoint, for messages.

    Raises:
        InputError: other names, shapes or types than the network's, or values that are not finite.
    """
    expected = network.state_dict()
    if not isinstance(values, dict) or set(values) != set(expected):
        raise _damaged(path, "weights of another network")
    for name, value in values.items():
        _check_tensor(value, expected[name], path)
    return dict(values)


def checked_moments(values: Any, optimiser: torch.optim.Optimizer, path: Path) -> dict[str, Any]:
    """State of an Adam optimiser with its own rates, so that only moments come from a checkpoint.

    Raises:
        InputError: moments of other parameters, shapes or types, or values that are not finite.
    """
    own = optimiser.state_dict()
    parameters = [value for group in optimiser.param_groups for value in group["params"]]
    stored = values.get("state") if isinstance(values, dict) else None
    if not isinstance(stored, dict) or not set(stored) <= set(range(len(parameters))):
        raise _damaged(path, "an optimiser of another network")
    for number, moments in stored.items():
        if not isinstance(moments, dict) or set(moments) != {"step", *MOMENTS}:
            raise _damaged(path, "an optimiser of another kind")
        for name in MOMENTS:
            _check_tensor(moments[name], parameters[number], path)
        _check_tensor(moments["step"], torch.tensor(0.0), path)
    return {**own, "state": stored}


def restore_random_state(value: Any, path: Path) -> None:
    """Set PyTorch's random generator; InputError where a checkpoint holds no state of one."""
    try:
        torch.set_rng_state(value.cpu())
    except (AttributeError, TypeError, RuntimeError) as error:
        raise _damaged(path, "no state of a random generator") from error


def _check_archive(path: Path) -> None:
    """ValueError where an archive would unpack to more than the file holds."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
    unpacked = sum(member.file_size for member in members)
    pickles = [member.file_size for member in members if member.filename.endswith(".pkl")]
    if not stored or unpacked > path.stat().st_size or len(members) > MAX_MEMBERS:
        raise ValueError("its parts are larger than the file")
    if max(pickles, default=0) > MAX_PICKLE_BYTES:
        raise ValueError("its table of contents is too large")


def _check_tensor(value: Any, expected: Tensor, path: Path) -> None:
    if not isinstance(value, Tensor) or value.layout != torch.strided:
        raise _damaged(path, "a weight that is no array")
    if value.shape != expected.shape or value.dtype != expected.dtype:
        raise _damaged(
            path,
            f"shape {tuple(value.shape)} of {value.dtype}, expected {tuple(expected.shape)} of "
            f"{expected.dtype}",
        )
    if not bool(value.isfinite().all()):
        raise _damaged(path, "a value that is not finite")


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(f"{printable(path)} is damaged ({reason}): delete it to begin anew")
