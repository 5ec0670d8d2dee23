"""What runs out is said in one line, however a library wraps it."""

from __future__ import annotations

import errno
import os

import cv2
import pytest

from tacdiff_ros.shortages import explain, shortage


def wrapped(inner: BaseException) -> BaseException:
    """An exception that a library raises in place of another."""
    try:
        try:
            raise inner
        except BaseException as error:
            raise KeyError("library") from error
    except KeyError as error:
        return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError("1 GB"), "not enough memory (1 GB): close other programs"),
        (MemoryError(), "not enough memory: close"),
        (OSError(errno.ENOSPC, "No space left on device", "a"), "a: No space left on device: free"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files: raise the limit"),
        (OSError(errno.EROFS, "Read-only file system", b"a"), "a: Read-only file system: write"),
        (ImportError("x.so: failed to map segment from shared object"), "not enough memory (x.so"),
        (ImportError("x.so: cannot open: Too many open files"), "Too many open files (x.so"),
        (RuntimeError("std::bad_alloc"), "not enough memory (std::bad_alloc)"),
        (cv2.error("OpenCV: Insufficient memory"), "not enough memory (OpenCV"),
    ],
)
def test_shortages_are_explained_also_when_wrapped(error, expected):
    for found in (error, wrapped(error)):
        line = shortage(found)
        assert line is not None
        assert line.startswith(expected)
        assert "\n" not in line


@pytest.mark.parametrize("error", [KeyError("a"), RuntimeError("bug"), FileNotFoundError(2, "no")])
def test_other_errors_are_not_hidden(error):
    assert shortage(error) is None
    assert shortage(wrapped(error)) is None


def test_circular_causes_end():
    first, second = KeyError("a"), KeyError("b")
    first.__cause__, second.__cause__ = second, first
    assert shortage(first) is None


def test_reasons_without_advice_are_the_systems_own():
    assert explain(OSError(errno.EACCES, os.strerror(errno.EACCES))) == "Permission denied"
