import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from tacdiff_ros.cli.application import run
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.replay.frame_states import FrameState
from tacdiff_ros.replay.replay import replay
from tacdiff_ros.replay.replay_frames import ReplayFrame, open_recording
from tacdiff_ros.sensor.sensor_file import default_sensor

BALL = "sphere:diameter=6"


@pytest.fixture(scope="module")
def replayed(touch_folder, tmp_path_factory):
    from tacdiff_ros.cli.application import run

    out = tmp_path_factory.mktemp("replay")
    assert run(["benchmark", str(touch_folder), "--indenter", BALL, "--out", str(out)]) == 0
    return out


def test_the_twin_is_far_better_than_nothing_happened(replayed):
    metrics = json.loads((replayed / "metrics.json").read_text())
    every = metrics["all"]
    assert every["frames"] == 7
    assert every["contact_psnr_db"]["median"] > 30
    assert every["contact_gain_db"]["median"] > 8
    assert every["marker_rms_px"]["worst"] < 0.6
    assert metrics["by_phase"]["indent"]["frames"] == 5
    assert metrics["by_phase"]["translate"]["frames"] == 2
    assert sum(group["frames"] for group in metrics["by_depth"].values()) == 7


def test_medians_and_worst_are_those_of_the_rows(replayed):
    with (replayed / "frames.csv").open() as opened:
        rows = list(csv.DictReader(opened))
    metrics = json.loads((replayed / "metrics.json").read_text())["all"]
    for name, pick in (("whole_psnr_db", min), ("whole_mse", max), ("marker_rms_px", max)):
        values = [float(row[name]) for row in rows]
        assert metrics[name]["median"] == pytest.approx(np.median(values), rel=1e-4)
        assert metrics[name]["worst"] == pytest.approx(pick(values), rel=1e-4)
        assert metrics[name]["median_low"] is None  # less than a second says nothing of others


def test_two_runs_give_identical_metrics(replayed, touch_folder, tmp_path):
    assert run(["benchmark", str(touch_folder), "--indenter", BALL, "--out", str(tmp_path)]) == 0
    for name in ("metrics.json", "frames.csv"):
        assert (tmp_path / name).read_bytes() == (replayed / name).read_bytes()


def test_report_shows_tables_and_the_worst_frames(replayed):
    page = (replayed / "report.html").read_text()
    assert page.count("<figure>") == 1  # all of its frames are of one moment
    assert "checksum" in page
    assert "next: " in page
    assert "PSNR in the contact" in page
    assert "by depth" in page


def test_a_wrong_pose_is_seen_in_the_figures(replayed, touch_folder, tmp_path):
    arguments = ["--indenter", BALL, "--offset", "1.0", "0", "0", "0", "--out", str(tmp_path)]
    assert run(["benchmark", str(touch_folder), *arguments]) == 0
    shifted, right = (
        json.loads((folder / "metrics.json").read_text())["all"]["contact_psnr_db"]["median"]
        for folder in (tmp_path, replayed)
    )
    assert shifted < right - 5


@pytest.fixture(scope="module")
def video(touch_folder, tmp_path_factory):
    """The same frames as a lossless video, which knows no poses."""
    path = tmp_path_factory.mktemp("video") / "touch.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), 25.0, (320, 240))
    for image in sorted(touch_folder.glob("*.png")):
        writer.write(cv2.imread(str(image)))
    writer.release()
    return path


def test_a_video_is_compared_with_what_the_model_shows_of_the_gel_it_finds(video, tmp_path):
    outs = [tmp_path / name for name in ("first", "second")]
    for out in outs:
        assert run(["benchmark", str(video), "--inverted", "--out", str(out)]) == 0
    metrics = json.loads((outs[0] / "metrics.json").read_text())
    every = metrics["all"]
    assert every["frames"] == 10
    assert list(metrics["by_phase"]) == ["seen"]
    assert every["contact_psnr_db"]["median"] > 23  # the touch moves faster than a stream follows
    assert every["contact_gain_db"]["median"] > 3
    for name in ("metrics.json", "frames.csv"):
        assert (outs[0] / name).read_bytes() == (outs[1] / name).read_bytes()


def test_a_video_without_poses_says_what_to_do(video, tmp_path, capsys):
    assert run(["benchmark", str(video), "--indenter", BALL, "--out", str(tmp_path / "o")]) == 2
    assert "give --inverted" in capsys.readouterr().err


def test_poses_are_read_with_phase_and_trial(touch_folder):
    frames = list(open_recording(touch_folder).frames())
    assert len(frames) == 10
    assert [frame.state.phase for frame in frames[2:5]] == ["reference", "indent", "indent"]
    assert frames[-1].state.pose == IndenterPose(1.25, -0.5, 0.6, 0.0)
    assert np.diff([frame.stamp_ns for frame in frames]) == pytest.approx(40e6)


@pytest.fixture
def copied(touch_folder, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(touch_folder, folder)
    return folder


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda text: text.replace("x_mm", "x"), "has no column x_mm"),
        (lambda text: text.replace("0.600000", "deep"), "row 8"),
        (lambda text: text.replace("0.600000", "inf"), "not finite"),
        (lambda text: text.replace("frame_004.png", "../../etc/passwd"), "is no file name"),
        (lambda text: text.replace("reference", "retract"), "needs frames of phase 'reference'"),
        (lambda text: text.splitlines()[0] + "\n", "has no rows: give one for each image"),
    ],
)
def test_bad_poses_are_refused_in_one_line(copied, tmp_path, capsys, change, expected):
    path = copied / "poses.csv"
    path.write_text(change(path.read_text()))
    out = tmp_path / "out"
    assert run(["benchmark", str(copied), "--indenter", BALL, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_a_recording_without_contact_has_whole_images_to_compare_and_says_so(
    touch_folder, tmp_path, capsys
):
    untouched = sorted(touch_folder.glob("*.png"))[0]
    for number in range(5):
        shutil.copy(untouched, tmp_path / f"{number}.png")
    rows = [f"{n}.png,0,0,-1,0,0,{'reference' if n < 2 else 'approach'}" for n in range(5)]
    head = "image,x_mm,y_mm,depth_mm,yaw_rad,trial,phase"
    (tmp_path / "poses.csv").write_text("\n".join([head, *rows]) + "\n")
    out = tmp_path / "out"
    assert run(["benchmark", str(tmp_path), "--indenter", BALL, "--out", str(out)]) == 0
    assert "3 frames, 0 skipped, 2 of the undeformed gel, no contact" in capsys.readouterr().out
    every = json.loads((out / "metrics.json").read_text())["all"]
    assert every["contact_psnr_db"] is None
    assert every["whole_psnr_db"]["median"] > 40
    assert "No frame has a contact" in (out / "report.html").read_text()


def change_row(folder: Path, number: int, **changes: str) -> None:
    """Replace values in one row of poses.csv."""
    path = folder / "poses.csv"
    with path.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    rows[number].update(changes)
    with path.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_skipped_frames_are_listed_by_reason_in_files_summary_and_page(copied, tmp_path, capsys):
    change_row(copied, 0, phase="retract")  # before any reference image
    for number in (5, 6):
        change_row(copied, number, depth_mm="3.9")  # deeper than the gel model goes
    change_row(copied, 9, phase="<idle>")
    out = tmp_path / "out"
    assert run(["benchmark", str(copied), "--indenter", BALL, "--out", str(out)]) == 0
    expected = {
        "pose that cannot be simulated": 2,
        "before the first reference image": 1,
        "phase <idle>": 1,
    }
    for name in ("metrics.json", "timing.json"):
        written = json.loads((out / name).read_text())
        assert written["skipped_by_reason"] == expected
        assert written["skipped"] == 4
    summary = capsys.readouterr().out
    assert "4 frames, 4 skipped (2 pose that cannot be simulated, 1 before the first" in summary
    page = (out / "report.html").read_text()
    assert "skipped frames" in page
    assert " mm, expected at most" in page
    assert "phase &lt;idle&gt;" in page


def test_a_frame_without_pose_is_counted_even_where_nothing_can_be_compared():
    image = np.zeros((240, 320, 3), np.uint8)
    state = FrameState(IndenterPose(depth_mm=0.5), 0, "indent")
    frames = [
        ReplayFrame(0, image, None),
        ReplayFrame(1, image, None),
        ReplayFrame(2, image, state),
    ]
    recording = SimpleNamespace(source="bag", frames=lambda: iter(frames))
    expected = (
        r"none of 3 frames could be compared \(2 no recorded pose, 1 before the first reference"
    )
    with pytest.raises(InputError, match=expected):
        replay(recording, default_sensor(), twin=None)


def test_another_sensors_images_are_refused(copied, tmp_path, capsys):
    for path in copied.glob("*.png"):
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), (160, 120)))
    arguments = ["--indenter", BALL, "--out", str(tmp_path / "out")]
    assert run(["benchmark", str(copied), *arguments]) == 2
    assert "another sensor?" in capsys.readouterr().err


def test_an_unnamed_indenter_and_a_missing_recording_are_said(touch_folder, tmp_path, capsys):
    assert run(["benchmark", str(touch_folder), "--out", str(tmp_path / "o")]) == 2
    assert "give --indenter" in capsys.readouterr().err
    with pytest.raises(InputError, match="no recording at"):
        open_recording(tmp_path / "nothing")
