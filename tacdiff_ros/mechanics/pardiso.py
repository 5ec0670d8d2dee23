"""oneMKL PARDISO, as far as the gel needs it: symmetric factors with a dense Schur complement.

The library comes as the plain wheel `mkl`. Numbers of options (`iparm`) and phases are those of the
oneMKL reference, "Intel oneMKL PARDISO Parameters"; iparm(36) = 2 gives the Schur complement of
marked unknowns together with partial solves (phases 331 and 333), iparm(28) = 1 single precision.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.metadata
from ctypes.util import find_library
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.closing import Closing
from tacdiff_ros.mechanics.pad_mesh import StiffnessPattern

SYMMETRIC_INDEFINITE = -2
ANALYSE, FACTORISE, FORWARD, DIAGONAL, BACKWARD, RELEASE = 11, 22, 331, 332, 333, -1


class FactorisationError(RuntimeError):
    """The matrix could not be factorised."""


@functools.cache
def _library() -> Any:
    """The oneMKL runtime; one thread, because several processes share the cores."""
    names = [
        str(file.locate())
        for file in importlib.metadata.files("mkl") or []
        if "libmkl_rt" in file.name
    ]
    name = names[0] if names else find_library("mkl_rt")
    if name is None:
        raise InputError("the sparse solver needs oneMKL: run `pip install mkl`")
    library = ctypes.CDLL(name)
    library.MKL_Set_Threading_Layer(ctypes.c_int(1))  # sequential
    return library


class CondensedFactor(Closing):
    """Factor of a symmetric matrix whose last pivots are a few chosen unknowns, left dense.

    With the chosen unknowns c and the rest i, `schur` is S = K_cc - K_ci K_ii^-1 K_ic. A system
    K x = b is solved as `y = forward(b)`, then S x_c = y_c by the caller (who may add what acts on
    c only), then `x = backward(y, x_c)`. The analysis of the pattern is kept: `factorise` again
    for every new matrix of the same pattern and choice.

    PARDISO holds the factor in memory that Python does not see, so that the garbage collector has
    no reason to run: whoever makes a factor releases it, with `close` or as a context manager.
    """

    _open: ClassVar[set[int]] = set()

    def __init__(
        self, pattern: StiffnessPattern, chosen: NDArray[np.integer], precise: bool = True
    ) -> None:
        """Analyse a pattern.

        Args:
            pattern: upper triangle of the matrix.
            chosen: sorted unknowns that stay dense.
            precise: factor in double precision; in single precision it takes about half the time,
                and solutions are right to some 1e-5.
        """
        self._type = np.float64 if precise else np.float32
        self.chosen = np.asarray(chosen, np.int64)
        self._size = len(pattern.indptr) - 1
        self._indptr = pattern.indptr + np.int32(1)
        self._indices = pattern.indices + np.int32(1)
        self._values = np.ones(len(pattern.indices), self._type)
        self._handle = np.zeros(64, np.int64)
        self._options = np.zeros(64, np.int32)
        self._options[[0, 1, 9, 35]] = 1, 2, 8, 2  # own options, METIS, pivot shift 1e-8, Schur
        self._options[27] = 0 if precise else 1
        self._marked = np.zeros(self._size, np.int32)
        self._marked[self.chosen] = 1
        try:
            self._call(ANALYSE, self._zeros(), self._zeros())
        except FactorisationError:
            self.close()
            raise
        self._open.add(id(self))

    def factorise(self, entries: NDArray[np.float64]) -> NDArray[np.float64]:
        """Factorise a matrix given by its entries; returns its Schur complement (c, c).

        Raises:
            FactorisationError: an entry is not finite, or PARDISO gave up.
            RuntimeError: the factor was released.
        """
        if not self._handle.any():
            raise RuntimeError("the factor was released")
        if not np.isfinite(entries).all():
            raise FactorisationError("the stiffness has entries that are not finite")
        self._values = np.ascontiguousarray(entries, self._type)
        schur = np.zeros((len(self.chosen), len(self.chosen)), self._type)
        self._call(FACTORISE, self._zeros(), schur)
        whole = schur.astype(np.float64)
        return 0.5 * (whole + whole.T)  # rounding leaves it a little unsymmetric

    def forward(self, right: NDArray[np.float64]) -> NDArray[np.float64]:
        """First half of a solution (unknowns,); its chosen part is b_c - K_ci K_ii^-1 b_i."""
        half = self._zeros()
        self._call(FORWARD, np.ascontiguousarray(right, self._type), half)
        return half.astype(np.float64)

    def backward(
        self, half: NDArray[np.float64], chosen_values: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Whole solution (unknowns,) from the first half and the values of the chosen unknowns."""
        solution = half.astype(self._type)
        for phase in (DIAGONAL, BACKWARD):
            right, solution = solution, self._zeros()
            right[self.chosen] = chosen_values
            self._call(phase, right, solution)
        return solution.astype(np.float64)

    @property
    def negative_pivots(self) -> int:
        """Negative pivots of the last factor outside of the chosen unknowns."""
        return int(self._options[22])

    @classmethod
    def open_count(cls) -> int:
        """Number of factors in this process that have not been released."""
        return len(cls._open)

    def close(self) -> None:
        """Give the factor's memory back; may be called again."""
        self._open.discard(id(self))
        if self._handle.any():
            self._call(RELEASE, np.zeros(1), np.zeros(1))
            self._handle[:] = 0

    def _zeros(self) -> NDArray[Any]:
        return np.zeros(self._size, self._type)

    def __del__(self) -> None:  # for owners that forget; late where they are in a reference cycle
        with contextlib.suppress(Exception):  # at the interpreter's end ctypes may be gone
            self.close()

    def _call(self, phase: int, right: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        error = ctypes.c_int32(0)
        _library().pardiso(
            _pointer(self._handle),
            _integer(1),
            _integer(1),
            _integer(SYMMETRIC_INDEFINITE),
            _integer(phase),
            _integer(self._size),
            _pointer(self._values),
            _pointer(self._indptr),
            _pointer(self._indices),
            _pointer(self._marked),
            _integer(1),
            _pointer(self._options),
            _integer(0),
            _pointer(right),
            _pointer(out),
            ctypes.byref(error),
        )
        if error.value:
            raise FactorisationError(f"PARDISO stopped in phase {phase} with error {error.value}")


def _integer(value: int) -> Any:
    return ctypes.byref(ctypes.c_int32(value))


def _pointer(array: NDArray[Any]) -> Any:
    return array.ctypes.data_as(ctypes.c_void_p)
