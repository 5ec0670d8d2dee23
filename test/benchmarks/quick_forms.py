"""The quick form of every benchmark, as `make bench-smoke` runs it: too long for `make test`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tacdiff_ros.optics.variant import gpu_names

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
LIMIT_S = 1800
# Arguments, and figures that its JSON must have.
QUICK_FORMS: dict[str, tuple[list[str], set[str]]] = {
    "acquisition": (["--quick"], {"images_lost", "pose_gap_ms_max", "fault_stop_ms_max"}),
    "adversity": (["--only", "markers", "--kills", "1"], {"commands", "left_out"}),
    "attack": (["--only", "requests"], {"nodes", "causes"}),
    "calibration": (["--quick"], {"virtual_dot_rms_px", "virtual_psnr_db", "units_converged"}),
    "connectors": (["--quick"], {"connector_accuracy", "occlusion_gain", "retrieval_r1"}),
    "contact_references": (["--quick"], {"dimitriadis_worst_percent"}),
    "first_run": (["--quick"], {"quick_run_passes", "images_lost"}),
    "gpu": (["--quick"], {"card"}),
    "inversion": (["--quick"], {"streaming_hz", "streaming_height_rmse_mm"}),
    "marker_sets": (["--quick"], {"set", "found_fraction"}),
    "mechanics": (["--quick"], {"layer_error_worst_default_mesh", "hertz_error_worst", "live_hz"}),
    "object_pose": (["--quick"], {"position_cm", "tracking_ms", "touch_only_mm", "coverage_90"}),
    "optics": (["--quick"], {"render_ms", "path_lowpass_rms", "gradient_slope_worst_deviation"}),
    "rig_mount": (["--quick"], {"rows"}),
    "touch_features": (["--only", "rates"], {"encode_ms", "parameters_millions"}),
    "translation": (["--quick"], {"cpu_hz"}),
    "twin": (["--quick"], {"live_hz", "latency_p99_ms", "live_contact_psnr_db"}),
}
NEED_DATA = {"marker_sets"}


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a benchmark to its end."""
    command = [sys.executable, f"benchmarks/{name}.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S)


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("name", QUICK_FORMS)
def test_the_quick_form_prints_its_figures_as_json(name):
    if name in NEED_DATA and not DATA.is_dir():
        pytest.skip(f"real data not here: {DATA.name} beside the repository")
    if name == "gpu" and not gpu_names():
        pytest.skip("no graphics card")
    arguments, keys = QUICK_FORMS[name]
    done = run(name, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert keys <= set(figures[0] if isinstance(figures, list) else figures)


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
def test_mutated_sensor_files_are_refused_in_one_line():
    done = run("fuzz", "--reader", "sensor file", "--seconds", "2")
    assert done.returncode == 0, done.stderr
    assert "sensor file" in done.stdout


def test_every_program_with_a_quick_form_is_listed():
    programs = {
        path.stem
        for path in (ROOT / "benchmarks").glob("*.py")
        if '"--quick"' in path.read_text() and "__main__" in path.read_text()
    }
    assert programs <= set(QUICK_FORMS)
