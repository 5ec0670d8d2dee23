"""Binding to oneMKL PARDISO: factors of whole matrices, or with a dense Schur complement.

The library is part of the Python package `mkl`. Option numbers (`iparm`) and phases are those of
the oneMKL reference, "Intel oneMKL PARDISO Parameters"; iparm(36) = 2 requests the Schur complement
of marked unknowns together with partial solves (phases 331 and 333), iparm(28) = 1 single
precision.

Limits: only the options that the gel solver needs; real matrices with a symmetric pattern.
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

SYMMETRIC_PATTERN, SYMMETRIC_INDEFINITE = 1, -2
ANALYSE, FACTORISE, SOLVE, RELEASE = 11, 22, 33, -1
FORWARD, DIAGONAL, BACKWARD = 331, 332, 333


class FactorisationError(RuntimeError):
    """The matrix could not be factorised."""


@functools.cache
def _library() -> Any:
    """Load the oneMKL runtime, limited to one thread because several processes share the cores."""
    names = [
        str(file.locate())
        for file in importlib.metadata.files("mkl") or []
        if "libmkl_rt" in file.name
    ]
    name = names[0] if names else find_library("mkl_rt")
    if name is None:
        raise InputError(
            "the sparse solver needs oneMKL, not installed here: run `pip install mkl`"
        )
    library = ctypes.CDLL(name)
    library.MKL_Set_Threading_Layer(ctypes.c_int(1))  # sequential
    return library


class PardisoFactor(Closing):
    """Handle of PARDISO for one sparsity pattern, whose analysis is reused.

    PARDISO keeps the factor in native memory, which gives the garbage collector no reason to run.
    The creator has to release a factor, with `close` or by using it as a context manager.
    """

    _open: ClassVar[set[int]] = set()

    def __init__(
        self,
        matrix_type: int,
        indptr: NDArray[np.int32],
        indices: NDArray[np.int32],
        precise: bool,
        options: dict[int, int],
        marked: NDArray[np.int64] | None = None,
    ) -> None:
        """Analyse a sparsity pattern.

        Args:
            matrix_type: matrix type of PARDISO.
            indptr: (unknowns + 1,) row pointers of the pattern.
            indices: (entries,) column numbers of the pattern, sorted within each row.
            precise: True for double precision.
            options: values of `iparm` by index, counted from 0.
            marked: numbers of the unknowns of the Schur complement; None for none.

        Raises:
            FactorisationError: PARDISO failed to analyse the pattern.
        """
        self._matrix_type = matrix_type
        self._type = np.float64 if precise else np.float32
        self._size = len(indptr) - 1
        self._indptr = indptr + np.int32(1)
        self._indices = indices + np.int32(1)
        self._values = np.ones(len(indices), self._type)
        self._handle = np.zeros(64, np.int64)
        self._options = np.zeros(64, np.int32)
        # No default options; METIS ordering; single or double precision.
        self._options[[0, 1, 27]] = 1, 2, 0 if precise else 1
        for index, value in options.items():
            self._options[index] = value
        self._marked = np.zeros(self._size, np.int32)
        if marked is not None:
            self._marked[marked] = 1
        try:
            self._call(ANALYSE, self._zeros(), self._zeros())
        except FactorisationError:
            self.close()
            raise
        self._open.add(id(self))

    @classmethod
    def open_count(cls) -> int:
        """Return the number of factors in this process that have not been released."""
        return len(cls._open)

    def close(self) -> None:
        """Release the memory of the factor; further calls have no effect."""
        self._open.discard(id(self))
        if self._handle.any():
            self._call(RELEASE, np.zeros(1), np.zeros(1))
            self._handle[:] = 0

    def _factorise(self, entries: NDArray[np.float64], schur: NDArray[Any]) -> None:
        """Factorise a matrix; `schur` receives its Schur complement, if one is asked for.

        Raises:
            FactorisationError: an entry is not finite, or PARDISO failed.
            RuntimeError: the factor was released.
        """
        if not self._handle.any():
            raise RuntimeError("the factor was released")
        if not np.isfinite(entries).all():
            raise FactorisationError("the stiffness has entries that are not finite")
        self._values = np.ascontiguousarray(entries, self._type)
        self._call(FACTORISE, self._zeros(), schur)

    def _zeros(self) -> NDArray[Any]:
        return np.zeros(self._size, self._type)

    def __del__(self) -> None:  # fallback; runs late for objects in a reference cycle
        with contextlib.suppress(Exception):  # at interpreter shutdown ctypes may be gone
            self.close()

    def _call(self, phase: int, right: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        """Run one phase of PARDISO; `out` receives its result.

        Raises:
            FactorisationError: PARDISO returned an error code.
        """
        error = ctypes.c_int32(0)
        _library().pardiso(
            _pointer(self._handle),
            _integer(1),
            _integer(1),
            _integer(self._matrix_type),
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
            raise FactorisationError(f"PARDISO failed in phase {phase} with error {error.value}")


class SparseFactor(PardisoFactor):
    """Factor in single precision of a matrix that is unsymmetric but has a symmetric pattern."""

    def __init__(self, indptr: NDArray[np.int32], indices: NDArray[np.int32]) -> None:
        """Analyse a sparsity pattern.

        Args:
            indptr: (unknowns + 1,) row pointers of the whole pattern.
            indices: (entries,) column numbers of the whole pattern, sorted within each row.

        Raises:
            FactorisationError: PARDISO failed to analyse the pattern.
        """
        # Pivot perturbation of 1e-5.
        super().__init__(SYMMETRIC_PATTERN, indptr, indices, precise=False, options={9: 5})

    def factorise(self, entries: NDArray[np.float64]) -> None:
        """Factorise a matrix.

        Args:
            entries: (entries,) values in the order of the pattern.

        Raises:
            FactorisationError: an entry is not finite, or PARDISO failed.
            RuntimeError: the factor was released.
        """
        self._factorise(entries, self._zeros())

    def solve(self, right: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the (unknowns,) solution for a right-hand side, with an error of some 1e-5."""
        solution = self._zeros()
        self._call(SOLVE, np.ascontiguousarray(right, self._type), solution)
        return solution.astype(np.float64)


class CondensedFactor(PardisoFactor):
    """Factor of a symmetric matrix, with a dense Schur complement on a few chosen unknowns.

    With the chosen unknowns c and the others i, the Schur complement is
    S = K_cc - K_ci K_ii^-1 K_ic. A system K x = b is solved in three steps: `y = forward(b)`; then
    the caller solves S x_c = y_c (and may add stiffness that acts on c only); then
    `x = backward(y, x_c)`. The analysis of the pattern is reused: call `factorise` for every new
    matrix of the same pattern and choice of unknowns.

    Attributes:
        chosen: (c,) int64 sorted numbers of the chosen unknowns.
    """

    def __init__(
        self, pattern: StiffnessPattern, chosen: NDArray[np.integer], precise: bool = True
    ) -> None:
        """Analyse a sparsity pattern.

        Args:
            pattern: sparsity pattern of the upper triangle.
            chosen: (c,) sorted numbers of the unknowns of the Schur complement.
            precise: True for double precision; single precision takes about half the time, with
                relative errors of about 1e-5.

        Raises:
            FactorisationError: PARDISO failed to analyse the pattern.
        """
        self.chosen = np.asarray(chosen, np.int64)
        # Pivot perturbation of 1e-8; Schur complement.
        options = {9: 8, 35: 2}
        super().__init__(
            SYMMETRIC_INDEFINITE, pattern.indptr, pattern.indices, precise, options, self.chosen
        )

    def factorise(self, entries: NDArray[np.float64]) -> NDArray[np.float64]:
        """Factorise a matrix and return its Schur complement.

        Args:
            entries: (entries,) values of the upper triangle in the order of the pattern.

        Returns:
            (c, c) Schur complement S.

        Raises:
            FactorisationError: an entry is not finite, or PARDISO failed.
            RuntimeError: the factor was released.
        """
        schur = np.zeros((len(self.chosen), len(self.chosen)), self._type)
        self._factorise(entries, schur)
        whole = schur.astype(np.float64)
        return 0.5 * (whole + whole.T)  # rounding errors make it slightly unsymmetric

    def forward(self, right: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the half solution y of a system (forward substitution).

        Args:
            right: (unknowns,) right-hand side b.

        Returns:
            (unknowns,) half solution; its chosen part is b_c - K_ci K_ii^-1 b_i.
        """
        half = self._zeros()
        self._call(FORWARD, np.ascontiguousarray(right, self._type), half)
        return half.astype(np.float64)

    def backward(
        self, half: NDArray[np.float64], chosen_values: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the full solution of a system (diagonal and backward substitution).

        Args:
            half: (unknowns,) half solution from `forward`.
            chosen_values: (c,) solution for the chosen unknowns.

        Returns:
            (unknowns,) solution x.
        """
        solution = half.astype(self._type)
        for phase in (DIAGONAL, BACKWARD):
            right, solution = solution, self._zeros()
            right[self.chosen] = chosen_values
            self._call(phase, right, solution)
        return solution.astype(np.float64)

    @property
    def negative_pivots(self) -> int:
        """Number of negative pivots of the last factor, outside the chosen unknowns."""
        return int(self._options[22])


def _integer(value: int) -> Any:
    return ctypes.byref(ctypes.c_int32(value))


def _pointer(array: NDArray[Any]) -> Any:
    return array.ctypes.data_as(ctypes.c_void_p)
