"""Kernels launched again without tracing them anew, which costs more than they do on a card.

Dr.Jit's frozen functions record the kernels that a function launches and replay them with other
arrays of the same kind. What a function reads beside its arguments must be listed: an entry of the
list that is no array is compared, and another one records anew.

Limits: nothing that is listed may have gradients; near light cannot be recorded on a processor
(Dr.Jit 1.5 ends the process: "this function cannot be recorded"); a recording is kept for each
image size and kind of surface, the last `RECORDINGS` of them.
"""

from __future__ import annotations

import gc
import weakref
from typing import Any, Protocol

import drjit as dr

RECORDINGS = 12  # of one method
NEVER = 2**31 - 1  # recordings after which Dr.Jit warns


class Readable(Protocol):
    """Something whose methods read arrays."""

    def read_arrays(self) -> Any:
        """All arrays that its methods read beside their arguments (a PyTree)."""
        ...


class FrozenCalls:
    """Frozen methods of an object, which it may own: it is not kept alive."""

    def __init__(self, owner: Readable) -> None:
        """Methods of an owner."""
        self._owner = weakref.ref(owner)
        self._frozen: dict[str, Any] = {}

    def call(self, method: str, *arguments: Any) -> Any:
        """What a method returns, evaluated; its arguments are arrays, tuples and numbers."""
        if method not in self._frozen:
            self._frozen[method] = self._freeze(method)
        collects = gc.isenabled()
        gc.disable()  # a scene that is released while Dr.Jit records ends the process
        try:
            return self._frozen[method](*arguments)
        finally:
            if collects:
                gc.enable()

    def _freeze(self, method: str) -> Any:
        owner = self._owner

        def read_arrays(*_: Any) -> Any:
            return owner().read_arrays()  # type: ignore[union-attr]

        def traced(*arguments: Any) -> Any:
            return getattr(owner(), method)(*arguments)

        return dr.freeze(traced, state_fn=read_arrays, limit=RECORDINGS, warn_after=NEVER)
