"""Gel surfaces, contacts and inversions as messages, in metres, frame `gel`."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Vector3
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField
from shape_msgs.msg import Mesh, MeshTriangle
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker

from tacdiff_ros.errors import InputError
from tacdiff_ros.inversion.contact_summary import Contact
from tacdiff_ros.inversion.inverter import Inversion
from tacdiff_ros.msg import ContactSummary
from tacdiff_ros.sensor.gel_surface import MAX_VERTICES, MIN_LINES, GelSurface
from tacdiff_ros.sensor.sensor_model import Gel

METRES = 1e-3
DEEPEST_COLOUR_MM = 1.0


def to_mesh(surface: GelSurface) -> Mesh:
    """Vertices and triangles."""
    triangles = [MeshTriangle(vertex_indices=corners) for corners in _unsigned(surface.triangles)]
    return Mesh(triangles=triangles, vertices=_points(surface.position))


def from_mesh(mesh: Mesh, gel: Gel) -> GelSurface:
    """A surface of a pad from what `to_mesh` made of one: vertices by rows, over the whole pad.

    Raises:
        InputError: too few vertices, no such grid, or positions that are not finite.
    """
    count = len(mesh.vertices)
    if not mesh.triangles or count > MAX_VERTICES:
        raise InputError(f"mesh of {len(mesh.triangles)} triangles and {count} vertices")
    columns = int(mesh.triangles[0].vertex_indices[1])
    rows = count // max(columns, 1)
    if min(rows, columns) < MIN_LINES or rows * columns != count:
        raise InputError(
            f"mesh of {count} vertices whose first triangle ends a row after {columns}: expected "
            "a surface as topic gel_mesh carries it"
        )
    position = np.array([(p.x, p.y, p.z) for p in mesh.vertices]) / METRES
    flat = GelSurface.flat(gel.width_mm, gel.height_mm, rows, columns)
    return flat.moved(position, may_overhang=True)


def to_points(surface: GelSurface, stamp: Any, frame_id: str) -> PointCloud2:
    """Vertices by rows and columns as an organised cloud with fields x, y, z, m."""
    return _to_cloud(surface, {}, stamp, frame_id)


def to_inverted_points(result: Inversion, stamp: Any, frame_id: str) -> PointCloud2:
    """An inverted surface as an organised cloud.

    Fields, all float32: x, y, z and displacement dx, dy, dz, m; height_stddev, m; valid, 0 or 1.
    """
    surface = result.surface
    displacement = METRES * (surface.position - surface.rest)
    further: dict[str, NDArray[Any]] = {
        name: displacement[:, k] for k, name in enumerate(("dx", "dy", "dz"))
    }
    further["height_stddev"] = METRES * result.height_stddev_mm.ravel()
    further["valid"] = result.valid.ravel()
    return _to_cloud(surface, further, stamp, frame_id)


def _to_cloud(
    surface: GelSurface, further: dict[str, NDArray[Any]], stamp: Any, frame_id: str
) -> PointCloud2:
    """Positions, m, and further fields (N,), all as float32."""
    names = ("x", "y", "z", *further)
    values = np.column_stack([METRES * surface.position, *further.values()]).astype(np.float32)
    message = PointCloud2(height=surface.rows, width=surface.columns, is_dense=True)
    message.header.stamp, message.header.frame_id = stamp, frame_id
    message.fields = [
        PointField(name=name, offset=4 * k, datatype=PointField.FLOAT32, count=1)
        for k, name in enumerate(names)
    ]
    message.point_step = 4 * len(names)
    message.row_step = message.point_step * surface.columns
    message.data = array("B", np.ascontiguousarray(values).tobytes())
    return message


def to_contact(contact: Contact, stamp: Any, frame_id: str) -> ContactSummary:
    """A contact as a message with the stamp of its image and the frame of the gel."""
    x, y = contact.centroid_mm
    shear_x, shear_y = contact.shear_mm
    header = Header(stamp=stamp, frame_id=frame_id)
    return ContactSummary(
        header=header,
        in_contact=contact.in_contact,
        area=contact.area_mm2 * METRES**2,
        centroid=Point(x=x * METRES, y=y * METRES),
        maximum_indentation=contact.depth_mm * METRES,
        mean_shear=Vector3(x=shear_x * METRES, y=shear_y * METRES),
        mean_twist=contact.twist_rad,
    )


def fill_inversion(response: Any, found: Inversion, stamp: Any, frame_id: str) -> None:
    """Write an inversion into a service's response or an action's result."""
    surface = found.surface
    response.header.stamp = stamp
    response.header.frame_id = frame_id
    response.mesh = to_mesh(surface)
    response.rows, response.columns = surface.rows, surface.columns
    moved = METRES * (surface.position.astype(np.float64) - surface.rest)
    response.displacement = [Vector3(x=x, y=y, z=z) for x, y, z in moved.tolist()]
    response.height_stddev = (METRES * found.height_stddev_mm).ravel().astype(np.float32).tolist()
    response.valid = found.valid.ravel().tolist()
    response.contact = to_contact(found.contact, stamp, frame_id)


def to_marker(surface: GelSurface, stamp: Any, frame_id: str) -> Marker:
    """Triangles for RViz, coloured by indentation: grey at rest, red where it is deep."""
    marker = Marker(ns="gel", type=Marker.TRIANGLE_LIST, action=Marker.ADD)
    marker.header.stamp = stamp
    marker.header.frame_id = frame_id
    marker.pose.orientation.w = 1.0
    marker.scale.x = marker.scale.y = marker.scale.z = 1.0
    corners = surface.triangles.ravel()
    marker.points = _points(surface.position[corners])
    share = np.clip(-surface.position[:, 2] / DEEPEST_COLOUR_MM, 0.0, 1.0).astype(np.float64)
    colours = [ColorRGBA(r=0.6 + 0.4 * s, g=0.6 - 0.5 * s, b=0.6 - 0.5 * s, a=1.0) for s in share]
    marker.colors = [colours[k] for k in corners]
    return marker


def _points(position: NDArray[np.float32]) -> list[Point]:
    metres = METRES * position.astype(np.float64)
    return [Point(x=x, y=y, z=z) for x, y, z in metres.tolist()]


def _unsigned(triangles: NDArray[np.int32]) -> NDArray[np.uint32]:
    return triangles.astype(np.uint32)
