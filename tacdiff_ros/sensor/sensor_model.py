"""Parameters that distinguish one sensor instance: camera, layers, gel, markers and lights.

Lengths are in mm, angles in degrees, in the frame `gel`: origin at the centre of the undeformed
contact surface, x to the right of the image, y down, z away from the camera. Image points are in
pixels with (0, 0) at the centre of the first pixel.

Limits: one camera without tangential distortion; plane parallel layers; a Lambertian gel.
"""

from __future__ import annotations

import hashlib
import math
import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from tacdiff_ros.sensor.marker_grid import MarkerGrid

MAX_NESTING = 3  # rows of columns of colours
MAX_LIST = 4096
MAX_SHAPE_SUM = 0.8  # of |a2| + |b2| + |a3| + |b3|: the radius stays above 0.2 of its mean
# The housing is visible at the borders of a GelSight Mini's frame; the manufacturer's software
# crops a seventh of the frame at each side.
BORDER_FRACTION = 1.0 / 7.0
MIN_LIGHT_HEIGHT_MM = 0.05  # above the gel's surface, toward the camera

Number = Annotated[float, Field(ge=-1e6, le=1e6)]
Vector = tuple[Number, Number, Number]
Fraction = Annotated[float, Field(ge=0, le=1)]
Index = Annotated[float, Field(ge=1, le=3)]
Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[\w.\- ]+$")]
Rgb = tuple[Annotated[float, Field(ge=0, le=1e6)], ...]


class _Part(BaseModel):
    """Immutable section of a sensor file that rejects unknown fields and text for numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_text_for_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        is_text = info.field_name in ("name", "kind", "sensor_id")
        if not is_text and _contains_text(value):
            raise ValueError("expected numbers without a unit; the field's name states the unit")
        return value


def _contains_text(value: Any, depth: int = 0) -> bool:
    """Returns whether a value contains text or booleans where a sensor file has numbers.

    The depth and length of the search are limited, because YAML aliases can nest exponentially.
    """
    if isinstance(value, (list, tuple)):
        if depth == MAX_NESTING or len(value) > MAX_LIST:
            return False
        return any(_contains_text(part, depth + 1) for part in value)
    return isinstance(value, (str, bool))


class Image(_Part):
    """Image size to which the parameters of the camera refer."""

    width_px: int = Field(320, ge=16, le=8192, description="columns of pixels")
    height_px: int = Field(240, ge=16, le=8192, description="rows of pixels")
    border_fraction: float = Field(
        BORDER_FRACTION,
        ge=0,
        lt=0.45,
        description="fraction that was cropped at each side of the camera's frame",
    )


class Camera(_Part):
    """Pinhole camera with radial distortion; without rotation it looks along +z."""

    position_mm: Vector = Field(
        (0.0, 0.0, -21.2),
        description="optical centre in the frame gel; z < 0, inside the first layer",
    )
    rotation_deg: Vector = Field(
        (0.0, 0.0, 0.0), description="rotation vector of the camera in the frame gel"
    )
    focal_px: float = Field(300.0, gt=1, le=1e5, description="focal length")
    centre_px: tuple[Number, Number] = Field(
        (159.5, 119.5),
        description="image of the optical axis; (0, 0) is the centre of the first pixel",
    )
    distortion: tuple[Number, Number] = Field(
        (0.0, 0.0), description="coefficients k1, k2 of x_d = x (1 + k1 r^2 + k2 r^4), x = X / Z"
    )


class Layer(_Part):
    """A slab of uniform index of refraction, parallel to the gel's surface."""

    name: Name = "layer"
    index: Index = Field(1.0, description="index of refraction")
    thickness_mm: float | None = Field(
        None,
        gt=0,
        le=100,
        description="thickness; null for the first layer, which reaches up to the camera",
    )


class Gel(_Part):
    """Gel pad and its coating."""

    width_mm: float = Field(25.25, gt=1, le=200, description="extent along x")
    height_mm: float = Field(20.75, gt=1, le=200, description="extent along y")
    base_color: tuple[Fraction, Fraction, Fraction] = Field(
        (0.6, 0.6, 0.6), description="diffuse reflectance of the coating, linear RGB"
    )
    ambient: Rgb = Field(
        (0.0, 0.0, 0.0),
        min_length=3,
        max_length=3,
        description="radiance from all directions, linear RGB",
    )
    full_indentation_mm: float = Field(
        3.0, gt=0.1, le=50, description="indentation at which the NOCS map's third channel is 0"
    )


class Material(_Part):
    """Constants of the gel's material as identified from measured forces."""

    young_modulus_mpa: float = Field(
        ge=0.001, le=100, description="Young's modulus at small strain, MPa"
    )
    young_modulus_stddev_mpa: float = Field(
        ge=0, le=100, description="standard deviation of Young's modulus, MPa"
    )
    friction: float | None = Field(
        None, ge=0, le=2, description="Coulomb friction coefficient; null if it was not identified"
    )


class MarkerDefect(_Part):
    """Differences of one printed marker from the nominal one; other markers are nominal."""

    row: int = Field(ge=0, le=63, description="row of the marker, 0 at the top of the image")
    column: int = Field(ge=0, le=63, description="column of the marker, 0 at the left")
    offset_mm: tuple[Number, Number] = Field(
        (0.0, 0.0), description="displacement of the centre, x and y"
    )
    scale: float = Field(
        1.0, ge=0, le=3, description="factor on the diameter; 0: the marker is missing"
    )
    darkness: Fraction | None = Field(
        None, description="darkness that replaces that of all markers"
    )
    shape: tuple[Number, Number, Number, Number] = Field(
        (0.0, 0.0, 0.0, 0.0),
        description=(
            "coefficients a2, b2, a3, b3 of radius(phi) = radius (1 + sum ak cos k phi + "
            "bk sin k phi)"
        ),
    )

    @field_validator("shape")
    @classmethod
    def _stays_a_blob(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if sum(abs(part) for part in value) > MAX_SHAPE_SUM:
            raise ValueError(
                f"absolute values add up to over {MAX_SHAPE_SUM:g}, which is no blob: reduce them"
            )
        return value


class Markers(_Part):
    """Printed markers: opaque, and raised above the gel toward the camera."""

    rows: int = Field(7, ge=3, le=64, description="number of rows, top to bottom of the image")
    columns: int = Field(9, ge=3, le=64, description="number of columns, left to right")
    pitch_mm: tuple[Annotated[float, Field(gt=0, le=50)], Annotated[float, Field(gt=0, le=50)]] = (
        Field((2.05, 2.00), description="distance between neighbours along x and y")
    )
    diameter_mm: float = Field(1.0, gt=0, le=50, description="diameter of a marker")
    centre_mm: tuple[Number, Number] = Field(
        (0.0, 0.0), description="centre of the pattern in material coordinates"
    )
    darkness: Fraction = Field(0.93, description="fraction of the light that a marker absorbs")
    edge_mm: float = Field(
        0.06, gt=0, le=2, description="width of the transition at the edge of a marker"
    )
    height_mm: float = Field(
        0.025, ge=0, le=0.5, description="height above the gel, which causes coloured fringes"
    )
    softness_mm: float = Field(
        0.06, gt=0, le=2, description="width of the transition at the edge of the fringes"
    )
    dots: tuple[MarkerDefect, ...] = Field(
        (), max_length=4096, description="markers that differ from the nominal one"
    )

    @property
    def grid(self) -> MarkerGrid:
        """Nominal marker grid, without defects."""
        return MarkerGrid(self.rows, self.columns, *self.pitch_mm, self.diameter_mm)

    @model_validator(mode="after")
    def _defects_are_on_the_grid(self) -> Markers:
        """Checks that the listed markers are on the grid and listed once."""
        _ = self.grid
        positions = [(marker.row, marker.column) for marker in self.dots]
        for row, column in positions:
            if row >= self.rows or column >= self.columns:
                raise ValueError(
                    f"marker at row {row}, column {column} is not on the {self.rows} x "
                    f"{self.columns} grid; counting starts at 0"
                )
        if len(set(positions)) < len(positions):
            raise ValueError("a marker is listed twice")
        return self


class Light(_Part):
    """A flat emitter inside the gel's layer, whose light reaches the gel without refraction.

    A `rectangle` emits the same radiance in all directions of its front. A `strip` emits radiance
    proportional to cos^(exponent - 1) of the angle to its aim, so that its intensity falls off as
    cos^exponent; with exponent 1 both are the same. Light that enters from other layers is
    described by its apparent position in the gel's layer.
    """

    name: Name = "light"
    kind: Literal["rectangle", "strip"] = Field(
        "strip", description="emission profile: rectangle or strip"
    )
    centre_mm: Vector = Field(description="centre in the frame gel; z < 0")
    azimuth_deg: float = Field(
        ge=-360,
        le=360,
        description="azimuth of the aim about z: 0 to the right, 90 down the image",
    )
    tilt_deg: float = Field(
        0.0, gt=-89.9, lt=89.9, description="elevation of the aim, positive toward the gel"
    )
    roll_deg: float = Field(
        0.0, ge=-360, le=360, description="rotation of the long side about the aim"
    )
    half_length_mm: float = Field(gt=0, le=200, description="half of the long side")
    half_width_mm: float = Field(0.5, gt=0, le=200, description="half of the short side")
    radiance: Rgb = Field(
        min_length=3, max_length=3, description="radiance along the aim, linear RGB"
    )
    exponent: float = Field(
        1.0, ge=1, le=60, description="exponent of the lobe of a strip; 1 for a rectangle"
    )

    @model_validator(mode="after")
    def _is_above_the_gel(self) -> Light:
        """Checks the exponent, and that no corner of the light reaches the gel's surface."""
        if self.kind == "rectangle" and self.exponent != 1:
            raise ValueError("a rectangle has exponent 1: use a strip for a narrower lobe")
        lowest = self.centre_mm[2] + self._half_height_mm()
        if lowest > -MIN_LIGHT_HEIGHT_MM:
            raise ValueError(
                f"the light reaches z = {lowest:.3f} mm, behind the gel's surface: it must stay "
                f"at or above z = {-MIN_LIGHT_HEIGHT_MM} mm (toward the camera)"
            )
        return self

    def _half_height_mm(self) -> float:
        """Returns half of the light's extent along z, mm."""
        tilt, roll = math.radians(self.tilt_deg), math.radians(self.roll_deg)
        along, across = math.cos(tilt) * math.sin(roll), math.cos(tilt) * math.cos(roll)
        return abs(along) * self.half_length_mm + abs(across) * self.half_width_mm


class Interreflection(_Part):
    """Light that the coating scatters and the layers above the gel reflect."""

    bounces: int = Field(
        2, ge=0, le=8, description="number of reflections by the layers; 0: direct light only"
    )


class Response(_Part):
    """Pixel value of a radiance: (gain x vignetting x flat field x radiance)^(1/gamma)."""

    gain: tuple[
        Annotated[float, Field(gt=0, le=1e4)],
        Annotated[float, Field(gt=0, le=1e4)],
        Annotated[float, Field(gt=0, le=1e4)],
    ] = Field((1.0, 1.0, 1.0), description="gain of each channel")
    gamma: tuple[
        Annotated[float, Field(ge=0.2, le=5)],
        Annotated[float, Field(ge=0.2, le=5)],
        Annotated[float, Field(ge=0.2, le=5)],
    ] = Field((1.0, 1.0, 1.0), description="gamma of each channel; real Minis are linear")
    vignetting: tuple[Number, Number] = Field(
        (0.0, 0.0),
        description="coefficients v1, v2 of 1 + v1 r^2 + v2 r^4, r = 1 in the image corners",
    )


Ratio = Annotated[float, Field(gt=0, le=100)]


class FlatField(_Part):
    """Smooth ratio of the real image to the modelled one, on a grid that spans the image."""

    values: tuple[tuple[tuple[Ratio, Ratio, Ratio], ...], ...] = Field(
        min_length=2, max_length=64, description="rows of columns of RGB ratios"
    )

    @field_validator("values")
    @classmethod
    def _is_a_grid(cls, value: tuple[tuple[Any, ...], ...]) -> tuple[tuple[Any, ...], ...]:
        widths = {len(row) for row in value}
        if len(widths) > 1 or not 2 <= next(iter(widths)) <= 64:
            raise ValueError("expected rows of one length, 2 to 64 columns")
        return value


class SensorModel(_Part):
    """Parameters of one sensor instance, which `sensor_file` reads and writes."""

    version: Literal[1] = Field(1, description="version of this file format")
    sensor_id: Name = Field("gelsight_mini", description="name of this sensor instance")
    image: Image = Image()
    camera: Camera = Camera()
    layers: tuple[Layer, ...] = Field(
        (
            Layer(name="air", index=1.0),
            Layer(name="glass", index=1.5, thickness_mm=3.0),
            Layer(name="gel", index=1.41, thickness_mm=4.0),
        ),
        min_length=2,
        max_length=8,
        description="layers in order from the camera to the gel",
    )
    gel: Gel = Gel()
    markers: Markers | None = Markers()
    lights: tuple[Light, ...] = Field(min_length=0, max_length=16)
    interreflection: Interreflection = Interreflection()
    response: Response = Response()
    flat_field: FlatField | None = None
    material: Material | None = Field(
        None, description="identified constants of the gel, by `tacdiff identify`"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> SensorModel:
        """Checks the thicknesses of the layers, the camera's height and the names of the lights."""
        if self.layers[0].thickness_mm is not None:
            raise ValueError(
                f"layer '{self.layers[0].name}' is the camera's: remove its thickness_mm, because "
                "the camera's position determines it"
            )
        for layer in self.layers[1:]:
            if layer.thickness_mm is None:
                raise ValueError(f"layer '{layer.name}' needs thickness_mm")
        if -self.camera.position_mm[2] <= self.stack_mm:
            raise ValueError(
                f"'camera.position_mm' has z = {self.camera.position_mm[2]:g}: the camera must be "
                f"above the layers, at z < {-self.stack_mm:g} (millimetres, z away from the camera)"
            )
        names = [light.name for light in self.lights]
        if len(set(names)) < len(names):
            raise ValueError("two lights have one name: give each light its own")
        return self

    @property
    def stack_mm(self) -> float:
        """Total thickness of all layers except the camera's own, mm."""
        return sum(layer.thickness_mm or 0.0 for layer in self.layers[1:])

    @property
    def gel_thickness_mm(self) -> float:
        """Thickness of the gel, the last layer, mm."""
        return self.layers[-1].thickness_mm or 0.0

    @property
    def checksum(self) -> str:
        """Hexadecimal SHA-256 of the values that determine images, however they are formatted.

        The material is left out, and the default crop, so that files from before that field keep
        their checksum.
        """
        exclude: dict[str, Any] = {"material": True}
        if self.image.border_fraction == BORDER_FRACTION:
            exclude["image"] = {"border_fraction"}
        text = self.model_dump_json(exclude=exclude)
        text = re.sub(r"-0\.0(?=[,\]}])", "0.0", text)  # -0.0 equals 0.0
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def mm_per_px(self) -> float:
        """Scale on the undeformed surface at the image centre, mm/px, for an unrotated camera."""
        apparent_mm = -self.camera.position_mm[2] - self.stack_mm
        apparent_mm += sum((lay.thickness_mm or 0.0) / lay.index for lay in self.layers[1:])
        return apparent_mm / self.camera.focal_px
