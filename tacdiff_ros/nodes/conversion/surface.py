"""Converts gel surfaces, contacts and inversions into messages in metres, frame `gel`."""

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
from tacdiff_ros.inversion.gel_health import GelHealth
from tacdiff_ros.inversion.inversion_result import Inversion
from tacdiff_ros.msg import ContactSummary
from tacdiff_ros.msg import HeightMap as HeightMapMessage
from tacdiff_ros.nodes.conversion.gel_state import (
    PASCAL_PER_MPA,
    to_contact_forces,
    to_gel_health,
)
from tacdiff_ros.nodes.conversion.images import to_image
from tacdiff_ros.sensor.gel_surface import MAX_VERTICES, MIN_LINES, GelSurface
from tacdiff_ros.sensor.height_map import HeightMap, height_map
from tacdiff_ros.sensor.sensor_model import Gel

METRES_PER_MM = 1e-3
SATURATED_COLOUR_DEPTH_MM = 1.0  # indentation from which a vertex is fully red


def to_mesh(surface: GelSurface) -> Mesh:
    """Convert a surface into a mesh message with vertices in metres, row by row."""
    triangles = [MeshTriangle(vertex_indices=corners) for corners in _unsigned(surface.triangles)]
    return Mesh(triangles=triangles, vertices=_points(surface.position))


def from_mesh(mesh: Mesh, gel: Gel) -> GelSurface:
    """Convert a mesh message, as made by `to_mesh`, into a surface.

    Args:
        mesh: vertices of a grid that covers the whole pad, row by row, m.
        gel: gel pad, which gives the undeformed surface.

    Returns:
        Surface with positions in mm.

    Raises:
        InputError: there are too few or too many vertices, they do not form a grid, or a position
            is not finite.
    """
    count = len(mesh.vertices)
    if not mesh.triangles or count > MAX_VERTICES:
        raise InputError(
            f"mesh of {len(mesh.triangles)} triangles and {count} vertices: expected at least 1 "
            f"triangle and at most {MAX_VERTICES} vertices"
        )
    # The second corner of the first triangle is the first vertex of the second row.
    columns = int(mesh.triangles[0].vertex_indices[1])
    rows = count // max(columns, 1)
    if min(rows, columns) < MIN_LINES or rows * columns != count:
        raise InputError(
            f"mesh of {count} vertices is no grid with rows of {columns} vertices: expected a "
            "surface in the layout of the topic gel_mesh"
        )
    position = np.array([(p.x, p.y, p.z) for p in mesh.vertices]) / METRES_PER_MM
    flat = GelSurface.flat(gel.width_mm, gel.height_mm, rows, columns)
    return flat.moved(position, may_overhang=True)


def to_points(surface: GelSurface, stamp: Any, frame_id: str) -> PointCloud2:
    """Convert a surface into an organised point cloud.

    Args:
        surface: gel surface, mm.
        stamp: time of the surface.
        frame_id: frame of the gel.

    Returns:
        Cloud of rows x columns vertices with the float32 fields x, y, z, m.
    """
    return _to_cloud(surface, {}, stamp, frame_id)


def to_inverted_points(result: Inversion, stamp: Any, frame_id: str) -> PointCloud2:
    """Convert the surface of an inversion into an organised point cloud.

    Args:
        result: inversion of one image.
        stamp: time of the image.
        frame_id: frame of the gel.

    Returns:
        Cloud with float32 fields: x, y, z and displacement dx, dy, dz, m; height_stddev, m;
        valid and contact, 0 or 1; with forces also pressure, traction_x and traction_y, Pa.
    """
    surface = result.surface
    displacement = METRES_PER_MM * (surface.position - surface.rest)
    extra_fields: dict[str, NDArray[Any]] = {
        name: displacement[:, k] for k, name in enumerate(("dx", "dy", "dz"))
    }
    extra_fields["height_stddev"] = METRES_PER_MM * result.height_stddev_mm.ravel()
    extra_fields["valid"] = result.valid.ravel()
    extra_fields["contact"] = result.contact.mask.ravel()
    if result.forces is not None:
        traction = PASCAL_PER_MPA * result.forces.traction_mpa
        extra_fields["pressure"] = PASCAL_PER_MPA * result.forces.pressure_mpa.ravel()
        extra_fields["traction_x"] = traction[..., 0].ravel()
        extra_fields["traction_y"] = traction[..., 1].ravel()
    return _to_cloud(surface, extra_fields, stamp, frame_id)


def _to_cloud(
    surface: GelSurface, extra_fields: dict[str, NDArray[Any]], stamp: Any, frame_id: str
) -> PointCloud2:
    """Return a cloud of positions, m, and extra fields, each (N,), all as float32."""
    names = ("x", "y", "z", *extra_fields)
    values = np.column_stack([METRES_PER_MM * surface.position, *extra_fields.values()])
    values = values.astype(np.float32)
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
    """Convert a contact into a message in SI units.

    Args:
        contact: contact summary, mm.
        stamp: time of the image that shows the contact.
        frame_id: frame of the gel.

    Returns:
        Message in metres and radians.
    """
    x, y = contact.centroid_mm
    shear_x, shear_y = contact.shear_mm
    header = Header(stamp=stamp, frame_id=frame_id)
    return ContactSummary(
        header=header,
        in_contact=contact.in_contact,
        area=contact.area_mm2 * METRES_PER_MM**2,
        centroid=Point(x=x * METRES_PER_MM, y=y * METRES_PER_MM),
        maximum_indentation=contact.depth_mm * METRES_PER_MM,
        mean_shear=Vector3(x=shear_x * METRES_PER_MM, y=shear_y * METRES_PER_MM),
        mean_twist=contact.twist_rad,
    )


def fill_inversion(
    response: Any, inversion: Inversion, health: GelHealth, stamp: Any, frame_id: str
) -> None:
    """Write an inversion into the response of a service or the result of an action.

    Args:
        response: response or result of `InvertMesh`, changed in place.
        inversion: inversion of one image.
        health: condition of the gel in this image.
        stamp: time of the image.
        frame_id: frame of the gel.
    """
    surface = inversion.surface
    response.header.stamp = stamp
    response.header.frame_id = frame_id
    response.mesh = to_mesh(surface)
    response.rows, response.columns = surface.rows, surface.columns
    displacement = METRES_PER_MM * (surface.position.astype(np.float64) - surface.rest)
    response.displacement = [Vector3(x=x, y=y, z=z) for x, y, z in displacement.tolist()]
    height_stddev = METRES_PER_MM * inversion.height_stddev_mm
    response.height_stddev = height_stddev.ravel().astype(np.float32).tolist()
    response.valid = inversion.valid.ravel().tolist()
    response.contact = to_contact(inversion.contact, stamp, frame_id)
    heights = height_map(surface, inversion.valid)
    response.height_map = to_height_map(heights, stamp, frame_id)
    response.forces = to_contact_forces(inversion.forces, stamp, frame_id)
    if inversion.forces is not None:
        response.pressure = (PASCAL_PER_MPA * inversion.forces.pressure_mpa).ravel().tolist()
        traction_x, traction_y = PASCAL_PER_MPA * inversion.forces.traction_mpa.reshape(-1, 2).T
        response.traction_x, response.traction_y = traction_x.tolist(), traction_y.tolist()
    response.health = to_gel_health(health, stamp, frame_id)


def to_height_map(heights: HeightMap, stamp: Any, frame_id: str) -> HeightMapMessage:
    """Convert a height map into a message in metres.

    Args:
        heights: height map, mm.
        stamp: time of the image.
        frame_id: frame of the gel.
    """
    x, y = heights.origin_mm
    metres = np.asarray(METRES_PER_MM * heights.height_mm, np.float32)
    return HeightMapMessage(
        header=Header(stamp=stamp, frame_id=frame_id),
        origin=Point(x=x * METRES_PER_MM, y=y * METRES_PER_MM),
        spacing=heights.spacing_mm * METRES_PER_MM,
        image=to_image(metres, stamp, frame_id),
    )


def to_marker(surface: GelSurface, stamp: Any, frame_id: str) -> Marker:
    """Convert a surface into coloured triangles for RViz.

    Args:
        surface: gel surface, mm.
        stamp: time of the surface.
        frame_id: frame of the gel.

    Returns:
        Triangle list, coloured by indentation from grey (undeformed) to red (1 mm and more).
    """
    marker = Marker(ns="gel", type=Marker.TRIANGLE_LIST, action=Marker.ADD)
    marker.header.stamp = stamp
    marker.header.frame_id = frame_id
    marker.pose.orientation.w = 1.0
    marker.scale.x = marker.scale.y = marker.scale.z = 1.0
    corners = surface.triangles.ravel()
    marker.points = _points(surface.position[corners])
    redness = np.clip(-surface.position[:, 2] / SATURATED_COLOUR_DEPTH_MM, 0.0, 1.0)
    colours = [
        ColorRGBA(r=0.6 + 0.4 * s, g=0.6 - 0.5 * s, b=0.6 - 0.5 * s, a=1.0)
        for s in redness.astype(np.float64)
    ]
    marker.colors = [colours[k] for k in corners]
    return marker


def _points(position: NDArray[np.float32]) -> list[Point]:
    metres = METRES_PER_MM * position.astype(np.float64)
    return [Point(x=x, y=y, z=z) for x, y, z in metres.tolist()]


def _unsigned(triangles: NDArray[np.int32]) -> NDArray[np.uint32]:
    return triangles.astype(np.uint32)
