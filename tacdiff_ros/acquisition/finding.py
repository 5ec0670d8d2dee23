"""Result of one check of the rig."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["good", "warning", "bad"]


@dataclass(frozen=True)
class Finding:
    """Result of one check of the rig.

    Attributes:
        name: subject of the check, such as "target topic".
        state: "good"; "warning" if a run is possible or the check was not; "bad" if it is not.
        detail: observed and expected value, and what to do, in one line.
    """

    name: str
    state: State
    detail: str

    @property
    def line(self) -> str:
        """Name and detail in one line, without the state."""
        return " ".join(f"{self.name}: {self.detail}".split())
