"""Training of a generator on pairs of network input and image.

An interrupted training resumes from its checkpoint and continues with the same batches.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tacdiff_ros.errors import InputError
from tacdiff_ros.learning.checkpoint_file import (
    check_progress,
    checked_moments,
    checked_weights,
    read_checkpoint,
    restore_random_state,
)
from tacdiff_ros.output_files import write_files
from tacdiff_ros.translation.generator import build_generator
from tacdiff_ros.translation.input_kinds import CHANNELS
from tacdiff_ros.translation.network_settings import NetworkSettings
from tacdiff_ros.translation.pix2pix import PatchDiscriminator
from tacdiff_ros.translation.sample_feed import Pairs, SampleFeed
from tacdiff_ros.translation.training_settings import TrainingSettings

CHECKPOINT, CURVES = "checkpoint.pt", "curves.csv"
COLUMNS = ("step", "samples", "train_l1_grey", "validation_l1_grey", "validation_psnr_db")
WARM_UP = 200  # optimizer steps over which the learning rate rises to its full value
PIX2PIX_BETAS = (0.5, 0.999)  # of Adam for the discriminator, as in the Pix2Pix publication
MAX_GRADIENT = 1.0  # norm above which gradients are scaled down


@dataclass(frozen=True)
class ReferenceSample:
    """Network input and image of the undeformed gel.

    Attributes:
        maps: (C, H, W) float32 network input.
        image: (3, H, W) uint8 RGB reference image.
    """

    maps: NDArray[np.float32]
    image: NDArray[np.uint8]


@dataclass(frozen=True)
class TrainingReport:
    """Result of a training.

    Attributes:
        step: optimizer step of the best validation.
        steps: number of optimizer steps done.
        psnr_db: PSNR of the best validation, dB, from the mean squared error over its samples.
        stopped_early: True if the training stopped because the last `patience` validations
            brought no improvement.
    """

    step: int
    steps: int
    psnr_db: float
    stopped_early: bool


@dataclass(frozen=True)
class Validation:
    """Scores of the generator on the validation samples.

    Attributes:
        step: optimizer step of the validation.
        train_l1_grey: mean absolute error of the training samples since the previous validation,
            grey levels.
        l1_grey: mean absolute error of the validation samples, grey levels.
        psnr_db: PSNR, dB, from the mean squared error over all validation samples.
        best: True if no earlier validation had a PSNR as high.
    """

    step: int
    train_l1_grey: float
    l1_grey: float
    psnr_db: float
    best: bool


def train_generator(
    network: NetworkSettings,
    settings: TrainingSettings,
    train: Pairs,
    validation: Pairs,
    reference: ReferenceSample,
    folder: Path,
    progress: Callable[[int, Validation | None], None] | None = None,
) -> tuple[nn.Module, TrainingReport]:
    """Train a generator and return it with the weights of its best validation.

    Args:
        network: architecture of the generator.
        settings: training settings.
        train: training samples.
        validation: validation samples, which select the returned weights.
        reference: input and image of the undeformed gel.
        folder: folder of the checkpoint and the curves; an existing checkpoint is resumed.
        progress: callback after every step; its arguments are the step and, if there was one, the
            validation.

    Returns:
        Generator in evaluation mode on the CPU, and a report.

    Raises:
        InputError: there are too few samples, maps have another shape, the device is missing, the
            checkpoint is damaged or has other settings, or the folder cannot be written.
    """
    if len(train) < settings.batch or len(validation) < 1:
        raise InputError(
            f"{len(train)} samples to train and {len(validation)} to validate on; expected at "
            f"least {settings.batch} and 1"
        )
    expected = (CHANNELS[network.kind], network.height_px, network.width_px)
    if train[0][0].shape != expected:
        raise InputError(f"maps of shape {train[0][0].shape}, expected {expected}")
    run = _TrainingRun(network, settings, reference, folder)
    train_feed = SampleFeed(train, run.device, settings.readers)
    validation_feed = SampleFeed(validation, run.device, settings.readers)
    numbers = _BatchSampler(len(train), settings, run.step)
    for maps, images in train_feed.batches(numbers):
        run.train_step(maps, images.float() / 255.0)
        result = None
        if run.step % settings.validate_every == 0 or run.step == settings.steps:
            result = run.validate(validation_feed)
        if progress is not None:
            progress(run.step, result)
        if run.validations_since_best >= settings.patience:
            break
    return run.best_generator(), run.report()


class _TrainingRun:
    """State of a training: networks, optimizers, progress and best weights.

    Attributes:
        device: torch device, `cpu` or `cuda`.
        generator: network being trained.
        discriminator: network of the adversarial loss; None if its weight is 0.
        step: number of optimizer steps done.
        best_step: optimizer step of the best validation.
        best_psnr: PSNR of the best validation, dB.
        best_weights: weights of the best validation by name, on the CPU.
        validations_since_best: number of validations since the best one.
    """

    def __init__(
        self,
        network: NetworkSettings,
        settings: TrainingSettings,
        reference: ReferenceSample,
        folder: Path,
    ) -> None:
        """Build the networks and optimizers, and resume the folder's checkpoint if there is one."""
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.device = _device(settings.device)
        self.generator = build_generator(network).to(self.device)
        self._set_reference(reference)
        self.optimizer = torch.optim.Adam(
            _parameter_groups(self.generator, settings), betas=(0.9, 0.99)
        )
        self.discriminator = None
        if settings.adversarial_weight > 0:
            self.discriminator = PatchDiscriminator(CHANNELS[network.kind]).to(self.device)
            self.discriminator_optimizer = torch.optim.Adam(
                self.discriminator.parameters(), settings.learning_rate / 5, betas=PIX2PIX_BETAS
            )
        self.step = 0
        self.best_step, self.best_psnr = 0, -math.inf
        self.best_weights = self._weights()
        self.validations_since_best = 0
        self._losses: list[Tensor] = []
        self._folder = folder
        self._identity = f"{network.model_dump_json()} {settings.model_dump_json()}"
        self._resume()

    def train_step(self, maps: Tensor, images: Tensor) -> None:
        """Do one optimizer step.

        Args:
            maps: (B, C, H, W) float32 network inputs.
            images: (B, 3, H, W) float32 target images, 1 for white.
        """
        self._set_learning_rates()
        with self._autocast():
            generated = self.generator(maps)
        loss = functional.l1_loss(generated.float(), images)
        self._losses.append(loss.detach())  # read at the validation: reading waits for the GPU
        if self.discriminator is not None:
            loss = loss + self.settings.adversarial_weight * self._adversarial_loss(
                self.discriminator, maps, generated, images
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.generator.parameters(), MAX_GRADIENT)
        self.optimizer.step()
        self.step += 1

    def validate(self, samples: SampleFeed) -> Validation:
        """Score the generator, keep the weights if they are the best, and write the checkpoint.

        Args:
            samples: validation samples, of which evenly spaced ones are used.

        Returns:
            Scores, which are also appended to the training curves.
        """
        l1_grey, squared_error = self._validation_errors(samples)
        psnr = 10.0 * math.log10(255.0**2 / max(squared_error, 1e-12))
        best = psnr > self.best_psnr
        if best:
            self.best_step, self.best_psnr, self.best_weights = self.step, psnr, self._weights()
        self.validations_since_best = 0 if best else self.validations_since_best + 1
        result = Validation(
            step=self.step,
            train_l1_grey=255.0 * float(torch.stack(self._losses).double().mean()),
            l1_grey=l1_grey,
            psnr_db=psnr,
            best=best,
        )
        self._losses = []
        self._write_checkpoint(result)
        return result

    def best_generator(self) -> nn.Module:
        """Return the generator with the weights of the best validation, on the CPU."""
        self.generator.load_state_dict(self.best_weights)
        return self.generator.cpu().eval()

    def report(self) -> TrainingReport:
        """Return the report of the training up to the current step."""
        return TrainingReport(
            step=self.best_step,
            steps=self.step,
            psnr_db=self.best_psnr,
            stopped_early=self.step < self.settings.steps,
        )

    def _validation_errors(self, samples: SampleFeed) -> tuple[float, float]:
        """Mean absolute error, grey levels, and mean squared error, grey levels squared."""
        count = min(len(samples), self.settings.validated)
        numbers = np.linspace(0, len(samples) - 1, count).round().astype(int)
        parts = np.array_split(numbers, math.ceil(count / self.settings.batch))
        absolute = squared = 0.0
        self.generator.eval()
        with torch.inference_mode(), self._autocast():
            for maps, images in samples.batches([part.tolist() for part in parts]):
                generated = (255.0 * self.generator(maps).float().clamp(0.0, 1.0)).round()
                difference = generated - images.float()
                absolute += len(maps) * float(difference.abs().mean())
                squared += len(maps) * float(difference.square().mean())
        self.generator.train()
        return absolute / count, squared / count

    def _adversarial_loss(
        self, discriminator: nn.Module, maps: Tensor, generated: Tensor, images: Tensor
    ) -> Tensor:
        """Adversarial loss of the generator, after one discriminator update."""
        with self._autocast():
            real_logits = discriminator(torch.cat([maps, images], dim=1)).float()
            fake_input = torch.cat([maps, generated.detach().float()], dim=1)
            fake_logits = discriminator(fake_input).float()
        ones, zeros = torch.ones_like(real_logits), torch.zeros_like(fake_logits)
        discriminator_loss = functional.binary_cross_entropy_with_logits(real_logits, ones)
        discriminator_loss = discriminator_loss + functional.binary_cross_entropy_with_logits(
            fake_logits, zeros
        )
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        (0.5 * discriminator_loss).backward()
        self.discriminator_optimizer.step()
        with self._autocast():
            logits = discriminator(torch.cat([maps, generated.float()], dim=1)).float()
        return functional.binary_cross_entropy_with_logits(logits, ones)

    def _set_learning_rates(self) -> None:
        """Set the rates of this step: linear warm-up, then cosine decay to 0."""
        warm_up = min(1.0, (self.step + 1) / WARM_UP)
        decay = 0.5 * (1.0 + math.cos(math.pi * self.step / self.settings.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = group["highest"] * warm_up * decay

    def _set_reference(self, reference: ReferenceSample) -> None:
        """Pass the reference sample to the generator, if its architecture uses one."""
        set_reference = getattr(self.generator, "set_reference", None)
        if set_reference is not None:
            maps = torch.from_numpy(reference.maps).to(self.device)
            image = torch.from_numpy(reference.image).float() / 255.0
            set_reference(maps, image.to(self.device))

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.settings.half_precision)

    def _weights(self) -> dict[str, Tensor]:
        return {name: value.cpu().clone() for name, value in self.generator.state_dict().items()}

    def _write_checkpoint(self, result: Validation) -> None:
        """Write the checkpoint atomically, and append to the curves."""
        state: dict[str, Any] = {
            "identity": self._identity,
            "step": self.step,
            "best": [self.best_step, self.best_psnr, self.validations_since_best],
            "best_weights": self.best_weights,
            "generator": self.generator.state_dict(),
            "optimiser": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
        }
        if self.discriminator is not None:
            state["discriminator"] = self.discriminator.state_dict()
            state["judge"] = self.discriminator_optimizer.state_dict()
        try:
            write_files(self._folder, {CHECKPOINT: lambda path: torch.save(state, path)})
            _append_curve(self._folder / CURVES, result, self.settings.batch)
        except (OSError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:160]
            raise InputError(f"cannot write to {self._folder} ({reason})") from error

    def _resume(self) -> None:
        """Restore the state of the run from the folder's checkpoint, if there is one."""
        path = self._folder / CHECKPOINT
        if not path.exists():
            return
        state = read_checkpoint(path, self.device)
        if state.get("identity") != self._identity:
            raise InputError(
                f"{path} belongs to a training with other settings: give another folder, or "
                "delete it"
            )
        progress = check_progress(state, self.settings.steps, path)
        best_weights = checked_weights(state.get("best_weights"), self.generator, path)
        weights = checked_weights(state.get("generator"), self.generator, path)
        moments = checked_moments(state.get("optimiser"), self.optimizer, path)
        if self.discriminator is not None:
            self.discriminator.load_state_dict(
                checked_weights(state.get("discriminator"), self.discriminator, path)
            )
            discriminator_moments = checked_moments(
                state.get("judge"), self.discriminator_optimizer, path
            )
            self.discriminator_optimizer.load_state_dict(discriminator_moments)
        restore_random_state(state.get("random"), path)
        self.step, self.best_step = progress.step, progress.best_step
        self.best_psnr = progress.best_psnr
        self.validations_since_best = progress.validations_since_best
        self.best_weights = {name: value.cpu() for name, value in best_weights.items()}
        self.generator.load_state_dict(weights)
        self.optimizer.load_state_dict(moments)


class _BatchSampler:
    """Deterministic batch sampler: resuming at step k yields the same batches."""

    def __init__(self, samples: int, settings: TrainingSettings, first: int) -> None:
        self._samples, self._settings, self._first_step = samples, settings, first

    def __iter__(self) -> Iterator[list[int]]:
        batch = self._settings.batch
        steps_per_epoch = self._samples // batch
        for step in range(self._first_step, self._settings.steps):
            epoch, step_in_epoch = divmod(step, steps_per_epoch)
            if step_in_epoch == 0 or step == self._first_step:
                order = np.random.default_rng([self._settings.seed, epoch]).permutation(
                    self._samples
                )
            yield order[step_in_epoch * batch : (step_in_epoch + 1) * batch].tolist()

    def __len__(self) -> int:
        return max(0, self._settings.steps - self._first_step)


def _parameter_groups(generator: nn.Module, settings: TrainingSettings) -> list[dict[str, Any]]:
    """Parameter groups of the optimizer.

    Textures and backgrounds get a higher learning rate: each of their values affects few pixels.
    """
    fast = {"texture", "background", "place"}
    named = list(generator.named_parameters())
    rates = [settings.learning_rate, settings.learning_rate * settings.texture_rate]
    groups = [
        [value for name, value in named if name not in fast],
        [value for name, value in named if name in fast],
    ]
    return [
        {"params": group, "lr": rate, "highest": rate}
        for group, rate in zip(groups, rates, strict=True)
        if group
    ]


def _device(requested: str) -> str:
    """Name of the torch device, `cpu` or `cuda`, that a setting selects."""
    available = torch.cuda.is_available()
    if requested == "cuda" and not available:
        raise InputError(
            "device cuda: there is no usable NVIDIA GPU, or PyTorch has no CUDA support; use cpu"
        )
    return "cuda" if available and requested != "cpu" else "cpu"


def _append_curve(path: Path, result: Validation, batch: int) -> None:
    """Append a row to the CSV file of the training curves; a new file gets a header."""
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        if is_new:
            writer.writerow(COLUMNS)
        writer.writerow(
            [
                result.step,
                result.step * batch,
                f"{result.train_l1_grey:.4f}",
                f"{result.l1_grey:.4f}",
                f"{result.psnr_db:.3f}",
            ]
        )
