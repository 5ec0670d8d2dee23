"""Methods whose kernels are recorded once and replayed without tracing them again.

On a GPU, tracing takes longer than running the kernels. Dr.Jit's frozen functions record the
kernels that a function launches and replay them with other arrays of the same types and shapes. All
data that a function reads besides its arguments must be listed. Dr.Jit compares the list entries
that are not arrays, and records again when one of them has changed.

Limits: nothing in the list may have gradients. Local inter-reflection cannot be recorded on a CPU
(Dr.Jit 1.5 ends the process: "this function cannot be recorded"). Each image size and kind of
surface has its own recording, of which the latest `MAX_RECORDINGS` are kept.
"""

from __future__ import annotations

import gc
import weakref
from typing import Any, Protocol

import drjit as dr

MAX_RECORDINGS = 12  # per method
NO_WARNING = 2**31 - 1  # number of recordings after which Dr.Jit warns


class HasKernelInputs(Protocol):
    """An object whose methods read arrays in their kernels."""

    def kernel_inputs(self) -> Any:
        """Return all data that the methods read besides their arguments (a Dr.Jit PyTree)."""
        ...


class FrozenCalls:
    """Frozen methods of one object, which is referenced weakly so that it may own this one."""

    def __init__(self, owner: HasKernelInputs) -> None:
        """Prepare frozen calls.

        Args:
            owner: object whose methods are called.
        """
        self._owner = weakref.ref(owner)
        self._frozen: dict[str, Any] = {}

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the owner, recorded or replayed, and return its evaluated result.

        Args:
            method: name of the method.
            *arguments: arrays, tuples and numbers passed to the method.
        """
        if method not in self._frozen:
            self._frozen[method] = self._freeze(method)
        gc_enabled = gc.isenabled()
        gc.disable()  # releasing a scene while Dr.Jit records ends the process
        try:
            return self._frozen[method](*arguments)
        finally:
            if gc_enabled:
                gc.enable()

    def _freeze(self, method: str) -> Any:
        owner = self._owner

        def kernel_inputs(*_: Any) -> Any:
            return owner().kernel_inputs()  # type: ignore[union-attr]

        def traced(*arguments: Any) -> Any:
            return getattr(owner(), method)(*arguments)

        return dr.freeze(
            traced, state_fn=kernel_inputs, limit=MAX_RECORDINGS, warn_after=NO_WARNING
        )
