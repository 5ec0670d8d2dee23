"""Parts of the live gel: contact sweeps beside dense algebra, and the pad's sides."""

import numpy as np
import pytest
from scipy.optimize import nnls

from tacdiff_ros.mechanics.layer_compliance import BondedLayer, surface_kernel
from tacdiff_ros.mechanics.live.contact_sweeps import (
    PointContact,
    PointKernel,
    SweepLimits,
    solve_contact_forces,
)
from tacdiff_ros.mechanics.live.pad_grid import PadGrid
from tacdiff_ros.mechanics.live.pad_sides import PadSides
from tacdiff_ros.mechanics.live.surface_points import SurfacePoints
from tacdiff_ros.mechanics.material import GelMaterial

PAD = PadGrid(4.0, 4.0, 4.0, 9, 9)
SOFTNESS = 0.5


def kernel_and_points() -> tuple[PointKernel, SurfacePoints, np.ndarray]:
    """With the dense compliance (3 q, 3 q) of all points, softness included."""
    values = surface_kernel(BondedLayer(4.0, 0.2, 0.48), 9, 9, PAD.spacing_mm).values
    kernel = PointKernel.from_values(values)
    points = SurfacePoints(PAD, kernel.weights)
    row, column = np.divmod(np.arange(81), 9)
    nodal = values[8 + row[:, None] - row, 8 + column[:, None] - column]
    share = np.zeros((*points.shape, 81))
    faces = np.arange(points.shape[0])[:, None]
    for corner in range(4):
        share[faces, np.arange(points.shape[1]), points.vertices[:, corner][:, None]] = (
            points.weights[:, corner]
        )
    share = share.reshape(-1, 81)
    dense = np.moveaxis(share @ np.moveaxis(nodal, (2, 3), (0, 1)) @ share.T, (0, 1), (1, 3))
    size = 3 * len(share)
    return kernel, points, dense.reshape(size, size) + SOFTNESS * np.eye(size)


def contact(
    points: SurfacePoints, gap: np.ndarray, off: np.ndarray, anchored: bool
) -> PointContact:
    normal = np.broadcast_to([0.0, 0.0, -1.0], (*points.shape, 3)).copy()
    return PointContact(
        points.cells,
        normal,
        gap.reshape(points.shape),
        off.reshape(*points.shape, 3),
        np.full(points.shape, anchored),
        np.zeros((*points.shape, 3)),
        SOFTNESS,
    )


def test_glued_points_take_the_forces_of_a_linear_system():
    kernel, points, dense = kernel_and_points()
    count = int(np.prod(points.shape))
    off = np.broadcast_to([-0.1, 0.05, 0.2], (count, 3)).copy()
    glued = contact(points, -off[:, 2], off, True)
    found = solve_contact_forces(kernel, glued, SweepLimits(1e3, 400, 1e-8))
    expected = np.linalg.solve(dense, -off.ravel()).reshape(count, 3)
    assert found.force.sum(axis=(0, 1)) == pytest.approx(expected.sum(axis=0), rel=2e-3)
    assert np.allclose(found.displacement_change.reshape(-1, 3)[:, 2].mean(), -0.2, atol=0.02)


def test_frictionless_points_solve_the_complementarity_problem():
    kernel, points, dense = kernel_and_points()
    place = points.positions(np.zeros((81, 3)), np.arange(points.shape[0])).reshape(-1, 3)
    gap = (place[:, :2] ** 2).sum(axis=1) / 4.0 - 0.2
    found = solve_contact_forces(
        kernel, contact(points, gap, np.zeros((len(gap), 3)), False), SweepLimits(0.0, 400, 1e-8)
    )
    normal = dense.reshape(len(gap), 3, len(gap), 3)[:, 2, :, 2]
    root = np.linalg.cholesky(normal)
    expected, _ = nnls(root.T, np.linalg.solve(root, -gap))  # min f'Wf/2 + gap'f, f >= 0
    assert -found.force[..., 2].sum() == pytest.approx(expected.sum(), rel=5e-3)
    assert not found.force[..., :2].any()


def test_friction_never_exceeds_its_bound():
    kernel, points, _ = kernel_and_points()
    place = points.positions(np.zeros((81, 3)), np.arange(points.shape[0])).reshape(-1, 3)
    gap = (place[:, :2] ** 2).sum(axis=1) / 4.0 - 0.2
    off = np.broadcast_to([-0.1, 0.0, 0.0], (len(gap), 3)).copy()
    found = solve_contact_forces(
        kernel, contact(points, gap, off, True), SweepLimits(0.4, 60, 1e-6)
    ).force
    pressing = -found[..., 2]
    assert (pressing >= 0).all()
    assert (np.linalg.norm(found[..., :2], axis=-1) <= 0.4 * pressing * (1 + 1e-9) + 1e-15).all()
    assert found[..., 0].sum() > 0.1 * pressing.sum()  # drags the gel along


def test_sides_are_felt_beside_them_and_not_in_the_middle():
    pad = PadGrid(rows=33, columns=41)
    sides = PadSides(pad, GelMaterial())
    middle, beside = np.zeros((3, 33, 41)), np.zeros((3, 33, 41))
    middle[2, 16, 20] = beside[2, 16, 36] = -1.0
    at_middle = sides.displacement(middle)
    assert np.abs(at_middle[:, 12:21, 16:25]).max() < 0.03
    moved = sides.displacement(beside)
    assert moved[2, 16, 36] < -0.05  # a free side gives way
    assert np.isclose((moved * middle).sum(), (at_middle * beside).sum(), atol=1e-6)  # Betti
