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
    PARTIAL_FOLDER,
    atomic_folder,
    check_space,
    json_text,
    npy_bytes,
    png_bytes,
    remove_partial_folders,
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


def test_a_file_that_a_function_writes_is_whole_or_absent(tmp_path):
    def half(path):
        path.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write_file(tmp_path / "a", lambda path: path.write_text("whole"))
    with pytest.raises(InputError, match="No space left on device"):
        write_files(tmp_path, {"b": "new", "a": half})
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "whole"


def test_content_is_on_the_disk_before_its_name(tmp_path, monkeypatch):
    """After a power cut a name must not refer to an empty file; recorded by inode."""
    synced, replace = [], Path.replace
    monkeypatch.setattr(os, "fsync", lambda opened: synced.append(os.fstat(opened).st_ino))

    def checked(path, target):
        parts = [part for part in (path, *path.rglob("*")) if part.is_file()]
        assert {part.stat().st_ino for part in parts} <= set(synced)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", checked)
    write_file(tmp_path / "text", "text")
    write_file(tmp_path / "written", lambda path: path.write_text("text"))
    with atomic_folder(tmp_path / "folder") as temporary:
        (temporary / "inner").mkdir(parents=True)
        (temporary / "inner" / "file").write_text("text")
    assert names(tmp_path) == ["folder", "text", "written"]
    assert len(set(synced)) == 3


def test_a_folder_on_a_full_disk_is_not_there(tmp_path):
    with (
        pytest.raises(InputError, match="No space left on device: free some"),
        atomic_folder(tmp_path / "trial") as temporary,
    ):
        temporary.mkdir()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert names(tmp_path) == []


def test_an_interrupted_write_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "trial") as beside:
        beside.mkdir()
        (beside / "half").write_text("")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / "touches" / f"{PARTIAL_FOLDER}trial_00003.77").mkdir(parents=True)
    (tmp_path / f"{PARTIAL_FOLDER}images").mkdir()
    (tmp_path / "touches" / "trial_00001").mkdir()
    assert remove_partial_folders(tmp_path) == 2
    assert [path.name for path in (tmp_path / "touches").iterdir()] == ["trial_00001"]
