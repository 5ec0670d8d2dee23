"""Sensor parameters as Dr.Jit arrays that kernels read, so that new values need no compilation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.parameters import Values


class Parameters:
    """Named parameter arrays, each of which may have gradients enabled.

    A parameter without gradients is read as a scalar that the kernel loads. One with gradients is
    read by a gather of full width: otherwise Dr.Jit would trace the reverse mode once per use,
    which is 25 times slower.

    Attributes:
        version: number that increases whenever a parameter is replaced.
    """

    def __init__(self, values: Values) -> None:
        """Upload parameter values.

        Args:
            values: result of `sensor.parameters.parameter_values`.
        """
        self.version = 0
        self._shapes = {name: value.shape for name, value in values.items()}
        self._arrays: dict[str, Any] = {}
        self._scalars: dict[str, list[Any]] = {}
        for name, value in values.items():
            self[name] = mi.Float(np.ascontiguousarray(value, np.float32).ravel())

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __getitem__(self, name: str) -> Any:
        """Return the flat `mi.Float` of a parameter, in row-major order."""
        if name not in self._arrays:
            raise InputError(f"sensor parameter '{name}' does not exist in this model")
        return self._arrays[name]

    def __setitem__(self, name: str, array: Any) -> None:
        """Replace a parameter by a flat `mi.Float` of the same size, with or without gradients."""
        size = int(np.prod(self._shapes.get(name, (0,))))
        if name not in self._shapes or dr.width(array) != size:
            raise InputError(
                f"sensor parameter '{name}' has {dr.width(array)} values, expected {size}"
            )
        dr.make_opaque(array)
        self._arrays[name] = array
        self.version += 1
        self._scalars.pop(name, None)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a parameter in `sensor.parameters.parameter_values`.

        Args:
            name: name of the parameter.
        """
        return self._shapes[name]

    def numpy(self) -> Values:
        """Return the current values, in the format of `sensor.parameters.parameter_values`."""
        return {
            name: np.array(dr.detach(array), np.float64).reshape(self._shapes[name])
            for name, array in self._arrays.items()
        }

    def has_gradients(self) -> bool:
        """Return whether any parameter has gradients enabled."""
        return any(dr.grad_enabled(array) for array in self._arrays.values())

    def scalars(self, name: str) -> list[Any]:
        """Return the values of a parameter without gradients as evaluated arrays of width 1.

        Args:
            name: name of the parameter.
        """
        if name not in self._scalars:
            values: NDArray[np.float32] = np.array(dr.detach(self._arrays[name]))
            self._scalars[name] = [dr.opaque(mi.Float, float(value)) for value in values]
        return self._scalars[name]

    def kernel_inputs(self) -> list[Any]:
        """Return all arrays that a kernel may read of parameters without gradients.

        The order is fixed (see `frozen_calls`).
        """
        return [[array, self.scalars(name)] for name, array in self._arrays.items()]

    def view(self, lanes: int) -> View:
        """Return a view for reading the parameters in a computation.

        Args:
            lanes: number of lanes of the computation.
        """
        return View(self, lanes)


class View:
    """Access to the parameters in a computation of a given width.

    Attributes:
        lanes: number of lanes of the computation.
    """

    def __init__(self, parameters: Parameters, lanes: int) -> None:
        """Create a view; see `Parameters.view`.

        Args:
            parameters: parameters to read.
            lanes: number of lanes of the computation.
        """
        self._parameters = parameters
        self._cache: dict[tuple[str, int], Any] = {}
        self.lanes = lanes

    def __contains__(self, name: str) -> bool:
        return name in self._parameters

    def has_gradients(self, *arrays: Any) -> bool:
        """Return whether any parameter or any of the given arrays has gradients enabled.

        Args:
            *arrays: other arrays to test.
        """
        return self._parameters.has_gradients() or bool(dr.grad_enabled(*arrays))

    def count(self, name: str) -> int:
        """Return the number of values of a parameter.

        Args:
            name: name of the parameter.
        """
        return dr.width(self._parameters[name])

    def scalar(self, name: str, index: int = 0) -> Any:
        """Return one value of a parameter.

        Args:
            name: name of the parameter.
            index: index of the value, in row-major order.

        Returns:
            `mi.Float` with one entry per lane if the parameter has gradients, otherwise one entry.
        """
        key = (name, index)
        if key not in self._cache:
            array = self._parameters[name]
            if dr.grad_enabled(array):
                indices = dr.full(mi.UInt32, index, self.lanes)
                self._cache[key] = dr.gather(mi.Float, array, indices)
            else:
                self._cache[key] = self._parameters.scalars(name)[index]
        return self._cache[key]

    def pair(self, name: str, first: int = 0) -> Any:
        """Return two consecutive values of a parameter as a `mi.Vector2f`.

        Args:
            name: name of the parameter.
            first: index of the first value, in row-major order.
        """
        return mi.Vector2f(self.scalar(name, first), self.scalar(name, first + 1))

    def triple(self, name: str, first: int = 0) -> Any:
        """Return three consecutive values of a parameter as a `mi.Vector3f`.

        Args:
            name: name of the parameter.
            first: index of the first value, in row-major order.
        """
        return mi.Vector3f(*(self.scalar(name, first + k) for k in range(3)))

    def gather(self, name: str, index: Any) -> Any:
        """Return a different value of a parameter in each lane.

        Args:
            name: name of the parameter.
            index: (lanes,) indices of the values, in row-major order.
        """
        return dr.gather(mi.Float, self._parameters[name], index)
