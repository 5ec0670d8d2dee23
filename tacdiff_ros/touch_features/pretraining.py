"""Pretraining of the touch encoder in two levels.

The first level learns pixels: masked patches, the frame 0.12 s later, and the gel's surface and
in-plane displacement where a simulation knows them. The second learns meaning: alignment of a
touch with words, with a view of the surface and with the same touch on another sensor, matching,
and properties. The levels are those of AnyTouch (Feng et al., ICLR 2025); surface and properties
are this package's own. An interrupted pretraining resumes from its checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import one_line, printable
from tacdiff_ros.learning.checkpoint_file import (
    checked_moments,
    checked_weights,
    read_checkpoint,
    restore_random_state,
)
from tacdiff_ros.learning.memory_layout import training_layout
from tacdiff_ros.output_files import write_files
from tacdiff_ros.touch_features.augmentation import augment, mask_patches
from tacdiff_ros.touch_features.encoder import UNIVERSAL, Encoded, TouchNetwork
from tacdiff_ros.touch_features.encoder_settings import EncoderSettings
from tacdiff_ros.touch_features.pretraining_heads import PretrainingHeads, contrast
from tacdiff_ros.touch_features.pretraining_settings import PretrainingSettings
from tacdiff_ros.touch_features.touch_heads import MAP_SCALES, MAP_SHAPE, TouchHeads, TouchModel
from tacdiff_ros.touch_features.training_batches import PROPERTIES, Batch, TouchBatches

CHECKPOINT = "checkpoint.pt"
TOKENS = "tokens.weight"
WARM_UP = 100  # steps over which the learning rate rises to its full value
MAX_GRADIENT = 1.0


class Pretraining:
    """State of a pretraining: network, heads, optimizer and random generators."""

    def __init__(
        self, encoder: EncoderSettings, settings: PretrainingSettings, batches: TouchBatches
    ) -> None:
        """Build the network and its heads.

        Args:
            encoder: architecture; its number of sensors is that of the batches.
            settings: training settings.
            batches: source of the batches.
        """
        torch.manual_seed(settings.seed)
        self.settings, self._batches = settings, batches
        architecture = encoder.model_copy(update={"sensors": batches.sensors})
        self._layout = training_layout(settings.device, settings.half_precision)
        self.network = TouchNetwork(architecture).to(settings.device)
        self.network.to(memory_format=self._layout)  # type: ignore[call-overload]
        self.touch_heads = TouchHeads(architecture, len(PROPERTIES)).to(settings.device)
        self.heads = PretrainingHeads(architecture, len(batches.vocabulary)).to(settings.device)
        parameters = [value for _, part in self._parts() for value in part.parameters()]
        self.optimizer = torch.optim.AdamW(
            parameters, settings.learning_rate, weight_decay=settings.weight_decay
        )
        self._identity = f"{architecture.model_dump_json()} {settings.model_dump_json()}"
        self.step = 0

    def run(
        self, folder: Path, progress: Callable[[int, dict[str, float]], None] | None = None
    ) -> TouchModel:
        """Train to the last step, from the folder's checkpoint if there is one.

        Args:
            folder: folder of the checkpoint.
            progress: callback with the step and its losses.

        Returns:
            Encoder and heads in evaluation mode on the CPU.

        Raises:
            InputError: the checkpoint is damaged or of other settings, or cannot be written.
        """
        self._resume(folder / CHECKPOINT)
        while self.step < self.settings.steps:
            random = np.random.default_rng([self.settings.seed, self.step])
            losses = self.train_step(self._batches.draw(random, self.settings.batch), random)
            if self.step % self.settings.checkpoint_every == 0:
                self._write_checkpoint(folder)
            if progress is not None:
                progress(self.step, losses)
        return self.model()

    def model(self) -> TouchModel:
        """Return encoder and heads with the universal sensor token, on the CPU."""
        model = TouchModel(self.network.settings, len(PROPERTIES))
        weights = {name: value.cpu() for name, value in self.network.state_dict().items()}
        weights[TOKENS] = weights[TOKENS][: UNIVERSAL + 1]
        model.network.load_state_dict(weights)
        model.heads.load_state_dict(self.touch_heads.state_dict())
        return model.eval()

    def train_step(self, batch: Batch, random: np.random.Generator) -> dict[str, float]:
        """Do one optimizer step.

        Args:
            batch: images and truth.
            random: random generator of masks, tokens and augmentation.

        Returns:
            Loss of each part that has a weight.
        """
        settings = self.settings
        self._set_learning_rate()
        inputs = self._tensor(batch.inputs)
        later = self._tensor(batch.later)
        if settings.augmentation:
            inputs = augment(inputs, random)
        sensor = self._tensor(batch.sensor)
        universal = self._tensor(random.random(len(batch.sensor)) < settings.universal_token)
        sensor = torch.where(universal, UNIVERSAL, sensor)
        first_level = self.step < settings.first_level * settings.steps
        visible = mask_patches(inputs, settings.masked_fraction, random) if first_level else inputs
        visible = visible.contiguous(memory_format=self._layout)
        with torch.autocast(settings.device, torch.bfloat16, enabled=settings.half_precision):
            encoded = self.network(visible, sensor)
            losses = self._pixel_losses(encoded, inputs, later, batch)
            if not first_level:
                losses |= self._meaning_losses(encoded.code.float(), batch)
        weights = settings.weights.model_dump()
        losses = {name: loss for name, loss in losses.items() if weights[name] > 0}
        total = sum((weights[name] * loss for name, loss in losses.items()), torch.zeros(()))
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), MAX_GRADIENT)
        self.optimizer.step()
        self.step += 1
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def _pixel_losses(
        self, encoded: Encoded, inputs: Tensor, later: Tensor, batch: Batch
    ) -> dict[str, Tensor]:
        change, next_change, surface = (x.float() for x in self.touch_heads.maps(encoded))
        maps = self._tensor(batch.maps) / self._tensor(MAP_SCALES)[:, None, None]
        return {
            "masked": _known_loss(change, _reduced(inputs[:, :3])),
            "next_frame": _known_loss(next_change, _reduced(later)),
            "maps": _known_loss(surface, maps),
        }

    def _meaning_losses(self, embedding: Tensor, batch: Batch) -> dict[str, Tensor]:
        heads, temperature = self.heads, self.settings.temperature
        touch, words = self.touch_heads.touch(embedding), self._tensor(batch.words)
        known = self._tensor(batch.properties)
        losses = {"properties": _known_loss(self.touch_heads.properties(embedding), known)}
        described = words.sum(1) > 0
        if described.sum() > 1:
            bags = words[described]
            same = (bags[:, None] == bags[None]).all(2)
            losses["words"] = contrast(touch[described], heads.words(bags), temperature, same)
        view = self._tensor(batch.maps[:, :3])
        mapped = view.isfinite().flatten(1).all(1)
        number = self._tensor(batch.touch)
        equal = number[:, None] == number[None]
        if mapped.sum() > 1:
            scales = self._tensor(MAP_SCALES[:3])[:, None, None]
            views = heads.view(view[mapped] / scales)
            losses["depth"] = contrast(touch[mapped], views, temperature, equal[mapped][:, mapped])
        half = len(touch) // 2
        a, b = touch[:half], touch[half:]
        same = number[:half, None] == number[None, half:]
        same |= torch.eye(half, dtype=torch.bool, device=same.device)
        losses["sensors"] = contrast(a, b, temperature, same)
        losses["matching"] = self._matching_loss(a, b, same)
        return losses

    def _matching_loss(self, a: Tensor, b: Tensor, same: Tensor) -> Tensor:
        """Return the loss of deciding on pairs of the same touch and on the hardest others."""
        along_a, along_b = functional.normalize(a), functional.normalize(b)
        with torch.no_grad():
            similarity = (along_a @ along_b.T).masked_fill(same, -2.0)
            hardest = similarity.argmax(1)
        logits = torch.cat(
            [
                self.heads.match(along_a * along_b),
                self.heads.match(along_a * along_b[hardest]),
            ]
        )
        target = torch.zeros_like(logits)
        target[: len(a)] = 1.0
        return functional.binary_cross_entropy_with_logits(logits, target)

    def _set_learning_rate(self) -> None:
        """Set the rate of this step: linear warm-up, then cosine decay to 0."""
        decay = 0.5 * (1.0 + math.cos(math.pi * self.step / self.settings.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * min(1.0, (self.step + 1) / WARM_UP) * decay

    def _write_checkpoint(self, folder: Path) -> None:
        state: dict[str, Any] = {name: part.state_dict() for name, part in self._parts()}
        state |= {"identity": self._identity, "step": self.step}
        state |= {"optimizer": self.optimizer.state_dict(), "random": torch.get_rng_state()}
        try:
            write_files(folder, {CHECKPOINT: lambda path: torch.save(state, path)})
        except (OSError, RuntimeError) as error:
            raise InputError(f"cannot write to {folder} ({one_line(error)})") from error

    def _resume(self, path: Path) -> None:
        if not path.exists():
            return
        state = read_checkpoint(path, self.settings.device)
        step = state.get("step")
        if state.get("identity") != self._identity or not isinstance(step, int):
            raise InputError(
                f"{printable(path)} belongs to a training with other settings: give another "
                "folder, or delete it"
            )
        weights = {name: checked_weights(state.get(name), p, path) for name, p in self._parts()}
        moments = checked_moments(state.get("optimizer"), self.optimizer, path)
        restore_random_state(state.get("random"), path)
        for name, part in self._parts():
            part.load_state_dict(weights[name])
        self.optimizer.load_state_dict(moments)
        self.step = min(max(step, 0), self.settings.steps)

    def _parts(self) -> list[tuple[str, nn.Module]]:
        parts = {"network": self.network, "touch": self.touch_heads, "pretraining": self.heads}
        return list(parts.items())

    def _tensor(self, values: Any) -> Tensor:
        return torch.as_tensor(values).to(self.settings.device)


def _reduced(values: Tensor) -> Tensor:
    return functional.adaptive_avg_pool2d(values, MAP_SHAPE)


def _known_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Return the smooth L1 loss of the values that are known; 0 if none is."""
    known = target.isfinite()
    if not known.any():
        return predicted.sum() * 0.0
    return functional.smooth_l1_loss(predicted.float()[known], target[known], beta=0.5)
