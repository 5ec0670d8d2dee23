"""What each part of the touch encoder's pretraining is good for: it is left out in turn.

    python benchmarks/touch_ablations.py --work DIR [--steps N] [--quick] [--json] [--data DIR]

Each variant is trained alike on simulated touches, and probed on real presses by hand. Real videos
in a pretraining are those of the grasps, so that no press is seen before it is probed. `--work`
keeps sets, encoders and rows: an interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from real_touches import grasp_touch_set, press_features
from simulated_readings import SEED, readings, similarities
from tables import Part, run_parts
from touch_features import (
    ATTRIBUTES,
    DATA,
    QUICK_VIDEOS,
    area_under_curve,
    encoder_extractor,
    press_scores,
)

from tacdiff_ros.output_files import json_text, write_files
from tacdiff_ros.touch_features.encoder_file import save_encoder
from tacdiff_ros.touch_features.encoder_settings import EncoderSettings
from tacdiff_ros.touch_features.pretraining import Pretraining
from tacdiff_ros.touch_features.pretraining_settings import PretrainingSettings
from tacdiff_ros.touch_features.simulation.simulated_touch import SimulationSettings
from tacdiff_ros.touch_features.simulation.simulated_touches import simulate_touches
from tacdiff_ros.touch_features.touch_set import TouchSet, read_touch_set
from tacdiff_ros.touch_features.training_batches import TouchBatches

OBJECTS, QUICK_OBJECTS = 200, 2
UNSEEN_OBJECTS = 15
STEPS, QUICK_STEPS, BATCH = 400, 2, 32
MEANING = ("words", "depth", "sensors", "matching", "properties")
SIMULATED, REAL = "simulated", "real"


@dataclass(frozen=True)
class Variant:
    """Pretraining that differs from the full one.

    Attributes:
        without: losses of weight 0.
        sets: names of the touch sets of the training.
        settings: other settings that differ.
    """

    without: tuple[str, ...] = ()
    sets: tuple[str, ...] = (SIMULATED,)
    settings: dict[str, Any] = field(default_factory=dict)


VARIANTS: dict[str, Variant] = {
    "full": Variant(),
    # Its steps only adapt the statistics of the batch norms.
    "random weights": Variant(settings={"learning_rate": 1e-12}),
    "without masked and next frames": Variant(("masked", "next_frame")),
    "without surface maps": Variant(("maps",)),
    "without the second level": Variant(MEANING, settings={"first_level": 1.0}),
    "without other sensors and matching": Variant(("sensors", "matching")),
    "without words and views": Variant(("words", "depth")),
    "without the universal token": Variant(settings={"universal_token": 0.0}),
    "without augmentation": Variant(settings={"augmentation": False}),
    "with real grasps too": Variant(sets=(SIMULATED, REAL)),
    "real grasps alone": Variant(("maps", *MEANING), sets=(REAL,), settings={"first_level": 1.0}),
}


def main() -> int:
    """Run the benchmark; exit code 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder of sets and encoders")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of each pretraining")
    parser.add_argument("--quick", action="store_true", help="few steps, touches and videos")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with touch/")
    options = parser.parse_args()
    options.limit, options.seeds = None, (0, 1, 2)
    if options.quick:
        options.steps, options.limit, options.seeds = QUICK_STEPS, QUICK_VIDEOS, (0,)
    return run_parts({"ablations": measure}, ["ablations"], options)


def measure(options: argparse.Namespace) -> Part:
    """Train and probe each variant."""
    sets = touch_sets(options)
    unseen = read_touch_set(options.work / "unseen")
    rows = []
    for name, variant in VARIANTS.items():
        folder = options.work / name.replace(" ", "_")
        kept = folder / "row.json"
        if not kept.exists():
            train(variant, [sets[kind] for kind in variant.sets], folder, options.steps)
            row = {"pretraining": name, **probe(folder, unseen, options)}
            write_files(folder, {kept.name: json_text(row)})
        rows.append(json.loads(kept.read_text(encoding="utf-8")))
        print(rows[-1], file=sys.stderr, flush=True)
    return rows, {"simulated_pretraining_ratio": ratio(rows)}


def ratio(rows: Sequence[dict[str, Any]]) -> float:
    """Return the scores with simulated touches alone over those with real ones too, mean."""
    scores = {row["pretraining"]: row for row in rows}
    names = ("parts_top1", *ATTRIBUTES)
    return round(
        float(np.mean([scores["full"][k] / scores["with real grasps too"][k] for k in names])), 3
    )


def touch_sets(options: argparse.Namespace) -> dict[str, TouchSet]:
    """Return the simulated and the real touch set, made on the first call."""
    objects = QUICK_OBJECTS if options.quick else OBJECTS
    for name, settings in {
        SIMULATED: SimulationSettings(seed=1, objects=objects),
        "unseen": SimulationSettings(
            seed=SEED, objects=QUICK_OBJECTS if options.quick else UNSEEN_OBJECTS
        ),
    }.items():
        if not (options.work / name).exists():
            simulate_touches(settings, options.work / name)
    return {
        SIMULATED: read_touch_set(options.work / SIMULATED),
        REAL: grasp_touch_set(options.data / "touch" / "slip_pairs", options.limit),
    }


def train(variant: Variant, sets: Sequence[TouchSet], folder: Path, steps: int) -> None:
    """Pretrain an encoder and write it."""
    weights = dict.fromkeys(variant.without, 0.0)
    settings = PretrainingSettings.model_validate(
        {"steps": steps, "batch": BATCH, "weights": weights, **variant.settings}
    )
    batches = TouchBatches(sets)
    model = Pretraining(EncoderSettings(), settings, batches).run(folder)
    save_encoder(folder, model, batches.card(model.network.settings, {"steps": steps}))


def probe(folder: Path, unseen: TouchSet, options: argparse.Namespace) -> dict[str, Any]:
    """Return the scores of embedding and last layer on real presses, and of matching touches."""
    row: dict[str, Any] = {}
    for features, suffix in (("embedding", ""), ("touch", "_last")):
        extract = encoder_extractor(folder, features)
        videos = press_features(options.data / "touch" / "octopi", extract, options.limit)
        scores = press_scores(videos, options.seeds)
        row |= {f"{name}{suffix}": value for name, value in scores.items()}
    same, different = similarities(unseen, readings(folder, unseen))
    both = np.concatenate([same, different])
    row["same_touch_auc"] = round(area_under_curve(both, np.arange(len(both)) < len(same)), 3)
    return row


if __name__ == "__main__":
    sys.exit(main())
