"""Result of one check of this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["good", "warning", "bad"]


@dataclass(frozen=True)
class Check:
    """What one check found.

    Attributes:
        name: subject of the check ("LLVM").
        state: "warning" for what works with limits, "bad" for what must be mended.
        found: value found, in one line.
        advice: what to do; empty where nothing is.
    """

    name: str
    state: State
    found: str
    advice: str = ""

    @property
    def line(self) -> str:
        """Finding and advice in one line, without the state."""
        text = f"{self.name}: {self.found}" + (f"; {self.advice}" if self.advice else "")
        return " ".join(text.split())
