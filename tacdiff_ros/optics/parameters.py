"""A sensor's parameters as Dr.Jit arrays, read inside kernels so that nothing is compiled twice."""

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
    """Named arrays; enable gradients on any of them and render.

    A parameter without gradients is read as a scalar that the kernel loads, one with gradients by
    a gather of full width: Dr.Jit would else trace the reverse mode once per use (25 times slower).

    Attributes:
        version: rises with every parameter that is replaced.
    """

    def __init__(self, values: Values) -> None:
        """Values of `sensor.parameters.parameter_values`."""
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
        """Flat `mi.Float` of a parameter, in row-major order."""
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
        """Shape that `sensor.parameters.parameter_values` gives the parameter."""
        return self._shapes[name]

    def numpy(self) -> Values:
        """Current values."""
        return {
            name: np.array(dr.detach(array), np.float64).reshape(self._shapes[name])
            for name, array in self._arrays.items()
        }

    def attached(self) -> bool:
        """Whether any parameter has gradients enabled."""
        return any(dr.grad_enabled(array) for array in self._arrays.values())

    def scalars(self, name: str) -> list[Any]:
        """Width-1 arrays, evaluated, of a parameter without gradients."""
        if name not in self._scalars:
            values: NDArray[np.float32] = np.array(dr.detach(self._arrays[name]))
            self._scalars[name] = [dr.opaque(mi.Float, float(value)) for value in values]
        return self._scalars[name]

    def read_arrays(self) -> list[Any]:
        """All arrays that a kernel may read of parameters without gradients, in a fixed order."""
        return [[array, self.scalars(name)] for name, array in self._arrays.items()]

    def view(self, lanes: int) -> View:
        """For reading inside a computation with so many lanes."""
        return View(self, lanes)


class View:
    """Reads parameters in a computation of a given width."""

    def __init__(self, parameters: Parameters, lanes: int) -> None:
        """See `Parameters.view`."""
        self._parameters = parameters
        self._cache: dict[tuple[str, int], Any] = {}
        self.lanes = lanes

    def __contains__(self, name: str) -> bool:
        return name in self._parameters

    def attached(self, *arrays: Any) -> bool:
        """Whether any of the parameters or of other arrays has gradients."""
        return self._parameters.attached() or bool(dr.grad_enabled(*arrays))

    def count(self, name: str) -> int:
        """Number of values of a parameter."""
        return dr.width(self._parameters[name])

    def scalar(self, name: str, index: int = 0) -> Any:
        """One value of a parameter."""
        key = (name, index)
        if key not in self._cache:
            array = self._parameters[name]
            if dr.grad_enabled(array):
                place = dr.full(mi.UInt32, index, self.lanes)
                self._cache[key] = dr.gather(mi.Float, array, place)
            else:
                self._cache[key] = self._parameters.scalars(name)[index]
        return self._cache[key]

    def pair(self, name: str, first: int = 0) -> Any:
        """Two consecutive values."""
        return mi.Vector2f(self.scalar(name, first), self.scalar(name, first + 1))

    def triple(self, name: str, first: int = 0) -> Any:
        """Three consecutive values."""
        return mi.Vector3f(*(self.scalar(name, first + k) for k in range(3)))

    def gather(self, name: str, index: Any) -> Any:
        """The value at a different index in each lane."""
        return dr.gather(mi.Float, self._parameters[name], index)
