"""The renderer gets an LLVM that it can live with, or the user a line that says what to type."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tacdiff_ros.optics import llvm

SOURCES = Path(__file__).resolve().parents[2]
INSTALLED = llvm.find_library()


def test_the_library_that_is_found_is_new_enough(monkeypatch):
    """Asked in another process, with ctypes alone, which version it is."""
    monkeypatch.delenv("DRJIT_LIBLLVM_PATH", raising=False)
    library = llvm.find_library()
    if library is None:
        pytest.skip("no LLVM >= 19 is installed")
    code = (
        "import ctypes, sys; a, b, c = (ctypes.c_uint() for _ in range(3));"
        "ctypes.CDLL(sys.argv[1]).LLVMGetVersion(*map(ctypes.byref, (a, b, c))); print(a.value)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, str(library)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert int(answer.stdout) >= 19


def test_the_newest_of_several_libraries_is_taken_and_old_ones_are_passed_over(
    monkeypatch, tmp_path
):
    """Names as Debian has them; the versions come from a table instead of real libraries."""
    versions = {"libLLVM-14.so.1": None, "libLLVM-15.so": None, "libLLVM-18.so.1": 18}
    versions |= {"libLLVM.so.19.1": 19, "libLLVM.so.20.1": 20}
    for name in versions:
        (tmp_path / name).touch()
    monkeypatch.delenv("DRJIT_LIBLLVM_PATH", raising=False)
    found = [tmp_path.resolve() / name for name in versions]
    ordered = sorted(found, key=llvm._version_in_name, reverse=True)
    monkeypatch.setattr(llvm, "_installed_libraries", lambda: ordered)
    monkeypatch.setattr(llvm, "major_version", lambda library: versions[library.name])
    assert llvm.find_library() == tmp_path.resolve() / "libLLVM.so.20.1"
    del versions["libLLVM.so.19.1"], versions["libLLVM.so.20.1"]
    ordered[:] = [path for path in ordered if path.name in versions]
    assert llvm.find_library() is None


@pytest.mark.parametrize("kind", ["missing", "empty file", "no LLVM", "folder"])
def test_a_wrong_path_ends_in_one_line_of_advice(monkeypatch, tmp_path, kind):
    """Not in a crash of the process, which is what Dr.Jit would make of it."""
    path = {
        "missing": tmp_path / "absent.so",
        "empty file": tmp_path / "empty.so",
        "no LLVM": Path(sys.modules["_ctypes"].__file__ or ""),
        "folder": tmp_path,
    }[kind]
    (tmp_path / "empty.so").touch()
    monkeypatch.setenv("DRJIT_LIBLLVM_PATH", str(path))
    with pytest.raises(RuntimeError, match="sudo apt-get install libllvm19") as caught:
        llvm.require_library()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert os.environ["DRJIT_LIBLLVM_PATH"] == str(path)


@pytest.mark.skipif(INSTALLED is None, reason="no LLVM >= 19 is installed")
def test_the_found_library_is_handed_to_the_renderer(monkeypatch):
    monkeypatch.setenv("DRJIT_LIBLLVM_PATH", str(INSTALLED))
    assert llvm.require_library() == INSTALLED
    assert os.environ["DRJIT_LIBLLVM_PATH"] == str(INSTALLED)


RENDER = """
from tacdiff_ros.optics.llvm import require_library
require_library()
import mitsuba as mi
mi.set_variant("llvm_ad_rgb")
to_world = mi.ScalarTransform4f().look_at(origin=[0, 0, 5], target=[0, 0, 0], up=[0, 1, 0])
scene = mi.load_dict({
    "type": "scene",
    "integrator": {"type": "path", "max_depth": 2},
    "light": {"type": "constant", "radiance": {"type": "rgb", "value": 2.0}},
    "ball": {"type": "sphere", "bsdf": {
        "type": "diffuse", "reflectance": {"type": "rgb", "value": [0.5, 0.25, 0.125]}}},
    "camera": {"type": "perspective", "fov": 10, "to_world": to_world, "film": {
        "type": "hdrfilm", "width": 8, "height": 8, "rfilter": {"type": "box"}}},
})
print(*mi.render(scene, spp=64).numpy().mean(axis=(0, 1)))
"""


@pytest.mark.skipif(INSTALLED is None, reason="no LLVM >= 19 is installed")
@pytest.mark.skipif(find_spec("mitsuba") is None, reason="mitsuba is not installed")
def test_a_render_with_the_found_library_gives_the_radiance_of_a_ball_in_a_white_room():
    """A convex Lambertian body under a uniform sky of radiance L shows albedo x L everywhere.

    In a process of its own: a wrong LLVM would take this one with it.
    """
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    environment.pop("DRJIT_LIBLLVM_PATH", None)
    answer = subprocess.run(
        [sys.executable, "-c", RENDER],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=120,
    )
    assert answer.returncode == 0, answer.stderr[-500:]
    radiance = [float(value) for value in answer.stdout.split()]
    assert radiance == pytest.approx([1.0, 0.5, 0.25], rel=0.02)
