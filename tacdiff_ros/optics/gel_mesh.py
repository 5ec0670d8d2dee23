"""The gel surface in a Mitsuba scene: ray-traced, and differentiable in its vertices.

`ray_intersect_preliminary` gives the triangle that a ray hits. The intersection point is then
computed again from the triangle's corners, so that gradients reach the ray and the vertices.
Normals are interpolated from the vertex normals of the regular grid (fourth-order central
differences).

Limits: occlusion of one part of the surface by another has no gradient; a gel in contact has no
occluding edge in the camera's view.
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
MIN_OFFSET_COSINE = 0.05  # smallest cosine to the sensor axis by which a slope offset is scaled
DifferenceWeights = tuple[tuple[int, float], ...]  # pairs of a distance in grid steps and a weight
SECOND_ORDER: DifferenceWeights = ((1, 0.5),)
FOURTH_ORDER: DifferenceWeights = ((1, 8.0), (2, -1.0))  # not scaled, for directions only
CRACK_STEP_MM = 1e-3  # shift of the second try for a ray that passes between two triangles


@dataclass(frozen=True)
class SurfaceHit:
    """Intersections of rays with the surface, in the frame `gel`.

    Attributes:
        valid: mask of the rays that hit the surface.
        position: intersection points, mm.
        normal: interpolated unit normals, toward the camera.
        rest: (x, y) rest positions of the material points that are hit, mm.
        local_interreflection: RGB irradiance from the surrounding gel; None where it was not
            computed.
        triangle: indices of the triangles that are hit; None for points
            that do not come from ray tracing.
    """

    valid: Any
    position: Any
    normal: Any
    rest: Any
    local_interreflection: Any = None
    triangle: Any = None


class GelMesh:
    """A `GelSurface` for rendering, whose vertices can be replaced without rebuilding the scene.

    Attributes:
        vertices: flat `mi.Float` (3 N) vertex positions, mm; replaced by `set_vertices` only.
        slope_offset: `mi.Vector2f` added to the slopes (dz/dx, dz/dy) of all normals, for slope
            derivatives of the image; None for no offset.
        local_interreflection: flat (3 N) RGB irradiance at the vertices; None for no local
            inter-reflection.
        rows: number of vertex rows.
        columns: number of vertex columns.
        spacing_mm: distance between neighbouring vertices at rest, mm.
    """

    def __init__(self, surface: GelSurface) -> None:
        """Build the ray tracing structure.

        Args:
            surface: gel surface.
        """
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
        self.slope_offset: Any = None
        self.local_interreflection: Any = None
        self._normals: Any = None  # cached normals of the current vertices
        self._separate_normals: Any = None  # set inside `separate_gradients` only
        self.spacing_mm = float(surface.x_mm[1] - surface.x_mm[0])

    def has_same_grid(self, surface: GelSurface) -> bool:
        """Return whether a surface has this mesh's grid, so that `set_surface` can take it.

        Args:
            surface: gel surface to compare.
        """
        if (surface.rows, surface.columns) != (self.rows, self.columns):
            return False
        return bool(np.array_equal(surface.rest, self._rest))

    def set_vertices(self, vertices: Any) -> None:
        """Replace the vertex positions.

        Args:
            vertices: flat `mi.Float` (3 N) positions, mm, with or without gradients.

        Raises:
            InputError: the number of coordinates is wrong, or a coordinate is not finite.
        """
        if dr.width(vertices) != dr.width(self.vertices):
            raise InputError(
                f"gel mesh: {dr.width(vertices)} coordinates, expected {dr.width(self.vertices)}"
            )
        if not dr.all(dr.isfinite(dr.detach(vertices))):
            raise InputError("gel mesh: a coordinate is not finite; take a smaller step")
        self._set_vertices(vertices)

    def _set_vertices(self, vertices: Any) -> None:
        dr.make_opaque(vertices)
        self.vertices = vertices
        self._normals = None
        self._fields["gel.vertex_positions"] = mi.Float(dr.detach(vertices))
        self._fields.update()

    def set_surface(self, surface: GelSurface) -> None:
        """Replace the vertex positions by those of a surface on the same grid.

        Args:
            surface: gel surface for which `has_same_grid` is true.
        """
        self.set_positions(surface.position)

    def set_positions(self, position: NDArray[np.floating]) -> None:
        """Replace the vertex positions without checks.

        Args:
            position: (N, 3) positions, mm; finite, and without folds of the surface.
        """
        self._set_vertices(_flat(position))

    def kernel_inputs(self) -> list[Any]:
        """Return all data that kernels read of a mesh without gradients (see `frozen_calls`)."""
        arrays = [
            self.vertices,
            self._rest_xy,
            self._faces,
            self.normals(),
            self.local_interreflection,
        ]
        return [self.scene, self.rows, self.columns, *arrays]

    def normals(self) -> Any:
        """Return flat (3 N) unit vertex normals toward the camera, by fourth-order differences."""
        if self._separate_normals is not None:
            return self._separate_normals
        if self._normals is None or dr.grad_enabled(self.vertices):
            normals = self._vertex_normals(self.vertices)
            dr.eval(normals)
            if dr.grad_enabled(self.vertices):
                return normals
            self._normals = normals
        return self._normals

    @contextmanager
    def separate_gradients(self) -> Iterator[tuple[Any, Any]]:
        """Give vertices and normals gradients that are independent of each other.

        An image rendered inside this context is differentiated in one kernel. Afterwards
        `normals_backward` propagates the gradient of the normals to the vertices.

        Yields:
            Flat (3 N) vertices and flat (3 N) normals, both with gradients enabled.
        """
        detached, normals = self.vertices, self.normals()
        self.vertices, self._separate_normals = mi.Float(detached), mi.Float(normals)
        dr.enable_grad(self.vertices, self._separate_normals)
        try:
            yield self.vertices, self._separate_normals
        finally:
            self.vertices, self._separate_normals = detached, None

    def normals_backward(self, normal_gradient: Any) -> Any:
        """Propagate a gradient from the normals to the vertices.

        Args:
            normal_gradient: flat (3 N) gradient with respect to the normals.

        Returns:
            Flat (3 N) gradient with respect to the vertices.
        """
        vertices = mi.Float(self.vertices)
        dr.enable_grad(vertices)
        normals = self._vertex_normals(vertices)
        dr.set_grad(normals, normal_gradient)
        dr.enqueue(dr.ADMode.Backward, normals)
        dr.traverse(dr.ADMode.Backward)
        return dr.grad(vertices)

    def intersect(self, rays: GelRays) -> SurfaceHit:
        """Return the intersections of rays in the gel with the surface.

        Args:
            rays: rays in the gel.
        """
        triangle, valid = self._find_triangles(rays)
        corners = [dr.gather(mi.UInt32, self._faces, 3 * triangle + k, valid) for k in range(3)]
        p0, p1, p2 = (dr.gather(mi.Point3f, self.vertices, corner, valid) for corner in corners)
        b1, b2, distance = _barycentric(rays, p0, p1, p2)
        weights = (1.0 - b1 - b2, b1, b2)

        def interpolate(kind: Any, values: Any) -> Any:
            return sum(
                weight * dr.gather(kind, values, corner, valid)
                for weight, corner in zip(weights, corners, strict=True)
            )

        normal = interpolate(mi.Vector3f, self.normals())
        rest = interpolate(mi.Vector2f, self._rest_xy)
        local_interreflection = None
        if self.local_interreflection is not None:
            local_interreflection = interpolate(mi.Color3f, self.local_interreflection)
        position = rays.origin + rays.direction * distance
        normal = dr.select(valid, normal, mi.Vector3f(0.0, 0.0, -1.0))
        if self.slope_offset is not None:
            cosine = dr.maximum(-normal.z, MIN_OFFSET_COSINE)
            normal.x += cosine * self.slope_offset.x
            normal.y += cosine * self.slope_offset.y
        return SurfaceHit(
            valid=valid,
            position=position,
            normal=dr.normalize(normal),
            rest=rest,
            local_interreflection=local_interreflection,
            triangle=triangle,
        )

    def _find_triangles(self, rays: GelRays) -> tuple[Any, Any]:
        """Return the triangle index and the hit mask of each ray, without gradients."""
        with dr.suspend_grad():
            ray = mi.Ray3f(dr.detach(rays.origin), dr.detach(rays.direction))
            first = self.scene.ray_intersect_preliminary(ray, coherent=True, active=rays.valid)
            ray.o += mi.Vector3f(CRACK_STEP_MM, 0.7 * CRACK_STEP_MM, 0.0)
            missed = rays.valid & ~first.is_valid()
            second = self.scene.ray_intersect_preliminary(ray, coherent=True, active=missed)
            valid = first.is_valid() | second.is_valid()
            triangle = dr.select(first.is_valid(), first.prim_index, second.prim_index)
        return triangle, valid

    def visible(self, position: Any, normal: Any, target: Any, active: Any) -> Any:
        """Return whether the surface leaves the line from its points to targets free.

        The result has no gradients.

        Args:
            position: points on the surface, mm.
            normal: unit normals of the surface at these points.
            target: points in the gel, mm.
            active: mask of the lanes to test.
        """
        with dr.suspend_grad():
            origin = dr.detach(position) + SHADOW_OFFSET_MM * dr.detach(normal)
            to_target = dr.detach(target) - origin
            distance = dr.norm(to_target)
            ray = mi.Ray3f(origin, to_target / distance, 0.999 * distance, 0.0, [])
            return ~self.scene.ray_test(ray, active=active)

    def vertex_areas(self, vertex: Any) -> Any:
        """Return area vectors of vertices: normals toward the camera with the length of an area.

        Args:
            vertex: vertex indices.

        Returns:
            Vectors whose length is the area that the vertex represents, mm^2.
        """
        along_x, along_y = self._grid_differences(self.vertices, vertex, SECOND_ORDER)
        return dr.cross(along_y, along_x)

    def _vertex_normals(self, vertices: Any) -> Any:
        vertex = dr.arange(mi.UInt32, self.rows * self.columns)
        along_x, along_y = self._grid_differences(vertices, vertex, FOURTH_ORDER)
        return dr.ravel(dr.normalize(dr.cross(along_y, along_x)))

    def _grid_differences(
        self, vertices: Any, index: Any, weights: DifferenceWeights
    ) -> tuple[Any, Any]:
        """Return differences of the vertex positions along the grid's x and y axes.

        Args:
            vertices: flat (3 N) vertex positions, mm.
            index: indices of the vertices at which the differences are taken.
            weights: weights of the difference formula.
        """
        row, column = index // self.columns, index % self.columns
        return (
            _difference(vertices, index, column, self.columns, 1, weights),
            _difference(vertices, index, row, self.rows, self.columns, weights),
        )


def separate_ray_kernels() -> bool:
    """Return whether ray tracing and derivatives should run in separate kernels.

    On a GPU a kernel that contains both takes minutes to compile; on a CPU one kernel is faster.
    """
    return bool(dr.backend_v(mi.Float) == dr.JitBackend.CUDA)


def _difference(
    vertices: Any, index: Any, line: Any, lines: int, stride: int, weights: DifferenceWeights
) -> Any:
    """Return central differences along one grid axis, one-sided at the border of the pad.

    Args:
        vertices: flat (3 N) vertex positions, mm.
        index: vertex indices.
        line: row or column of each vertex, along the axis.
        lines: number of rows or columns.
        stride: difference of the vertex indices of two neighbours along the axis.
        weights: weights of the difference formula.
    """
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
    """Return the weights of p1 and p2 and the distance along the ray (Moeller, Trumbore 1997)."""
    edge1, edge2 = p1 - p0, p2 - p0
    p = dr.cross(rays.direction, edge2)
    determinant = dr.dot(edge1, p)
    inverse = 1.0 / dr.select(dr.abs(determinant) > 1e-12, determinant, 1.0)
    t = rays.origin - p0
    q = dr.cross(t, edge1)
    return dr.dot(t, p) * inverse, dr.dot(rays.direction, q) * inverse, dr.dot(edge2, q) * inverse
