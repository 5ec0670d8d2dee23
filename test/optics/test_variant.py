"""Starting Mitsuba: a usable variant, or one line that says what is missing."""

import os
import subprocess
import sys

import pytest

from tacdiff_ros.errors import InputError


def start(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


def test_a_missing_llvm_is_one_line_and_exit_code_2_not_a_crash(tmp_path):
    arguments = f"['simulate', '--out', {str(tmp_path / 'out')!r}]"
    code = f"import sys; from tacdiff_ros.cli.application import run; sys.exit(run({arguments}))"
    result = start(
        code, DRJIT_LIBLLVM_PATH=str(tmp_path / "none.so"), TACDIFF_VARIANT="llvm_ad_rgb"
    )
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "libllvm19" in result.stderr
    assert not (tmp_path / "out").exists()


def test_an_unknown_variant_is_refused_by_name():
    result = start(
        "from tacdiff_ros.optics.variant import start_mitsuba\n"
        "try: start_mitsuba()\n"
        "except ValueError as error: print(error)",
        TACDIFF_VARIANT="scalar_rgb",
    )
    assert "'scalar_rgb': expected one of cuda_ad_rgb, llvm_ad_rgb" in result.stdout


def test_a_process_keeps_its_variant(mitsuba_runs):
    from tacdiff_ros.optics.variant import start_mitsuba

    assert start_mitsuba() == mitsuba_runs
    other = "cuda_ad_rgb" if mitsuba_runs.startswith("llvm") else "llvm_ad_rgb"
    with pytest.raises(InputError, match="cannot change"):
        start_mitsuba(other)


def test_importing_the_command_line_does_not_start_mitsuba():
    result = start("import sys, tacdiff_ros.cli.application; print('mitsuba' in sys.modules)")
    assert result.stdout.strip() == "False"
