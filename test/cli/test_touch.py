"""`tacdiff touch`: train on a small set, embed images and a video, probe the features."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

pytest.importorskip("torch")

from tacdiff_ros.cli.application import run
from tacdiff_ros.touch_features.feature_file import read_features
from tacdiff_ros.touch_features.touch_encoder import TouchEncoder
from tacdiff_ros.touch_features.touch_set import TouchSet, read_touch_set, write_touch_set

SETTINGS = {
    "encoder": {"channels": [8, 8, 16, 16], "blocks": [1, 1, 1, 1], "features": 16},
    "pretraining": {"steps": 4, "batch": 8, "checkpoint_every": 2, "half_precision": False},
}
REFERENCE = np.full((120, 160, 3), (90, 120, 100), np.uint8)

pytestmark = pytest.mark.xdist_group("touch_features")


def disc(radius_px: float, gain: float = 60.0) -> np.ndarray:
    """Image of a disc on the reference image."""
    y, x = np.mgrid[:120, :160]
    change = gain * (np.hypot(x - 80, y - 60) < radius_px)
    return (REFERENCE + change[..., None]).astype(np.uint8)


def touch_set(name: str) -> TouchSet:
    """Touches of 8 discs, each on 2 sensors."""
    touch, sensor = (part.ravel().astype(np.int32) for part in np.mgrid[:8, :2])
    count = len(touch)
    return TouchSet(
        card={"name": name},
        images=np.stack(
            [disc(8.0 + 5.0 * t, 40.0 + 30.0 * s) for t, s in zip(touch, sensor, strict=True)]
        ),
        references=np.stack([REFERENCE] * 2),
        sensor=sensor,
        video=np.arange(count, dtype=np.int32),
        frame=np.zeros(count, np.int32),
        earlier=np.full(count, -1, np.int32),
        touch=touch,
        labels={"contact_area_mm2": (8.0 + 5.0 * touch) ** 2 / 50.0},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Touch set, settings, trained encoder, images of small and large discs, and a video."""
    made = tmp_path_factory.mktemp("touch")
    write_touch_set(touch_set("discs"), made / "discs")
    (made / "settings.yaml").write_text(yaml.safe_dump(SETTINGS))
    assert run(train(made, "encoder")) == 0
    (made / "images").mkdir()
    rows = [("file", "size", "object")]
    for number in range(12):
        name = f"{number}.png"
        image = disc(12.0 + number if number % 2 else 40.0 + number)
        cv2.imwrite(str(made / "images" / name), image[..., ::-1])
        rows.append((name, "small" if number % 2 else "large", f"object {number // 2}"))
    with (made / "labels.csv").open("w", newline="") as opened:
        csv.writer(opened).writerows(rows)
    cv2.imwrite(str(made / "reference.png"), REFERENCE[..., ::-1])
    writer = cv2.VideoWriter(
        str(made / "slide.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (160, 120)
    )
    for radius in (0, 5, 10, 15, 20, 25):
        writer.write(disc(radius)[..., ::-1])
    writer.release()
    return made


def train(folder: Path, out: str, *more: str, set_name: str = "discs") -> list[str]:
    files = ["--set", str(folder / set_name), "--settings", str(folder / "settings.yaml")]
    return ["touch", "train", *files, "--out", str(folder / out), *more]


def embed(folder: Path, images: str, out: Path, *more: str) -> list[str]:
    reference = [] if "--first-frame" in more else ["--reference", str(folder / "reference.png")]
    files = ["--images", str(folder / images), "--encoder", str(folder / "encoder")]
    return ["touch", "embed", *files, *reference, "--out", str(out), *more]


@pytest.fixture(scope="module")
def features(folder: Path) -> Path:
    path = folder / "features.npz"
    assert run(embed(folder, "images", path)) == 0
    return path


def test_training_writes_the_encoder_its_losses_and_a_report(folder: Path) -> None:
    report = json.loads((folder / "encoder" / "report.json").read_text())
    assert report["settings"]["pretraining"]["steps"] == 4
    assert report["sets"] == [{"name": "discs", "images": 16, "sensors": 2}]
    assert report["retrieval_touches"] == 8 and 0.0 <= report["retrieval_top1"] <= 1.0
    assert report["verdict"]["level"] in ("good", "usable", "bad")
    rows = list(csv.DictReader((folder / "encoder" / "losses.csv").open()))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4"]
    assert rows[0]["masked"] and not rows[0]["sensors"] and rows[3]["sensors"]
    card = TouchEncoder(folder / "encoder").card
    assert card.training["retrieval_top1"] == report["retrieval_top1"]


def test_an_interrupted_training_resumes_and_its_losses_have_every_step_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tacdiff_ros.touch_features import encoder_file
    from tacdiff_ros.touch_features.pretraining import Pretraining

    step = Pretraining.train_step

    def interrupted(self: Pretraining, *arguments: Any) -> dict[str, float]:
        if self.step == 3:
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(Pretraining, "train_step", interrupted)
    assert run(train(folder, "resumed")) == 130
    assert not (folder / "resumed" / "network.onnx").exists()
    monkeypatch.setattr(Pretraining, "train_step", step)
    monkeypatch.setattr(encoder_file, "save_encoder", lambda *_: None)  # takes seconds
    assert run(train(folder, "resumed")) == 0
    texts = [(folder / name / "losses.csv").read_text() for name in ("encoder", "resumed")]
    rows = [list(csv.reader(text.splitlines())) for text in texts]
    assert [row[0] for row in rows[1]] == ["step", "1", "2", "3", "4"]
    for row, resumed in zip(rows[0][1:], rows[1][1:], strict=True):
        assert [float(v or 0) for v in resumed] == pytest.approx([float(v or 0) for v in row])


def test_a_checkpoint_of_other_sets_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_touch_set(touch_set("others"), folder / "others")
    assert run(train(folder, "encoder", set_name="others")) == 2
    assert "other touch sets" in capsys.readouterr().err


def test_features_are_those_of_the_encoder(folder: Path, features: Path) -> None:
    read = read_features(features)
    assert read.files.tolist() == [f"{number}.png" for number in range(12)]
    expected = TouchEncoder(folder / "encoder").read(disc(13.0), REFERENCE)
    np.testing.assert_allclose(read.embedding[1], expected.embedding, atol=1e-5)
    np.testing.assert_allclose(read.touch[1], expected.touch, atol=1e-5)
    assert dict(zip(read.property_names, read.properties[1], strict=True)) == pytest.approx(
        expected.properties, rel=1e-5
    )


def test_frames_of_a_video_have_the_motion_since_earlier_ones(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(embed(folder, "slide.avi", tmp_path / "slow.npz")) == 0
    table = capsys.readouterr().out
    assert "slide.avi:5" in table and "force/N" in table
    fast = embed(folder, "slide.avi", tmp_path / "fast.npz", "--rate", "2", "--json")
    assert run(fast) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 6
    slow, fast_features = (read_features(tmp_path / f"{name}.npz") for name in ("slow", "fast"))
    assert slow.frames.tolist() == [0, 1, 2, 3, 4, 5]
    np.testing.assert_allclose(slow.embedding[0], fast_features.embedding[0], atol=1e-6)
    assert np.abs(slow.embedding[5] - fast_features.embedding[5]).max() > 1e-4


def test_the_probe_tells_sizes_apart_in_unseen_objects(
    folder: Path, features: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "touch",
        "probe",
        "--features",
        str(features),
        "--labels",
        str(folder / "labels.csv"),
    ]
    command += ["--label", "size", "--group", "object", "--folds", "3", "--out", str(tmp_path)]
    assert run([*command, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    report = json.loads((tmp_path / "report.json").read_text())
    assert printed == {"out": str(tmp_path), **report}
    assert report["groups"] == 6 and report["chance"] == 0.5
    assert np.sum(report["confusion"]) == 12
    correct = np.trace(report["confusion"]) / 12
    assert report["accuracy"] == pytest.approx(correct, abs=1e-4)
    predictions = list(csv.DictReader((tmp_path / "predictions.csv").open()))
    fold_of: dict[str, str] = {}
    for row in predictions:
        assert fold_of.setdefault(row["group"], row["fold"]) == row["fold"]
    assert cv2.imread(str(tmp_path / "confusion.png")) is not None
    assert run(command) == 0
    assert "balanced accuracy" in capsys.readouterr().out


def test_bad_input_of_train_is_refused_in_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "wrong.yaml").write_text("{pretraining: {steps: -1}}")
    (folder / "unknown.yaml").write_text("{pretrainign: {}}")
    cases = [
        (train(folder, "out", set_name="missing"), "missing"),
        (train(folder, "out", "--steps", "0"), "pretraining.steps"),
        (train(folder, "encoder", "--steps", "9"), "other settings"),
        ([*train(folder, "out"), "--settings", str(folder / "wrong.yaml")], "steps"),
        ([*train(folder, "out"), "--settings", str(folder / "unknown.yaml")], "pretrainign"),
        (train(folder, "settings.yaml"), "is a file"),
    ]
    for words, expected in cases:
        assert run(words) == 2, words
        refusal = capsys.readouterr().err
        assert expected in refusal and refusal.count("\n") == 1, refusal
    assert not (folder / "out").exists()


def test_bad_input_of_embed_is_refused_in_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "features.npz"
    cv2.imwrite(str(tmp_path / "square.png"), np.zeros((200, 200, 3), np.uint8))
    plain = embed(folder, "images", out)
    cases = [
        (embed(folder, "none.png", out), "no file or folder"),
        (embed(folder, "discs", out), "no image or video"),
        (embed(folder, "settings.yaml", out), "no video"),
        (embed(folder, "images", tmp_path), "expected a file name ending in .npz"),
        (embed(folder, "images", out, "--first-frame"), "--first-frame is for videos"),
        ([*plain, "--images", str(tmp_path / "square.png")], "square.png"),
        ([*plain, "--encoder", str(tmp_path)], "contains no touch encoder"),
        ([*plain, "--crop", "0.9"], "--crop"),
        ([word for word in plain if "reference" not in word], "either --reference"),
    ]
    for words, expected in cases:
        assert run(words) == 2, words
        refusal = capsys.readouterr().err
        assert expected in refusal and refusal.count("\n") == 1, refusal
    assert not out.exists()


def test_bad_input_of_probe_is_refused_in_one_line(
    folder: Path, features: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def probe(table: str, *more: str, archive: Path = features) -> list[str]:
        (tmp_path / "labels.csv").write_text(table)
        files = ["--features", str(archive), "--labels", str(tmp_path / "labels.csv")]
        return ["touch", "probe", *files, *more]

    cut = tmp_path / "cut.npz"
    cut.write_bytes(features.read_bytes()[:1000])
    other = tmp_path / "other.npz"
    np.savez(other, embedding=np.zeros((2, 3)))
    table = "file,label\n" + "".join(f"{k}.png,{k % 2}\n" for k in range(12))
    cases = [
        (lambda: probe("label\n1\n"), "no column file"),
        (lambda: probe(table, "--label", "size"), "no column size"),
        (lambda: probe(table, "--group", "object"), "no column object"),
        (lambda: probe("file,label\n0.png,a\n0.png,b\n"), "0.png is in two rows"),
        (lambda: probe("file,label\nother.png,a\n"), "no image of the features has a label"),
        (lambda: probe(table.replace(",1", ",0")), "1 different labels"),
        (lambda: probe(table, "--folds", "13"), "13 folds of 12 groups"),
        (lambda: probe(table, archive=cut), "cut.npz"),
        (lambda: probe(table, archive=other), "holds no features"),
    ]
    for words, expected in cases:
        assert run(words()) == 2, expected
        refusal = capsys.readouterr().err
        assert expected in refusal and refusal.count("\n") == 1, refusal


def test_simulated_touches_are_a_touch_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "simulation.yaml"
    settings.write_text("{touches_per_object: 1, steps: 8, pairs_per_touch: 1, sensors: 2}")
    command = ["touch", "simulate", "--out", str(tmp_path), "--objects", "1", "--json"]
    assert run([*command, "--settings", str(settings)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (tmp_path / "contact_sheet.png").stat().st_size > 10_000
    touches = read_touch_set(tmp_path / "set")
    assert len(touches) == printed["images"] > 0 and printed["sensors"] == 2


def test_unusable_simulation_settings_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "simulation.yaml"
    for text in ("{sensors: 0}", "{other: 1}", "[1]"):
        settings.write_text(text)
        assert run(["touch", "simulate", "--out", str(tmp_path), "--settings", str(settings)]) == 2
        refusal = capsys.readouterr().err
        assert refusal.count("\n") == 1 and "Traceback" not in refusal
