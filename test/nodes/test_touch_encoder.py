"""`touch_encoder` on real DDS: two sensors, topics of an image, and requests about touches."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")
pytest.importorskip("torch")

import torch
from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
from tacdiff_ros.msg import TouchEmbedding, TouchProperties, TouchSlip
from tacdiff_ros.srv import IdentifyInHand, MatchTouches, RecognizeTouch, RememberTouch

from tacdiff_ros.errors import InputError
from tacdiff_ros.nodes.conversion.images import to_image
from tacdiff_ros.nodes.node_settings import TouchEncoderSettings
from tacdiff_ros.nodes.qos import RELIABLE_IMAGES
from tacdiff_ros.nodes.touch_encoder import memory_path
from tacdiff_ros.touch_features.encoder_file import EncoderCard, save_encoder
from tacdiff_ros.touch_features.encoder_settings import EncoderSettings
from tacdiff_ros.touch_features.touch_encoder import TouchEncoder
from tacdiff_ros.touch_features.touch_heads import COLOURS, TouchModel
from tacdiff_ros.touch_features.training_batches import FLOORS, PROPERTIES

SMALL = EncoderSettings(channels=(8, 8, 16, 16), blocks=(1, 1, 1, 1), features=16)
RANDOM = np.random.default_rng(0)
REFERENCE = np.full((240, 320, 3), 100, np.uint8)
PRESSED = np.clip(REFERENCE + RANDOM.integers(-40, 40, (1, 1, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder with random weights that says that the whole gel is touched."""
    torch.manual_seed(0)
    model = TouchModel(SMALL, len(PROPERTIES)).eval()
    with torch.no_grad():
        model.heads.pixels.bias[2 * COLOURS] += 10.0
    folder = tmp_path_factory.mktemp("encoder")
    zeros, ones = (0.0,) * len(PROPERTIES), (1.0,) * len(PROPERTIES)
    card = EncoderCard(
        settings=SMALL, properties=PROPERTIES, floors=FLOORS, mean=zeros, stddev=ones
    )
    save_encoder(folder, model, card)
    return folder


@pytest.fixture(scope="module")
def met(meeting: Any, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    data = tmp_path_factory.mktemp("data")
    parameters = {"encoder": encoder, "second_sensor": True, "data_folder": data, "frame_id": "a"}
    words = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    started = meeting("touch_encoder", words)
    started.node.data_folder = data
    return started


def ask(met: Any, kind: Any, name: str, **fields: Any) -> Any:
    client = met.node.create_client(kind, name)
    assert client.wait_for_service(20.0)
    future = client.call_async(kind.Request(**fields))
    met.spin(20.0, future.done)
    assert future.done(), name
    met.node.destroy_client(client)
    return future.result()


def test_a_touch_is_described_remembered_and_identified_in_the_hand(
    met: Any, encoder: Path
) -> None:
    refused = ask(met, RecognizeTouch, "recognize_touch")
    assert not refused.success and "no reference image" in refused.message
    refused = ask(met, Trigger, "touch_encoder/take_reference")
    assert not refused.success and "is the driver on?" in refused.message
    topics = ("image_raw", "second/image_raw")
    publishers = [met.node.create_publisher(Image, topic, RELIABLE_IMAGES) for topic in topics]
    heard: dict[str, list[Any]] = {}
    kinds = {
        "slip": TouchSlip,
        "touch_embedding": TouchEmbedding,
        "touch_properties": TouchProperties,
    }
    for name in (prefix + kind for kind in kinds for prefix in ("", "second/")):
        heard[name] = []
        kind = kinds[name.removeprefix("second/")]
        met.node.create_subscription(kind, name, heard[name].append, 10)
    met.meet(*publishers)

    def show(image: np.ndarray, stamp_s: int) -> None:
        for publisher in publishers:
            publisher.publish(to_image(image, Time(sec=stamp_s), "camera"))
        met.spin(0.3)

    show(REFERENCE, 1)
    assert ask(met, Trigger, "touch_encoder/take_reference").success
    stale = ask(met, RememberTouch, "remember_touch", name="cup")
    assert not stale.success and "no image within" in stale.message
    show(PRESSED, 2)
    met.spin(10.0, lambda: all(heard.values()))
    expected = TouchEncoder(encoder, threads=1).read(PRESSED, REFERENCE)
    np.testing.assert_allclose(heard["touch_embedding"][0].touch, expected.touch, atol=1e-5)
    header = heard["second/touch_embedding"][0].header
    assert (header.stamp.sec, header.frame_id) == (2, "second_gel")
    slip, properties = heard["slip"][0], heard["touch_properties"][0]
    assert slip.header.frame_id == "a" and slip.in_contact
    assert slip.slip_fraction == pytest.approx(expected.properties["slip_fraction"], rel=1e-4)
    assert properties.force == pytest.approx(expected.properties["force"], rel=1e-4)
    area_mm2 = expected.properties["contact_area_mm2"]
    assert properties.area == pytest.approx(1e-6 * area_mm2, rel=1e-4)
    assert properties.curvature == pytest.approx(1e3 * expected.properties["curvature"], rel=1e-4)
    show(PRESSED, 3)
    remembered = ask(met, RememberTouch, "remember_touch", name="cup")
    assert remembered.success and remembered.examples == 2, remembered.message
    assert (met.node.data_folder / "touch_memory.npz").is_file()
    show(PRESSED, 4)
    recognized = ask(met, RecognizeTouch, "recognize_touch")
    assert recognized.known and list(recognized.names) == ["cup"], recognized.message
    show(PRESSED, 5)
    matched = ask(met, MatchTouches, "match_touches")
    assert matched.same and matched.similarity == pytest.approx(1.0, abs=1e-4)
    show(PRESSED, 6)
    identified = ask(met, IdentifyInHand, "identify_in_hand")
    assert identified.known and identified.similarity[0] == pytest.approx(1.0, abs=1e-4)
    forgotten = ask(met, RememberTouch, "remember_touch", name="cup", forget=True)
    assert forgotten.success
    again = ask(met, RememberTouch, "remember_touch", name="cup", forget=True)
    assert not again.success and "not remembered" in again.message


def test_a_memory_outside_of_the_data_folder_is_refused() -> None:
    for name in ("../memory.npz", "/memory.npz", "memory.txt", ""):
        with pytest.raises(InputError, match=r"file name ending in \.npz"):
            memory_path(TouchEncoderSettings(memory_file=name))


def test_a_damaged_memory_ends_the_node_with_one_line(encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "touch_memory.npz").write_bytes(b"PK")
    words = ["-p", f"encoder:={encoder}", "-p", f"data_folder:={tmp_path}"]
    ended = subprocess.run(
        [sys.executable, "-m", "tacdiff_ros.nodes.touch_encoder", "--ros-args", *words],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 2
    lines = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "cannot read touch memory" in lines[0]
