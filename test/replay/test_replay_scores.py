import numpy as np
import pytest

from tacdiff_ros.evaluation.agreement import Agreement
from tacdiff_ros.evaluation.image_metrics import ImageScore
from tacdiff_ros.replay.replay_scores import (
    ComparedFrame,
    SkippedFrames,
    WorstFrames,
    by_depth,
    by_phase,
    summarise,
)


def frame(psnr_db: float, stamp_s: float = 0.0, trial: int = 0, **changes) -> ComparedFrame:
    score = ImageScore(1.0, psnr_db, 0.9, 0.1)
    found = Agreement(score, score, score, ImageScore(1.0, 20.0, 0.5, 0.2), 99, 60, 0.5)
    content = {"phase": "indent", "depth_mm": 0.4, "agreement": found, **changes}
    return ComparedFrame(int(1e9 * stamp_s), trial, **content)


def test_intervals_are_as_wide_as_trials_differ():
    """Frames of a trial are alike, so a thousand of them in ten trials are worth ten."""
    random = np.random.default_rng(0)
    levels = random.normal(30, 2, 10)
    frames = [
        frame(level + random.normal(0, 0.1), k, t)
        for t, level in enumerate(levels)
        for k in range(100)
    ]
    found = summarise(frames)["contact_psnr_db"]
    assert found["median_low"] < found["median"] < found["median_high"]
    assert found["median_high"] - found["median_low"] > 1.0
    assert found["worst"] == pytest.approx(min(f.agreement.contact.psnr_db for f in frames))
    assert summarise(frames) == summarise(frames)


def test_one_second_of_one_trial_has_no_interval():
    found = summarise([frame(30.0, 0.1 * k) for k in range(9)])["whole_psnr_db"]
    assert (found["median"], found["median_low"], found["median_high"]) == (30.0, None, None)


def test_groups_are_by_phase_and_depth():
    frames = [frame(30.0, depth_mm=0.1), frame(31.0, depth_mm=0.9, phase="rotate")]
    assert {name: group["frames"] for name, group in by_phase(frames).items()} == {
        "indent": 1,
        "rotate": 1,
    }
    assert list(by_depth(frames)) == ["0-0.25 mm", "0.75-1 mm"]


def test_the_worst_frames_are_kept_worst_first():
    worst = WorstFrames(count=3)
    image = np.zeros((12, 16, 3), np.uint8)
    for k, psnr in enumerate([30.0, 25.0, 40.0, 20.0, 35.0]):
        worst.add(frame(psnr, k), image, image)
    kept = [entry.frame.agreement.contact.psnr_db for entry in worst.pictures()]
    assert kept == [20.0, 25.0, 30.0]
    assert worst.pictures()[0].picture.shape == (12, 48, 3)


def test_of_the_frames_of_one_moment_the_worst_is_kept():
    worst = WorstFrames(count=3)
    image = np.zeros((12, 16, 3), np.uint8)
    for stamp_s, psnr in ((0.0, 25.0), (0.4, 24.0), (0.8, 26.0), (5.0, 30.0), (5.1, 29.0)):
        worst.add(frame(psnr, stamp_s), image, image)
    kept = [entry.frame.agreement.contact.psnr_db for entry in worst.pictures()]
    assert kept == [24.0, 29.0]


def test_phases_are_in_the_order_of_the_protocol():
    names = ("approach", "indent", "translate", "rotate", "retract")
    assert tuple(by_phase([frame(30.0, phase=name) for name in names])) == names


def test_skipped_frames_are_counted_by_reason_with_the_first_message_of_each():
    skips = SkippedFrames()
    assert (skips.total, skips.summary()) == (0, "")
    skips.add("no recorded pose")
    for depth in (2.5, 2.6):
        skips.add("pose that cannot be simulated", f"pose: depth is {depth} mm")
    assert skips.total == 3
    assert skips.summary() == "2 pose that cannot be simulated, 1 no recorded pose"
    assert list(skips.by_reason) == ["pose that cannot be simulated", "no recorded pose"]
    assert skips.examples == {"pose that cannot be simulated": "pose: depth is 2.5 mm"}
