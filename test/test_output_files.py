"""Files are written whole or not at all, on a full disk too."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from tacdiff_ros import output_files
from tacdiff_ros.errors import InputError
from tacdiff_ros.output_files import (
    check_space,
    json_text,
    npy_bytes,
    png_bytes,
    write_file,
    write_files,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fail_after(monkeypatch, writes: int):
    """A disk that is full after so many files."""
    write, left = output_files._write_durably, [writes]

    def limited(path, content):
        path.write_bytes(b"half")
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(path, content)

    monkeypatch.setattr(output_files, "_write_durably", limited)


def test_all_files_are_written_and_nothing_else(tmp_path):
    write_files(tmp_path / "new" / "folder", {"a.json": "{}", "b.bin": b"\x00"})
    assert names(tmp_path / "new" / "folder") == ["a.json", "b.bin"]


def test_full_disk_keeps_all_old_files(tmp_path, monkeypatch):
    write_files(tmp_path, {"a": "old a", "b": "old b"})
    fail_after(monkeypatch, 1)
    with pytest.raises(InputError, match="No space left on device: free some"):
        write_files(tmp_path, {"a": "new a", "b": "new b"})
    assert names(tmp_path) == ["a", "b"]
    assert (tmp_path / "a").read_text() == "old a"
    assert (tmp_path / "b").read_text() == "old b"


def test_leftovers_of_ended_processes_are_removed_and_others_stay(tmp_path):
    ended = subprocess.Popen(["true"])  # noqa: S607
    ended.wait()
    (tmp_path / f".a.{ended.pid}.part").write_text("half")
    (tmp_path / ".a.1.part").write_text("of the first process, which runs")
    (tmp_path / ".a.txt.part").write_text("somebody's")
    write_file(tmp_path / "a", "whole")
    assert names(tmp_path) == [".a.1.part", ".a.txt.part", "a"]


def test_link_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_file(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "text"


def test_devices_and_folders_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(InputError, match="expected a regular file"):
            write_file(path, "text")
    assert names(tmp_path) == ["pipe"]


def test_folder_that_takes_nothing_is_refused_before_the_work(tmp_path):
    check_space(tmp_path / "not" / "yet" / "there")
    with pytest.raises(InputError, match="cannot write to"):
        check_space(Path("/proc/nothing"))
    assert names(tmp_path) == []


def test_formats_are_read_back(tmp_path):
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    write_files(
        tmp_path,
        {"i.png": png_bytes(image), "a.npy": npy_bytes(image), "j.json": json_text({"a": 1})},
    )
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "i.png"))[..., ::-1], image)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), image)
    assert json.loads((tmp_path / "j.json").read_text()) == {"a": 1}
