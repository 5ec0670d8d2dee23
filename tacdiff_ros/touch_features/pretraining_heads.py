"""What only the pretraining uses: words, views of the surface, matching, contrastive loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tacdiff_ros.touch_features.encoder_settings import EncoderSettings
from tacdiff_ros.touch_features.touch_heads import projector

VIEW_MAPS = 3  # indentation and slopes


class PretrainingHeads(nn.Module):
    """Encoders of what a touch is aligned with, and the decision on pairs of touches."""

    def __init__(self, settings: EncoderSettings, words: int) -> None:
        """Build the heads with random weights.

        Args:
            settings: architecture of the encoder.
            words: size of the vocabulary.
        """
        super().__init__()
        features = settings.features
        self.words = projector(max(words, 1), features)
        self.view = nn.Sequential(
            nn.Conv2d(VIEW_MAPS, 32, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(64, 128, 3, 2, 1), nn.ReLU(),
            nn.Flatten(), nn.Linear(128 * 4 * 5, features),
        )  # fmt: skip
        self.match = nn.Sequential(nn.Linear(features, 128), nn.ReLU(), nn.Linear(128, 1))


def contrast(a: Tensor, b: Tensor, temperature: float, same: Tensor) -> Tensor:
    """Return the symmetric InfoNCE loss of paired embeddings.

    Args:
        a: (N, F) embeddings.
        b: (N, F) embeddings of the partners, in the same order.
        temperature: temperature of the softmax.
        same: (N, N) bool, pairs that show the same; those of a row share its target.
    """
    logits = functional.normalize(a.float()) @ functional.normalize(b.float()).T / temperature
    target = (same | torch.eye(len(a), dtype=torch.bool, device=a.device)).float()
    rows = target / target.sum(1, keepdim=True)
    columns = target.T / target.sum(0)[:, None]
    return 0.5 * (
        functional.cross_entropy(logits, rows) + functional.cross_entropy(logits.T, columns)
    )
