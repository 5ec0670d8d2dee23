"""Small objects whose geometry is known in closed form."""

import numpy as np
import pytest

trimesh = pytest.importorskip("trimesh")
pytest.importorskip("igl")

from tacdiff_ros.objects.object_files import build_object  # noqa: E402

BOX_M = np.array([0.04, 0.06, 0.10])


def made(name, mesh, spacing=0.002, **known):
    return build_object(name, mesh.vertices, mesh.faces, spacing=spacing, cache=False, **known)


@pytest.fixture(scope="session")
def box():
    return made("box", trimesh.creation.box(BOX_M))


@pytest.fixture(scope="session")
def cylinder():
    return made("cylinder", trimesh.creation.cylinder(radius=0.03, height=0.1, sections=48), 0.003)


@pytest.fixture(scope="session")
def mug():
    """A cylinder with a handle of 3 % of its area."""
    cup = trimesh.creation.cylinder(radius=0.035, height=0.09, sections=48)
    handle = trimesh.creation.box([0.04, 0.01, 0.03])
    handle.apply_translation([0.045, 0, 0])
    return made("mug", trimesh.boolean.union([cup, handle], engine="manifold"), 0.004)
