"""Connectors by view and touch: the publication's protocol, occlusion, retrieval, rendered touches.

    python benchmarks/connectors.py [--quick] [--json] [--only PART] [--seeds N] [--epochs N]
                                    [--targets] [--pictures DIR]

PART is one of protocol, occlusion, joint, tactile, classes. Every row is printed when it is
measured: to standard output, with --json to standard error. `training_cpu_min` is the processor
time of the trainings behind the five targets, one seed. --pictures writes confusion matrices and
maps of embeddings. --quick runs every part with few samples and epochs: its scores mean nothing.

Publication: Bronars and Sunil, "Self-Supervised Visuotactile Representation Learning for Dexterous
Manipulation": 95.3 % by view and touch with ResNet-50.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from trimesh import Trimesh

sys.path.insert(0, str(Path(__file__).resolve().parent))

from tables import Part, dump, print_rows

from tacdiff_ros.output_files import write_files
from tacdiff_ros.touch_features.connectors.connector_augmentation import (
    VIEW_SCALE_MM,
    occlude,
    occlude_half_of_object,
)
from tacdiff_ros.touch_features.connectors.connector_pictures import (
    confusion_picture,
    embedding_map,
)
from tacdiff_ros.touch_features.connectors.connector_poses import grid_poses, perturbed_poses
from tacdiff_ros.touch_features.connectors.connector_scores import (
    confusion,
    recognise,
    retrieve,
)
from tacdiff_ros.touch_features.connectors.connector_shapes import PAPER_CONNECTORS
from tacdiff_ros.touch_features.connectors.connector_training import (
    ConnectorSamples,
    ConnectorTrainingSettings,
    evaluate,
    train_classifier,
    train_joint_embedding,
)
from tacdiff_ros.touch_features.connectors.connector_views import (
    ConnectorViews,
    PaperViews,
    paper_views,
    touches,
)
from tacdiff_ros.touch_features.connectors.further_connectors import ALL_CONNECTORS
from tacdiff_ros.touch_features.connectors.tactile_images import (
    INVISIBLE_MM,
    TactileImages,
    tactile_images,
    virtual_sensors,
)

TARGETS = (
    "connector_accuracy",
    "tactile_only_accuracy",
    "occlusion_gain",
    "retrieval_r1",
    "training_cpu_min",
)
LEARNING_RATES = {"residual": 1e-3, "transformer": 5e-4}
TRAIN_SENSORS, UNSEEN_SENSORS = 10_000, 20_000  # first seeds; disjoint
GREY_SCALE = 32.0  # change that has the value 1 in a network's input, grey levels
ENROLLED = ("usb_c", "bolt", "hdmi")  # classes that no network was trained with
# The first combination of each is the one with a target: it is repeated with every seed.
PROTOCOL = (
    ("residual", "visuotactile", "motion"),
    ("residual", "vision", "motion"),
    ("residual", "touch", "motion"),
    ("residual", "visuotactile", "none"),  # as published
    ("transformer", "visuotactile", "motion"),
    ("transformer", "vision", "motion"),
    ("transformer", "touch", "motion"),
)
JOINT = (
    ("residual", "motion"),
    ("residual", "none"),
    ("residual", "transfer"),
    ("transformer", "motion"),
    ("transformer", "transfer"),
)

Say = Callable[[dict[str, Any]], None]


@dataclass
class Run:
    """Extent of the measurement, and what it has cost.

    Attributes:
        seeds: number of repetitions.
        epochs: epochs of each training.
        every: one of so many poses is used.
        sensors: numbers of virtual sensors to train with and unseen ones.
        targets_only: whether only the combinations with a target are measured.
        say: function that prints a row.
        pictures: pictures by file name.
        training_s: processor time of the trainings behind the targets.
    """

    seeds: int
    epochs: int
    every: int
    sensors: tuple[int, int]
    targets_only: bool
    say: Say
    pictures: dict[str, bytes] = field(default_factory=dict)
    training_s: float = 0.0

    def settings(self, seed: int, family: str = "residual", **changes: Any) -> Any:
        """Return training settings."""
        return ConnectorTrainingSettings(
            family=family,
            epochs=self.epochs,
            learning_rate=LEARNING_RATES[family],
            decay=0.01 ** (1 / max(self.epochs, 2)),
            seed=seed,
            **changes,
        )

    def combinations(self, every: tuple[Any, ...], seed: int) -> tuple[Any, ...]:
        """Return the combinations that are measured with a seed."""
        return every[:1] if seed > 0 or self.targets_only else every

    def timed(self, train: Callable[[], nn.Module], counts: bool) -> tuple[Any, float]:
        """Run a training; return its network and its processor time in minutes."""
        start = time.process_time()
        network = train()
        seconds = time.process_time() - start
        self.training_s += seconds if counts else 0.0
        return network, round(seconds / 60, 2)


def main() -> int:
    """Measure, and print rows and figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short run of under a minute")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--only", choices=list(PARTS), nargs="+", help="some parts")
    parser.add_argument("--seeds", type=int, default=3, help="repetitions")
    parser.add_argument("--epochs", type=int, default=50, help="epochs of each training")
    parser.add_argument("--targets", action="store_true", help="only what has a target")
    parser.add_argument("--pictures", type=Path, help="folder to write pictures to")
    options = parser.parse_args()
    if options.seeds < 1 or options.epochs < 1:
        parser.error(f"--seeds {options.seeds} --epochs {options.epochs}: expected 1 or more")
    figures = connector_figures(
        seeds=options.seeds,
        epochs=options.epochs,
        quick=options.quick,
        parts=options.only,
        targets_only=options.targets,
        output=sys.stderr if options.json else sys.stdout,
        pictures=options.pictures,
    )
    if options.json:
        dump(figures)
    else:
        print_rows("figures", [{"figure": k, "value": v} for k, v in figures.items()])
    return 0


def measure_connectors(options: argparse.Namespace) -> Part:
    """Measure what has a target, as a part of another benchmark.

    Args:
        options: command line options with `quick` and `json`.

    Returns:
        No rows, because they are printed when they are measured, and the figures with a target.
    """
    output = sys.stderr if options.json else sys.stdout
    figures = connector_figures(quick=options.quick, targets_only=True, output=output)
    return [], {name: figures[name] for name in TARGETS}


def connector_figures(
    seeds: int = 3,
    epochs: int = 50,
    quick: bool = False,
    parts: list[str] | None = None,
    targets_only: bool = False,
    output: Any = None,
    pictures: Path | None = None,
) -> dict[str, float]:
    """Measure some or all parts and return their figures by name.

    Args:
        seeds: number of repetitions; figures are their means.
        epochs: epochs of each training.
        quick: use few samples, epochs and one repetition.
        parts: names of the parts; None for all.
        targets_only: measure only what has a target.
        output: open text file for the rows; None for standard output.
        pictures: folder for pictures; None for none.
    """

    def say(row: dict[str, Any]) -> None:
        text = "  ".join(f"{key} {value}" for key, value in row.items())
        print(text, file=output or sys.stdout, flush=True)

    run = Run(1, 2, 16, (4, 2), targets_only, say)
    if not quick:
        run = Run(seeds, epochs, 1, (64, 16), targets_only, say)
    figures: dict[str, float] = {}
    for name in parts or [name for name in PARTS if not (targets_only and name == "classes")]:
        figures |= PARTS[name](run)
    figures["training_cpu_min"] = round(run.training_s / 60 / run.seeds, 1)
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        write_files(pictures, dict(run.pictures))
    return figures


def protocol(run: Run) -> dict[str, float]:
    """Classification on the publication's grid: modalities and families."""
    scores: dict[str, list[float]] = {}
    for seed in range(run.seeds):
        train, held_out = view_samples(run, seed)
        for family, modality, augmentation in run.combinations(PROTOCOL, seed):
            settings = run.settings(seed, family, augmentation=augmentation)
            network, minutes = run.timed(
                functools.partial(train_classifier, train, modality, settings),
                counts=(family, modality, augmentation) == PROTOCOL[0],
            )
            predicted = evaluate(network, held_out)[0].argmax(1)
            accuracy = (predicted == held_out.labels).float().mean().item()
            title = f"{family} {modality} {augmentation}"
            scores.setdefault(title.replace(" ", "_"), []).append(accuracy)
            run.say(
                {"part": "protocol", "seed": seed, "family": family, "input": modality}
                | {"augmentation": augmentation, "accuracy": round(accuracy, 4)}
                | {"cpu_min": minutes}
            )
            if seed == 0:
                add_confusion(run, title, held_out.labels, predicted, PAPER_CONNECTORS)
    means = {f"{name}_accuracy": mean(values) for name, values in scores.items()}
    return {"connector_accuracy": means["residual_visuotactile_motion_accuracy"]} | means


def occlusion(run: Run) -> dict[str, float]:
    """Vision alone and view with touch, trained with occlusions.

    Covered is half of each view by a rectangle, or half of the connector's pixels by a straight
    edge.
    """
    covers = {"view": occlude, "object": occlude_half_of_object}
    scores: dict[str, list[float]] = {}
    for seed in range(run.seeds):
        train, held_out = view_samples(run, seed)
        for modality in ("visuotactile", "vision"):
            settings = run.settings(seed, augmentation="occlusion")
            network, minutes = run.timed(
                functools.partial(train_classifier, train, modality, settings), counts=True
            )
            for half_of, cover in covers.items():
                covered = cover(held_out.views, torch.Generator().manual_seed(seed))
                occluded = ConnectorSamples(covered, held_out.touches, held_out.labels)
                predicted = evaluate(network, occluded)[0].argmax(1)
                accuracy = (predicted == occluded.labels).float().mean().item()
                scores.setdefault(f"{half_of}_{modality}", []).append(accuracy)
                run.say(
                    {"part": "occlusion", "seed": seed, "input": modality, "half_of": half_of}
                    | {"accuracy": round(accuracy, 4), "cpu_min": minutes}
                )
                if seed == 0:
                    title = f"{modality} half of {half_of}"
                    add_confusion(run, title, occluded.labels, predicted, PAPER_CONNECTORS)
    means = {name: mean(values) for name, values in scores.items()}
    gains = {
        half_of: round(means[f"{half_of}_visuotactile"] - means[f"{half_of}_vision"], 4)
        for half_of in covers
    }
    return {
        "occlusion_gain": gains["view"],
        "half_object_gain": gains["object"],
        **{f"half_{name}_accuracy": value for name, value in means.items()},
    }


def joint(run: Run) -> dict[str, float]:
    """Joint representation by InfoNCE: a touch retrieves its own view among all held-out ones."""
    scores: dict[str, list[float]] = {}
    for seed in range(run.seeds):
        train, held_out = view_samples(run, seed)
        for family, augmentation in run.combinations(JOINT, seed):
            settings = run.settings(seed, family, augmentation=augmentation)
            network, minutes = run.timed(
                functools.partial(train_joint_embedding, train, settings),
                counts=(family, augmentation) == JOINT[0],
            )
            view, touch = (part.numpy() for part in evaluate(network, held_out))
            result = retrieve(touch, view)
            labels = held_out.labels.numpy()
            same = float((labels[result.nearest] == labels).mean())
            scores.setdefault(f"{family}_{augmentation}", []).append(result.recall(1))
            run.say(
                {"part": "joint", "seed": seed, "family": family, "augmentation": augmentation}
                | {"r1": round(result.recall(1), 4), "r5": round(result.recall(5), 4)}
                | {"class_of_nearest": round(same, 4), "of": len(labels), "cpu_min": minutes}
            )
            if seed == 0:
                title = f"{family} {augmentation}"
                picture = embedding_map(view, touch, labels, list(PAPER_CONNECTORS), title)
                run.pictures[f"embedding_{family}_{augmentation}.png"] = picture
    means = {f"{name}_retrieval_r1": mean(values) for name, values in scores.items()}
    return {"retrieval_r1": means["residual_motion_retrieval_r1"]} | means


def tactile(run: Run) -> dict[str, float]:
    """Tactile images of sensors that no network has seen, at poses off the grid."""
    scores = []
    meshes = [connector.mesh() for connector in PAPER_CONNECTORS.values()]
    for seed in range(run.seeds):
        train, unseen = tactile_sets(run, meshes, seed)
        network, minutes = run.timed(
            functools.partial(
                train_classifier, tactile_samples(train), "touch", run.settings(seed)
            ),
            counts=True,
        )
        samples = tactile_samples(unseen)
        predicted = evaluate(network, samples)[0].argmax(1)
        scores.append((predicted == samples.labels).float().mean().item())
        run.say(
            {"part": "tactile", "seed": seed, "trained": len(train), "unseen": len(unseen)}
            | {"accuracy": round(scores[-1], 4), "cpu_min": minutes}
        )
        if seed == 0:
            add_confusion(run, "unseen sensors", samples.labels, predicted, PAPER_CONNECTORS)
    return {"tactile_only_accuracy": mean(scores)}


def classes(run: Run) -> dict[str, float]:
    """Nine classes by touch of unseen sensors, three of them enrolled from their meshes."""
    names = [name for name in ALL_CONNECTORS if name not in ENROLLED] + list(ENROLLED)
    meshes = [ALL_CONNECTORS[name].mesh() for name in names]
    known = len(names) - len(ENROLLED)
    train, unseen = (
        tactile_samples(images) for images in tactile_sets(run, meshes, 0, with_grid=False)
    )
    settings = run.settings(0)
    network, minutes = run.timed(
        functools.partial(train_classifier, train, "touch", settings), counts=False
    )
    predicted = evaluate(network, unseen)[0].argmax(1)
    right = (predicted == unseen.labels).float()
    run.say(
        {"part": "classes", "trained": len(names), "accuracy": round(right.mean().item(), 4)}
        | {"cpu_min": minutes}
    )
    add_confusion(run, "nine classes", unseen.labels, predicted, dict.fromkeys(names))
    own = torch.nonzero(train.labels < known)[:, 0]
    seen = ConnectorSamples(train.views[own], train.touches[own], train.labels[own])
    network, minutes = run.timed(
        functools.partial(train_classifier, seen, "touch", settings), counts=False
    )
    memory, features = (touch_features(network, part) for part in (train, unseen))
    recognised = torch.from_numpy(recognise(memory, train.labels.numpy(), features))
    add_confusion(run, "enrolled", unseen.labels, recognised, dict.fromkeys(names))
    right_enrolled = (recognised == unseen.labels).float()
    new = unseen.labels >= known
    row = {"part": "classes", "trained": known, "enrolled": len(ENROLLED), "cpu_min": minutes}
    figures = {
        "nine_class_accuracy": round(right.mean().item(), 4),
        "enrolled_class_accuracy": round(right_enrolled[new].mean().item(), 4),
        "known_class_accuracy": round(right_enrolled[~new].mean().item(), 4),
    }
    run.say(row | figures)
    return figures


@functools.cache
def _paper_views(seed: int) -> PaperViews:
    meshes = {name: connector.mesh() for name, connector in PAPER_CONNECTORS.items()}
    return paper_views(meshes, seed)


def view_samples(run: Run, seed: int) -> tuple[ConnectorSamples, ConnectorSamples]:
    """Return training and held-out samples of the publication's protocol."""
    views = _paper_views(seed)
    return _view_samples(views.train, run.every), _view_samples(views.held_out, run.every)


def _view_samples(views: ConnectorViews, every: int) -> ConnectorSamples:
    return ConnectorSamples(
        halved(torch.from_numpy(views.height_mm[::every, None] / VIEW_SCALE_MM)),
        halved(torch.from_numpy(views.mask[::every, None].astype(np.float32))),
        torch.from_numpy(views.poses.connector[::every]),
    )


def halved(images: torch.Tensor) -> torch.Tensor:
    """Return the means of 2 x 2 pixels."""
    return torch.nn.functional.avg_pool2d(images, 2)


def tactile_sets(
    run: Run, meshes: list[Trimesh], seed: int, with_grid: bool = True
) -> tuple[TactileImages, TactileImages]:
    """Return touches of the training sensors and of unseen ones.

    Args:
        run: extent of the measurement.
        meshes: connectors by class, mm.
        seed: seed of poses, sensors and depths.
        with_grid: train with the poses of the grid that touch visibly, besides as many off it.
    """
    grid = grid_poses(len(meshes))
    visible = functools.partial(touches, meshes, margin_mm=INVISIBLE_MM)
    train = perturbed_poses(grid, visible, seed + 1000, count=480 // run.every)
    if with_grid and run.every == 1:
        train = grid.subset(np.flatnonzero(visible(grid))).joined(train)
    held_out = perturbed_poses(grid, visible, seed, count=160 // run.every)
    own, others = run.sensors
    return (
        tactile_images(meshes, train, _sensors(TRAIN_SENSORS, own), seed),
        tactile_images(meshes, held_out, _sensors(UNSEEN_SENSORS, others), seed + 1000),
    )


@functools.cache
def _sensors(first: int, count: int) -> Any:
    return virtual_sensors(range(first, first + count))


def tactile_samples(images: TactileImages) -> ConnectorSamples:
    """Return touches as samples with empty views."""
    return ConnectorSamples(
        torch.zeros(len(images), 1, 8, 8),
        torch.from_numpy(images.change.astype(np.float32) / GREY_SCALE),
        torch.from_numpy(images.poses.connector),
    )


def touch_features(network: Any, samples: ConnectorSamples) -> NDArray[np.float32]:
    """Return the features (N, 128) before the linear layer."""

    class Features(nn.Module):
        def forward(self, views: torch.Tensor, touch: torch.Tensor) -> torch.Tensor:
            return network.features(views, touch)

    return evaluate(Features(), samples)[0].numpy()


def add_confusion(
    run: Run, title: str, labels: Any, predicted: Any, names: Mapping[str, Any]
) -> None:
    """Draw a confusion matrix."""
    matrix = confusion(labels.numpy(), predicted.numpy(), len(names))
    picture = confusion_picture(matrix, list(names), title)
    run.pictures[f"confusion_{title.replace(' ', '_')}.png"] = picture


def mean(values: list[float]) -> float:
    """Return the rounded mean."""
    return round(float(np.mean(values)), 4)


PARTS: dict[str, Callable[[Run], dict[str, float]]] = {
    "protocol": protocol,
    "occlusion": occlusion,
    "joint": joint,
    "tactile": tactile,
    "classes": classes,
}

if __name__ == "__main__":
    sys.exit(main())
