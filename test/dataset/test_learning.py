"""From a dataset to a network and its scores, by the commands."""

import csv
import json
import shutil

import cv2
import pytest

pytest.importorskip("torch", reason="torch is not installed; `make setup` brings it")

import torch

from tacdiff_ros.cli.application import run
from tacdiff_ros.sensor.sensor_file import default_sensor, read_sensor, write_sensor
from tacdiff_ros.translation.model_file import read_card

LIVE_PLAN = """
trials: 3
indenters: ["sphere:diameter=5"]
mechanics: live
rows: 11
columns: 13
trajectory: {depth_mm: 0.2, translation_mm: 0, directions: ["x+"], rotation_deg: 0, step_mm: 0.1}
"""
SHORT = ["--width", "4", "--steps", "6", "--batch", "2", "--device", "cpu"]


@pytest.fixture(scope="module")
def model(made, tmp_path_factory):
    torch.set_num_threads(1)  # two wait for each other wherever cores are busy
    folder = tmp_path_factory.mktemp("model")
    assert run(["train", str(made), "--out", str(folder), *SHORT]) == 0
    return folder


def test_the_model_says_what_it_draws(model):
    card = read_card(model)
    assert card.sensor_checksum == default_sensor().checksum
    assert card.settings.kind == "nocs"
    assert card.full_indentation_mm == default_sensor().gel.full_indentation_mm
    assert card.training["steps"] == 6


def test_one_command_makes_the_dataset_of_a_sensor_and_trains_and_resumes(tmp_path, capsys):
    sensor, plan, out = (tmp_path / name for name in ("sensor.yaml", "plan.yaml", "model"))
    write_sensor(default_sensor().model_copy(update={"sensor_id": "own"}), sensor)
    plan.write_text(LIVE_PLAN)
    command = ["train", "--sensor", str(sensor), "--plan", str(plan), "--out", str(out), *SHORT]
    assert run([*command, "--workers", "1", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    trial = next((out / "dataset").rglob("rgb"))
    written = trial.stat().st_mtime_ns
    assert run([*command, "--workers", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert first["steps"] == 6
    assert trial.stat().st_mtime_ns == written
    assert read_card(out).sensor_checksum == read_sensor(sensor).checksum


def test_training_without_dataset_and_sensor_says_what_to_give(tmp_path, capsys):
    assert run(["train", "--out", str(tmp_path)]) == 2
    assert "--sensor with a sensor file" in capsys.readouterr().err


def test_it_is_scored_on_every_unseen_sample(model, made, tmp_path, capsys):
    out = tmp_path / "scores"
    arguments = ["evaluate", str(made), "--model", str(model), "--out", str(out)]
    assert run([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    with (out / "scores.csv").open() as opened:
        rows = list(csv.DictReader(opened))
    assert told["images"] == len(rows) == 6
    assert {row["indenter"] for row in rows} == {"cube", "sphere:diameter=5"}
    mean = sum(float(row["psnr_db"]) for row in rows) / 6
    assert told["psnr_db"] == pytest.approx(mean, abs=1e-4)
    assert mean > 15  # the untouched image is its start
    assert cv2.imread(str(out / "sheet.png")).shape == (2 * 258, 4 * 320, 3)


def test_fewer_samples_are_scored_by_the_new_and_the_old_option(model, made, tmp_path, capsys):
    for option, warning in (
        ("--max-samples", ""),
        ("--most", "`--most` is now `--max-samples`\n"),
    ):
        out = tmp_path / option[2:]
        arguments = ["evaluate", str(made), "--model", str(model), "--out", str(out)]
        assert run([*arguments, option, "2", "--json"]) == 0
        printed = capsys.readouterr()
        assert json.loads(printed.out)["images"] == 2
        assert printed.err == warning


def test_a_model_of_another_sensor_is_not_scored(model, made, tmp_path, capsys):
    copy = tmp_path / "set"
    shutil.copytree(made, copy)
    (images,) = copy.glob("images_*")
    other = "cd" * 32
    text = (images / "zarr.json").read_text().replace(default_sensor().checksum, other)
    (images / "zarr.json").write_text(text)
    images.rename(copy / f"images_{other[:16]}")
    arguments = ["evaluate", str(copy), "--model", str(model), "--out", str(tmp_path / "o")]
    assert run(arguments) == 2
    assert "the model renders sensor" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--input", "rgb"], "expected one of nocs, depth, nocs+light"),
        (["--sensor", "ffff"], "0 sensor files with checksum 'ffff'"),
        (["--batch", "0"], "batch"),
        (["--width", "1"], "width"),
        (["--architecture", "transformer"], "architecture"),
        (["--settings", "missing.yaml"], "cannot read training settings"),
    ],
)
def test_bad_requests_are_one_line_and_exit_code_2(made, tmp_path, capsys, arguments, expected):
    assert run(["train", str(made), "--out", str(tmp_path / "m"), *arguments]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert not (tmp_path / "m").exists()


def test_a_folder_without_a_dataset_is_said(tmp_path, capsys):
    assert run(["train", str(tmp_path), "--out", str(tmp_path / "m")]) == 2
    assert "contains no dataset" in capsys.readouterr().err
