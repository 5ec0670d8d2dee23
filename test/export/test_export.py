"""An exported run is read back by the libraries of the formats: h5py, PyArrow, PyAV, LeRobot."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tacdiff_ros.acquisition.protocol import Phase
from tacdiff_ros.acquisition.sampling import Activity, Sample
from tacdiff_ros.cli.application import run as tacdiff
from tacdiff_ros.export.statistics import merged_statistics, vector_statistics
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.recording.bag_reading import open_run
from tacdiff_ros.recording.run_recorder import RunRecorder, Topic, make_typestore

h5py = pytest.importorskip("h5py")
pytest.importorskip("pyarrow")
av = pytest.importorskip("av")
import pyarrow.parquet as pq  # noqa: E402

IMAGES = Topic("/image_raw", "sensor_msgs/msg/Image")
STORE = make_typestore({})
START_NS, PERIOD_NS = 1_700_000_000_000_000_000, 40_000_000
LENGTHS = (5, 4)  # frames of the two trials
LOST = 2  # an image without a sample


def picture(k: int) -> np.ndarray:
    """A smooth picture whose colours and brightness tell its number."""
    y, x = np.mgrid[0:48, 0:64]
    return np.stack([x + 20 * k, 2 * y + 10 * k, x + y], axis=-1).astype(np.uint8) // 2


def image_bytes(k: int) -> bytes:
    types = STORE.types
    seconds, nanoseconds = divmod(START_NS + k * PERIOD_NS, 1_000_000_000)
    stamp = types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)
    message = types[IMAGES.type_name](
        header=types["std_msgs/msg/Header"](stamp=stamp, frame_id="gel"),
        height=48,
        width=64,
        encoding="rgb8",
        is_bigendian=0,
        step=192,
        data=picture(k).ravel(),
    )
    return bytes(STORE.serialize_cdr(message, IMAGES.type_name))


def sample(k: int, trial: int) -> Sample:
    indenter = Pose.from_euler([450.0, 0.0, 100.0], [np.pi, 0.0, 0.0])
    measured = Pose.from_euler([0.5, -0.25, -0.1 * k], [0, 0, 0.1])
    commanded = Pose.from_euler([0.5, -0.25, -0.1 * k - 0.05], [0, 0, 0.1])
    return Sample(
        index=k,
        stamp_ns=START_NS + k * PERIOD_NS,
        activity=Activity(trial, Phase.INDENT, "indent", "moving", k > 2, indenter, indenter),
        commanded=commanded,
        measured=measured,
        gel=indenter @ measured.inverse(),
        force_n=np.array([0.1, 0.2, -0.5 * k]),
        torque_n_m=np.array([0.01, 0.0, 0.02]),
        gap_s=0.0004,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    recorder = RunRecorder(folder, [IMAGES], {}, {}, {"indenter": "sphere:diameter=5"})
    for k in range(sum(LENGTHS)):
        recorder.write(IMAGES.name, START_NS + k * PERIOD_NS, image_bytes(k))
        if k != LOST:
            recorder.write_sample(sample(k, int(k >= LENGTHS[0])))
    recorder.close({"success": True})
    return folder


ROWS = [k for k in range(sum(LENGTHS)) if k != LOST]
EPISODES = ([k for k in ROWS if k < LENGTHS[0]], [k for k in ROWS if k >= LENGTHS[0]])


def test_hdf5_has_every_image_pose_and_force_of_a_run(run, tmp_path):
    out = tmp_path / "run.hdf5"
    assert tacdiff(["export", str(run), str(out), "--format", "hdf5"]) == 0
    index = open_run(run).columns
    with h5py.File(out) as file:
        assert file["data"].attrs["total"] == len(ROWS)
        row = 0
        for episode, numbers in enumerate(EPISODES):
            demo = file[f"data/demo_{episode}"]
            assert demo.attrs["num_samples"] == len(numbers)
            np.testing.assert_array_equal(
                demo["obs/gel_image"][:], np.stack([picture(k) for k in numbers])
            )
            rows = slice(row, row + len(numbers))
            names = list(demo["obs/state"].attrs["names"])
            depths = demo["obs/state"][:, names.index("depth_mm")]
            np.testing.assert_allclose(depths, index["measured_depth_mm"][rows], rtol=1e-6)
            np.testing.assert_allclose(depths, [0.1 * k for k in numbers], rtol=1e-5)
            forces = demo["obs/state"][:, names.index("force_base_z_n")]
            np.testing.assert_allclose(forces, [-0.5 * k for k in numbers], rtol=1e-5)
            commanded = demo["actions"][:, list(demo["actions"].attrs["names"]).index("depth_mm")]
            np.testing.assert_allclose(commanded, [0.1 * k + 0.05 for k in numbers], rtol=1e-5)
            times = [1e-9 * PERIOD_NS * (k - numbers[0]) for k in numbers]
            np.testing.assert_allclose(demo["obs/time_s"][:], times, atol=1e-9)
            assert list(demo["dones"][:]) == [False] * (len(numbers) - 1) + [True]
            row += len(numbers)


def test_lerobot_tables_have_every_image_without_loss_and_consistent_indices(run, tmp_path):
    out = tmp_path / "set"
    assert tacdiff(["export", str(run), str(out), "--format", "lerobot"]) == 0
    table = pq.read_table(out / "data/chunk-000/file-000.parquet").to_pylist()
    pictures = [row["observation.images.gel"]["bytes"] for row in table]
    for k, content in zip(ROWS, pictures, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), picture(k))
    assert [row["index"] for row in table] == list(range(len(ROWS)))
    episodes = pq.read_table(out / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    for episode in episodes:
        first, last = episode["dataset_from_index"], episode["dataset_to_index"]
        own = table[first:last]
        assert {row["episode_index"] for row in own} == {episode["episode_index"]}
        assert [row["frame_index"] for row in own] == list(range(episode["length"]))
    assert [episode["length"] for episode in episodes] == [len(e) for e in EPISODES]
    info = json.loads((out / "meta/info.json").read_text())
    assert (info["total_frames"], info["total_episodes"], info["fps"]) == (len(ROWS), 2, 25)


def test_lerobot_statistics_are_those_of_the_columns(run, tmp_path):
    out = tmp_path / "set"
    assert tacdiff(["export", str(run), str(out), "--format", "lerobot"]) == 0
    stats = json.loads((out / "meta/stats.json").read_text())
    table = pq.read_table(out / "data/chunk-000/file-000.parquet").to_pydict()
    for name in ("observation.state", "action"):
        values = np.array(table[name])
        for key, expected in (("mean", values.mean(0)), ("std", values.std(0))):
            np.testing.assert_allclose(stats[name][key], expected, atol=1e-6)
        np.testing.assert_allclose(stats[name]["max"], values.max(0), rtol=1e-6)


def test_a_lerobot_video_has_the_images_at_their_times(run, tmp_path):
    out = tmp_path / "set"
    assert tacdiff(["export", str(run), str(out), "--format", "lerobot", "--video"]) == 0
    file = out / "videos/observation.images.gel/chunk-000/file-000.mp4"
    with av.open(str(file)) as container:
        frames = [(f.time, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    episodes = pq.read_table(out / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    for numbers, episode in zip(EPISODES, episodes, strict=True):
        from_s = episode["videos/observation.images.gel/from_timestamp"]
        for position, k in enumerate(numbers):
            time_s, image = min(frames, key=lambda f: abs(f[0] - from_s - position / 25))
            assert time_s == pytest.approx(from_s + position / 25, abs=1e-4)
            assert np.abs(image.astype(float) - picture(k)).mean() < 2.0


def test_lerobot_itself_reads_the_export(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    lerobot = pytest.importorskip("lerobot.datasets.lerobot_dataset")
    for options in ([], ["--video"]):
        out = tmp_path / f"set{len(options)}"
        assert tacdiff(["export", str(run), str(out), "--format", "lerobot", *options]) == 0
        read = lerobot.LeRobotDataset("local/run", root=out, video_backend="pyav")
        assert (read.num_episodes, read.num_frames) == (2, len(ROWS))
        for position, k in enumerate(ROWS):
            item = read[position]
            image = 255 * item["observation.images.gel"].numpy().transpose(1, 2, 0)
            assert np.abs(image - picture(k)).mean() < (2.0 if options else 1e-3)
            assert item["observation.state"][2] == pytest.approx(0.1 * k, rel=1e-5)
            assert item["task"] == "touch sphere:diameter=5 with the tactile sensor"


def test_merged_moments_are_those_of_all_values():
    random = np.random.default_rng(0)
    first, second = random.normal(3, 2, (7, 3)), random.normal(-50, 1, (20, 3))
    merged = merged_statistics(vector_statistics(first), vector_statistics(second))
    both = np.concatenate([first, second])
    np.testing.assert_allclose(merged["mean"], both.mean(0))
    np.testing.assert_allclose(merged["std"], both.std(0))
    np.testing.assert_allclose(merged["min"], both.min(0))


@pytest.mark.parametrize("output_format", ["hdf5", "lerobot"])
def test_a_damaged_run_leaves_nothing_behind(run, tmp_path, output_format, capsys):
    damaged = tmp_path / "damaged"
    (damaged / "bag").mkdir(parents=True)
    (damaged / "index.csv").write_bytes((run / "index.csv").read_bytes())
    command = ["export", str(damaged), str(tmp_path / "out"), "--format", output_format]
    assert tacdiff(command) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["damaged"]


def test_what_is_no_run_and_no_dataset_is_refused_in_one_line(tmp_path, capsys):
    assert tacdiff(["export", str(tmp_path), str(tmp_path / "o"), "--format", "hdf5"]) == 2
    line = capsys.readouterr().err
    assert "neither a recorded run" in line
    assert line.count("\n") == 1


@pytest.mark.parametrize(("package", "output_format"), [("h5py", "hdf5"), ("pyarrow", "lerobot")])
def test_a_missing_package_is_named_with_its_command(
    run, tmp_path, package, output_format, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, package, None)
    command = ["export", str(run), str(tmp_path / "out"), "--format", output_format]
    assert tacdiff(command) == 2
    assert "pip install 'tacdiff_ros[export]'" in capsys.readouterr().err
