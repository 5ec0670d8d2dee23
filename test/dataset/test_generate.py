import filecmp
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from tacdiff_ros.cli.application import run
from tacdiff_ros.dataset.plan import plan_trial
from tacdiff_ros.dataset.reader import SampleReader, only_checksum, stored_sensor
from tacdiff_ros.dataset.store import open_dataset, read_array, read_group
from tacdiff_ros.dataset.trial_work import make_trial
from tacdiff_ros.errors import InputError
from tacdiff_ros.optics import llvm
from tacdiff_ros.sensor.sensor_file import default_sensor, format_sensor

needs_mitsuba = pytest.mark.skipif(
    llvm.find_library() is None, reason="no LLVM >= 19 is installed, Mitsuba cannot run"
)


def differences(a: Path, b: Path) -> list[str]:
    """Files that are not in both folders with the same bytes."""
    names = {str(p.relative_to(top)) for top in (a, b) for p in top.rglob("*") if p.is_file()}
    _, different, missing = filecmp.cmpfiles(a, b, sorted(names), shallow=False)
    return different + missing


def test_samples_are_those_of_the_plan(made):
    dataset = open_dataset(made)
    for index in range(6):
        trial = plan_trial(dataset.plan, index)
        touches = read_group(dataset.touch_folder(index))
        poses = read_array(touches, "pose")
        assert poses[:, 2] == pytest.approx([0.2, 0.4, 0.4])
        assert poses[:, 0] - trial.start.x_mm == pytest.approx([0.0, 0.0, 0.2])
        assert poses[:, 3] == pytest.approx(trial.start.yaw_rad)
        force = read_array(touches, "force_n")
        assert (force[:, 2] < 0).all()
        assert force[2, 0] > abs(force[1, 0])  # dragged to the right
        assert (read_array(touches, "penetration_mm") <= 0.02).all()
        assert list(read_array(touches, "phase")) == [0, 0, 1]


def test_maps_agree_with_each_other(made):
    reader = SampleReader(open_dataset(made), "train")
    gel = default_sensor().gel
    shadows = 0
    for number in range(len(reader)):
        sample = reader.sample(number)
        height = (1.0 - sample.nocs[..., 2]) * gel.full_indentation_mm
        assert height == pytest.approx(sample.indentation_mm, abs=0.002)
        assert sample.contact.any()
        deep = sample.indentation_mm > 0.6 * sample.indentation_mm.max()
        assert sample.contact[deep].mean() > 0.7
        brighter = sample.rgb.astype(int) - sample.light  # by local inter-reflection only
        assert brighter.max() < 16
        assert np.quantile(brighter, 0.99) < 3
        shadows += np.count_nonzero(sample.light != sample.rgb)
        assert np.abs(sample.light.astype(int) - sample.rgb).mean() < 12
    assert shadows


def test_the_slide_drags_what_is_seen_along(made):
    reader = SampleReader(open_dataset(made), "train")
    pressed, dragged = reader.sample(1), reader.sample(2)
    move = (dragged.shear_mm - pressed.shear_mm)[pressed.contact & dragged.contact]
    assert move[:, 0].mean() == pytest.approx(0.2, abs=0.1)
    assert abs(move[:, 1].mean()) < 0.05


def test_the_sensor_file_and_its_untouched_image_are_kept(made):
    dataset = open_dataset(made)
    assert stored_sensor(dataset, only_checksum(dataset)) == default_sensor()
    group = read_group(dataset.sensor_folder(default_sensor().checksum) / "untouched")
    assert read_array(group, "indentation").max() == 0
    assert not read_array(group, "contact").any()


@pytest.mark.slow
def test_killed_at_any_moment_it_becomes_the_same_dataset(made, plan_file, tmp_path):
    """kill -9 of the whole process group while trials are written, then again from the start."""
    folder = tmp_path / "set"
    main = "import sys; from tacdiff_ros.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", main, "dataset", "--plan", str(plan_file)]
    command += ["--out", str(folder), "--workers", "2", "--json"]
    killed = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE)
    give_up = time.monotonic() + 120
    while not any(folder.glob("images_*/trial_*")) and time.monotonic() < give_up:
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    there = len(list(folder.glob("images_*/trial_*")))
    assert 1 <= there < 6
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    report = json.loads(done.stdout)
    assert (report["complete"], report["samples"], report["failed"]) == (6, 18, {})
    assert report["samples_made"] == 18 - 3 * there
    assert differences(made, folder) == []


def test_a_new_calibration_draws_the_same_touches_again(made, plan_file, tmp_path):
    folder = tmp_path / "set"
    shutil.copytree(made, folder)
    gel = default_sensor().gel.model_copy(update={"base_color": (0.4, 0.5, 0.6)})
    other = default_sensor().model_copy(update={"gel": gel})
    report = make_trial(folder, 0, format_sensor(other))
    assert report.touch_seconds == 0
    assert report.image_seconds > 0
    dataset = open_dataset(folder)
    assert dataset.image_folder(other.checksum, 0).exists()
    assert differences(made / "touches", folder / "touches") == []


@needs_mitsuba
def test_a_trial_without_equilibrium_is_listed_with_its_reason(tmp_path, monkeypatch):
    from tacdiff_ros.dataset import touches
    from tacdiff_ros.dataset.plan import DatasetPlan
    from tacdiff_ros.dataset.store import gel_size, open_or_create
    from tacdiff_ros.mechanics.touch import NotConvergedError, Touch

    tried = []

    def fail(self, pose, name="step"):
        tried.append(pose.depth_mm)
        raise NotConvergedError(f"no equilibrium in '{name}'")

    monkeypatch.setattr(Touch, "move_to", fail)
    plan = DatasetPlan(trials=1, rows=9, columns=9)
    dataset = open_or_create(tmp_path / "set", plan, gel_size(default_sensor()))
    report = make_trial(dataset.folder, 0, format_sensor(default_sensor()))
    assert tried == pytest.approx([0.1, 0.05, 0.025])
    assert len(tried) == len(touches.STEP_DIVISIONS)
    assert report.failure == "no equilibrium in 'press'"
    assert dataset.failures()[0]["reason"] == report.failure
    assert not dataset.touch_folder(0).exists()


def test_info_tells_size_and_splits_and_draws_a_sheet(made, capsys):
    assert run(["dataset", "info", str(made), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (counts,) = told["samples"].values()
    assert counts == {"train": 6, "validation": 6, "test": 6}
    assert told["states_per_trial"] == 3
    sheet = cv2.imread(told["contact_sheet"])
    assert sheet.shape[0] == 2 * (150 + 18)  # a row an indenter
    (made / "contact_sheet.png").unlink()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "--out is missing"),
        (["--out", "{}/a", "--workers", "2", "--scheduler", "tcp://x:1"], "exclude each other"),
        (["--out", "{}/a", "--plan", "{}/none.yaml"], "cannot read dataset plan"),
        (["--out", "{}/a", "--slurm", "{}/none.yaml"], "cannot read Slurm settings"),
        (["info", "{}"], "contains no dataset"),
        (["--out", "{}/a", "--sensor", "{}/none.yaml"], "none.yaml"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path, capsys, arguments, expected):
    assert run(["dataset", *(part.format(tmp_path) for part in arguments)]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert not (tmp_path / "a").exists()


def test_slurm_dry_run_prints_the_script(tmp_path, capsys):
    settings = tmp_path / "slurm.yaml"
    settings.write_text("{jobs: 3, cores: 8, queue: batch, walltime: '01:00:00'}")
    arguments = ["--out", str(tmp_path / "a"), "--slurm", str(settings), "--dry-run", "--json"]
    assert run(["dataset", *arguments]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["samples"] == 56_000
    for line in ("#SBATCH -p batch", "#SBATCH --cpus-per-task=8", "--nworkers 8", "--nthreads 1"):
        assert line in told["slurm_script"]
    assert not (tmp_path / "a").exists()


def test_another_sensors_images_are_not_there(made):
    assert len(SampleReader(open_dataset(made), "test", "0" * 64)) == 0
    with pytest.raises(IndexError):
        SampleReader(open_dataset(made), "test").array(6, "rgb")


def test_images_by_several_sensors_must_be_told_apart(made, tmp_path):
    shutil.copytree(made, tmp_path / "set")
    (images,) = (tmp_path / "set").glob("images_*")
    shutil.copytree(images, images.with_name("images_other"))
    with pytest.raises(InputError, match="images by 2 sensor files"):
        SampleReader(open_dataset(tmp_path / "set"), "train")
