"""Compares simulated and real images online: `comparison`, `comparison/image`, diagnostics."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.time import Time
from sensor_msgs.msg import Image, PointCloud2
from std_srvs.srv import Trigger

from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.agreement import side_by_side
from tacdiff_ros.evaluation.agreement_watch import AgreementWatch, WatchLimits
from tacdiff_ros.evaluation.image_comparison import ComparedImages, ImageComparison
from tacdiff_ros.evaluation.surface_error import surface_error
from tacdiff_ros.images.crop import sensor_crop
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.msg import AcquisitionState, SimRealMetrics
from tacdiff_ros.nodes.conversion.agreement import to_metrics
from tacdiff_ros.nodes.conversion.geometry import to_nanoseconds
from tacdiff_ros.nodes.conversion.images import from_frame, from_image, to_image
from tacdiff_ros.nodes.conversion.surface import METRES_PER_MM
from tacdiff_ros.nodes.guarded_node import GuardedNode
from tacdiff_ros.nodes.lock_step import LockStep
from tacdiff_ros.nodes.newest_frame import NewestFrame
from tacdiff_ros.nodes.node_settings import ComparatorSettings
from tacdiff_ros.nodes.parameters import declare_model, refuse_unknown
from tacdiff_ros.nodes.qos import RELIABLE_IMAGES, SENSOR_IMAGES, SENSOR_STATES
from tacdiff_ros.nodes.sensor_parameter import describe_sensor, sensor_from
from tacdiff_ros.nodes.spinning import run
from tacdiff_ros.nodes.topics import IMAGE_SOURCES
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.sensor.surface_points import surface_of_points

MAX_CACHED_SURFACES = 64  # per topic
TRUTH, SIMULATED = SURFACES = "ground_truth/gel_points", "simulated/gel_points"
DIAGNOSTICS_S = 1.0


class ComparatorNode(GuardedNode):
    """Pairs `image_raw` with `simulated/image_raw` by stamp and publishes their agreement."""

    def __init__(self) -> None:
        """Read the parameters and subscribe."""
        super().__init__("comparator")
        settings = declare_model(self, "", ComparatorSettings)
        self._simulator, reference = settings.simulator, settings.reference_image
        limits = declare_model(self, "watch", WatchLimits)
        self._lock_step = LockStep(
            self,
            {
                "tactile_simulator": ["simulated/image_raw"],
                **{name: ["image_raw"] for name in IMAGE_SOURCES},
            },
            may_lag=True,
        )
        refuse_unknown(self)
        self._model = sensor_from(settings.sensor_file)
        described = describe_sensor(self._model, settings.sensor_file)
        self.summary = (
            f"{described}; compares with images by {settings.simulator} "
            f"of the same stamp within {1e3 * settings.tolerance_s:g} ms"
        )
        self._crop = sensor_crop(self._model)
        markers = self._model.markers
        grid = None if markers is None else markers.grid
        self._comparison = ImageComparison(grid, settings.tolerance_s, settings.patience_s)
        if reference:
            image = read_image(Path(reference).expanduser())
            self._comparison.take_reference(self._crop.reduce(image, "the reference"))
        else:
            self.create_subscription(
                AcquisitionState, "acquisition_state", self._on_state, SENSOR_STATES
            )
        self._watch = AgreementWatch(limits)
        self._newest = NewestFrame(self, own_subscription=False)
        self._surfaces = {name: _Surfaces(self, name, self._model) for name in SURFACES}
        self._unstamped: dict[str, str] = {}  # topics whose newest image has no stamp, and a line
        self._reference_trial: int | None = None  # trial of the current reference image
        self._metrics = self.create_publisher(SimRealMetrics, "comparison", 10)
        self._comparison_images = self.create_publisher(Image, "comparison/image", RELIABLE_IMAGES)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        images = self._lock_step.qos(SENSOR_IMAGES)
        self.create_subscription(Image, "image_raw", self._on_real, images)
        self.create_subscription(Image, "simulated/image_raw", self._on_simulated, images)
        self.create_service(Trigger, "~/take_reference", self._take_reference)
        self.create_timer(DIAGNOSTICS_S, self._diagnose)

    def _on_state(self, message: AcquisitionState) -> None:
        """Take the newest frame as reference image in the reference phase of each trial."""
        is_reference = message.phase == AcquisitionState.PHASE_REFERENCE
        is_taken = message.trial == self._reference_trial
        if not is_reference or is_taken or message.motion != "dwelling":
            return
        self._comparison.take_reference(from_frame(self._newest.or_newest(Image()), self._crop))
        self._reference_trial = message.trial

    def _on_real(self, message: Image) -> None:
        self._newest.store(message)
        stamp_ns = self._stamp_ns(message, "image_raw")
        try:
            self._publish(self._comparison.add_real(stamp_ns, from_frame(message, self._crop)))
        finally:
            for source in IMAGE_SOURCES:
                self._lock_step.received(source, "image_raw", stamp_ns)

    def _on_simulated(self, message: Image) -> None:
        stamp_ns = self._stamp_ns(message, "simulated/image_raw")
        try:
            self._publish(self._comparison.add_simulated(stamp_ns, from_image(message)))
        finally:
            self._lock_step.received("tactile_simulator", "simulated/image_raw", stamp_ns)

    def _stamp_ns(self, message: Image, topic: str) -> int:
        """Return the stamp of an image, ns.

        Raises:
            InputError: the image has no stamp.
        """
        stamp_ns = to_nanoseconds(message.header.stamp)
        if stamp_ns == 0:
            self._unstamped[topic] = (
                f"images of {topic} have no stamp (header.stamp is 0), by which they are paired: "
                "let their driver set it"
            )
            raise InputError(self._unstamped[topic])
        self._unstamped.pop(topic, None)
        return stamp_ns

    def _publish(self, compared: Iterable[ComparedImages]) -> None:
        for entry in compared:
            self._watch.add(entry.agreement)
            pair = entry.pair
            height, width = pair.real.shape[:2]
            message = to_metrics(entry.agreement, height * width, self._model.mm_per_px)
            message.header.stamp = Time(nanoseconds=pair.real_ns).to_msg()
            message.header.frame_id = "gelsight_optical_frame"
            message.simulated_stamp = Time(nanoseconds=pair.simulated_ns).to_msg()
            message.deformation_rms = METRES_PER_MM * self._height_error_mm(
                pair.real_ns, pair.simulated_ns
            )
            message.sensor_id = self._model.sensor_id
            message.simulator = self._simulator
            message.latency = 1e-9 * (self._lock_step.now_ns() - pair.real_ns)
            self._metrics.publish(message)
            if self._comparison_images.get_subscription_count():
                image = side_by_side(pair.simulated, pair.real)
                self._comparison_images.publish(
                    to_image(image, message.header.stamp, message.header.frame_id)
                )

    def _height_error_mm(self, real_ns: int, simulated_ns: int) -> float:
        """Return the RMS height error of the simulated surface, mm; NaN without ground truth."""
        truth = self._surfaces[TRUTH].at(real_ns)
        simulated = self._surfaces[SIMULATED].at(simulated_ns)
        if truth is None or simulated is None:
            return math.nan
        return surface_error(simulated, truth).height_mm

    def _take_reference(
        self, _request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        """Take the newest frame as reference image."""
        self._comparison.take_reference(from_frame(self._newest.or_newest(Image()), self._crop))
        response.success, response.message = True, "the newest frame is the reference"
        return response

    def _diagnose(self) -> None:
        report = self._watch.report()
        pairing = self._comparison.pairing
        status = DiagnosticStatus(name=f"{self.get_name()}: agreement", hardware_id="gelsight")
        complaints = (*self._unstamped.values(), *report.complaints)
        status.level = DiagnosticStatus.WARN if complaints else DiagnosticStatus.OK
        waiting = "no pair of images yet" if report.compared == 0 else "simulation agrees"
        status.message = "; ".join(complaints) or waiting
        values = {
            "whole_psnr_db": report.whole_psnr_db,
            "contact_gain_db": report.contact_gain_db,
            "marker_rms_px": report.marker_rms_px,
            "paired": pairing.paired,
            "unpaired": pairing.unpaired,
            "has_reference": self._comparison.reference is not None,
        }
        status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)


class _Surfaces:
    """Cache of the newest surfaces of one topic by stamp."""

    def __init__(self, node: GuardedNode, topic: str, model: SensorModel) -> None:
        self._gel = model.gel
        self._by_stamp_ns: OrderedDict[int, GelSurface] = OrderedDict()
        node.create_subscription(PointCloud2, topic, self._on_points, RELIABLE_IMAGES)

    def at(self, stamp_ns: int) -> GelSurface | None:
        """Return the surface with exactly this stamp (ns); None if it is not cached."""
        return self._by_stamp_ns.get(stamp_ns)

    def _on_points(self, message: PointCloud2) -> None:
        surface = surface_of_points(message, self._gel)
        self._by_stamp_ns[to_nanoseconds(message.header.stamp)] = surface
        while len(self._by_stamp_ns) > MAX_CACHED_SURFACES:
            self._by_stamp_ns.popitem(last=False)


def main() -> int:
    """Run the node."""
    return run(ComparatorNode)


if __name__ == "__main__":
    raise SystemExit(main())
