"""Training of connector networks with the publication's optimizer and schedule; resumable.

AdamW, batches of 64, 50 epochs, exponential decay of the learning rate; the weights of the epoch
with the lowest training loss are returned. The publication starts at 1e-4 (ResNet) and 1e-5 (ViT)
from pretrained weights; training from scratch takes larger rates.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from tacdiff_ros.errors import InputError
from tacdiff_ros.learning.checkpoint_file import (
    check_progress,
    checked_moments,
    checked_weights,
    read_checkpoint,
)
from tacdiff_ros.learning.memory_layout import training_layout
from tacdiff_ros.output_files import write_files
from tacdiff_ros.touch_features.connectors.connector_augmentation import Augmentation, augment
from tacdiff_ros.touch_features.connectors.connector_encoders import EncoderFamily
from tacdiff_ros.touch_features.connectors.connector_network import (
    ConnectorClassifier,
    JointEmbedding,
    Modality,
    info_nce,
)

CHECKPOINT = "checkpoint.pt"
MAX_GRADIENT = 1.0  # norm above which gradients are scaled down
EVALUATION_BATCH = 256


class ConnectorTrainingSettings(BaseModel):
    """Settings of the training of a classifier or of a joint embedding."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    family: EncoderFamily = Field("residual", description="family of the encoders")
    epochs: int = Field(50, ge=1, le=10_000, description="passes over the training samples")
    batch: int = Field(64, ge=2, le=4096, description="samples per step")
    learning_rate: float = Field(1e-3, gt=0, le=1.0, description="learning rate of epoch 0")
    decay: float = Field(0.94, gt=0, le=1.0, description="factor of the rate after each epoch")
    weight_decay: float = Field(0.01, ge=0, le=10.0, description="weight decay of AdamW")
    augmentation: Augmentation = Field("none", description="changes of views and masks")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of weights, order and augmentation")
    half_precision: bool = Field(True, description="bfloat16 in products, for CPUs with AMX")


@dataclass(frozen=True)
class ConnectorSamples:
    """N samples for the networks.

    Attributes:
        views: (N, C, H, W) float32 heights in units of 10 mm.
        touches: (N, c, h, w) float32 contact masks or tactile images.
        labels: (N,) int64 classes.

    Raises:
        InputError: the numbers of samples differ, or the shapes are no images.
    """

    views: Tensor
    touches: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        images = self.views.ndim == 4 and self.touches.ndim == 4 and self.labels.ndim == 1
        if not images or not len(self.views) == len(self.touches) == len(self.labels) > 0:
            raise InputError(
                f"samples: views {tuple(self.views.shape)}, touches {tuple(self.touches.shape)} "
                f"and labels {tuple(self.labels.shape)}; expected (N, C, H, W) twice and (N,)"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def shapes(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Return channels, rows and columns of a view and of a touch."""
        view, touch = self.views.shape, self.touches.shape
        return (view[1], view[2], view[3]), (touch[1], touch[2], touch[3])


Progress = Callable[[int, float], None]


def train_classifier(
    samples: ConnectorSamples,
    modality: Modality,
    settings: ConnectorTrainingSettings,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> ConnectorClassifier:
    """Train a classifier with cross entropy.

    Args:
        samples: training samples.
        modality: inputs that the network uses.
        settings: settings.
        folder: folder of the checkpoint, which is resumed if there is one; None for no checkpoint.
        progress: callback after every epoch; its arguments are the epoch and the training loss.

    Returns:
        Network in evaluation mode.

    Raises:
        InputError: there are too few samples or classes, or the checkpoint is damaged, of another
            training, or cannot be written.
    """
    torch.manual_seed(settings.seed)
    classes = int(samples.labels.max()) + 1
    network = ConnectorClassifier(settings.family, modality, *samples.shapes(), classes)

    def loss(views: Tensor, touches: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(network(views, touches).float(), labels)

    _Run(network, loss, samples, settings, modality, folder).train(progress)
    return network


def train_joint_embedding(
    samples: ConnectorSamples,
    settings: ConnectorTrainingSettings,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> JointEmbedding:
    """Train a joint embedding with InfoNCE, without labels; see `train_classifier`."""
    torch.manual_seed(settings.seed)
    network = JointEmbedding(settings.family, *samples.shapes())

    def loss(views: Tensor, touches: Tensor, labels: Tensor) -> Tensor:
        view, touch = network(views, touches)
        return info_nce(view, touch, network.scale())

    _Run(network, loss, samples, settings, "joint", folder).train(progress)
    return network


def evaluate(
    network: nn.Module, samples: ConnectorSamples, half_precision: bool = True
) -> tuple[Tensor, ...]:
    """Return the float32 outputs of a network for all samples, one tensor for each output."""
    network.eval()
    outputs: list[tuple[Tensor, ...]] = []
    with torch.inference_mode(), _autocast(half_precision):
        for numbers in torch.arange(len(samples)).split(EVALUATION_BATCH):
            result = network(samples.views[numbers], samples.touches[numbers])
            outputs.append(result if isinstance(result, tuple) else (result,))
    return tuple(torch.cat(parts).float() for parts in zip(*outputs, strict=True))


class _Run:
    """One training: network, optimizer, progress and best weights."""

    def __init__(
        self,
        network: nn.Module,
        loss: Callable[[Tensor, Tensor, Tensor], Tensor],
        samples: ConnectorSamples,
        settings: ConnectorTrainingSettings,
        task: str,
        folder: Path | None,
    ) -> None:
        if len(samples) < settings.batch:
            raise InputError(f"{len(samples)} samples: expected at least a batch, {settings.batch}")
        self._layout = training_layout("cpu", settings.half_precision)
        self._network = network.to(memory_format=self._layout)  # type: ignore[call-overload]
        self._loss, self._samples, self._settings = loss, samples, settings
        self._optimizer = torch.optim.AdamW(
            network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )
        self._epoch, self._best_epoch, self._best_loss = 0, 0, math.inf
        self._best_weights = self._weights()
        self._path = None if folder is None else folder / CHECKPOINT
        self._identity = f"{task} {len(samples)} {samples.shapes()} {settings.model_dump_json()}"
        self._resume()

    def train(self, progress: Progress | None) -> None:
        """Train the remaining epochs, and load the weights of the best one."""
        while self._epoch < self._settings.epochs:
            loss = self._train_epoch()
            self._epoch += 1
            if not math.isfinite(loss):
                raise InputError(
                    f"the training loss of epoch {self._epoch} is {loss}: lower learning_rate"
                )
            if loss <= self._best_loss:
                self._best_epoch, self._best_loss = self._epoch, loss
                self._best_weights = self._weights()
            self._write_checkpoint()
            if progress is not None:
                progress(self._epoch, loss)
        self._network.load_state_dict(self._best_weights)
        self._network.eval()

    def _train_epoch(self) -> float:
        """Train one epoch and return the mean loss."""
        settings = self._settings
        for group in self._optimizer.param_groups:
            group["lr"] = settings.learning_rate * settings.decay**self._epoch
        self._network.train()
        losses = []
        for numbers, random in self._batches():
            views, touches = augment(
                self._samples.views[numbers],
                self._samples.touches[numbers],
                settings.augmentation,
                random,
            )
            with _autocast(settings.half_precision):
                loss = self._loss(
                    views.contiguous(memory_format=self._layout),
                    touches.contiguous(memory_format=self._layout),
                    self._samples.labels[numbers],
                )
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self._network.parameters(), MAX_GRADIENT)
            self._optimizer.step()
            losses.append(loss.item())
        return float(np.mean(losses))

    def _batches(self) -> Iterator[tuple[Tensor, torch.Generator]]:
        """Yield the sample numbers of an epoch's batches; the same after a resumption."""
        random = torch.Generator().manual_seed(self._settings.seed * 100_003 + self._epoch)
        order = torch.randperm(len(self._samples), generator=random)
        for numbers in order.split(self._settings.batch):
            if len(numbers) == self._settings.batch:
                yield numbers, random

    def _weights(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self._network.state_dict().items()}

    def _write_checkpoint(self) -> None:
        if self._path is None:
            return
        state: dict[str, Any] = {
            "identity": self._identity,
            "step": self._epoch,
            "best": [self._best_epoch, -self._best_loss, self._epoch - self._best_epoch],
            "best_weights": self._best_weights,
            "network": self._network.state_dict(),
            "optimiser": self._optimizer.state_dict(),
        }
        try:
            write_files(self._path.parent, {CHECKPOINT: lambda path: torch.save(state, path)})
        except (OSError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:160]
            raise InputError(f"cannot write to {self._path.parent} ({reason})") from error

    def _resume(self) -> None:
        """Restore the state of the training from its checkpoint, if there is one."""
        if self._path is None or not self._path.exists():
            return
        state = read_checkpoint(self._path, "cpu")
        if state.get("identity") != self._identity:
            raise InputError(
                f"{self._path} belongs to a training with other settings: give another folder, or "
                "delete it"
            )
        done = check_progress(state, self._settings.epochs, self._path)
        best = checked_weights(state.get("best_weights"), self._network, self._path)
        weights = checked_weights(state.get("network"), self._network, self._path)
        moments = checked_moments(state.get("optimiser"), self._optimizer, self._path)
        self._epoch, self._best_epoch = done.step, done.best_step
        self._best_loss, self._best_weights = -done.best_psnr, best
        self._network.load_state_dict(weights)
        self._optimizer.load_state_dict(moments)


def _autocast(enabled: bool) -> contextlib.AbstractContextManager[Any]:
    return torch.autocast("cpu", torch.bfloat16, enabled=enabled)
