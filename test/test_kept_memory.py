"""Freed memory stays in the process: images of every frame need no new pages."""

import os
import subprocess
import sys

import pytest

# Page faults while arrays are allocated, written and freed, after a first time.
PROGRAM = """
import resource
import numpy as np
{first}
def work():
    for _ in range(30):
        arrays = [np.ones(200_000) for _ in range(8)]
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
KEEP = "from tacdiff_ros.kept_memory import keep_freed_memory; assert keep_freed_memory()"


def faults(first, **environment):
    program = [sys.executable, "-c", PROGRAM.format(first=first)]
    others = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
    return int(
        subprocess.run(
            program, capture_output=True, text=True, check=True, env=others | environment
        ).stdout
    )


@pytest.mark.skipif(sys.platform != "linux", reason="needs glibc")
def test_arrays_of_images_need_no_new_pages():
    assert faults(KEEP) < 200 < 10_000 < faults("")


@pytest.mark.skipif(sys.platform != "linux", reason="needs glibc")
def test_a_limit_of_the_user_takes_precedence():
    assert faults(KEEP, MALLOC_TRIM_THRESHOLD_="65536", MALLOC_MMAP_THRESHOLD_="65536") > 10_000
