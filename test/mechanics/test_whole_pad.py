"""Large contacts: a sparse matrix of the whole pad instead of a dense one of the surface."""

import numpy as np
import pytest

from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.mechanics import contact_candidates, gel_solver
from tacdiff_ros.mechanics.descent_strategies import NEWTON_SUBSTEPS
from tacdiff_ros.mechanics.gel_solver import GelSolver
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.material import GelMaterial
from tacdiff_ros.mechanics.pad_mesh import build_pad_mesh
from tacdiff_ros.mechanics.pardiso import CondensedFactor
from tacdiff_ros.mechanics.whole_pad import WholePad


def dragged(mesh, indenter, depth_mm, shift_mm):
    """The states of a press and of a shift after it."""
    with GelSolver(mesh, GelMaterial(), indenter) as solver:
        states = [solver.rest()]
        for pose in (IndenterPose(depth_mm=depth_mm), IndenterPose(shift_mm, 0.0, depth_mm)):
            states.append(solver.step(states[-1], pose))
        whole = isinstance(solver._condensed, WholePad)
    return states[1:], whole


def test_a_sparse_matrix_of_the_pad_gives_the_equilibrium_of_a_dense_one(monkeypatch):
    monkeypatch.setattr(gel_solver, "ATTEMPTS", (NEWTON_SUBSTEPS,))  # the same substeps for both
    mesh, indenter = build_pad_mesh(12.0, 10.0, 4.0, 11, 13, 2), build_indenter("sphere:diameter=8")
    dense, is_whole = dragged(mesh, indenter, 0.2, 0.1)
    assert not is_whole
    monkeypatch.setattr(contact_candidates, "MAX_DENSE_VERTICES", 10)
    sparse, is_whole = dragged(mesh, indenter, 0.2, 0.1)
    assert is_whole
    for a, b in zip(dense, sparse, strict=True):
        assert b.displacement == pytest.approx(a.displacement, abs=2e-5)
        assert b.force.sum(axis=0) == pytest.approx(a.force.sum(axis=0), abs=1e-4)
        assert np.array_equal(b.touches, a.touches)
    assert CondensedFactor.open_count() == 0


def test_the_middle_of_a_layer_under_a_wide_punch_has_the_confined_modulus(monkeypatch):
    """A punch that covers a thin layer: far from its sides, strain is uniaxial."""
    monkeypatch.setattr(contact_candidates, "MAX_DENSE_VERTICES", 10)
    young, poisson, thickness, depth = 0.2, 0.4, 0.8, 0.008
    mesh = build_pad_mesh(6.0, 6.0, thickness, 13, 13, 2)
    material = GelMaterial(young_modulus_mpa=young, poisson_ratio=poisson)
    with GelSolver(mesh, material, build_indenter("cylinder:diameter=20")) as solver:
        state = solver.step(solver.rest(), IndenterPose(depth_mm=depth))
        assert isinstance(solver._condensed, WholePad)
    confined = young * (1.0 - poisson) / ((1.0 + poisson) * (1.0 - 2.0 * poisson))
    pressure = (
        -state.force[:, 2].reshape(13, 13)[6, 6] / mesh.tributary_area_mm2().reshape(13, 13)[6, 6]
    )
    assert pressure == pytest.approx(confined * depth / thickness, rel=0.02)
