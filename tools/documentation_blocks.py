"""Code blocks of README.md and docs/, and the commands in them; for the tests that run them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
# Values for the words in capitals that stand for numbers.
NUMBERS = {"X": "0.1", "Y": "0.1", "DEPTH": "0.1", "YAW": "1", "N": "3"}
TACDIFF = (
    ["ros2", "run", "tacdiff_ros", "tacdiff"],
    [".venv/bin/tacdiff"],
    ["tacdiff"],
)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: name of the file.
        line: number of its first line.
        language: word after the fence.
        text: content without the page's indentation.
    """

    page: str
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        """Page and line, for messages."""
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command line of a block.

    Attributes:
        block: block that contains it.
        words: program and arguments.
    """

    block: Block
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """Page and command, for messages."""
        return f"{self.block.page}: {' '.join(self.words)}"

    @property
    def tacdiff(self) -> list[str] | None:
        """Arguments of `tacdiff`; None for another program."""
        for start in TACDIFF:
            if list(self.words[: len(start)]) == start:
                return list(self.words[len(start) :])
        return None


def blocks() -> list[Block]:
    """Return all fenced blocks of all pages."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            indent, language, content = match.groups()
            lines = [line.removeprefix(indent) for line in content.splitlines()]
            number = text.count("\n", 0, match.start()) + 2
            found.append(Block(page.name, number, language, "\n".join(lines) + "\n"))
    return found


def commands(programs: set[str]) -> list[Command]:
    """Return the commands of all shell blocks: those that begin with one of the programs.

    Args:
        programs: first words of commands.
    """
    found = []
    for block in blocks():
        if block.language not in ("", "sh", "bash") or not is_shell(block, programs):
            continue
        for line in block.text.splitlines():
            words = split(re.sub(r"\s#.*", "", line))
            joined = "\0".join(words).split("\0&&\0")
            found += [Command(block, tuple(part.split("\0"))) for part in joined if part]
    return found


def is_shell(block: Block, programs: set[str]) -> bool:
    """Return whether the block's first word is a program."""
    first = block.text.split()
    return bool(first) and first[0] in programs


def split(line: str) -> list[str]:
    """Return the words of a command; optional parts in brackets are given, capitals are numbers."""
    bare = re.sub(r"\[(-[^\]]*)\]", r"\1", line)
    return [NUMBERS.get(word, word) for word in shlex.split(bare)]
