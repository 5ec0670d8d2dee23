"""Touch sets: files, and refusal of inconsistent ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.touch_features.touch_set import TouchSet, read_touch_set, write_touch_set


@pytest.fixture
def touch_set() -> TouchSet:
    random = np.random.default_rng(0)
    index = np.arange(3, dtype=np.int32)
    return TouchSet(
        card={"name": "test", "licence": "none"},
        images=random.integers(0, 255, (3, 120, 160, 3), np.uint8),
        references=random.integers(0, 255, (2, 120, 160, 3), np.uint8),
        sensor=np.array([0, 1, 1], np.int32),
        video=np.array([0, 1, 1], np.int32),
        frame=index * 3,
        earlier=np.array([-1, -1, 1], np.int32),
        touch=index,
        labels={"force_n": np.ones((3, 3), np.float32), "base": np.array(["flat", "", "edge"])},
        maps=random.random((3, 5, 30, 40)).astype(np.float16),
    )


def test_a_set_reads_back_as_it_was_written(touch_set, tmp_path):
    write_touch_set(touch_set, tmp_path / "set")
    read = read_touch_set(tmp_path / "set")
    assert isinstance(read.images, np.memmap)
    assert dict(read.card) == touch_set.card
    for name in ("images", "references", "sensor", "video", "frame", "earlier", "touch", "maps"):
        np.testing.assert_array_equal(getattr(read, name), getattr(touch_set, name))
    np.testing.assert_array_equal(read.labels["base"], touch_set.labels["base"])
    assert len(read) == 3


def test_a_set_without_maps_has_none(touch_set, tmp_path):
    write_touch_set(replace(touch_set, maps=None), tmp_path / "set")
    assert read_touch_set(tmp_path / "set").maps is None


def test_an_existing_folder_is_kept(touch_set, tmp_path):
    with pytest.raises(InputError, match="exists already"):
        write_touch_set(touch_set, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sensor": np.array([0, 1, 2], np.int32)}, "sensor is 0 to 2, expected 0 to 1"),
        ({"earlier": np.array([-1, -1, 3], np.int32)}, "earlier is -1 to 3"),
        ({"earlier": np.array([-1, 0, 1], np.int32)}, "belongs to another video"),
        ({"touch": np.arange(3)}, "touch is .* int64, expected .* int32"),
        ({"labels": {"force_n": np.ones(2)}}, "label force_n has shape"),
        ({"images": np.zeros((3, 60, 80, 3), np.uint8)}, r"images is \(3, 60, 80, 3\)"),
    ],
)
def test_inconsistent_sets_are_refused(touch_set, change, message):
    with pytest.raises(InputError, match=message):
        replace(touch_set, **change)


def test_a_damaged_or_missing_file_is_named(touch_set, tmp_path):
    with pytest.raises(InputError, match="card"):
        read_touch_set(tmp_path)
    write_touch_set(touch_set, tmp_path / "set")
    path = tmp_path / "set" / "images.npy"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"images\.npy"):
        read_touch_set(tmp_path / "set")
