"""The comparator on DDS: pairs by stamp, the numbers of the core, diagnostics, refusals."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image, PointCloud2
from std_srvs.srv import Trigger
from tacdiff_ros.msg import AcquisitionState, SimRealMetrics

from tacdiff_ros.evaluation.agreement import compare_images, side_by_side
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.nodes.conversion.images import from_image, to_image
from tacdiff_ros.nodes.conversion.surface import to_points
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_file import default_sensor
from tacdiff_ros.virtual.frames import GeneratedFrames


@pytest.fixture(scope="module")
def frames():
    """Reference image, real and simulated; the simulation is a little beside and too shallow."""
    real, simulated = GeneratedFrames(seed=0), GeneratedFrames(seed=1)
    return (
        real.render(IndenterPose()),
        real.render(IndenterPose(1.0, 0.5, 0.8)),
        simulated.render(IndenterPose(1.05, 0.5, 0.7)),
    )


def touched_pad(depth_mm: float, rows: int, columns: int) -> GelSurface:
    gel = default_sensor().gel
    flat = GelSurface.flat(gel.width_mm, gel.height_mm, rows, columns)
    bump = depth_mm * np.exp(-(flat.rest[:, :1] ** 2 + flat.rest[:, 1:2] ** 2) / 50.0)
    return flat.moved(flat.rest - bump * np.array([[0.0, 0.0, 1.0]]))


class Client:
    """Publishes both streams and takes what comes back."""

    def __init__(self, meeting) -> None:
        node, self.spin = meeting.node, meeting.spin
        self.real = node.create_publisher(Image, "image_raw", 10)
        self.simulated = node.create_publisher(Image, "simulated/image_raw", 10)
        self.true_points = node.create_publisher(PointCloud2, "ground_truth/gel_points", 10)
        self.points = node.create_publisher(PointCloud2, "simulated/gel_points", 10)
        self.take = node.create_client(Trigger, "comparator/take_reference")
        self.metrics, self.pictures, self.diagnostics = [], [], []
        node.create_subscription(SimRealMetrics, "comparison", self.metrics.append, 10)
        node.create_subscription(Image, "comparison/image", self.pictures.append, 10)
        node.create_subscription(DiagnosticArray, "/diagnostics", self.diagnostics.append, 10)
        assert self.take.wait_for_service(30.0)
        meeting.meet(self.real, self.simulated, self.true_points, self.points)

    def compare(self, real, simulated, first_ms: int, apart_ms: int = 0, surfaces=None):
        """Of images sent again and again with new stamps: best-effort ones may be lost."""
        self.metrics.clear()
        self.pictures.clear()
        self.first_ms = first_ms
        for k in range(60):
            stamp_ms = first_ms + 100 * k
            if surfaces is not None:
                self.points.publish(to_points(surfaces[0], stamp(stamp_ms + apart_ms), "gel"))
                self.true_points.publish(to_points(surfaces[1], stamp(stamp_ms), "gel"))
                self.spin(0.1)
            self.real.publish(to_image(real, stamp(stamp_ms), "camera"))
            self.simulated.publish(to_image(simulated, stamp(stamp_ms + apart_ms), "camera"))
            self.spin(1.0, lambda: self.complete(surfaces is not None) is not None)
            found = self.complete(surfaces is not None)
            if found is not None:
                return found
        pytest.fail("nothing was compared")
        return None

    def complete(self, with_surfaces: bool):
        """A message whose picture came as well."""
        stamps = [picture.header.stamp for picture in self.pictures]
        for message in self.metrics:
            if _milliseconds(message.header.stamp) < self.first_ms:
                continue  # of an earlier comparison, late on a busy machine
            if message.header.stamp in stamps and (
                not with_surfaces or np.isfinite(message.deformation_rms)
            ):
                self.picture = self.pictures[stamps.index(message.header.stamp)]
                return message
        return None


def _milliseconds(moment: Time) -> int:
    return moment.sec * 1000 + moment.nanosec // 1_000_000


def stamp(milliseconds: int) -> Time:
    return Time(sec=milliseconds // 1000, nanosec=milliseconds % 1000 * 1_000_000)


@pytest.fixture(scope="module")
def client(tmp_path_factory, meeting, frames):
    path = tmp_path_factory.mktemp("comparator") / "reference.png"
    cv2.imwrite(str(path), frames[0][..., ::-1])
    arguments = ["-p", f"reference_image:={path}", "-p", "watch.window:=5"]
    arguments += ["-p", "watch.min_whole_psnr_db:=70.0"]
    return Client(meeting("comparator", arguments))


def test_metrics_are_those_of_the_core(client, frames):
    reference, real, simulated = frames
    message = client.compare(real, simulated, 1_000)
    expected = compare_images(simulated, real, reference)
    assert message.whole.psnr_db == pytest.approx(expected.whole.psnr_db, rel=1e-5)
    assert message.whole.pixel_count == 320 * 240
    assert message.contact.mse == pytest.approx(expected.contact.mse, rel=1e-5)
    assert message.contact.ssim == pytest.approx(expected.contact.ssim, rel=1e-4)
    assert message.contact.pixel_count == expected.contact_pixels > 500
    assert message.background_contact.mse == pytest.approx(
        expected.background_contact.mse, rel=1e-5
    )
    assert message.contact.psnr_db > message.background_contact.psnr_db + 3
    assert message.markers_compared == 63
    assert 0.05 < message.marker_rms_px < 1.5
    assert message.marker_rms == pytest.approx(message.marker_rms_px * 6.5e-5, rel=0.1)
    assert np.isnan(message.deformation_rms)
    assert (message.simulator, message.sensor_id) == ("pix2pix", "gelsight_mini")


def test_pictures_and_stamps_belong_together(client, frames):
    _, real, simulated = frames
    message = client.compare(real, simulated, 20_000, apart_ms=8)
    gap_ns = message.simulated_stamp.nanosec - message.header.stamp.nanosec
    assert gap_ns == 8_000_000
    assert client.picture.header.stamp == message.header.stamp
    np.testing.assert_array_equal(from_image(client.picture), side_by_side(simulated, real))


def test_surfaces_are_compared_where_the_true_one_is_known(client, frames):
    assert np.isnan(client.compare(frames[1], frames[2], 20_000).deformation_rms)
    surfaces = touched_pad(0.8, 41, 49), touched_pad(1.0, 65, 81)
    message = client.compare(frames[1], frames[2], 30_000, 8, surfaces)
    height = 0.2 * (surfaces[0].position[:, 2] / 0.8)
    assert message.deformation_rms == pytest.approx(1e-3 * np.sqrt(np.mean(height**2)), rel=0.03)


def test_images_that_are_too_far_apart_are_not_compared(client, frames):
    client.metrics.clear()
    for k in range(10):
        client.real.publish(to_image(frames[1], stamp(40_000 + 100 * k), ""))
        client.simulated.publish(to_image(frames[2], stamp(40_040 + 100 * k), ""))
        client.spin(0.1)
    client.spin(0.5)
    late = [message for message in client.metrics if message.header.stamp.sec >= 40]
    assert late == []


def test_diagnostics_tell_when_they_drift_apart(client, frames):
    client.compare(frames[1], frames[2], 60_000)
    client.diagnostics.clear()
    client.spin(10.0, lambda: bool(client.diagnostics))
    status = client.diagnostics[-1].status[0]
    assert status.level == b"\x01"
    assert "take a new reference" in status.message
    values = {entry.key: entry.value for entry in status.values}
    assert float(values["whole_psnr_db"]) < 70
    assert int(values["paired"]) >= 1


def test_images_without_a_stamp_are_named(client, frames):
    client.compare(frames[1], frames[2], 70_000)
    client.diagnostics.clear()

    def messages() -> list[str]:
        arrays = [array for array in client.diagnostics if "agreement" in array.status[0].name]
        return [array.status[0].message for array in arrays]

    for _ in range(30):
        client.real.publish(to_image(frames[1], Time(), ""))
        client.spin(0.3)
        if any("no stamp" in message for message in messages()):
            break
    assert any("images of image_raw have no stamp (header.stamp is 0)" in m for m in messages())
    client.compare(frames[1], frames[2], 80_000)
    client.diagnostics.clear()
    client.spin(10.0, lambda: len(messages()) > 1)
    assert "no stamp" not in messages()[-1]


def test_an_image_of_another_size_is_passed_over(client, frames):
    small = cv2.resize(frames[2], (160, 120))
    client.simulated.publish(to_image(small, stamp(85_000), ""))
    client.real.publish(to_image(frames[1], stamp(85_000), ""))
    client.spin(1.0)
    assert client.compare(frames[1], frames[2], 86_000).whole.pixel_count == 320 * 240


def test_the_newest_frame_can_become_the_reference(client, frames):
    for _ in range(20):
        client.real.publish(to_image(frames[0], stamp(100_000), ""))
        client.spin(0.1)
        future = client.take.call_async(Trigger.Request())
        client.spin(10.0, future.done)
        if future.result().success:
            break
    assert future.result().success, future.result().message


def test_a_run_shows_the_untouched_gel_before_each_trial(meeting, frames):
    node = meeting("comparator", ["-r", "__ns:=/run"])
    real = node.node.create_publisher(Image, "/run/image_raw", 10)
    simulated = node.node.create_publisher(Image, "/run/simulated/image_raw", 10)
    states = node.node.create_publisher(AcquisitionState, "/run/acquisition_state", 10)
    found = []
    node.node.create_subscription(SimRealMetrics, "/run/comparison", found.append, 10)
    node.meet(real, simulated, states)
    for k in range(60):
        real.publish(to_image(frames[0], stamp(1_000 + 200 * k), ""))
        node.spin(0.1)
        phase = AcquisitionState.PHASE_REFERENCE
        states.publish(AcquisitionState(phase=phase, motion="dwelling", trial=k))
        node.spin(0.1)
        for publisher, image in ((real, frames[1]), (simulated, frames[2])):
            publisher.publish(to_image(image, stamp(1_100 + 200 * k), ""))
        node.spin(0.5, lambda: any(m.contact.pixel_count for m in found))
        if any(m.contact.pixel_count for m in found):
            break
    message = next(m for m in found if m.contact.pixel_count)
    expected = compare_images(frames[2], frames[1], frames[0])
    assert message.contact.psnr_db == pytest.approx(expected.contact.psnr_db, rel=1e-4)
