"""Recognition of touches from a few remembered examples.

Each name keeps its examples; a touch is compared with all of them, and the name of the most similar
examples wins. A touch that is like none of them is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.array_file import read_archive
from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import printable
from tacdiff_ros.output_files import write_files

MAX_NAME = 64
MAX_NAMES, MAX_EXAMPLES = 1000, 200  # of a memory, of a name
MAX_FEATURES = 1024
MAX_FILE_BYTES = 900_000_000
ARRAYS = {"names", "owner", "examples", "encoder"}
NEAREST = 3  # examples of a name whose similarity counts
UNKNOWN = 0.5  # similarity below which a touch is unknown

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Recognition:
    """Names that a touch is like.

    Attributes:
        names: remembered names, the most similar first.
        similarity: (N,) similarity to each name, -1 to 1.
    """

    names: tuple[str, ...]
    similarity: NDArray[np.float64]

    @property
    def known(self) -> bool:
        """Whether the touch is like any remembered one."""
        return bool(self.names) and float(self.similarity[0]) >= UNKNOWN


class TouchMemory:
    """Examples of touches by name.

    Attributes:
        encoder: checksum of the encoder that the features are of; empty if it is unknown.
    """

    def __init__(self, encoder: str = "") -> None:
        """Start empty.

        Args:
            encoder: checksum of the encoder that the features are of.
        """
        self.encoder = encoder
        self._examples: dict[str, list[Floats]] = {}

    def copy(self) -> TouchMemory:
        """Return a memory with the same examples, which changes independently."""
        copied = TouchMemory(self.encoder)
        copied._examples = dict(self._examples)  # their lists are replaced, never changed
        return copied

    @property
    def names(self) -> tuple[str, ...]:
        """Remembered names."""
        return tuple(self._examples)

    def remember(self, name: str, touch: Floats) -> int:
        """Add an example.

        Args:
            name: name of what is touched, up to 64 printable characters.
            touch: (F,) features of the touch, see `TouchReading.touch`.

        Returns:
            Number of examples of the name; beyond 200 the oldest is forgotten.

        Raises:
            InputError: the name or the features are unusable, or there are too many names.
        """
        if not name or len(name) > MAX_NAME or not name.isprintable() or name.strip() != name:
            raise InputError(
                f"name {printable(name)[:80]!r}: expected 1 to {MAX_NAME} printable characters"
            )
        if name not in self._examples and len(self._examples) >= MAX_NAMES:
            raise InputError(f"{MAX_NAMES} names are remembered already: forget one first")
        examples = self._examples.get(name, [])
        direction = self._direction(touch)
        self._examples[name] = [*examples, direction][-MAX_EXAMPLES:]
        return len(self._examples[name])

    def forget(self, name: str) -> bool:
        """Remove a name; return whether it was remembered.

        Args:
            name: remembered name.
        """
        return self._examples.pop(name, None) is not None

    def recognize(self, touch: Floats) -> Recognition:
        """Compare a touch with all examples.

        Args:
            touch: (F,) features of the touch.

        Returns:
            All names by similarity: the mean cosine to the name's three most similar examples.

        Raises:
            InputError: the features are unusable, or nothing is remembered.
        """
        if not self._examples:
            raise InputError("nothing is remembered yet: remember a touch first")
        direction = self._direction(touch)
        similarity = {
            name: _similarity(direction, np.stack(e)) for name, e in self._examples.items()
        }
        order = sorted(similarity, key=lambda name: -similarity[name])
        return Recognition(tuple(order), np.array([similarity[name] for name in order]))

    def save(self, path: Path) -> None:
        """Write all examples to an `.npz` file.

        Args:
            path: file.

        Raises:
            InputError: the file cannot be written.
        """
        owner = [k for k, examples in enumerate(self._examples.values()) for _ in examples]
        values = [example for examples in self._examples.values() for example in examples]
        arrays = {
            "names": np.array(list(self._examples), np.str_),
            "owner": np.array(owner, np.int64),
            "examples": np.stack(values) if values else np.zeros((0, 1), np.float32),
            "encoder": np.array([self.encoder]),
        }

        def write(partial: Path) -> None:
            with partial.open("wb") as opened:
                np.savez(opened, **arrays)  # type: ignore[arg-type]

        write_files(path.parent, {path.name: write})

    def _direction(self, touch: Floats) -> Floats:
        values = np.asarray(touch, np.float32)
        length = float(np.linalg.norm(values)) if values.ndim == 1 else 0.0
        expected = next((len(e[0]) for e in self._examples.values()), None)
        usable = values.ndim == 1 and 0 < len(values) <= MAX_FEATURES and 0 < length < np.inf
        if not usable or expected not in (None, len(values)):
            raise InputError(
                f"touch of {values.shape} features and length {length:g}, expected "
                f"{expected or 'a vector'} finite ones that are not all 0"
            )
        return values / np.float32(length)


def read_memory(path: Path) -> TouchMemory:
    """Read a memory that was written by `TouchMemory.save`.

    Args:
        path: `.npz` file.

    Raises:
        InputError: the file is missing, damaged or no memory.
    """
    arrays = read_archive(path, "touch memory", MAX_FILE_BYTES)
    if set(arrays) != ARRAYS:
        raise InputError(f"{printable(path)} is no touch memory: expected arrays {sorted(ARRAYS)}")
    names, owner, examples = (arrays[name] for name in ("names", "owner", "examples"))
    fits = names.ndim == owner.ndim == 1 and examples.ndim == 2 and len(owner) == len(examples)
    fits = fits and arrays["encoder"].shape == (1,) and examples.dtype.kind == "f"
    if not fits or names.dtype.kind != "U" or owner.dtype.kind not in "iu":
        raise InputError(f"{printable(path)} is no touch memory: its arrays do not fit each other")
    if len(owner) and not 0 <= owner.min() <= owner.max() < len(names):
        raise InputError(f"{printable(path)} is damaged: an example belongs to no name")
    memory = TouchMemory(str(arrays["encoder"][0]))
    for number, example in zip(owner, examples, strict=True):
        memory.remember(str(names[number]), example)
    return memory


def _similarity(direction: Floats, examples: Floats) -> float:
    cosines = np.sort(examples @ direction)[::-1]
    return float(cosines[:NEAREST].mean())
