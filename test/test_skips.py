"""`--strict-skips`: a broken installation fails tests that would otherwise be skipped."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

MODULE = """
import pytest

def test_without_data():
    pytest.skip("real data not here: shared/data beside the repository")

def test_without_library():
    pytest.skip("no LLVM >= 19 is installed, Mitsuba cannot run")

@pytest.mark.xfail(reason="a known fault")
def test_known_fault():
    assert False
"""
WHOLE_MODULE = "import pytest; pytest.importorskip('rclpy_of_another_planet')\ndef test(): pass"


@pytest.fixture
def suite(pytester):
    """Tests under the hooks of this project's `conftest.py`.

    They run in a process of their own: within this one, pytester would release the modules that
    they import, and with them native libraries that other tests use, which ends the process.
    """
    pytester.makeconftest(Path(__file__).with_name("conftest.py").read_text())
    pytester.makepyfile(test_one=MODULE, test_whole_module=WHOLE_MODULE)
    return pytester


def test_any_skip_passes_without_the_option(suite):
    suite.runpytest_subprocess().assert_outcomes(skipped=3, xfailed=1)


def test_only_listed_reasons_may_skip_with_the_option(suite):
    result = suite.runpytest_subprocess("--strict-skips", "--continue-on-collection-errors")
    result.assert_outcomes(skipped=1, xfailed=1, failed=1, errors=1)
    result.stdout.fnmatch_lines_random(
        ["*no LLVM >= 19 is installed*is a failure*", "*rclpy_of_another_planet*is a failure*"]
    )
