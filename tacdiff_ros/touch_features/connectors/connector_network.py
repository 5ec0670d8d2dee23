"""Classification and joint representation of views and touches, as in the publication.

Bronars and Sunil, Fig. 4 (concatenated features and a linear layer) and Fig. 6 (InfoNCE).
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from tacdiff_ros.errors import InputError
from tacdiff_ros.touch_features.connectors.connector_encoders import (
    FEATURES,
    EncoderFamily,
    build_encoder,
)

Modality = Literal["visuotactile", "vision", "touch"]
EMBEDDING = 128  # length of a joint embedding
START_TEMPERATURE = 0.07  # of CLIP (Radford et al., 2021)
MAX_SCALE = 100.0  # of the logits, as in CLIP


class ConnectorClassifier(nn.Module):
    """Encoders of the used modalities and a linear layer on their concatenated features."""

    def __init__(
        self,
        family: EncoderFamily,
        modality: Modality,
        view_shape: tuple[int, int, int],
        touch_shape: tuple[int, int, int],
        classes: int,
    ) -> None:
        """Build the network with random weights.

        Args:
            family: family of the encoders.
            modality: inputs that are used.
            view_shape: channels, rows and columns of a view.
            touch_shape: channels, rows and columns of a touch.
            classes: number of classes.

        Raises:
            InputError: family or modality is unknown, a size does not fit, or there are fewer
                than two classes.
        """
        super().__init__()
        if modality not in get_args(Modality):
            raise InputError(
                f"modality '{modality}': expected one of {', '.join(get_args(Modality))}"
            )
        if classes < 2:
            raise InputError(f"{classes} classes: expected at least 2")
        self.modality = modality
        shapes = {"vision": view_shape, "touch": touch_shape}
        used = [name for name in shapes if modality in ("visuotactile", name)]
        self.encoders = nn.ModuleDict(
            {name: build_encoder(family, shapes[name][0], shapes[name][1:]) for name in used}
        )
        self.head = nn.Linear(FEATURES * len(used), classes)

    def forward(self, views: Tensor, touches: Tensor) -> Tensor:
        """Return logits (B, classes) of views and touches (B, C, H, W)."""
        return self.head(self.features(views, touches))

    def features(self, views: Tensor, touches: Tensor) -> Tensor:
        """Return the concatenated features (B, 128 or 256) before the linear layer."""
        inputs = {"vision": views, "touch": touches}
        return torch.cat([encode(inputs[name]) for name, encode in self.encoders.items()], dim=1)


class JointEmbedding(nn.Module):
    """Two encoders that map views and touches of one pose to the same unit vector."""

    def __init__(
        self,
        family: EncoderFamily,
        view_shape: tuple[int, int, int],
        touch_shape: tuple[int, int, int],
    ) -> None:
        """Build the network with random weights; arguments as of `ConnectorClassifier`."""
        super().__init__()
        self.view_encoder = build_encoder(family, view_shape[0], view_shape[1:])
        self.touch_encoder = build_encoder(family, touch_shape[0], touch_shape[1:])
        self.view_projection = nn.Linear(FEATURES, EMBEDDING)
        self.touch_projection = nn.Linear(FEATURES, EMBEDDING)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(START_TEMPERATURE)))

    def forward(self, views: Tensor, touches: Tensor) -> tuple[Tensor, Tensor]:
        """Return unit embeddings (B, 128) of views and of touches (B, C, H, W)."""
        return (
            functional.normalize(self.view_projection(self.view_encoder(views)).float(), dim=1),
            functional.normalize(self.touch_projection(self.touch_encoder(touches)).float(), dim=1),
        )

    def scale(self) -> Tensor:
        """Return the reciprocal temperature."""
        return self.log_scale.exp().clamp(max=MAX_SCALE)


def info_nce(views: Tensor, touches: Tensor, scale: Tensor) -> Tensor:
    """Return the symmetric InfoNCE loss of a batch (van den Oord et al., 2018).

    Args:
        views: (B, E) unit embeddings of views.
        touches: (B, E) unit embeddings of the touches of the same poses.
        scale: reciprocal temperature.

    Raises:
        InputError: the shapes differ, or there are fewer than two pairs.
    """
    if views.shape != touches.shape or views.ndim != 2 or len(views) < 2:
        raise InputError(
            f"embeddings of shapes {tuple(views.shape)} and {tuple(touches.shape)}: expected equal "
            "shapes (B, E) with B of at least 2"
        )
    logits = scale * views @ touches.T
    own = torch.arange(len(views), device=views.device)
    both = functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)
    return both / 2
