"""The continuous parameters of a `SensorModel` as named arrays: what renderers and fits work on.

Names are those of the sensor file; angles are in radians here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.sensor_model import Dot, Markers, SensorModel
from tacdiff_ros.settings_file import first_complaint

Values = dict[str, NDArray[np.float64]]

CAMERA = ("position_mm", "rotation_deg", "focal_px", "centre_px", "distortion")
MARKERS = ("pitch_mm", "centre_mm", "diameter_mm", "edge_mm", "height_mm", "softness_mm")
LIGHT = (
    "centre_mm",
    "azimuth_deg",
    "tilt_deg",
    "roll_deg",
    "half_length_mm",
    "half_width_mm",
    "radiance",
    "exponent",
)
RESPONSE = ("gain", "gamma", "vignetting")


def parameter_values(model: SensorModel) -> Values:
    """All continuous parameters of a model.

    Returns:
        float64 arrays by name: `camera.*` as in the file (rotation as `camera.rotation_rad`);
        `layers.index` (n,), `layers.thickness_mm` (n - 1,), the camera's own layer left out;
        `gel.base_color`, `gel.ambient` (3,); `markers.*` with `markers.offset_mm` (dots, 2),
        `markers.scale`, `markers.darkness` (dots,) and `markers.shape` (dots, 4) in row-major
        order; `lights.*` with one row a light; `response.*`; `flat_field.values` (rows, columns, 3)
        where the model has them.
    """
    values = {f"camera.{name}": getattr(model.camera, name) for name in CAMERA}
    values["layers.index"] = [layer.index for layer in model.layers]
    values["layers.thickness_mm"] = [layer.thickness_mm for layer in model.layers[1:]]
    values["gel.base_color"] = model.gel.base_color
    values["gel.ambient"] = model.gel.ambient
    if model.markers is not None:
        values |= {f"markers.{name}": getattr(model.markers, name) for name in MARKERS}
        values |= _dot_values(model.markers)
    if model.lights:
        values |= {f"lights.{n}": [getattr(light, n) for light in model.lights] for n in LIGHT}
    values |= {f"response.{name}": getattr(model.response, name) for name in RESPONSE}
    if model.flat_field is not None:
        values["flat_field.values"] = model.flat_field.values
    return dict(_in_radians(name, value) for name, value in values.items())


def with_parameter_values(model: SensorModel, values: Values) -> SensorModel:
    """The model with some of its parameters replaced; names and shapes as in `parameter_values`.

    Raises:
        InputError: a name that the model does not have, a wrong shape, or an impossible value.
    """
    known = parameter_values(model)
    for name, value in values.items():
        if name not in known:
            raise InputError(f"sensor parameter '{name}' does not exist in this model")
        if np.shape(value) != known[name].shape:
            raise InputError(
                f"sensor parameter '{name}' has shape {np.shape(value)}, "
                f"expected {known[name].shape}"
            )
    content = model.model_dump()
    for name, value in {**values}.items():
        _enter(content, *_in_degrees(name, np.asarray(value, np.float64)))
    if model.markers is not None and any(name.startswith("markers.") for name in values):
        content["markers"]["dots"] = _dots(model.markers, {**known, **values})
    return _validated(content)


def _validated(content: dict[str, Any]) -> SensorModel:
    from pydantic import ValidationError

    try:
        return SensorModel.model_validate(content)
    except ValidationError as error:
        raise InputError(f"sensor parameters: {first_complaint(error)}") from error


def _in_radians(name: str, value: Any) -> tuple[str, NDArray[np.float64]]:
    array = np.array(value, np.float64)
    if name.endswith("_deg"):
        return name.removesuffix("_deg") + "_rad", np.radians(array)
    return name, array


def _in_degrees(name: str, value: NDArray[np.float64]) -> tuple[str, NDArray[np.float64]]:
    if name.endswith("_rad"):
        return name.removesuffix("_rad") + "_deg", np.degrees(value)
    return name, value


def _enter(content: dict[str, Any], name: str, value: NDArray[np.float64]) -> None:
    """Put an array where the model keeps it; per-dot arrays are entered by `_dots`."""
    section, field = name.split(".")
    if section == "layers":
        rows = content["layers"] if field == "index" else content["layers"][1:]
    elif section == "lights":
        rows = content["lights"]
    elif field in ("offset_mm", "scale", "darkness", "shape") and section == "markers":
        return
    else:
        content[section][field] = value.tolist()
        return
    for row, part in zip(rows, value.tolist(), strict=True):
        row[field] = part


def _dot_values(markers: Markers) -> dict[str, NDArray[np.float64]]:
    count = markers.rows * markers.columns
    values = {
        "markers.offset_mm": np.zeros((count, 2)),
        "markers.scale": np.ones(count),
        "markers.darkness": np.full(count, markers.darkness),
        "markers.shape": np.zeros((count, 4)),
    }
    for dot in markers.dots:
        index = dot.row * markers.columns + dot.column
        values["markers.offset_mm"][index] = dot.offset_mm
        values["markers.scale"][index] = dot.scale
        values["markers.shape"][index] = dot.shape
        if dot.darkness is not None:
            values["markers.darkness"][index] = dot.darkness
    return values


def _dots(markers: Markers, values: Values) -> list[dict[str, Any]]:
    """Entries of the dots that differ from the perfect one."""
    entries = []
    perfect = Dot(row=0, column=0)
    for index in range(markers.rows * markers.columns):
        row, column = divmod(index, markers.columns)
        darkness = float(values["markers.darkness"][index])
        dot = {
            "offset_mm": tuple(values["markers.offset_mm"][index].tolist()),
            "scale": float(values["markers.scale"][index]),
            "darkness": None if darkness == markers.darkness else darkness,
            "shape": tuple(values["markers.shape"][index].tolist()),
        }
        if any(getattr(perfect, name) != value for name, value in dot.items()):
            entries.append({"row": row, "column": column, **dot})
    return entries
