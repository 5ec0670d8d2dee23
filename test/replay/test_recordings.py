"""Recordings without poses: folders of images, videos, bags, and what is said about others."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import Writer

from tacdiff_ros.acquisition.protocol import IndenterPose
from tacdiff_ros.cli.application import run
from tacdiff_ros.errors import InputError
from tacdiff_ros.recording.bag_reading import RecordedRun
from tacdiff_ros.recording.run_recorder import make_typestore
from tacdiff_ros.replay.replay_frames import open_recording
from tacdiff_ros.virtual.frames import GeneratedFrames

IMAGE = "sensor_msgs/msg/Image"
STATE = "tacdiff_ros/msg/AcquisitionState"
STATE_FIELDS = (
    "std_msgs/Header header\ngeometry_msgs/Pose measured_indenter\nuint32 trial\nuint8 phase\n"
)
STORE = make_typestore({STATE: STATE_FIELDS})
FRAME = GeneratedFrames().render(IndenterPose())


def write_bag(bag: Path, stamp_ns: int, topics: tuple[str, ...] = ("/image_raw",)) -> Path:
    """Three images on each topic, and states under the same stamps."""
    types = STORE.types
    with Writer(bag, version=9) as writer:
        connections = {name: writer.add_connection(name, IMAGE, typestore=STORE) for name in topics}
        states = writer.add_connection("/acquisition_state", STATE, typestore=STORE)
        for k in range(3):
            stamp = types["builtin_interfaces/msg/Time"](sec=0, nanosec=(k + 1) * stamp_ns)
            header = types["std_msgs/msg/Header"](stamp=stamp, frame_id="gel")
            image = types[IMAGE](header, 240, 320, "rgb8", 0, 960, FRAME.ravel())
            pose = types["geometry_msgs/msg/Pose"](
                types["geometry_msgs/msg/Point"](0.001, 0.0, -0.0005),
                types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0),
            )
            for connection in connections.values():
                writer.write(connection, k, bytes(STORE.serialize_cdr(image, IMAGE)))
            state = types[STATE](header, pose, 0, 4)
            writer.write(states, k, bytes(STORE.serialize_cdr(state, STATE)))
    return bag


@pytest.mark.parametrize("kind", ["folder", "video"])
def test_images_alone_are_a_recording_without_poses(tmp_path, kind):
    source = tmp_path / "frames"
    if kind == "folder":
        source.mkdir()
        for name in ("9.png", "10.png", "11.png"):
            cv2.imwrite(str(source / name), np.full((24, 32, 3), int(Path(name).stem), np.uint8))
    else:
        source = source.with_suffix(".avi")
        code = cv2.VideoWriter.fourcc(*"FFV1")
        video = cv2.VideoWriter(str(source), code, 25.0, (32, 24))
        for value in (9, 10, 11):
            video.write(np.full((24, 32, 3), value, np.uint8))
        video.release()
    recording = open_recording(source)
    assert recording.frame_count == 3
    assert not recording.states
    found = [(frame.stamp_ns, frame.image[0, 0, 0], frame.state) for frame in recording.frames()]
    assert found == [(0, 9, None), (40_000_000, 10, None), (80_000_000, 11, None)]


def test_a_bag_gives_the_recorded_pose_of_each_image_unless_none_are_wanted(tmp_path):
    bag = write_bag(tmp_path / "bag", 40_000_000)
    depths = [frame.state.pose.depth_mm for frame in open_recording(bag).frames()]
    assert depths == pytest.approx([0.5] * 3)
    assert [f.state for f in open_recording(bag, with_poses=False).frames()] == [None] * 3


def test_images_without_stamp_have_no_poses_and_the_message_says_why(tmp_path):
    bag = write_bag(tmp_path / "bag", 0)
    with pytest.raises(InputError, match=r"images carry no stamp \(header.stamp is 0\), so their"):
        open_recording(bag)
    assert "carry no stamp" in open_recording(bag, with_poses=False).notes[0]


def test_a_folder_without_a_recording_and_a_topic_of_no_bag_are_named(tmp_path):
    (tmp_path / "deeper").mkdir()
    with pytest.raises(InputError, match=r"holds no recording: expected index.csv, poses.csv"):
        open_recording(tmp_path)
    cv2.imwrite(str(tmp_path / "deeper" / "0.png"), FRAME)
    with pytest.raises(InputError, match="is no bag: leave out --topic"):
        open_recording(tmp_path, "/image_raw")


def test_markers_are_tracked_in_a_bag_whose_recorder_was_killed(tmp_path, capsys):
    bag = write_bag(tmp_path / "bag", 40_000_000, ("/gel", "/scene"))
    (bag / "metadata.yaml").unlink()
    assert run(["markers", str(bag)]) == 2
    assert "2 image topics, choose one by --topic: /gel (Image, 3 of" in capsys.readouterr().err
    assert run(["markers", str(bag), "--topic", "/gel", "--json"]) == 0
    captured = capsys.readouterr()
    assert "has no metadata.yaml: it was read from bag.db3" in captured.err.replace("\n", " ")
    assert [frame["found"] for frame in json.loads(captured.out)["frames"]] == [63] * 3


def test_a_run_with_a_further_camera_names_its_own_image_topic(tmp_path):
    write_bag(tmp_path / "bag", 40_000_000, ("/gel/image_raw", "/scene/image_raw"))
    named = RecordedRun(tmp_path, {}, {"image_topic": "/gel/image_raw"}, repaired=False)
    assert [stamp for stamp, _ in named.images()] == [40_000_000, 80_000_000, 120_000_000]
    with pytest.raises(InputError, match="choose one by --topic"):
        list(RecordedRun(tmp_path, {}, {}, repaired=False).images())
