"""What is taken out of recorded runs: images to calibrate from, true surfaces, comparisons."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tacdiff_ros.acquisition.protocol import Phase
from tacdiff_ros.acquisition.sampling import Activity, Sample
from tacdiff_ros.calibration.press_surfaces import Press
from tacdiff_ros.cli.application import run
from tacdiff_ros.cli.demo_stages import live_figures, still_stamps
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.recording.bag_reading import images, open_run
from tacdiff_ros.recording.run_recorder import RunRecorder, Topic, make_typestore
from tacdiff_ros.replay.recorded_presses import pose_offset, recorded_presses
from tacdiff_ros.replay.recorded_truth import LiveComparisons, true_surfaces
from tacdiff_ros.replay.replay_frames import open_recording
from tacdiff_ros.replay.rig_height import rig_depths, rig_height
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.sensor.surface_points import surface_of_points

STORE = make_typestore({})
TYPES = STORE.types
REAL = Topic("/image_raw", "sensor_msgs/msg/Image")
SIMULATED = Topic("/simulated/image_raw", "sensor_msgs/msg/Image")
POINTS = Topic("/ground_truth/gel_points", "sensor_msgs/msg/PointCloud2")
PERIOD_NS = 40_000_000
SIZE = (40, 60)
# phase, motion, x of the indenter, for each frame of a trial
TRIAL = [
    (Phase.MOVE_TO_START, "moving"),
    (Phase.REFERENCE, "dwelling"),
    (Phase.REFERENCE, "dwelling"),
    (Phase.INDENT, "moving"),
    (Phase.INDENT, "dwelling"),
    (Phase.INDENT, "dwelling"),
    (Phase.TRANSLATE, "dwelling"),
]


def header(stamp_ns: int):
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    stamp = TYPES["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)
    return TYPES["std_msgs/msg/Header"](stamp=stamp, frame_id="gel")


def picture(trial: int, frame: int, grey: int = 100) -> np.ndarray:
    """Flat but for a spot that moves with the trial while something is pressed in."""
    image = np.full((*SIZE, 3), grey, np.uint8)
    if TRIAL[frame][0] in (Phase.INDENT, Phase.TRANSLATE):
        x = 12 + 12 * trial
        image[15:25, x : x + 10] = 160 + frame
    return image


def image_bytes(image: np.ndarray, stamp_ns: int) -> bytes:
    message = TYPES[REAL.type_name](
        header=header(stamp_ns),
        height=SIZE[0],
        width=SIZE[1],
        encoding="rgb8",
        is_bigendian=0,
        step=3 * SIZE[1],
        data=image.ravel(),
    )
    return bytes(STORE.serialize_cdr(message, REAL.type_name))


def pad(depth_mm: float) -> GelSurface:
    gel = default_sensor().gel
    flat = GelSurface.flat(gel.width_mm, gel.height_mm, 5, 7)
    return flat.moved(flat.rest - np.array([0.0, 0.0, depth_mm], np.float32))


def cloud(surface: GelSurface, stamp_ns: int):
    field = TYPES["sensor_msgs/msg/PointField"]
    return TYPES[POINTS.type_name](
        header=header(stamp_ns),
        height=surface.rows,
        width=surface.columns,
        fields=[field(name=n, offset=4 * k, datatype=7, count=1) for k, n in enumerate("xyz")],
        is_bigendian=False,
        point_step=12,
        row_step=12 * surface.columns,
        data=np.frombuffer((1e-3 * surface.position).astype(np.float32).tobytes(), np.uint8),
        is_dense=True,
    )


def sample(index: int, trial: int, frame: int) -> Sample:
    phase, motion = TRIAL[frame]
    indenter = Pose.from_euler([450.0, 0.0, 100.0], [np.pi, 0.0, 0.0])
    depth = 0.1 * frame if phase in (Phase.INDENT, Phase.TRANSLATE) else -2.0
    gel = indenter @ Pose.from_euler([0.5 * trial, 0.25, -depth], [0, 0, 0]).inverse()
    step = "indent" if phase is Phase.INDENT else phase.name.lower()
    return Sample(
        index=index,
        stamp_ns=(index + 1) * PERIOD_NS,
        activity=Activity(trial, phase, step, motion, depth > 0, gel, indenter),
        commanded=gel.inverse() @ indenter,
        measured=gel.inverse() @ indenter,
        gel=gel,
        force_n=np.zeros(3),
        torque_n_m=np.zeros(3),
        gap_s=0.0,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three trials; a simulated image of other grey and a true surface beside every image."""
    place = tmp_path_factory.mktemp("runs") / "run"
    rig = {"position_mm": [450.0, 0.0, 100.2], "quaternion_xyzw": [1.0, 0.0, 0.0, 0.0]}
    told = {"indenter": "cube:size=4", "base_to_indenter": rig}
    recorder = RunRecorder(place, [SIMULATED, REAL, POINTS], {}, {}, told)
    for trial in range(3):
        for frame in range(len(TRIAL)):
            index = trial * len(TRIAL) + frame
            stamp = (index + 1) * PERIOD_NS
            simulated = image_bytes(picture(trial, frame, 7), stamp)
            points = STORE.serialize_cdr(cloud(pad(0.01 * index), stamp), POINTS.type_name)
            recorder.write(SIMULATED.name, stamp, simulated)
            recorder.write(REAL.name, stamp, image_bytes(picture(trial, frame), stamp))
            recorder.write(POINTS.name, stamp, bytes(points))
            recorder.write_sample(sample(index, trial, frame))
    recorder.close({"success": True})
    return place


def test_the_last_still_frame_of_each_press_and_an_untouched_one_are_found(folder):
    found = recorded_presses(open_run(folder))
    assert found.indenter == "cube:size=4"
    np.testing.assert_array_equal(found.reference, picture(0, 2))
    assert [press.trial for press in found.presses] == [0, 1, 2]
    for press in found.presses:
        np.testing.assert_array_equal(press.image, picture(press.trial, 5))
        assert press.pose.x_mm == pytest.approx(0.5 * press.trial)
        assert press.pose.depth_mm == pytest.approx(0.5)


def test_presses_far_apart_are_chosen_and_more_than_there_are_is_refused(folder):
    found = recorded_presses(open_run(folder))
    assert {press.trial for press in found.spread(2)} == {0, 2}
    with pytest.raises(InputError, match="4 presses requested"):
        found.spread(4)


def test_a_run_without_a_held_press_is_refused(folder):
    run = open_run(folder)
    moving = {**run.columns, "motion": np.full(run.sample_count, "moving")}
    with pytest.raises(InputError, match="no press to calibrate from"):
        recorded_presses(SimpleNamespace(**{**vars(run), "columns": moving}, sample_count=21))


def test_the_offset_is_the_mean_of_what_images_say_more_than_the_robot():
    recorded = [IndenterPose(1.0, 2.0, 0.8), IndenterPose(-1.0, 0.0, 1.0)]
    seen = [Press(1.1, 1.9, 0.9, 0.0), Press(-0.8, -0.1, 1.2, 0.0)]
    found = SimpleNamespace(
        presses=[SimpleNamespace(fit=SimpleNamespace(gel=SimpleNamespace(press=p))) for p in seen]
    )
    offset = pose_offset(recorded, found)
    numbers = (offset.x_mm, offset.y_mm, offset.depth_mm, offset.yaw_rad)
    assert numbers == pytest.approx((0.15, -0.1, 0.15, 0.0))


def test_the_sensors_own_images_are_read_unless_another_topic_is_named(folder):
    own = [image[0, 0, 0] for _, image in images(folder / "bag")]
    assert set(own) == {100}
    other = [f.image[0, 0, 0] for f in open_recording(folder, "/simulated/image_raw").frames()]
    assert set(other) == {7}
    assert len(own) == len(other) == 21


def test_depths_count_from_felt_contact_or_from_where_the_rig_is(folder, tmp_path):
    felt = open_recording(folder).states
    rig = open_recording(folder, from_rig=True).states
    assert felt.keys() == rig.keys()
    for stamp, state in felt.items():
        pose, other = state.pose, rig[stamp].pose
        assert other.depth_mm == pytest.approx(pose.depth_mm + 0.2, abs=1e-4)
        assert (other.x_mm, other.y_mm) == pytest.approx((pose.x_mm, pose.y_mm), abs=1e-4)
        assert (state.trial, state.phase) == (rig[stamp].trial, rig[stamp].phase)
    with pytest.raises(InputError, match="is no run of this package"):
        open_recording(folder / "bag", from_rig=True)
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run" / "run.yaml").write_text("indenter: cube")
    with pytest.raises(InputError, match="has no valid pose of the indenter"):
        open_recording(tmp_path / "run", from_rig=True)


def calibrated(*depths_mm: float) -> SimpleNamespace:
    """What a calibration finds in the images."""
    presses = [Press(0.0, 0.0, depth_mm, 0.0) for depth_mm in depths_mm]
    gels = [SimpleNamespace(gel=SimpleNamespace(press=press)) for press in presses]
    return SimpleNamespace(presses=[SimpleNamespace(fit=gel) for gel in gels])


def test_the_height_of_the_rig_is_compared_with_the_depth_in_the_images(folder):
    run = open_run(folder)
    stamps = [press.stamp_ns for press in recorded_presses(run).presses[:2]]
    depths = rig_depths(run, stamps)
    # The indenter is configured at 100.2 mm, and the gel was 0.5 mm below 100 mm.
    assert depths.depths_mm == pytest.approx((0.7, 0.7), abs=1e-4)
    height = rig_height(depths, calibrated(0.48, 0.52))
    assert (height.error_mm, height.spread_mm) == pytest.approx((0.2, 0.04), abs=1e-4)
    assert height.indenter_position_mm == pytest.approx((450.0, 0.0, 100.0), abs=1e-4)
    assert "presses are 0.20 mm deeper than in the images" in height.line
    assert height.line.endswith("rig.indenter_position_mm is [450.00, 0.00, 100.00]")
    tilted = rig_height(depths, calibrated(0.3, 0.6)).line
    assert "not the same in all presses" in tilted
    assert "rig.indenter_position_mm" not in tilted


def test_a_run_that_does_not_say_where_the_indenter_was_tells_no_height(folder):
    run = open_run(folder)
    del run.run["base_to_indenter"]
    assert rig_depths(run, [PERIOD_NS]) is None


def test_true_surfaces_come_by_the_stamps_of_images(folder):
    stamps = {3 * PERIOD_NS, 10 * PERIOD_NS}
    found = true_surfaces(folder / "bag", default_sensor(), stamps)
    assert set(found) == stamps
    for stamp, surface in found.items():
        depth = 0.01 * (stamp // PERIOD_NS - 1)
        np.testing.assert_allclose(surface.position, pad(depth).position, atol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        {"point_step": 16},
        {"height": 6},
        {"is_bigendian": True},
        {"fields": []},
        {"height": 1, "width": 35},
    ],
)
def test_another_kind_of_cloud_is_refused(change):
    good = cloud(pad(0.1), 0)
    parts = {name: getattr(good, name) for name in good.__dataclass_fields__}
    with pytest.raises(InputError, match="cloud of"):
        surface_of_points(SimpleNamespace(**{**parts, **change}), default_sensor().gel)


def test_still_frames_are_those_at_the_end_of_a_step(folder):
    run = open_run(folder)
    assert still_stamps(run, ("indent", "translate", "nothing")) == {
        "indent": 6 * PERIOD_NS,
        "translate": 7 * PERIOD_NS,
    }


def test_live_medians_are_over_frames_that_touch():
    nan = float("nan")
    found = live_figures(
        LiveComparisons(
            np.arange(4),
            np.array([nan, 20.0, 30.0, 26.0]),
            np.array([nan, 10.0, 12.0, 14.0]),
            np.array([9.0, 1.0, 2.0, 3.0]),
            np.array([9.0, 0.01, 0.02, nan]),
            np.array([0.1, 0.1, 0.3, 0.1]),
        )
    )
    assert found["live_contact_psnr_db"] == 26.0
    assert found["live_background_psnr_db"] == 12.0
    assert found["live_marker_px"] == 2.0
    assert found["live_deformation_mm"] == pytest.approx(0.015)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        ("garbage", "cannot read the bag"),
        ("no file", "cannot read the bag"),
        ("no poses", "has no poses: give --inverted to replay without them, record"),
    ],
)
def test_a_damaged_bag_or_one_without_poses_is_refused_in_one_line(
    folder, tmp_path, capsys, damage, expected
):
    bag = tmp_path / "bag"
    shutil.copytree(folder / "bag", bag)
    [data] = bag.glob("*.mcap")
    content = data.read_bytes()
    if damage == "garbage":
        data.write_bytes(b"\xff" * len(content))
    elif damage == "no file":
        data.unlink()
    out = tmp_path / "out"
    arguments = ["--indenter", "sphere:diameter=5", "--out", str(out)]
    assert run(["benchmark", str(bag), *arguments]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_a_run_of_another_sensor_is_refused(folder, tmp_path, capsys):
    assert run(["benchmark", str(folder), "--out", str(tmp_path / "out")]) == 2
    assert "60 x 40 pixels, the sensor file says 320 x 240" in capsys.readouterr().err
