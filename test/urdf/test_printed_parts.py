"""The printable parts fit the flange, the sensor and the frames that the launch files publish."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import trimesh

from tools.export_printed_parts import FOLDER, SHARED, checksum

SOURCES = sorted(path for path in FOLDER.glob("*.scad") if path != SHARED)


def measure(source: Path, name: str) -> np.ndarray:
    """Return the numbers that an OpenSCAD file assigns to a name."""
    text = re.search(rf"^{name} = \[?([-0-9., ]+)\]?;", source.read_text(), re.MULTILINE)
    assert text is not None, f"{source.name} lacks {name}"
    return np.array([float(part) for part in text[1].split(",")])


def load(name: str) -> trimesh.Trimesh:
    return trimesh.load_mesh(FOLDER / f"{name}.stl")


def circle(mesh: trimesh.Trimesh, centre: tuple[float, float], z: float, diameter: float) -> bool:
    """Return whether the rim of a hole lies in the plane z, to 0.05 mm."""
    at_z = mesh.vertices[np.abs(mesh.vertices[:, 2] - z) < 1e-3][:, :2]
    radius = np.linalg.norm(at_z - centre, axis=1)
    return np.count_nonzero(np.abs(radius - diameter / 2) < 0.05) >= 24


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_parts_are_closed_solids_exported_from_their_present_source(source):
    path = source.with_suffix(".stl")
    mesh = trimesh.load_mesh(path)
    assert mesh.is_watertight
    assert mesh.body_count == 1
    assert path.read_bytes()[:80].decode().split()[1] == checksum(source), (
        f"{path.name} is older than its source: run tools/export_printed_parts.py"
    )


def test_sensor_in_the_parts_has_the_size_of_the_description():
    description = (FOLDER.parent / "gelsight_mini_mount.xacro").read_text()
    body = measure(SHARED, "body")
    assert f'x="{body[0] / 1e3}" y="{body[1] / 1e3}"' in description
    assert f'name="housing" value="{body[2] / 1e3}"' in description
    assert f'name="pad" value="{measure(SHARED, "pad")[0] / 1e3}"' in description


def test_flange_holder_fits_iso_9409_1_50_4_m6():
    mesh = load("flange_holder")
    for x, y in ((25, 0), (0, 25), (-25, 0), (0, -25)):
        assert circle(mesh, (x, y), 0, 6.6)
    assert circle(mesh, (25 * np.sqrt(0.5), 25 * np.sqrt(0.5)), 0, 6.2)
    assert mesh.bounds[1][0] == pytest.approx(31.5, abs=0.1)


def test_gel_of_the_flange_holder_is_at_the_distance_it_states():
    source = FOLDER / "flange_holder.scad"
    body, pad, grip = (measure(SHARED, name) for name in ("body", "pad", "grip"))
    gel = load("flange_holder").bounds[1][2] - grip + body[2] + pad
    assert gel == pytest.approx(measure(source, "gel_distance"))


def test_gel_of_the_finger_holder_faces_the_other_finger_at_its_middle_plane():
    source = FOLDER / "finger_holder.scad"
    body, pad, grip = (measure(SHARED, name) for name in ("body", "pad", "grip"))
    mesh = load("finger_holder")
    # The rim of the holder is the frontmost plane above the carriage's plate.
    front = mesh.vertices[mesh.vertices[:, 2] > measure(source, "plate")[2] + 1][:, 1].max()
    assert front - grip + body[2] + pad == pytest.approx(measure(source, "gel_inward"), abs=1e-3)


def test_tip_of_the_stand_is_where_the_ball_touches():
    source = FOLDER / "stand_tip.scad"
    ball, tip = measure(source, "ball")[0], measure(source, "tip")[0]
    pocket = load("stand_tip").vertices
    pocket = pocket[pocket[:, 2] > tip - ball - 0.1]
    radius = np.linalg.norm(pocket - [0, 0, tip - ball / 2], axis=1)
    assert radius.min() == pytest.approx((ball + 0.1) / 2, abs=0.03)
