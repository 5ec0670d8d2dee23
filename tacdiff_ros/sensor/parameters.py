"""Continuous parameters of a `SensorModel` as named arrays, for renderers and fits.

Names are those of the sensor file, but angles are in radians here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.sensor_model import MarkerDefect, Markers, SensorModel
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
    """Returns all continuous parameters of a model.

    Args:
        model: sensor model.

    Returns:
        float64 arrays by name: `camera.*` as in the file (rotation as `camera.rotation_rad`);
        `layers.index` (n,) and `layers.thickness_mm` (n - 1,) without the camera's own layer;
        `gel.base_color` and `gel.ambient` (3,); `markers.*` with `markers.offset_mm` (K, 2),
        `markers.scale` (K,), `markers.darkness` (K,) and `markers.shape` (K, 4) for all K markers
        in row-major order; `lights.*` with one row for each light; `response.*`;
        `flat_field.values` (rows, columns, 3). Sections that the model lacks have no entries.
    """
    values = {f"camera.{name}": getattr(model.camera, name) for name in CAMERA}
    values["layers.index"] = [layer.index for layer in model.layers]
    values["layers.thickness_mm"] = [layer.thickness_mm for layer in model.layers[1:]]
    values["gel.base_color"] = model.gel.base_color
    values["gel.ambient"] = model.gel.ambient
    if model.markers is not None:
        values |= {f"markers.{name}": getattr(model.markers, name) for name in MARKERS}
        values |= _values_of_markers(model.markers)
    if model.lights:
        values |= {f"lights.{n}": [getattr(light, n) for light in model.lights] for n in LIGHT}
    values |= {f"response.{name}": getattr(model.response, name) for name in RESPONSE}
    if model.flat_field is not None:
        values["flat_field.values"] = model.flat_field.values
    return dict(_in_radians(name, value) for name, value in values.items())


def with_parameter_values(model: SensorModel, values: Values) -> SensorModel:
    """Returns a copy of a model with some of its parameters replaced.

    Args:
        model: sensor model to copy.
        values: new values by name, with names and shapes as in `parameter_values`.

    Returns:
        The changed model.

    Raises:
        InputError: the model has no parameter of a name, or a shape or value is invalid.
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
    for name, value in values.items():
        _set_value(content, *_in_degrees(name, np.asarray(value, np.float64)))
    if model.markers is not None and any(name.startswith("markers.") for name in values):
        content["markers"]["dots"] = _defects(model.markers, {**known, **values})
    return _validated(content)


def _validated(content: dict[str, Any]) -> SensorModel:
    """Returns a model with the given content, or raises an InputError with the first complaint."""
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


def _set_value(content: dict[str, Any], name: str, value: NDArray[np.float64]) -> None:
    """Writes an array into the content of a model; `_defects` handles arrays over markers."""
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


def _values_of_markers(markers: Markers) -> dict[str, NDArray[np.float64]]:
    """Returns the parameters that each marker has of its own, in row-major order."""
    count = markers.rows * markers.columns
    values = {
        "markers.offset_mm": np.zeros((count, 2)),
        "markers.scale": np.ones(count),
        "markers.darkness": np.full(count, markers.darkness),
        "markers.shape": np.zeros((count, 4)),
    }
    for defect in markers.dots:
        index = defect.row * markers.columns + defect.column
        values["markers.offset_mm"][index] = defect.offset_mm
        values["markers.scale"][index] = defect.scale
        values["markers.shape"][index] = defect.shape
        if defect.darkness is not None:
            values["markers.darkness"][index] = defect.darkness
    return values


def _defects(markers: Markers, values: Values) -> list[dict[str, Any]]:
    """Returns the file's entries for the markers that differ from the nominal one."""
    entries = []
    nominal = MarkerDefect(row=0, column=0)
    for index in range(markers.rows * markers.columns):
        row, column = divmod(index, markers.columns)
        darkness = float(values["markers.darkness"][index])
        entry = {
            "offset_mm": tuple(values["markers.offset_mm"][index].tolist()),
            "scale": float(values["markers.scale"][index]),
            "darkness": None if darkness == markers.darkness else darkness,
            "shape": tuple(values["markers.shape"][index].tolist()),
        }
        if any(getattr(nominal, name) != value for name, value in entry.items()):
            entries.append({"row": row, "column": column, **entry})
    return entries
