"""Seeded changes of files: what a bad disk, a wrong program or a malicious person leaves."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.random import Generator

MAX_GROWTH_BYTES = 300_000
INTEGERS = (0, 1, -1, 2, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
NUMBERS = (
    *("0", "-1", "1e9", "-inf", "nan", "1e999", "-0.0", "0x7f", "1_0", "", "2147483648"),
    *("18446744073709551616", "9" * 400, "1:" * 60 + "1", "1e-320", "3.5.7", "½"),
)
WORDS = (
    *("", "\x00", "a\x00b", "../../../etc/passwd", "/dev/zero", "null", "true", "~nobody/x"),
    *("x" * 5000, "\ud800", "\u202e", "!!python/object/apply:os.system ['true']", "<<", "*a", "&a"),
    *("[" * 3000, "- " * 300, "{{{", '"', "'", "\n", ",", "|O", "O8", "pickle", "zstd", "\x1b[2J"),
)
ANYTHING: tuple[Any, ...] = (
    *(None, True, 0, -1, 0.5, 2**31, 2**63, 10**400, float("nan"), float("inf"), "", "x" * 5000),
    *("a\x00b", "../../x", [], {}, [[]], [0] * 2000, [-1, 2**40], {"name": "pickle"}, "|O"),
)
NUMBER = re.compile(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?")
WORD = re.compile(r"[A-Za-z_][\w.]*")

Change = Callable[[bytes, Generator], bytes]


def change_folder(folder: Path, random: Generator) -> str:
    """Change one file of a folder, now and then several times; what was done, in words."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    path = files[int(random.integers(len(files)))]
    if random.random() < 0.05:
        return f"{path.relative_to(folder)}: {replace_file(path, random)}"
    names = []
    for _ in range(1 + int(random.geometric(0.6))):
        change = CHANGES[int(random.integers(len(CHANGES)))]
        path.write_bytes(
            change(path.read_bytes(), random)[: path.stat().st_size + MAX_GROWTH_BYTES]
        )
        names.append(change.__name__)
    return f"{path.relative_to(folder)}: {', '.join(names)}"


def replace_file(path: Path, random: Generator) -> str:
    """Put something in the place of a file that is none, or none of that kind."""
    kind = ("missing", "pipe", "folder", "device", "loop", "empty", "sparse")[random.integers(7)]
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind in ("device", "loop"):
        path.symlink_to("/dev/zero" if kind == "device" else path)
    elif kind in ("empty", "sparse"):
        path.touch()
        os.truncate(path, 0 if kind == "empty" else 2**40)
    return kind


def flip_bits(content: bytes, random: Generator) -> bytes:
    """A few bits of a file."""
    changed = bytearray(content)
    for _ in range(int(random.integers(1, 8)) if changed else 0):
        changed[_position(content, random)] ^= 1 << int(random.integers(8))
    return bytes(changed)


def overwrite_integer(content: bytes, random: Generator) -> bytes:
    """One to eight bytes by a number at the edge of a type."""
    size = int(random.choice((1, 2, 4, 8)))
    value = INTEGERS[int(random.integers(len(INTEGERS)))] % 2 ** (8 * size)
    at = _position(content, random)
    order = "little" if random.random() < 0.7 else "big"
    return content[:at] + value.to_bytes(size, order) + content[at + size :]


def cut_off(content: bytes, random: Generator) -> bytes:
    """The beginning alone."""
    return content[: int(random.integers(len(content) + 1))]


def remove_part(content: bytes, random: Generator) -> bytes:
    """A file without a part in its middle."""
    at, length = _position(content, random), int(random.geometric(0.05))
    return content[:at] + content[at + length :]


def repeat_part(content: bytes, random: Generator) -> bytes:
    """A part many times."""
    at, length = _position(content, random), int(random.geometric(0.02))
    part = content[at : at + length]
    return content[:at] + part * int(random.choice((2, 3, 30, 1000))) + content[at:]


def move_part(content: bytes, random: Generator) -> bytes:
    """A part over another one."""
    at, to, length = _position(content, random), _position(content, random), 40
    return content[:to] + content[at : at + length] + content[to + length :]


def insert_word(content: bytes, random: Generator) -> bytes:
    """A word that means something to some parser."""
    at = _position(content, random)
    return content[:at] + _encoded(WORDS[int(random.integers(len(WORDS)))]) + content[at:]


def replace_number(content: bytes, random: Generator) -> bytes:
    """One number in a text by another one."""
    return _replace(content, NUMBER, NUMBERS[int(random.integers(len(NUMBERS)))], random)


def replace_word(content: bytes, random: Generator) -> bytes:
    """One word in a text by another one, of the same text or not."""
    words = WORD.findall(content.decode("latin-1")) if random.random() < 0.5 else list(WORDS)
    word = words[int(random.integers(len(words)))] if words else ""
    return _replace(content, WORD, word, random)


def shuffle_lines(content: bytes, random: Generator) -> bytes:
    """Lines in another order, or one of them twice, or left out."""
    lines = content.split(b"\n")
    a, b = (int(random.integers(len(lines))) for _ in range(2))
    kind = int(random.integers(3))
    if kind == 0:
        lines[a], lines[b] = lines[b], lines[a]
    elif kind == 1:
        lines.insert(a, lines[b])
    else:
        del lines[a]
    return b"\n".join(lines)


def change_json(content: bytes, random: Generator) -> bytes:
    """One value of JSON, wherever it is in the file, replaced, removed or written twice."""
    start, end = content.find(b"{"), content.rfind(b"}") + 1
    try:
        value = json.loads(content[start:end])
    except (ValueError, RecursionError):
        return flip_bits(content, random)
    places = _places(value)
    parent, key = places[int(random.integers(len(places)))] if places else ({"": value}, "")
    if random.random() < 0.2:
        del parent[key]
    else:
        parent[key] = ANYTHING[int(random.integers(len(ANYTHING)))]
    text = json.dumps(value).encode("utf-8", "surrogatepass")
    return content[:start] + text + content[end:]


CHANGES: tuple[Change, ...] = (
    *(flip_bits, overwrite_integer, overwrite_integer, cut_off, remove_part, repeat_part),
    *(move_part, insert_word, replace_number, replace_number, replace_word, shuffle_lines),
    change_json,
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Containers and keys of all values in nested tables and lists."""
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        pairs = [(value, key) for key in value]
    elif isinstance(value, list):
        pairs = [(value, index) for index in range(len(value))]
    return pairs + [place for parent, key in pairs for place in _places(parent[key])]


def _replace(content: bytes, pattern: re.Pattern[str], word: str, random: Generator) -> bytes:
    text = content[:MAX_GROWTH_BYTES].decode("latin-1")
    found = list(pattern.finditer(text))
    if not found:
        return flip_bits(content, random)
    match = found[int(random.integers(len(found)))]
    return content[: match.start()] + _encoded(word) + content[match.end() :]


def _encoded(word: str) -> bytes:
    return word.encode("utf-8", "surrogatepass")


def _position(content: bytes, random: Generator) -> int:
    """A place in a file; those near its beginning are likelier, as headers are there."""
    if not content:
        return 0
    most = len(content) if random.random() < 0.5 else min(len(content), 256)
    return int(random.integers(most))
