"""What a linear probe reads from the frozen touch encoder, beside hand-made features.

    python benchmarks/touch_features.py [--quick] [--json] [--only PART] [--encoder DIR]

The parts `presses` and `grasps` need real videos in `--data`; each takes some minutes on one core.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent))

from connectors import connector_figures
from hand_made_features import hand_made
from real_touches import (
    Extractor,
    Images,
    VideoFeatures,
    press_features,
    window_features,
)
from simulated_readings import (
    quantity_rows,
    readings,
    similarities,
    threshold_row,
    unseen_touches,
)
from slip_warning import real_means, simulated_rows
from tables import Part, run_parts
from touch_node import node_figures

from tacdiff_ros.resources import config_path
from tacdiff_ros.touch_features.encoder_file import load_network
from tacdiff_ros.touch_features.linear_probe import (
    balanced_accuracy,
    cross_validate,
    fit_probe,
)
from tacdiff_ros.touch_features.touch_encoder import TouchEncoder
from tacdiff_ros.touch_features.touch_input import HEIGHT, WIDTH
from tacdiff_ros.touch_features.touch_session import SAME

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SEEDS, FOLDS = (0, 1, 2), 10
ATTRIBUTES = ("hardness", "roughness", "bumps")
QUICK_VIDEOS = 60
CAMERAS = ("0", "2")  # of the two fingers
TIMED = 200


def main() -> int:
    """Run the benchmark; exit code 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few videos, one seed")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--only", choices=PARTS, help="measure one part")
    parser.add_argument("--encoder", type=Path, default=None, help="folder of the encoder")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with touch/")
    parser.add_argument("--set", type=Path, default=None, help="touch set; none: simulate one")
    options = parser.parse_args()
    options.limit = QUICK_VIDEOS if options.quick else None
    options.seeds = SEEDS[:1] if options.quick else SEEDS
    return run_parts(PARTS, [options.only] if options.only else [*PARTS], options)


def measure_presses(options: argparse.Namespace) -> Part:
    """Which part is touched, and how hard, rough and bumpy it is: presses by hand."""
    folder = options.data / "touch" / "octopi"
    rows = [
        {
            "features": name,
            **press_scores(press_features(folder, extract, options.limit), options.seeds),
        }
        for name, extract in extractors(options).items()
    ]
    best = rows[0]
    figures = {"parts_top1": best["parts_top1"]}
    return rows, figures | {f"{name}_balanced": best[name] for name in ATTRIBUTES}


def press_scores(videos: VideoFeatures, seeds: Sequence[int]) -> dict[str, float]:
    """Return the accuracy of parts, and the balanced accuracy of attributes by object."""
    row = {"parts_top1": round(part_accuracy(videos), 3)}
    folds = min(FOLDS, len(np.unique(objects(videos))))
    for attribute in ATTRIBUTES:
        scores = [
            cross_validate(
                videos.features, videos.labels[attribute], objects(videos), folds, seed
            ).balanced_accuracy
            for seed in seeds
        ]
        row[attribute] = round(float(np.mean(scores)), 3)
    return row


def part_accuracy(videos: VideoFeatures) -> float:
    """Return the fraction of parts that are named rightly in their last video."""
    part = videos.labels["part"]
    last = np.array([part[k] not in part[k + 1 :] for k in range(len(part))])
    known = np.isin(part, part[~last])
    number = np.array([(part[:k] == part[k]).sum() for k in range(len(part))])
    probe = fit_probe(videos.features[~last], part[~last], number[~last])
    tested = last & known
    return float((probe.predict(videos.features[tested]) == part[tested]).mean())


def objects(videos: VideoFeatures) -> NDArray[np.str_]:
    """Return the object of each video: the first word of its part's name."""
    return np.array([name.split("_")[0] for name in videos.labels["part"]])


def measure_grasps(options: argparse.Namespace) -> Part:
    """Slip in windows of one second, and whether both fingers feel the same object."""
    rows = []
    for name, extract in extractors(options).items():
        windows = window_features(options.data / "touch" / "slip_pairs", extract, options.limit)
        scores = [slip_scores(windows, seed) for seed in options.seeds]
        slips = windows.labels["slip"] == "1"
        per_window = np.mean([area_under_curve(s, slips[windows.row]) for s in scores])
        videos = np.unique(windows.row)
        per_video = np.mean(
            [
                area_under_curve(
                    np.array([s[windows.row == video].mean() for video in videos]), slips[videos]
                )
                for s in scores
            ]
        )
        rows.append(
            {
                "features": name,
                "slip_auc_window": round(float(per_window), 3),
                "slip_auc_video": round(float(per_video), 3),
                "finger_match": round(finger_match(windows), 3),
                "unseen_finger_drop": round(100.0 * unseen_finger_drop(windows), 1),
            }
        )
    best = rows[0]
    return rows, {
        "slip_auc": best["slip_auc_window"],
        "finger_match": best["finger_match"],
        "unseen_sensor_drop": best["unseen_finger_drop"],
    }


def slip_scores(windows: VideoFeatures, seed: int) -> NDArray[np.float64]:
    """Return the score of slip of each window, by probes without the window's object."""
    slip, group = windows.labels["slip"][windows.row], windows.labels["object"][windows.row]
    result = cross_validate(windows.features, slip, group, FOLDS, seed)
    return result.scores[:, 1] - result.scores[:, 0]


def area_under_curve(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Return the probability that a positive has a higher score than a negative."""
    order = np.argsort(np.argsort(scores))
    count, others = positive.sum(), (~positive).sum()
    return float((order[positive].sum() - count * (count - 1) / 2) / (count * others))


def finger_match(windows: VideoFeatures) -> float:
    """Return how often the most similar video of the other finger is of the same object."""
    videos = np.unique(windows.row)
    features = np.stack([windows.features[windows.row == video].mean(0) for video in videos])
    camera, name = windows.labels["camera"][videos], windows.labels["object"][videos]
    hits = []
    for own, other in (CAMERAS, CAMERAS[::-1]):
        a, b = (standardized(features[camera == finger]) for finger in (own, other))
        nearest = (a @ b.T).argmax(1)
        hits += (name[camera == own] == name[camera == other][nearest]).tolist()
    return float(np.mean(hits))


def standardized(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return features of mean 0 and standard deviation 1, scaled to length 1."""
    values = (features - features.mean(0)) / (features.std(0) + 1e-9)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def unseen_finger_drop(windows: VideoFeatures) -> float:
    """Return the balanced accuracy of slip that a probe loses on a sensor it was not trained on."""
    camera = windows.labels["camera"][windows.row]
    slip, group = windows.labels["slip"][windows.row], windows.labels["object"][windows.row]
    names = np.unique(group)
    half = np.isin(group, names[::2])
    drops = []
    for own, other in (CAMERAS, CAMERAS[::-1]):
        for training, test in ((half, ~half), (~half, half)):
            tested = test & (camera == own)
            scores = []
            for finger in (own, other):
                fitted = training & (camera == finger)
                probe = fit_probe(windows.features[fitted], slip[fitted], group[fitted])
                predicted = probe.predict(windows.features[tested])
                scores.append(balanced_accuracy(slip[tested], predicted))
            drops.append(scores[0] - scores[1])
    return float(np.mean(drops))


def measure_simulated(options: argparse.Namespace) -> Part:
    """Estimated quantities and similarities of touches on sensors that were not in the training."""
    touches = unseen_touches(options.set, options.quick)
    read = readings(encoder_folder(options), touches)
    same, different = similarities(touches, read)
    row = threshold_row(same, different, SAME)
    return quantity_rows(touches, read), row


def measure_slip_warning(options: argparse.Namespace) -> Part:
    """Time from a warning to gross slip, by the slip head (`benchmarks/slip_warning.py`)."""
    folder = encoder_folder(options)
    rows = simulated_rows(folder, options.quick)
    figures = {
        "slip_warned_200_ms_before": rows[0]["warned_200_ms_before"],
        "slip_median_lead_s": rows[0]["median_lead_s"],
        "slip_false_warnings": rows[0]["false_warnings"],
    }
    videos = options.data / "touch" / "slip_pairs"
    if videos.is_dir():
        whole, begin, slips = real_means(folder, videos, options.quick)
        figures["slip_head_real_auc"] = round(area_under_curve(whole, slips), 3)
        figures["slip_head_real_auc_first_3_s"] = round(area_under_curve(begin, slips), 3)
    return rows, figures


def measure_rates(options: argparse.Namespace) -> Part:
    """Time of an image, and size of the encoder."""
    encoder = TouchEncoder(encoder_folder(options), threads=2)
    random = np.random.default_rng(0)
    image, reference = random.integers(0, 256, (2, HEIGHT, WIDTH, 3), np.uint8)
    times_ms = []
    for _ in range(TIMED):
        begin = time.perf_counter()
        encoder.read(image, reference, reference)
        times_ms.append(1e3 * (time.perf_counter() - begin))
    network = onnx.load_model_from_string(load_network(encoder_folder(options))[0])
    millions = sum(int(np.prod(tensor.dims)) for tensor in network.graph.initializer) / 1e6
    row = {
        "encode_ms": round(float(np.median(times_ms)), 2),
        "encode_ms_p99": round(float(np.quantile(times_ms, 0.99)), 2),
        "parameters_millions": round(millions, 2),
    }
    return [row], row


def measure_node(options: argparse.Namespace) -> Part:
    """Rate and latency of the node beside the driver."""
    figures = node_figures(options.quick)
    return [figures], figures


def measure_connectors(options: argparse.Namespace) -> Part:
    """Which connector is gripped, by view and touch (`benchmarks/connectors.py`)."""
    figures = connector_figures(len(options.seeds), quick=options.quick, output=sys.stderr)
    return [{"figure": name, "value": value} for name, value in figures.items()], figures


def extractors(options: argparse.Namespace) -> dict[str, Extractor]:
    """Return the features to compare, those of the encoder first."""
    folder = encoder_folder(options)
    return {
        "encoder": encoder_extractor(folder, "embedding"),
        "encoder, last layer": encoder_extractor(folder, "touch"),
        "hand-made": hand_made,
    }


def encoder_extractor(folder: Path, features: str) -> Extractor:
    """Return the extractor of one kind of an encoder's features."""
    encoder = TouchEncoder(folder, threads=1)

    def extract(images: Images, references: Images, earlier: Images) -> NDArray[np.float32]:
        parts = zip(images, references, earlier, strict=True)
        return np.stack([getattr(encoder.read(*part), features) for part in parts])

    return extract


def encoder_folder(options: argparse.Namespace) -> Path:
    """Return the folder of the encoder: the given one, or the shipped one."""
    return options.encoder or config_path("models/touch_encoder")


PARTS: dict[str, Any] = {
    "presses": measure_presses,
    "grasps": measure_grasps,
    "simulated": measure_simulated,
    "slip-warning": measure_slip_warning,
    "rates": measure_rates,
    "node": measure_node,
    "connectors": measure_connectors,
}


if __name__ == "__main__":
    sys.exit(main())
