"""The gel's surface in Mitsuba's scene: found by ray tracing, measured with gradients.

Which triangle a ray meets comes from `ray_intersect_preliminary`; where it meets it is computed
again from the triangle's corners, so that gradients reach ray and vertices. Normals are
interpolated from those of the regular grid (fourth-order central differences).

Limits: no gradient for what an edge of the surface hides from the camera; a gel under contact has
no such edge in view.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.optics.camera_rays import GelRays
from tacdiff_ros.sensor.gel_surface import GelSurface

SHADOW_OFFSET_MM = 1e-3
MAX_TILTED_SLOPE = 0.05  # least cosine to the axis with which a tilt counts
Weights = tuple[tuple[int, float], ...]  # of a difference: steps along the grid, weight
NEIGHBOURS: Weights = ((1, 0.5),)
FOURTH_ORDER: Weights = ((1, 8.0), (2, -1.0))
CRACK_STEP_MM = 1e-3  # a ray that slips between two triangles is tried again so far beside


@dataclass(frozen=True)
class SurfaceHit:
    """Where rays meet the surface; positions in mm, frame `gel`.

    Attributes:
        valid: the ray meets the surface.
        position: of the hit.
        normal: unit, interpolated, toward the camera.
        rest: (x, y) of the material point at rest.
        local_interreflection: RGB irradiance from the gel around; None where it was not gathered.
        triangle: that is met.
    """

    valid: Any
    position: Any
    normal: Any
    rest: Any
    local_interreflection: Any = None
    triangle: Any = None


class GelMesh:
    """A `GelSurface` for rendering; `move` gives it other positions without rebuilding the rest.

    Attributes:
        vertices: flat `mi.Float` (3 N) mm; replaced by `move` only.
        tilt: `mi.Vector2f` added to the slopes (dz/dx, dz/dy) of all normals, for derivatives of
            the image by slope; None for none.
        local_interreflection: flat (3 N) RGB irradiance at the vertices; None for none.
        rows: of vertices.
        columns: of vertices.
        spacing_mm: of the vertices at rest.
    """

    def __init__(self, surface: GelSurface) -> None:
        """Builds the ray tracing structure."""
        self.rows, self.columns = surface.rows, surface.columns
        self._rest = surface.rest
        self._rest_xy = mi.Float(np.ascontiguousarray(surface.rest[:, :2]).ravel())
        faces = np.ascontiguousarray(surface.triangles.astype(np.uint32)).ravel()
        self._faces = mi.UInt32(faces)
        mesh = mi.Mesh("gel", len(surface.rest), len(faces) // 3)
        fields = mi.traverse(mesh)
        fields["faces"] = self._faces
        fields["vertex_positions"] = _flat(surface.position)
        fields.update()
        self.scene = mi.load_dict({"type": "scene", "gel": mesh})
        self._fields = mi.traverse(self.scene)
        self.vertices = _flat(surface.position)
        self.tilt: Any = None
        self.local_interreflection: Any = None
        self._normals: Any = None  # of the present vertices
        self._own_normals: Any = None  # while `attached`
        self.spacing_mm = float(surface.x_mm[1] - surface.x_mm[0])

    def fits(self, surface: GelSurface) -> bool:
        """Whether the surface has this mesh's grid, so that `move` is enough."""
        if (surface.rows, surface.columns) != (self.rows, self.columns):
            return False
        return bool(np.array_equal(surface.rest, self._rest))

    def move(self, vertices: Any) -> None:
        """Other positions: flat `mi.Float` (3 N) mm, with or without gradients."""
        if dr.width(vertices) != dr.width(self.vertices):
            raise InputError(
                f"gel mesh: {dr.width(vertices)} coordinates, expected {dr.width(self.vertices)}"
            )
        if not dr.all(dr.isfinite(dr.detach(vertices))):
            raise InputError("gel mesh: a coordinate is not finite; take a smaller step")
        self._move(vertices)

    def _move(self, vertices: Any) -> None:
        dr.make_opaque(vertices)
        self.vertices = vertices
        self._normals = None
        self._fields["gel.vertex_positions"] = mi.Float(dr.detach(vertices))
        self._fields.update()

    def show(self, surface: GelSurface) -> None:
        """The positions of a surface on the same grid."""
        self.show_positions(surface.position)

    def show_positions(self, position: NDArray[np.floating]) -> None:
        """Positions (N, 3) mm that are known to be finite and not folded."""
        self._move(_flat(position))

    def read_arrays(self) -> list[Any]:
        """All arrays that a kernel reads of a mesh without gradients, and what it is built for."""
        arrays = [
            self.vertices,
            self._rest_xy,
            self._faces,
            self.normals(),
            self.local_interreflection,
        ]
        return [self.scene, self.rows, self.columns, *arrays]

    def normals(self) -> Any:
        """Flat unit normals (3 N) toward the camera, from differences of fourth order."""
        if self._own_normals is not None:
            return self._own_normals
        if self._normals is None or dr.grad_enabled(self.vertices):
            normals = self._vertex_normals(self.vertices)
            dr.eval(normals)
            if dr.grad_enabled(self.vertices):
                return normals
            self._normals = normals
        return self._normals

    @contextmanager
    def attached(self) -> Iterator[tuple[Any, Any]]:
        """Vertices and normals with gradients that do not know of each other.

        What is drawn meanwhile is differentiated in one kernel; `normals_backward` does the rest.
        """
        still, normals = self.vertices, self.normals()
        self.vertices, self._own_normals = mi.Float(still), mi.Float(normals)
        dr.enable_grad(self.vertices, self._own_normals)
        try:
            yield self.vertices, self._own_normals
        finally:
            self.vertices, self._own_normals = still, None

    def normals_backward(self, by_normal: Any) -> Any:
        """Flat gradient (3 N) by the vertices, from that by the normals."""
        vertices = mi.Float(self.vertices)
        dr.enable_grad(vertices)
        normals = self._vertex_normals(vertices)
        dr.set_grad(normals, by_normal)
        dr.enqueue(dr.ADMode.Backward, normals)
        dr.traverse(dr.ADMode.Backward)
        return dr.grad(vertices)

    def intersect(self, rays: GelRays) -> SurfaceHit:
        """Where rays in the gel meet the surface."""
        with dr.suspend_grad():
            ray = mi.Ray3f(dr.detach(rays.origin), dr.detach(rays.direction))
            found = self.scene.ray_intersect_preliminary(ray, coherent=True, active=rays.valid)
            ray.o += mi.Vector3f(CRACK_STEP_MM, 0.7 * CRACK_STEP_MM, 0.0)
            slipped = rays.valid & ~found.is_valid()
            again = self.scene.ray_intersect_preliminary(ray, coherent=True, active=slipped)
            valid = found.is_valid() | again.is_valid()
            triangle = dr.select(found.is_valid(), found.prim_index, again.prim_index)
        corners = [dr.gather(mi.UInt32, self._faces, 3 * triangle + k, valid) for k in range(3)]
        p0, p1, p2 = (dr.gather(mi.Point3f, self.vertices, corner, valid) for corner in corners)
        b1, b2, distance = _barycentric(rays, p0, p1, p2)
        shares = (1.0 - b1 - b2, b1, b2)
        normals = self.normals()
        normal = sum(
            share * dr.gather(mi.Vector3f, normals, corner, valid)
            for share, corner in zip(shares, corners, strict=True)
        )
        rest = sum(
            share * dr.gather(mi.Vector2f, self._rest_xy, corner, valid)
            for share, corner in zip(shares, corners, strict=True)
        )
        near = None
        if self.local_interreflection is not None:
            near = sum(
                share * dr.gather(mi.Color3f, self.local_interreflection, corner, valid)
                for share, corner in zip(shares, corners, strict=True)
            )
        position = rays.origin + rays.direction * distance
        normal = dr.select(valid, normal, mi.Vector3f(0.0, 0.0, -1.0))
        if self.tilt is not None:
            steep = dr.maximum(-normal.z, MAX_TILTED_SLOPE)
            normal.x += steep * self.tilt.x
            normal.y += steep * self.tilt.y
        return SurfaceHit(valid, position, dr.normalize(normal), rest, near, triangle)

    def visible(self, position: Any, normal: Any, target: Any, active: Any) -> Any:
        """Whether the straight way from the surface to points is free; without gradients.

        Args:
            position: on the surface.
            normal: of the surface there.
            target: points in the gel.
            active: lanes to be answered.
        """
        with dr.suspend_grad():
            origin = dr.detach(position) + SHADOW_OFFSET_MM * dr.detach(normal)
            way = dr.detach(target) - origin
            distance = dr.norm(way)
            ray = mi.Ray3f(origin, way / distance, 0.999 * distance, 0.0, [])
            return ~self.scene.ray_test(ray, active=active)

    def vertex_areas(self, vertex: Any) -> Any:
        """Vectors toward the camera, as long as the area that a vertex stands for, mm^2."""
        along_x, along_y = self._along_grid(self.vertices, vertex, NEIGHBOURS)
        return dr.cross(along_y, along_x)

    def _vertex_normals(self, vertices: Any) -> Any:
        vertex = dr.arange(mi.UInt32, self.rows * self.columns)
        along_x, along_y = self._along_grid(vertices, vertex, FOURTH_ORDER)
        return dr.ravel(dr.normalize(dr.cross(along_y, along_x)))

    def _along_grid(self, vertices: Any, index: Any, weights: Weights) -> tuple[Any, Any]:
        """Differences of vertices along x and y, at those with given numbers."""
        row, column = index // self.columns, index % self.columns
        return (
            _difference(vertices, index, column, self.columns, 1, weights),
            _difference(vertices, index, row, self.rows, self.columns, weights),
        )


def rays_apart() -> bool:
    """Whether rays and derivatives need kernels of their own.

    For a graphics card both in one take minutes to compile; on a processor one kernel is quicker.
    """
    return bool(dr.backend_v(mi.Float) == dr.JitBackend.CUDA)


def _difference(
    vertices: Any, index: Any, line: Any, lines: int, stride: int, weights: Weights
) -> Any:
    """Central difference of vertices along a grid line; one-sided at the pad's border."""
    total = mi.Vector3f(0.0)
    for step, weight in weights:
        ahead = dr.minimum(line + step, lines - 1) - line
        behind = line - dr.maximum(mi.Int32(line) - step, 0)
        total += weight * (
            dr.gather(mi.Vector3f, vertices, index + ahead * stride)
            - dr.gather(mi.Vector3f, vertices, index - mi.UInt32(behind) * stride)
        )
    return total


def _flat(points: Any) -> Any:
    return mi.Float(np.ascontiguousarray(points, np.float32).ravel())


def _barycentric(rays: GelRays, p0: Any, p1: Any, p2: Any) -> tuple[Any, Any, Any]:
    """Weights of p1 and p2 and the distance along the ray (Moeller and Trumbore 1997)."""
    edge1, edge2 = p1 - p0, p2 - p0
    p = dr.cross(rays.direction, edge2)
    determinant = dr.dot(edge1, p)
    inverse = 1.0 / dr.select(dr.abs(determinant) > 1e-12, determinant, 1.0)
    t = rays.origin - p0
    q = dr.cross(t, edge1)
    return dr.dot(t, p) * inverse, dr.dot(rays.direction, q) * inverse, dr.dot(edge2, q) * inverse
