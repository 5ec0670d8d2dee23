"""Trains a generator on pairs of maps and images; interrupt it and go on as you like."""

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
from tacdiff_ros.translation.checkpoint_file import (
    check_progress,
    checked_moments,
    checked_weights,
    read_checkpoint,
    restore_random_state,
)
from tacdiff_ros.translation.generator import build_generator
from tacdiff_ros.translation.input_kinds import CHANNELS
from tacdiff_ros.translation.network_settings import NetworkSettings
from tacdiff_ros.translation.pix2pix import PatchDiscriminator
from tacdiff_ros.translation.sample_feed import Pairs, SampleFeed
from tacdiff_ros.translation.training_settings import TrainingSettings

CHECKPOINT, CURVES = "checkpoint.pt", "curves.csv"
COLUMNS = ("step", "samples", "train_l1_grey", "validation_l1_grey", "validation_psnr_db")
WARM_UP = 200  # steps
PIX2PIX_BETAS = (0.5, 0.999)
MAX_GRADIENT = 1.0


@dataclass(frozen=True)
class Untouched:
    """The sensor before any touch.

    Attributes:
        maps: (C, H, W) float32.
        image: (3, H, W) uint8.
    """

    maps: NDArray[np.float32]
    image: NDArray[np.uint8]


@dataclass(frozen=True)
class TrainingReport:
    """How a training went.

    Attributes:
        step: at which the best validation was.
        steps: that were done.
        psnr_db: of the best validation, from the mean squared error over all of its samples.
        stopped_early: no validation was better for `patience` of them.
    """

    step: int
    steps: int
    psnr_db: float
    stopped_early: bool


@dataclass(frozen=True)
class Validation:
    """One look at samples that are not trained on.

    Attributes:
        step: step of the optimiser.
        train_l1_grey: mean absolute error of the samples since the last look.
        l1_grey: mean absolute error.
        psnr_db: from the mean squared error over all samples.
        best: none was better before.
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
    untouched: Untouched,
    folder: Path,
    progress: Callable[[int, Validation | None], None] | None = None,
) -> tuple[nn.Module, TrainingReport]:
    """The generator of the best validation.

    Args:
        network: architecture.
        settings: of the training.
        train: samples to learn from.
        validation: samples to choose by.
        untouched: the sensor before any touch.
        folder: for the checkpoint and the curves; a checkpoint that is there is gone on with.
        progress: told every step, with the validation where there was one.

    Raises:
        InputError: too few samples, maps of another shape, no such device, a checkpoint of other
            settings, or a folder that cannot be written.
    """
    if len(train) < settings.batch or len(validation) < 1:
        raise InputError(
            f"{len(train)} samples to train and {len(validation)} to validate on; expected at "
            f"least {settings.batch} and 1"
        )
    expected = (CHANNELS[network.kind], network.height_px, network.width_px)
    if train[0][0].shape != expected:
        raise InputError(f"maps of shape {train[0][0].shape}, expected {expected}")
    run = _Run(network, settings, untouched, folder)
    feeds = [SampleFeed(pairs, run.device, settings.readers) for pairs in (train, validation)]
    numbers = _BatchNumbers(len(train), settings, run.step)
    for maps, images in feeds[0].batches(numbers):
        run.learn(maps, images.float() / 255.0)
        looked = None
        if run.step % settings.validate_every == 0 or run.step == settings.steps:
            looked = run.look(feeds[1])
        if progress is not None:
            progress(run.step, looked)
        if run.validations_since_best >= settings.patience:
            break
    return run.best_generator(), run.report()


class _Run:
    """A training under way."""

    def __init__(
        self,
        network: NetworkSettings,
        settings: TrainingSettings,
        untouched: Untouched,
        folder: Path,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.device = _device(settings.device)
        self.generator = build_generator(network).to(self.device)
        self._validate_on_reference(untouched)
        self.optimiser = torch.optim.Adam(_groups(self.generator, settings), betas=(0.9, 0.99))
        self.discriminator = None
        if settings.adversarial_weight > 0:
            self.discriminator = PatchDiscriminator(CHANNELS[network.kind]).to(self.device)
            self.judge = torch.optim.Adam(
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

    def learn(self, maps: Tensor, images: Tensor) -> None:
        """One step of the optimiser."""
        self._set_rates()
        with self._half():
            drawn = self.generator(maps)
        loss = functional.l1_loss(drawn.float(), images)
        self._losses.append(loss.detach())  # read later: reading waits for the card
        if self.discriminator is not None:
            loss = loss + self.settings.adversarial_weight * self._discriminator_output(
                maps, drawn, images
            )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.generator.parameters(), MAX_GRADIENT)
        self.optimiser.step()
        self.step += 1

    def look(self, samples: SampleFeed) -> Validation:
        """Validate, keep the best, and write checkpoint and curves."""
        count = min(len(samples), self.settings.validated)
        numbers = np.linspace(0, len(samples) - 1, count).round().astype(int)
        parts = np.array_split(numbers, math.ceil(count / self.settings.batch))
        absolute = squared = 0.0
        self.generator.eval()
        with torch.inference_mode(), self._half():
            for maps, images in samples.batches([part.tolist() for part in parts]):
                drawn = (255.0 * self.generator(maps).float().clamp(0.0, 1.0)).round()
                difference = drawn - images.float()
                absolute += len(maps) * float(difference.abs().mean())
                squared += len(maps) * float(difference.square().mean())
        self.generator.train()
        psnr = 10.0 * math.log10(255.0**2 / max(squared / count, 1e-12))
        best = psnr > self.best_psnr
        if best:
            self.best_step, self.best_psnr, self.best_weights = self.step, psnr, self._weights()
        self.validations_since_best = 0 if best else self.validations_since_best + 1
        learned = 255.0 * float(torch.stack(self._losses).double().mean())
        looked = Validation(self.step, learned, absolute / count, psnr, best)
        self._losses = []
        self._keep(looked)
        return looked

    def best_generator(self) -> nn.Module:
        """With the weights of the best validation, on the processor."""
        self.generator.load_state_dict(self.best_weights)
        return self.generator.cpu().eval()

    def report(self) -> TrainingReport:
        """So far."""
        early = self.step < self.settings.steps
        return TrainingReport(self.best_step, self.step, self.best_psnr, early)

    def _discriminator_output(self, maps: Tensor, drawn: Tensor, images: Tensor) -> Tensor:
        """How far the discriminator is from being deceived; it learns first."""
        judge = self.discriminator
        assert judge is not None  # noqa: S101
        with self._half():
            real = judge(torch.cat([maps, images], dim=1)).float()
            fake = judge(torch.cat([maps, drawn.detach().float()], dim=1)).float()
        ones, zeros = torch.ones_like(real), torch.zeros_like(fake)
        known = functional.binary_cross_entropy_with_logits(real, ones)
        known = known + functional.binary_cross_entropy_with_logits(fake, zeros)
        self.judge.zero_grad(set_to_none=True)
        (0.5 * known).backward()
        self.judge.step()
        with self._half():
            seen = judge(torch.cat([maps, drawn.float()], dim=1)).float()
        return functional.binary_cross_entropy_with_logits(seen, ones)

    def _set_rates(self) -> None:
        """Up linearly, then down as a cosine."""
        rise = min(1.0, (self.step + 1) / WARM_UP)
        fall = 0.5 * (1.0 + math.cos(math.pi * self.step / self.settings.steps))
        for group in self.optimiser.param_groups:
            group["lr"] = group["highest"] * rise * fall

    def _validate_on_reference(self, untouched: Untouched) -> None:
        show = getattr(self.generator, "set_reference", None)
        if show is not None:
            image = torch.from_numpy(untouched.image).float() / 255.0
            show(torch.from_numpy(untouched.maps).to(self.device), image.to(self.device))

    def _half(self) -> torch.autocast:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.settings.half_precision)

    def _weights(self) -> dict[str, Tensor]:
        return {name: value.cpu().clone() for name, value in self.generator.state_dict().items()}

    def _keep(self, looked: Validation) -> None:
        state: dict[str, Any] = {
            "identity": self._identity,
            "step": self.step,
            "best": [self.best_step, self.best_psnr, self.validations_since_best],
            "best_weights": self.best_weights,
            "generator": self.generator.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "random": torch.get_rng_state(),
        }
        if self.discriminator is not None:
            state["discriminator"] = self.discriminator.state_dict()
            state["judge"] = self.judge.state_dict()
        beside = self._folder / f".{CHECKPOINT}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            torch.save(state, beside)
            beside.replace(self._folder / CHECKPOINT)
            _append_curve(self._folder / CURVES, looked, self.settings.batch)
        except (OSError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:160]
            raise InputError(f"cannot write to {self._folder} ({reason})") from error
        finally:
            beside.unlink(missing_ok=True)

    def _resume(self) -> None:
        path = self._folder / CHECKPOINT
        if not path.exists():
            return
        state = read_checkpoint(path, self.device)
        if state.get("identity") != self._identity:
            raise InputError(
                f"{path} is of a training with other settings: give another folder, or delete it"
            )
        progress = check_progress(state, self.settings.steps, path)
        best_weights = checked_weights(state.get("best_weights"), self.generator, path)
        weights = checked_weights(state.get("generator"), self.generator, path)
        moments = checked_moments(state.get("optimiser"), self.optimiser, path)
        if self.discriminator is not None:
            self.discriminator.load_state_dict(
                checked_weights(state.get("discriminator"), self.discriminator, path)
            )
            self.judge.load_state_dict(checked_moments(state.get("judge"), self.judge, path))
        restore_random_state(state.get("random"), path)
        self.step, self.best_step = progress.step, progress.best_step
        self.best_psnr = progress.best_psnr
        self.validations_since_best = progress.validations_since_best
        self.best_weights = {name: value.cpu() for name, value in best_weights.items()}
        self.generator.load_state_dict(weights)
        self.optimiser.load_state_dict(moments)


class _BatchNumbers:
    """Numbers of the samples of every step from a first one; the same however often it resumed."""

    def __init__(self, samples: int, settings: TrainingSettings, first: int) -> None:
        self._samples, self._settings, self._first = samples, settings, first

    def __iter__(self) -> Iterator[list[int]]:
        batch = self._settings.batch
        steps_an_epoch = self._samples // batch
        for step in range(self._first, self._settings.steps):
            epoch, turn = divmod(step, steps_an_epoch)
            if turn == 0 or step == self._first:
                order = np.random.default_rng([self._settings.seed, epoch]).permutation(
                    self._samples
                )
            yield order[turn * batch : (turn + 1) * batch].tolist()

    def __len__(self) -> int:
        return max(0, self._settings.steps - self._first)


def _groups(generator: nn.Module, settings: TrainingSettings) -> list[dict[str, Any]]:
    """Textures and backgrounds learn faster: every value of theirs sees few pixels."""
    fast = {"texture", "background", "place"}
    named = list(generator.named_parameters())
    rates = [settings.learning_rate, settings.learning_rate * settings.texture_rate]
    parts = [
        [value for name, value in named if name not in fast],
        [value for name, value in named if name in fast],
    ]
    return [
        {"params": part, "lr": rate, "highest": rate}
        for part, rate in zip(parts, rates, strict=True)
        if part
    ]


def _device(asked: str) -> str:
    there = torch.cuda.is_available()
    if asked == "cuda" and not there:
        raise InputError("device cuda: no usable NVIDIA graphics card, or torch without CUDA")
    return "cuda" if there and asked != "cpu" else "cpu"


def _append_curve(path: Path, looked: Validation, batch: int) -> None:
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        if new:
            writer.writerow(COLUMNS)
        writer.writerow(
            [
                looked.step,
                looked.step * batch,
                f"{looked.train_l1_grey:.4f}",
                f"{looked.l1_grey:.4f}",
                f"{looked.psnr_db:.3f}",
            ]
        )
