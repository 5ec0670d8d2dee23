"""Topics of the inverted stream of `mesh_inversion`."""

from __future__ import annotations

import math
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import WrenchStamped
from rclpy.node import Node
from sensor_msgs.msg import PointCloud2
from shape_msgs.msg import Mesh
from visualization_msgs.msg import Marker

from tacdiff_ros.inversion.gel_health import GelHealth
from tacdiff_ros.inversion.inversion_result import Inversion
from tacdiff_ros.msg import ContactForces, ContactSummary, HeightMap
from tacdiff_ros.msg import GelHealth as GelHealthMessage
from tacdiff_ros.nodes.conversion.gel_state import (
    to_contact_forces,
    to_contact_wrench,
    to_gel_health,
)
from tacdiff_ros.nodes.conversion.surface import (
    to_contact,
    to_height_map,
    to_inverted_points,
    to_marker,
    to_mesh,
)
from tacdiff_ros.sensor.height_map import height_map

HEALTH_PERIOD_S = 1.0
DEPRECATED_MESH = "topic gel_mesh has no stamp and is deprecated: subscribe to gel_points instead"


class InversionTopics:
    """Publishes inversions: surface, height map, contact, forces, and the gel's health."""

    def __init__(self, node: Node, frame_id: str) -> None:
        """Create the publishers.

        Args:
            node: node that publishes.
            frame_id: frame of the gel.
        """
        self._node, self._frame = node, frame_id
        self._points = node.create_publisher(PointCloud2, "gel_points", 1)
        self._height_maps = node.create_publisher(HeightMap, "gel_height_map", 1)
        self._meshes = node.create_publisher(Mesh, "gel_mesh", 1)
        self._markers = node.create_publisher(Marker, "gel_mesh/marker", 1)
        self._contacts = node.create_publisher(ContactSummary, "gel_mesh/contact", 10)
        self._wrenches = node.create_publisher(WrenchStamped, "contact_wrench", 10)
        self._forces = node.create_publisher(ContactForces, "contact_forces", 10)
        self._healths = node.create_publisher(GelHealthMessage, "gel_health", 10)
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._health_due = -math.inf

    @property
    def wants_forces(self) -> bool:
        """Whether somebody subscribes to the forces."""
        return any(topic.get_subscription_count() > 0 for topic in (self._wrenches, self._forces))

    def take_health_turn(self) -> bool:
        """Return whether the gel's health is due for the next frame, once in its period."""
        now = time.monotonic()
        is_due = now >= self._health_due
        if is_due:
            self._health_due = now + HEALTH_PERIOD_S
        return is_due

    def publish(self, inversion: Inversion, stamp: Any) -> None:
        """Publish the inversion of a frame.

        Args:
            inversion: inversion of a frame.
            stamp: time of the frame.
        """
        frame = self._frame
        self._points.publish(to_inverted_points(inversion, stamp, frame))
        self._contacts.publish(to_contact(inversion.contact, stamp, frame))
        if inversion.forces is not None:
            self._wrenches.publish(to_contact_wrench(inversion.forces, stamp, frame))
            self._forces.publish(to_contact_forces(inversion.forces, stamp, frame))
        if self._height_maps.get_subscription_count():
            heights = height_map(inversion.surface, inversion.valid)
            self._height_maps.publish(to_height_map(heights, stamp, frame))
        if self._markers.get_subscription_count():
            self._markers.publish(to_marker(inversion.surface, stamp, frame))
        if self._meshes.get_subscription_count():
            self._node.get_logger().warning(DEPRECATED_MESH, once=True)
            self._meshes.publish(to_mesh(inversion.surface))

    def publish_health(self, health: GelHealth, stamp: Any) -> None:
        """Publish the gel's health, also as diagnostics.

        Args:
            health: condition of the gel in a frame.
            stamp: time of the frame.
        """
        message = to_gel_health(health, stamp, self._frame)
        self._healths.publish(message)
        status = DiagnosticStatus(
            level=DiagnosticStatus.WARN if health.warnings else DiagnosticStatus.OK,
            name=f"{self._node.get_fully_qualified_name()}: gel",
            hardware_id=self._frame,
            message="; ".join(health.warnings) or "the gel is in order",
            values=[KeyValue(key=name, value=str(value)) for name, value in health.figures.items()],
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(array)
