"""Data type for the result of one check of this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["good", "warning", "bad"]


@dataclass(frozen=True)
class Check:
    """Result of one check of this machine.

    Attributes:
        name: subject of the check, such as "LLVM".
        state: "good"; "warning" if it works with limits; "bad" if it must be repaired.
        detail: detected value or error, in one line.
        advice: recommended action; empty if there is none.
    """

    name: str
    state: State
    detail: str
    advice: str = ""

    def as_json(self) -> dict[str, str]:
        """Return the JSON object that `tacdiff doctor --json` prints for this check."""
        return {
            "name": self.name,
            "state": self.state,
            "found": self.detail,
            "advice": self.advice,
        }

    @property
    def line(self) -> str:
        """Name, detail and advice in one line, without the state."""
        text = f"{self.name}: {self.detail}" + (f"; {self.advice}" if self.advice else "")
        return " ".join(text.split())
