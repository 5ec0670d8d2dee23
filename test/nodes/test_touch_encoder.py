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
from tacdiff_ros.nodes.touch_encoder import memory_path, slip_head_of
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


class Camera:
    """Publishes the same image for both sensors at 25 Hz, while it is on."""

    def __init__(self, met: Any) -> None:
        self.image: np.ndarray | None = None
        self.frame = 0
        topics = ("image_raw", "second/image_raw")
        self.publishers = [met.node.create_publisher(Image, t, RELIABLE_IMAGES) for t in topics]
        met.node.create_timer(0.04, self._publish)
        met.meet(*self.publishers)

    def _publish(self) -> None:
        if self.image is None:
            return
        self.frame += 1
        stamp = Time(sec=1 + self.frame // 25, nanosec=40_000_000 * (self.frame % 25))
        for publisher in self.publishers:
            publisher.publish(to_image(self.image, stamp, "camera"))


def ask(met: Any, kind: Any, service: str, **fields: Any) -> Any:
    """Response of a service."""
    client = met.node.create_client(kind, service)
    assert client.wait_for_service(20.0)
    future = client.call_async(kind.Request(**fields))
    met.spin(20.0, future.done)
    assert future.done(), service
    met.node.destroy_client(client)
    return future.result()


def ask_with_camera(met: Any, kind: Any, service: str, **fields: Any) -> Any:
    """Response while the camera is on; a busy machine may have delayed its images."""
    for _ in range(20):
        response = ask(met, kind, service, **fields)
        if response.success or "no image" not in response.message:
            break
        met.spin(0.5)
    assert response.success, response.message
    return response


def heard(met: Any, *kinds: tuple[str, Any]) -> dict[str, list[Any]]:
    """Messages of both sensors, by topic, from now on."""
    messages: dict[str, list[Any]] = {}
    for name, kind in kinds:
        for topic in (name, f"second/{name}"):
            messages[topic] = []
            met.node.create_subscription(kind, topic, messages[topic].append, 10)
    return messages


def test_requests_without_reference_or_images_are_refused_with_the_reason(met: Any) -> None:
    refused = ask(met, RecognizeTouch, "recognize_touch")
    assert not refused.success and "no reference image" in refused.message
    refused = ask(met, Trigger, "touch_encoder/take_reference")
    assert not refused.success and "is the driver on?" in refused.message


def test_a_touch_is_described_remembered_and_identified_in_the_hand(
    met: Any, encoder: Path
) -> None:
    slip, embedding, properties = "slip", "touch_embedding", "touch_properties"
    messages = heard(
        met, (slip, TouchSlip), (embedding, TouchEmbedding), (properties, TouchProperties)
    )
    camera = Camera(met)
    camera.image = REFERENCE
    ask_with_camera(met, Trigger, "touch_encoder/take_reference")
    camera.image = PRESSED
    switched_s = 1 + camera.frame // 25 + 1  # the motion since the reference image is over
    met.spin(
        30.0, lambda: all(m and m[-1].header.stamp.sec > switched_s for m in messages.values())
    )
    last = {topic: received[-1] for topic, received in messages.items()}
    expected = TouchEncoder(encoder, threads=1).read(PRESSED, REFERENCE)
    np.testing.assert_allclose(last[embedding].touch, expected.touch, atol=1e-5)
    assert last[embedding].header.frame_id == "a"
    assert last[f"second/{embedding}"].header.frame_id == "second_gel"
    known = expected.properties
    assert last[slip].in_contact
    assert last[slip].slip_fraction == pytest.approx(known["slip_fraction"], rel=1e-4)
    assert last[slip].shear.x == pytest.approx(1e-3 * expected.shear_mm[0], rel=1e-3)
    assert abs(last[slip].shear_rate.x) < 1e-6
    assert last[properties].force == pytest.approx(known["force"], rel=1e-4)
    assert last[properties].area == pytest.approx(1e-6 * known["contact_area_mm2"], rel=1e-4)
    assert last[properties].curvature == pytest.approx(1e3 * known["curvature"], rel=1e-4)
    remembered = ask_with_camera(met, RememberTouch, "remember_touch", name="cup")
    assert remembered.examples == 2
    assert (met.node.data_folder / "touch_memory.npz").is_file()
    recognized = ask_with_camera(met, RecognizeTouch, "recognize_touch")
    assert recognized.known and list(recognized.names) == ["cup"]
    matched = ask_with_camera(met, MatchTouches, "match_touches")
    assert matched.same and matched.similarity == pytest.approx(1.0, abs=1e-4)
    identified = ask_with_camera(met, IdentifyInHand, "identify_in_hand")
    assert identified.known and identified.similarity[0] == pytest.approx(1.0, abs=1e-4)
    assert ask(met, RememberTouch, "remember_touch", name="cup", forget=True).success
    again = ask(met, RememberTouch, "remember_touch", name="cup", forget=True)
    assert not again.success and "not remembered" in again.message
    camera.image = None
    met.spin(1.0)
    stale = ask(met, RememberTouch, "remember_touch", name="cup")
    assert not stale.success and "s old" in stale.message


def test_a_memory_outside_of_the_data_folder_is_refused() -> None:
    for name in ("../memory.npz", "/memory.npz", "memory.txt", ""):
        with pytest.raises(InputError, match=r"file name ending in \.npz"):
            memory_path(TouchEncoderSettings(memory_file=name))


def test_the_slip_head_is_asked_for_and_must_be_there(encoder: Path) -> None:
    assert not TouchEncoderSettings().slip_head
    with pytest.raises(InputError, match="tacdiff touch slip"):
        slip_head_of(encoder, TouchEncoder(encoder).checksum)


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
