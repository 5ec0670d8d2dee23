"""Recognition from remembered examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.touch_features.touch_memory import MAX_EXAMPLES, TouchMemory, read_memory


def test_the_most_alike_name_is_first_and_a_strange_touch_is_unknown() -> None:
    memory = TouchMemory()
    memory.remember("key", np.array([1.0, 0.1, 0.0], np.float32))
    memory.remember("coin", np.array([0.0, 1.0, 0.1], np.float32))
    found = memory.recognize(np.array([2.0, 0.0, 0.0], np.float32))
    assert found.names == ("key", "coin") and found.known
    assert found.similarity[0] == pytest.approx(1.0 / np.sqrt(1.01))
    assert not memory.recognize(np.array([0.0, 0.0, -1.0], np.float32)).known


def test_the_oldest_examples_of_a_name_are_forgotten() -> None:
    memory = TouchMemory()
    for k in range(MAX_EXAMPLES + 5):
        count = memory.remember("cup", np.array([1.0, k], np.float32))
    assert count == MAX_EXAMPLES
    assert memory.forget("cup") and not memory.forget("cup")


def test_a_memory_survives_its_file(tmp_path: Path) -> None:
    memory = TouchMemory("checksum")
    for name, value in (("a b", 1.0), ("ü", -1.0), ("a b", 2.0)):
        memory.remember(name, np.array([1.0, value], np.float32))
    memory.save(tmp_path / "memory.npz")
    touch = np.array([1.0, 1.5], np.float32)
    again = read_memory(tmp_path / "memory.npz").recognize(touch)
    assert again.names == memory.recognize(touch).names
    np.testing.assert_allclose(again.similarity, memory.recognize(touch).similarity, rtol=1e-6)
    assert read_memory(tmp_path / "memory.npz").encoder == "checksum"


def test_a_memory_from_which_all_is_forgotten_can_be_read(tmp_path: Path) -> None:
    memory = TouchMemory()
    memory.remember("cup", np.array([1.0, 0.0], np.float32))
    copied = memory.copy()
    assert copied.forget("cup") and memory.names == ("cup",)
    copied.save(tmp_path / "memory.npz")
    assert read_memory(tmp_path / "memory.npz").names == ()


@pytest.mark.parametrize(
    ("name", "touch"),
    [
        *(("", [1.0, 0.0]), (" x", [1.0, 0.0]), ("x" * 65, [1.0, 0.0]), ("x\n", [1.0, 0.0])),
        *(("x", [0.0, 0.0]), ("x", [np.nan, 1.0]), ("x", [np.inf, 1.0]), ("x", [1.0])),
        ("x", [[1.0]]),
    ],
)
def test_unusable_examples_are_refused(name: str, touch: list[float]) -> None:
    memory = TouchMemory()
    memory.remember("first", np.array([1.0, 0.0], np.float32))
    with pytest.raises(InputError):
        memory.remember(name, np.array(touch, np.float32))
    assert memory.names == ("first",)


def test_files_that_are_no_memory_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "memory.npz"
    one = np.ones((1, 2), np.float32)
    encoder = {"encoder": np.array(["checksum"])}
    for arrays in (
        {"names": np.array(["a"])},
        {"names": np.array(["a"]), "owner": np.array([1]), "examples": one},
        {"names": np.array(["a"]), "owner": np.array([0.0]), "examples": one},
        {"names": np.array(["a"]), "owner": np.array([0, 0]), "examples": one},
    ):
        np.savez(path, **arrays, **encoder)
        with pytest.raises(InputError):
            read_memory(path)
