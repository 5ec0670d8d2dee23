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
    result = start(  # with an empty cache, which lacks the sensor's indirect light
        code,
        DRJIT_LIBLLVM_PATH=str(tmp_path / "none.so"),
        TACDIFF_VARIANT="llvm_ad_rgb",
        TACDIFF_CACHE_DIR=str(tmp_path / "cache"),
    )
    assert result.returncode == 2
    lines = [line for line in result.stderr.splitlines() if not line.startswith("compiling")]
    assert len(lines) == 1
    assert "libllvm19" in lines[0]
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


PRETEND_A_CARD = (
    "import logging, sys; logging.basicConfig(level=logging.INFO, stream=sys.stdout)\n"
    "from tacdiff_ros.optics import variant\n"
    "variant._gpu_count = lambda: 1\n"
    "variant.FASTER_WITH_GPU['stream'] = variant.LLVM\n"
    "def start(chosen):\n"
    "    import mitsuba\n"
    "    if chosen == missing: raise variant.InputError('no such thing here')\n"
    "    mitsuba.set_variant('scalar_rgb')\n"
    "    mitsuba.variant = lambda: chosen\n"
    "variant._start = start\n"
)


def started_with_a_card(code, missing=None):
    code = f"missing = {missing!r}\n{PRETEND_A_CARD}{code}"
    environment = {key: value for key, value in os.environ.items() if key != "TACDIFF_VARIANT"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("job", "chosen"), [("images", "cuda"), ("stream", "llvm")])
def test_what_the_table_says_of_a_job_is_used_and_logged(job, chosen):
    printed = started_with_a_card(f"variant.start_mitsuba(job={job!r})")
    assert f"INFO:tacdiff_ros.optics.variant:rendering with {chosen}_ad_rgb" in printed


def test_a_variant_that_cannot_run_is_replaced_with_a_warning():
    printed = started_with_a_card("print(variant.start_mitsuba(job='images'))", "cuda_ad_rgb")
    assert "WARNING" in printed
    assert "no such thing here; rendering with llvm_ad_rgb, which is slower for images" in printed
    assert printed.strip().endswith("llvm_ad_rgb")


def test_a_later_job_that_would_be_faster_elsewhere_is_a_warning_once():
    printed = started_with_a_card(
        "for job in ('images', 'stream', 'stream'): variant.start_mitsuba(job=job)"
    )
    assert printed.count("stream would be faster with llvm_ad_rgb") == 1


def test_importing_the_command_line_does_not_start_mitsuba():
    result = start("import sys, tacdiff_ros.cli.application; print('mitsuba' in sys.modules)")
    assert result.stdout.strip() == "False"
