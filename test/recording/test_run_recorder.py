"""What was recorded can be read again, whatever happened to the writer."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from rosbags.highlevel import AnyReader

from tacdiff_ros.acquisition.protocol import Phase
from tacdiff_ros.acquisition.sampling import Activity, Sample
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.recording import run_recorder as recording
from tacdiff_ros.recording.bag_reading import images, messages, open_run
from tacdiff_ros.recording.bag_repair import is_finished, lock_bag, repair_bag
from tacdiff_ros.recording.run_recorder import INDEX_COLUMNS, RunRecorder, Topic, make_typestore

SOURCES = Path(__file__).resolve().parents[2]
DEFINITIONS = {
    "touch_msgs/msg/Touch": "std_msgs/Header header\nfloat64 depth\ntouch_msgs/Flags flags\n",
    "touch_msgs/msg/Flags": "bool in_contact\nstring step\n",
}
IMAGES = Topic("/image_raw", "sensor_msgs/msg/Image")
POSES = Topic("/target_pose", "geometry_msgs/msg/PoseStamped")
TOUCHES = Topic("/touch", "touch_msgs/msg/Touch")
STORE = make_typestore(DEFINITIONS)
TYPES = STORE.types
START_NS = 1_700_000_000 * 1_000_000_000
PERIOD_NS = 40_000_000


def header(stamp_ns: int):
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    stamp = TYPES["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)
    return TYPES["std_msgs/msg/Header"](stamp=stamp, frame_id="gel")


def picture(k: int, shape=(24, 32, 3)) -> np.ndarray:
    return np.random.default_rng(k).integers(0, 256, shape, np.uint8)


def image_bytes(k: int, encoding: str = "rgb8", padding: int = 0) -> bytes:
    rgb = picture(k)
    pixels = rgb[..., ::-1] if encoding == "bgr8" else rgb
    rows = np.pad(pixels.reshape(24, -1), ((0, 0), (0, padding)))
    message = TYPES[IMAGES.type_name](
        header=header(START_NS + k * PERIOD_NS),
        height=24,
        width=32,
        encoding=encoding,
        is_bigendian=0,
        step=rows.shape[1],
        data=rows.ravel(),
    )
    return bytes(STORE.serialize_cdr(message, IMAGES.type_name))


def pose_bytes(k: int) -> bytes:
    make_point, make_turn = TYPES["geometry_msgs/msg/Point"], TYPES["geometry_msgs/msg/Quaternion"]
    pose = TYPES["geometry_msgs/msg/Pose"](
        position=make_point(x=0.001 * k, y=-0.5, z=0.25),
        orientation=make_turn(x=0.0, y=1.0, z=0.0, w=0.0),
    )
    message = TYPES[POSES.type_name](header=header(START_NS + k * PERIOD_NS), pose=pose)
    return bytes(STORE.serialize_cdr(message, POSES.type_name))


def touch_bytes(k: int) -> bytes:
    flags = TYPES["touch_msgs/msg/Flags"](in_contact=k % 2 == 1, step=f"step {k}")
    stamp = header(START_NS + k * PERIOD_NS)
    message = TYPES[TOUCHES.type_name](header=stamp, depth=0.01 * k, flags=flags)
    return bytes(STORE.serialize_cdr(message, TOUCHES.type_name))


def sample(k: int) -> Sample:
    indenter = Pose.from_euler([450.0, 0.0, 100.0], [np.pi, 0.0, 0.0])
    gel = indenter @ Pose.from_euler([0.5, -0.25, -0.01 * k], [0, 0, 0.1]).inverse()
    return Sample(
        index=k,
        stamp_ns=START_NS + k * PERIOD_NS,
        activity=Activity(3, Phase.INDENT, "indent", "dwelling", True, gel, indenter),
        commanded=gel.inverse() @ indenter,
        measured=gel.inverse() @ indenter,
        gel=gel,
        force_n=np.array([0.1, 0.2, -3.0]),
        torque_n_m=np.array([0.01, 0.0, 0.0]),
        gap_s=0.0004,
    )


def start(folder: Path) -> RunRecorder:
    return RunRecorder(
        folder, [IMAGES, POSES, TOUCHES], DEFINITIONS, {"trials": 2}, {"indenter": "ball 4 mm"}
    )


def record(folder: Path, count: int) -> RunRecorder:
    """A run of `count` images, poses and touches, closed properly."""
    recorder = start(folder)
    for k in range(count):
        stamp_ns = START_NS + k * PERIOD_NS
        recorder.write(IMAGES.name, stamp_ns, image_bytes(k))
        recorder.write(POSES.name, stamp_ns, pose_bytes(k))
        recorder.write(TOUCHES.name, stamp_ns, touch_bytes(k))
        recorder.write_sample(sample(k))
    recorder.close({"success": True})
    return recorder


@pytest.fixture
def flush_always(monkeypatch):
    """Every message in a chunk of its own, as if half a second passed between any two."""
    monkeypatch.setattr(recording, "FLUSH_PERIOD_S", 0.0)


def raw_messages(bag: Path) -> list[tuple[str, int, bytes]]:
    """Everything in a bag, by the reference reader."""
    with AnyReader([bag]) as reader:
        return [(c.topic, stamp, bytes(data)) for c, stamp, data in reader.messages()]


# --- a recording that was closed -----------------------------------------------------------


def test_every_message_is_read_back_byte_for_byte_under_its_stamp(tmp_path):
    assert record(tmp_path / "run", 60).failure is None
    found = raw_messages(tmp_path / "run" / "bag")
    for topic, write in ((IMAGES, image_bytes), (POSES, pose_bytes), (TOUCHES, touch_bytes)):
        of_topic = [(stamp, data) for name, stamp, data in found if name == topic.name]
        assert of_topic == [(START_NS + k * PERIOD_NS, write(k)) for k in range(60)]
    assert len(found) == 180


def test_images_come_back_as_the_pictures_that_were_taken(tmp_path):
    record(tmp_path / "run", 20)
    found = list(images(tmp_path / "run" / "bag"))
    assert [stamp for stamp, _ in found] == [START_NS + k * PERIOD_NS for k in range(20)]
    for k, (_, image) in enumerate(found):
        np.testing.assert_array_equal(image, picture(k))


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8"])
@pytest.mark.parametrize("padding", [0, 5])
def test_colour_order_and_row_padding_do_not_change_the_picture(tmp_path, encoding, padding):
    recorder = start(tmp_path / "run")
    recorder.write(IMAGES.name, START_NS, image_bytes(7, encoding, padding))
    recorder.close({})
    ((_, image),) = images(tmp_path / "run" / "bag", IMAGES.name)
    np.testing.assert_array_equal(image, picture(7))


def test_own_message_types_are_readable_from_the_bag_alone(tmp_path):
    record(tmp_path / "run", 5)
    found = list(messages(tmp_path / "run" / "bag", TOUCHES.type_name))
    assert [stamp for stamp, _ in found] == [START_NS + k * PERIOD_NS for k in range(5)]
    assert [(m.depth, m.flags.in_contact, m.flags.step) for _, m in found] == [
        (0.01 * k, k % 2 == 1, f"step {k}") for k in range(5)
    ]


def test_the_index_says_what_was_sampled(tmp_path):
    record(tmp_path / "run", 30)
    run = open_run(tmp_path / "run")
    assert list(run.columns) == INDEX_COLUMNS
    assert run.sample_count == 30
    assert not run.repaired
    np.testing.assert_array_equal(run.columns["sample"], np.arange(30))
    expected_ns = START_NS + PERIOD_NS * np.arange(30)
    np.testing.assert_array_equal(run.columns["stamp_ns"], expected_ns)
    assert set(run.columns["phase"]) == {"indent"}
    assert set(run.columns["motion"]) == {"dwelling"}
    np.testing.assert_allclose(run.columns["measured_depth_mm"], 0.01 * np.arange(30), atol=1e-6)
    np.testing.assert_allclose(run.columns["measured_x_mm"], 0.5, atol=1e-6)
    np.testing.assert_allclose(run.columns["measured_yaw_rad"], 0.1, atol=1e-6)
    np.testing.assert_allclose(run.columns["force_z_n"], -3.0)
    np.testing.assert_allclose(run.columns["pose_gap_ms"], 0.4)


def test_the_run_says_what_was_asked_for_and_how_it_ended(tmp_path):
    record(tmp_path / "run", 3)
    run = open_run(tmp_path / "run").run
    assert run == {"indenter": "ball 4 mm", "outcome": {"success": True}}
    assert yaml.safe_load((tmp_path / "run" / "protocol.yaml").read_text()) == {"trials": 2}


def test_a_closed_bag_needs_no_repair(tmp_path):
    record(tmp_path / "run", 3)
    bag = tmp_path / "run" / "bag"
    before = (bag / "bag.mcap").read_bytes()
    assert is_finished(bag)
    assert not repair_bag(bag)
    assert (bag / "bag.mcap").read_bytes() == before


def test_nothing_that_exists_is_overwritten(tmp_path):
    record(tmp_path / "run", 3)
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    with pytest.raises(InputError, match="exists already"):
        start(tmp_path / "run")
    assert {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()} == before


def test_a_place_where_nothing_can_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot record to"):
        start(tmp_path / "file" / "run")


def test_a_disk_that_is_full_at_the_start_leaves_the_name_free(tmp_path, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("tacdiff_ros.recording.run_recorder.write_yaml", full)
        with pytest.raises(InputError, match="No space left"):
            start(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
    start(tmp_path / "run").close({"success": True})


# --- a recording whose writer was killed ---------------------------------------------------

WRITER = """
import sys, time
sys.path[:0] = [sys.argv[2]]
from pathlib import Path
import test_run_recorder as t
recorder = t.start(Path(sys.argv[1]))
print("started", flush=True)
k = 0
while True:
    recorder.write(t.POSES.name, time.time_ns(), t.pose_bytes(k))
    if k % 20 == 0:
        recorder.write_sample(t.sample(k // 20))
    k += 1
    time.sleep(0.005)
"""


def test_a_killed_recorder_loses_at_most_the_last_second(tmp_path):
    """SIGKILL in the middle of writing, then the bag and the index up to a second before it."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    arguments = [sys.executable, "-c", WRITER, str(tmp_path / "run"), str(Path(__file__).parent)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, env=environment) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline().strip() == b"started"
        time.sleep(2.5)
        writer.send_signal(signal.SIGKILL)
        killed_ns = time.time_ns()
    assert not is_finished(tmp_path / "run" / "bag")
    run = open_run(tmp_path / "run")
    assert run.repaired
    found = raw_messages(run.bag)
    assert killed_ns - found[-1][1] < 1_000_000_000
    assert [data for _, _, data in found] == [pose_bytes(k) for k in range(len(found))]
    assert 20 * run.sample_count > len(found) - 220  # a row for every twentieth message
    np.testing.assert_array_equal(run.columns["sample"], np.arange(run.sample_count))
    assert not open_run(tmp_path / "run").repaired  # it stays repaired


def killed(folder: Path, size: int | None = None, source: Path | None = None) -> Path:
    """A bag as a killed writer leaves it: no metadata, cut off anywhere."""
    bag = folder / "bag"
    bag.mkdir(parents=True)
    content = (source or folder.parent / "run" / "bag" / "bag.mcap").read_bytes()
    (bag / "bag.mcap").write_bytes(content[:size])
    return bag


@pytest.mark.parametrize("seed", range(3))
def test_wherever_a_bag_is_cut_off_what_came_before_is_saved(tmp_path, flush_always, seed):
    record(tmp_path / "run", 25)
    whole = raw_messages(tmp_path / "run" / "bag")
    content = (tmp_path / "run" / "bag" / "bag.mcap").read_bytes()
    size, header_end = len(content), 8 + 9 + int.from_bytes(content[9:17], "little")
    random = np.random.default_rng(seed)
    offsets = [*range(12), *random.integers(12, size, 30), header_end, size - 9, size - 1, size]
    saved = []
    for offset in sorted(int(o) for o in offsets):
        bag = killed(tmp_path / f"cut_{offset}", offset)
        if offset < header_end:  # nothing was recorded by then
            with pytest.raises(InputError, match=r"mcap|repaired"):
                repair_bag(bag)
            continue
        assert repair_bag(bag)
        found = raw_messages(bag)
        assert found == whole[: len(found)]
        saved.append(len(found))
    assert saved == sorted(saved)
    assert saved[-1] == len(whole)


def test_what_lies_before_the_cut_is_lost_by_one_chunk_at_most(tmp_path, flush_always):
    """Cut just behind the bytes of the k-th message's chunk, k messages are there."""
    record(tmp_path / "run", 10)
    content = (tmp_path / "run" / "bag" / "bag.mcap").read_bytes()
    for k in range(10):
        end = content.index(touch_bytes(k)) + len(touch_bytes(k))
        bag = killed(tmp_path / f"cut_{k}", end)
        repair_bag(bag)
        assert len(raw_messages(bag)) in (3 * k + 2, 3 * k + 3)


@pytest.mark.parametrize("seed", range(3))
def test_a_bag_with_damaged_bytes_is_read_or_refused_but_never_crashes(tmp_path, seed):
    """Bits flip anywhere; each outcome is data or one line for a person."""
    record(tmp_path / "run", 8)
    random = np.random.default_rng(seed)
    content = (tmp_path / "run" / "bag" / "bag.mcap").read_bytes()
    for attempt in range(25):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), 20):
            damaged[place] ^= int(random.integers(1, 256))
        source = tmp_path / "damaged.mcap"
        source.write_bytes(damaged)
        bag = killed(tmp_path / f"damaged_{attempt}", source=source)
        try:
            repair_bag(bag)
            for _ in images(bag):
                pass
        except InputError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("content", [b"", b"\x89MCAP0\r\n", b"garbage" * 100, b"\0" * 5000])
def test_garbage_in_place_of_a_bag_is_refused(tmp_path, content):
    bag = tmp_path / "bag"
    bag.mkdir()
    (bag / "bag.mcap").write_bytes(content)
    with pytest.raises(InputError):
        repair_bag(bag)
        list(images(bag))


@pytest.mark.parametrize("metadata", ["", "garbage: [", "[]", "rosbag2_bagfile_information: {}"])
def test_a_bag_with_unusable_metadata_is_refused(tmp_path, metadata):
    record(tmp_path / "run", 2)
    (tmp_path / "run" / "bag" / "metadata.yaml").write_text(metadata)
    with pytest.raises(InputError, match="bag"):
        list(images(tmp_path / "run" / "bag"))


def test_a_folder_without_a_bag_or_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="no rosbag2"):
        repair_bag(tmp_path)
    with pytest.raises(InputError, match=r"index\.csv is missing"):
        open_run(tmp_path)
    with pytest.raises(InputError, match="cannot read the bag"):
        list(images(tmp_path / "absent"))


def test_a_topic_or_type_that_is_not_there_is_named(tmp_path):
    record(tmp_path / "run", 2)
    with pytest.raises(InputError, match="named /other"):
        list(images(tmp_path / "run" / "bag", "/other"))
    with pytest.raises(InputError, match="sensor_msgs/msg/Imu"):
        list(messages(tmp_path / "run" / "bag", "sensor_msgs/msg/Imu"))


def test_images_of_another_kind_are_named(tmp_path):
    recorder = start(tmp_path / "run")
    recorder.write(IMAGES.name, START_NS, image_bytes(0, "32FC1"))
    recorder.close({})
    with pytest.raises(InputError, match="32FC1"):
        list(images(tmp_path / "run" / "bag"))


def test_a_bag_that_is_being_written_is_left_alone(tmp_path, flush_always):
    recorder = start(tmp_path / "run")
    for k in range(5):
        recorder.write(POSES.name, START_NS + k, pose_bytes(k))
    with pytest.raises(InputError, match="being recorded right now"):
        repair_bag(recorder.bag)
    with pytest.raises(InputError, match="being recorded right now"):
        open_run(recorder.folder)
    for k in range(5, 10):
        recorder.write(POSES.name, START_NS + k, pose_bytes(k))
    recorder.close({})
    assert [data for *_, data in raw_messages(recorder.bag)] == [pose_bytes(k) for k in range(10)]


def test_an_index_that_was_cut_off_anywhere_loses_its_last_row_only(tmp_path):
    record(tmp_path / "run", 4)
    index = tmp_path / "run" / "index.csv"
    content = index.read_bytes()
    last_row = content.rstrip().rindex(b"\n") + 1
    for size in range(last_row, len(content) - 1):  # from its first byte to all but its end
        index.write_bytes(content[:size])
        run = open_run(tmp_path / "run")
        assert run.sample_count == 3
        np.testing.assert_array_equal(run.columns["sample"], [0, 1, 2])
    index.write_bytes(content[:40])
    assert open_run(tmp_path / "run").sample_count == 0


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe\x00\x01" * 50 + b"\n", b"sample,stamp_ns\r\nzero,one\r\n", b"a\r\n\0\r\n"],
)
def test_an_index_that_is_no_index_is_refused(tmp_path, content):
    record(tmp_path / "run", 2)
    (tmp_path / "run" / "index.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"index\.csv"):
        open_run(tmp_path / "run")


def test_a_run_file_that_is_not_yaml_is_refused(tmp_path):
    record(tmp_path / "run", 2)
    (tmp_path / "run" / "run.yaml").write_text("indenter: [")
    with pytest.raises(InputError, match=r"run\.yaml"):
        open_run(tmp_path / "run")


# --- a disk that does not take any more ----------------------------------------------------


def wait_for_failure(recorder: RunRecorder) -> str:
    deadline = time.monotonic() + 5.0
    k = 0
    while recorder.failure is None and time.monotonic() < deadline:
        recorder.write(POSES.name, START_NS + k, pose_bytes(k))
        k += 1
        time.sleep(0.002)
    assert recorder.failure is not None
    return recorder.failure


def test_a_disk_that_is_nearly_full_is_a_failure_before_it_is_full(
    tmp_path, flush_always, monkeypatch
):
    recorder = start(tmp_path / "run")
    almost = SimpleNamespace(f_bavail=1000, f_frsize=4096)
    monkeypatch.setattr(recording.os, "statvfs", lambda _path: almost)
    failure = wait_for_failure(recorder)
    assert "MiB are free" in failure
    recorder.close({"success": False})
    found = raw_messages(recorder.bag)  # what was written until then is there
    assert [data for *_, data in found] == [pose_bytes(k) for k in range(len(found))]
    assert found


def test_a_full_disk_is_a_failure_and_not_a_crash(tmp_path, flush_always, monkeypatch):
    recorder = start(tmp_path / "run")
    for k in range(4):
        recorder.write(POSES.name, START_NS + k, pose_bytes(k))
    while recorder._queue.qsize():
        time.sleep(0.01)

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recorder._writer, "write", full)
    assert "No space left on device" in wait_for_failure(recorder)
    monkeypatch.setattr(recorder._writer, "close", full)
    recorder.close({"success": False})
    assert "No space left on device" in recorder.failure
    assert is_finished(recorder.bag)
    assert len(raw_messages(recorder.bag)) in (3, 4)


def raise_error(error: BaseException):
    def raising(*_arguments):
        raise error

    return raising


@pytest.mark.parametrize("error", [RuntimeError("broken writer"), SystemExit(3), KeyError("x")])
def test_whatever_is_raised_while_writing_ends_the_run_with_its_cause(
    tmp_path, monkeypatch, caplog, error
):
    recorder = start(tmp_path / "run")
    for k in range(4):
        recorder.write(POSES.name, START_NS + k, pose_bytes(k))
    while recorder._queue.qsize():
        time.sleep(0.01)
    time.sleep(0.1)  # the last one is being written
    monkeypatch.setattr(recorder._writer, "write", raise_error(error))
    assert wait_for_failure(recorder) == f"cannot record: {type(error).__name__}: {error}"
    recorder.close({"success": True})
    assert "Traceback" in caplog.text
    assert "in raising" in caplog.text
    outcome = yaml.safe_load((tmp_path / "run" / "run.yaml").read_text())["outcome"]
    assert outcome["success"] is False
    assert (outcome["cause"], outcome["message"]) == ("recording_failed", recorder.failure)
    assert [data for *_, data in raw_messages(recorder.bag)] == [pose_bytes(k) for k in range(4)]


def test_a_topic_that_was_not_announced_ends_the_run_with_its_name(tmp_path):
    recorder = start(tmp_path / "run")
    recorder.write("/unannounced", START_NS, b"")
    assert "'/unannounced'" in wait_for_failure(recorder)
    recorder.close({})


@pytest.mark.parametrize("part", ["_writer", "_index_file"])
@pytest.mark.parametrize("error", [RuntimeError("no close"), OSError(5, "Input/output error")])
def test_an_error_at_the_close_is_no_exception_and_leaves_a_readable_bag(
    tmp_path, monkeypatch, part, error
):
    recorder = start(tmp_path / "run")
    for k in range(4):
        recorder.write(POSES.name, START_NS + k, pose_bytes(k))
    if part == "_writer":
        monkeypatch.setattr(recorder._writer, "close", raise_error(error))
    else:
        recorder._index_file.close()
        recorder._index_file = SimpleNamespace(close=raise_error(error))
    recorder.close({"success": True})
    assert "cannot close the recording" in recorder.failure
    assert str(error) in recorder.failure
    assert is_finished(recorder.bag)
    raw_messages(recorder.bag)
    outcome = yaml.safe_load((tmp_path / "run" / "run.yaml").read_text())["outcome"]
    assert (outcome["success"], outcome["message"]) == (False, recorder.failure)


def test_a_thread_that_ended_is_a_failure_and_the_close_does_not_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "MAX_BACKLOG", 20)
    monkeypatch.setattr(RunRecorder, "_write_item", raise_error(RuntimeError("broken thread")))
    recorder = start(tmp_path / "run")
    assert "broken thread" in wait_for_failure(recorder)
    for k in range(100):
        recorder.write(POSES.name, START_NS + k, pose_bytes(k))
    began = time.monotonic()
    recorder.close({})
    assert time.monotonic() - began < 1.0
    lock = lock_bag(recorder.bag)
    os.close(lock)


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [(0, "the disk did not respond for 0.3 s"), (50, "does not keep up: 20 messages")],
)
def test_a_disk_that_blocks_does_not_block_the_close(
    tmp_path, flush_always, monkeypatch, waiting, expected
):
    """Neither with one message nor with a full queue behind a write that does not return."""
    monkeypatch.setattr(recording, "MAX_BACKLOG", 20)
    monkeypatch.setattr(recording, "CLOSE_TIMEOUT_S", 0.3)
    recorder = start(tmp_path / "run")
    for k in range(4):
        recorder.write(POSES.name, START_NS + k, pose_bytes(k))
    while recorder._queue.qsize():
        time.sleep(0.01)
    time.sleep(0.1)
    blocked, answers = threading.Event(), threading.Event()
    monkeypatch.setattr(recorder._writer, "write", lambda *_: (blocked.set(), answers.wait()))
    recorder.write(POSES.name, START_NS, pose_bytes(0))
    assert blocked.wait(5.0)
    for k in range(waiting):
        recorder.write(POSES.name, START_NS + k, pose_bytes(k))
    began = time.monotonic()
    recorder.close({"success": True})
    assert time.monotonic() - began < 2.0
    assert expected in recorder.failure
    assert repair_bag(recorder.bag)  # nobody holds its lock
    found = [data for *_, data in raw_messages(recorder.bag)]
    assert found == [pose_bytes(k) for k in range(4)]
    answers.set()
    recorder._thread.join(5.0)
    assert not recorder._thread.is_alive()
    assert [data for *_, data in raw_messages(recorder.bag)] == found


def test_a_run_can_be_closed_twice(tmp_path):
    recorder = record(tmp_path / "run", 3)
    recorder.close({"success": True})
    assert recorder.failure is None
    assert len(raw_messages(recorder.bag)) == 9


def test_a_disk_that_is_too_slow_is_a_failure_and_no_silent_loss(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "MAX_BACKLOG", 20)
    recorder = start(tmp_path / "run")
    write = recorder._writer.write
    monkeypatch.setattr(recorder._writer, "write", lambda *a: (time.sleep(0.02), write(*a)))
    for k in range(60):
        recorder.write(POSES.name, START_NS + k, pose_bytes(k))
    assert recorder.failure is not None
    assert "does not keep up: 20 messages" in recorder.failure
    recorder.close({"success": False})
    found = raw_messages(recorder.bag)
    assert [data for *_, data in found] == [pose_bytes(k) for k in range(len(found))]


def test_a_type_without_a_definition_is_refused(tmp_path):
    with pytest.raises(InputError, match="touch_msgs/msg/Touch"):
        RunRecorder(tmp_path / "run", [TOUCHES], {}, {}, {})
    with pytest.raises(InputError, match="touch_msgs/msg/Flags"):
        touch_only = {name: DEFINITIONS[name] for name in (TOUCHES.type_name,)}
        RunRecorder(tmp_path / "run", [TOUCHES], touch_only, {}, {})
    assert not (tmp_path / "run").exists()
