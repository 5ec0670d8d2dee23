"""Reading and validation of training checkpoints; every value is checked before any is used.

A PyTorch file is a zip archive that contains a pickle. The pickle is read by PyTorch's restricted
unpickler (`weights_only`), and only from archives that do not unpack to more than the file's size.
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
MOMENTS = ("exp_avg", "exp_avg_sq")  # names of Adam's moment estimates in its state


@dataclass(frozen=True)
class Progress:
    """Progress of a training run.

    Attributes:
        step: number of optimizer steps done.
        best_step: optimizer step of the best validation.
        best_psnr: PSNR of the best validation, dB.
        validations_since_best: number of validations since the best one.
    """

    step: int
    best_step: int
    best_psnr: float
    validations_since_best: int


def read_checkpoint(path: Path, device: str) -> dict[str, Any]:
    """Return the content of a checkpoint without checking its values.

    Args:
        path: checkpoint file.
        device: torch device that receives the tensors, such as `cpu` or `cuda`.

    Returns:
        Tensors, numbers and texts by name.

    Raises:
        InputError: the file is missing, too large, or damaged.
    """
    check_file(path, "checkpoint", MAX_CHECKPOINT_BYTES)
    try:
        _check_archive(path)
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # damaged files raise exceptions of many types
        raise _damaged(path, one_line(error, 120)) from error
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise _damaged(path, "its content is no dictionary with text keys")
    return state


def check_progress(state: Mapping[str, Any], steps: int, path: Path) -> Progress:
    """Return the progress that a checkpoint states, after checking it.

    Args:
        state: content of the checkpoint.
        steps: total number of optimizer steps of the training.
        path: path of the checkpoint, for error messages.

    Returns:
        Validated progress.

    Raises:
        InputError: a number is missing, of another type or out of range.
    """
    try:
        step, best = state["step"], state["best"]
        if not isinstance(best, list):
            raise TypeError("entry 'best' is no list")
        best_step, best_psnr, validations_since_best = best
        integers = [step, best_step, validations_since_best]
        if not all(type(number) is int for number in integers) or type(best_psnr) is not float:
            raise ValueError("entries 'step' and 'best' are no numbers")
        in_range = 0 <= best_step <= step <= steps and validations_since_best >= 0
        if not in_range or math.isnan(best_psnr):
            raise ValueError(f"step {step} of {steps}, best step {best_step}")
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, one_line(error)) from error
    return Progress(
        step=step,
        best_step=best_step,
        best_psnr=best_psnr,
        validations_since_best=validations_since_best,
    )


def checked_weights(values: Any, network: nn.Module, path: Path) -> dict[str, Tensor]:
    """Return the weights of a checkpoint, after checking that they fit a network.

    Args:
        values: entry of the checkpoint that should contain the weights by name.
        network: network that will load the weights.
        path: path of the checkpoint, for error messages.

    Returns:
        Weights by name.

    Raises:
        InputError: names, shapes or types differ from the network's, or values are not finite.
    """
    expected = network.state_dict()
    if not isinstance(values, dict) or set(values) != set(expected):
        raise _damaged(path, "it contains weights of another network")
    for name, value in values.items():
        _check_tensor(value, expected[name], path)
    return dict(values)


def checked_moments(values: Any, optimizer: torch.optim.Optimizer, path: Path) -> dict[str, Any]:
    """Return the state of an Adam optimizer with the moments of a checkpoint.

    Learning rates and other options are those of the optimizer itself: only the moments come from
    the checkpoint.

    Args:
        values: entry of the checkpoint that should contain an optimizer's state.
        optimizer: Adam optimizer that will load the state.
        path: path of the checkpoint, for error messages.

    Returns:
        State for `optimizer.load_state_dict`.

    Raises:
        InputError: moments of other parameters, shapes or types, or values that are not finite.
    """
    own_state = optimizer.state_dict()
    parameters = [value for group in optimizer.param_groups for value in group["params"]]
    stored = values.get("state") if isinstance(values, dict) else None
    if not isinstance(stored, dict) or not set(stored) <= set(range(len(parameters))):
        raise _damaged(path, "it contains the optimizer state of another network")
    for number, moments in stored.items():
        if not isinstance(moments, dict) or set(moments) != {"step", *MOMENTS}:
            raise _damaged(path, "its optimizer state is not that of Adam")
        for name in MOMENTS:
            _check_tensor(moments[name], parameters[number], path)
        _check_tensor(moments["step"], torch.tensor(0.0), path)
    return {**own_state, "state": stored}


def restore_random_state(value: Any, path: Path) -> None:
    """Set the state of PyTorch's random generator.

    Args:
        value: entry of the checkpoint that should contain the generator's state.
        path: path of the checkpoint, for error messages.

    Raises:
        InputError: the value is no state of a random generator.
    """
    try:
        torch.set_rng_state(value.cpu())
    except (AttributeError, TypeError, RuntimeError) as error:
        raise _damaged(path, "it contains no state of a random generator") from error


def _check_archive(path: Path) -> None:
    """Raise a ValueError if an archive would unpack to more than the size of its file."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    uncompressed = all(member.compress_type == zipfile.ZIP_STORED for member in members)
    unpacked_bytes = sum(member.file_size for member in members)
    pickle_bytes = [member.file_size for member in members if member.filename.endswith(".pkl")]
    if not uncompressed or unpacked_bytes > path.stat().st_size or len(members) > MAX_MEMBERS:
        raise ValueError("its members are larger than the file")
    if max(pickle_bytes, default=0) > MAX_PICKLE_BYTES:
        raise ValueError(f"its pickle is larger than {MAX_PICKLE_BYTES} bytes")


def _check_tensor(value: Any, expected: Tensor, path: Path) -> None:
    """Raise an InputError unless a value is a finite tensor of the expected shape and type."""
    if not isinstance(value, Tensor) or value.layout != torch.strided:
        raise _damaged(path, "a weight is no dense tensor")
    if value.shape != expected.shape or value.dtype != expected.dtype:
        raise _damaged(
            path,
            f"a weight has shape {tuple(value.shape)} and type {value.dtype}, expected "
            f"{tuple(expected.shape)} and {expected.dtype}",
        )
    if not bool(value.isfinite().all()):
        raise _damaged(path, "a weight has values that are not finite")


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(f"{printable(path)} is damaged ({reason}): delete it to restart the training")
