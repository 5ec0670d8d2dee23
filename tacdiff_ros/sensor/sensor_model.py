"""Everything that tells one sensor unit from another: camera, layers, gel, markers, lights.

Lengths are in mm, angles of the file in degrees, in the frame `gel`: origin in the middle of the
undeformed contact surface, x to the right of the image, y down, z off the camera. Image points are
in pixels with (0, 0) in the middle of the first pixel.

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

DEEPEST_NESTING = 3  # rows of columns of colours
MAX_LIST = 4096
SHALLOWEST_LIGHT_MM = 0.05

Number = Annotated[float, Field(ge=-1e6, le=1e6)]
Vector = tuple[Number, Number, Number]
Share = Annotated[float, Field(ge=0, le=1)]
Index = Annotated[float, Field(ge=1, le=3)]
Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[\w.\- ]+$")]
Rgb = tuple[Annotated[float, Field(ge=0, le=1e6)], ...]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_text_for_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        is_text = info.field_name in ("name", "kind", "sensor_id")
        if not is_text and _holds_text(value):
            raise ValueError("expected numbers without a unit; the name tells the unit")
        return value


def _holds_text(value: Any, depth: int = 0) -> bool:
    """Whether a number is text; looks no deeper than any value of the file goes."""
    if isinstance(value, (list, tuple)):
        if depth == DEEPEST_NESTING or len(value) > MAX_LIST:
            return False
        return any(_holds_text(part, depth + 1) for part in value)
    return isinstance(value, (str, bool))


class Image(_Part):
    """Size for which the camera's numbers are given."""

    width_px: int = Field(320, ge=16, le=8192, description="columns of pixels")
    height_px: int = Field(240, ge=16, le=8192, description="rows of pixels")


class Camera(_Part):
    """Pinhole with radial distortion, looking along +z where it is not turned."""

    position_mm: Vector = Field(
        (0.0, 0.0, -21.2), description="optical centre in the frame gel; z < 0, in the first layer"
    )
    rotation_deg: Vector = Field(
        (0.0, 0.0, 0.0), description="rotation vector of the camera in the frame gel"
    )
    focal_px: float = Field(300.0, gt=1, le=1e5, description="focal length")
    centre_px: tuple[Number, Number] = Field(
        (159.5, 119.5), description="image of the optical axis; (0, 0) is the first pixel's middle"
    )
    distortion: tuple[Number, Number] = Field(
        (0.0, 0.0), description="k1, k2 of x_d = x (1 + k1 r^2 + k2 r^4), x = X / Z"
    )


class Layer(_Part):
    """A slab of one index of refraction, parallel to the gel's surface."""

    name: Name = "layer"
    index: Index = Field(1.0, description="index of refraction")
    thickness_mm: float | None = Field(
        None, gt=0, le=100, description="none for the first layer: it reaches up to the camera"
    )


class Gel(_Part):
    """The pad and its coating."""

    width_mm: float = Field(25.25, gt=1, le=200, description="along x")
    height_mm: float = Field(20.75, gt=1, le=200, description="along y")
    base_color: tuple[Share, Share, Share] = Field(
        (0.6, 0.6, 0.6), description="diffuse reflectance of the coating, linear RGB"
    )
    ambient: Rgb = Field(
        (0.0, 0.0, 0.0), min_length=3, max_length=3, description="radiance from all around, RGB"
    )
    full_indentation_mm: float = Field(
        3.0, gt=0.1, le=50, description="indentation at which the NOCS map's third channel is 0"
    )


class Dot(_Part):
    """How one printed dot differs from the perfect one; dots that are not listed are perfect."""

    row: int = Field(ge=0, le=63)
    column: int = Field(ge=0, le=63)
    offset_mm: tuple[Number, Number] = Field((0.0, 0.0), description="of its centre, x and y")
    scale: float = Field(1.0, ge=0, le=3, description="of its diameter; 0: the dot is missing")
    darkness: Share | None = Field(None, description="instead of the markers' own darkness")
    shape: tuple[Number, Number, Number, Number] = Field(
        (0.0, 0.0, 0.0, 0.0),
        description="a2, b2, a3, b3 of radius(phi) = radius (1 + sum ak cos k phi + bk sin k phi)",
    )

    @field_validator("shape")
    @classmethod
    def _stays_a_blob(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if sum(abs(part) for part in value) > 0.8:
            raise ValueError("the parts' sizes add up to over 0.8: that is no blob any more")
        return value


class Markers(_Part):
    """Printed dots: opaque, and raised above the gel toward the camera."""

    rows: int = Field(7, ge=3, le=64)
    columns: int = Field(9, ge=3, le=64)
    pitch_mm: tuple[Annotated[float, Field(gt=0, le=50)], Annotated[float, Field(gt=0, le=50)]] = (
        Field((2.05, 2.00), description="between neighbours along x and y")
    )
    diameter_mm: float = Field(1.0, gt=0, le=50)
    centre_mm: tuple[Number, Number] = Field(
        (0.0, 0.0), description="of the pattern, in material coordinates"
    )
    darkness: Share = Field(0.93, description="share of light that a dot swallows")
    edge_mm: float = Field(0.06, gt=0, le=2, description="width of a dot's rim")
    height_mm: float = Field(
        0.025, ge=0, le=0.5, description="above the gel; it casts coloured fringes"
    )
    softness_mm: float = Field(0.06, gt=0, le=2, description="width of the fringes' border")
    dots: tuple[Dot, ...] = Field((), max_length=4096, description="dots that differ")

    @property
    def grid(self) -> MarkerGrid:
        """The pattern without defects."""
        return MarkerGrid(self.rows, self.columns, *self.pitch_mm, self.diameter_mm)

    @model_validator(mode="after")
    def _dots_lie_on_the_grid(self) -> Markers:
        _ = self.grid
        places = [(dot.row, dot.column) for dot in self.dots]
        for row, column in places:
            if row >= self.rows or column >= self.columns:
                raise ValueError(
                    f"dot at row {row}, column {column} is not on the {self.rows} x "
                    f"{self.columns} grid; counting starts at 0"
                )
        if len(set(places)) < len(places):
            raise ValueError("a dot is listed twice")
        return self


class Light(_Part):
    """A flat emitter inside the gel's layer, seen from the gel without refraction.

    A `rectangle` has the same radiance in all directions of its front. A `strip` has radiance
    proportional to cos^(exponent - 1) of the angle to its aim, so that its intensity falls as
    cos^exponent; with exponent 1 both are the same. Light that enters from other layers is
    described by the effective position from which it seems to come.
    """

    name: Name = "light"
    kind: Literal["rectangle", "strip"] = Field("strip", description="rectangle or strip")
    centre_mm: Vector = Field(description="its middle in the frame gel; z < 0")
    azimuth_deg: float = Field(
        ge=-360, le=360, description="of its aim about z: 0 to the right, 90 down the image"
    )
    tilt_deg: float = Field(
        0.0, gt=-89.9, lt=89.9, description="of its aim, positive toward the gel"
    )
    roll_deg: float = Field(0.0, ge=-360, le=360, description="of its long side about its aim")
    half_length_mm: float = Field(gt=0, le=200, description="half of its long side")
    half_width_mm: float = Field(0.5, gt=0, le=200, description="half of its short side")
    radiance: Rgb = Field(min_length=3, max_length=3, description="along its aim, linear RGB")
    exponent: float = Field(
        1.0, ge=1, le=60, description="of the lobe of a strip; a rectangle has 1"
    )

    @model_validator(mode="after")
    def _shines_on_the_gel(self) -> Light:
        if self.kind == "rectangle" and self.exponent != 1:
            raise ValueError("a rectangle has exponent 1; use a strip for a narrower lobe")
        lowest = self.centre_mm[2] + self._reach_mm()
        if lowest > -SHALLOWEST_LIGHT_MM:
            raise ValueError(
                f"the light reaches z = {lowest:.3f} mm, behind the gel's surface: it must stay "
                f"at or above z = {-SHALLOWEST_LIGHT_MM} mm (toward the camera)"
            )
        return self

    def _reach_mm(self) -> float:
        """How far the corners reach from the centre along z."""
        tilt, roll = math.radians(self.tilt_deg), math.radians(self.roll_deg)
        along, across = math.cos(tilt) * math.sin(roll), math.cos(tilt) * math.cos(roll)
        return abs(along) * self.half_length_mm + abs(across) * self.half_width_mm


class Interreflection(_Part):
    """Light that the coating scatters and the layers above the gel throw back."""

    bounces: int = Field(2, ge=0, le=8, description="returns from the layers; 0: direct light only")


class Response(_Part):
    """From radiance to pixel value: (gain x vignetting x flat field x radiance)^(1/gamma)."""

    gain: tuple[
        Annotated[float, Field(gt=0, le=1e4)],
        Annotated[float, Field(gt=0, le=1e4)],
        Annotated[float, Field(gt=0, le=1e4)],
    ] = Field((1.0, 1.0, 1.0), description="per channel")
    gamma: tuple[
        Annotated[float, Field(ge=0.2, le=5)],
        Annotated[float, Field(ge=0.2, le=5)],
        Annotated[float, Field(ge=0.2, le=5)],
    ] = Field((1.0, 1.0, 1.0), description="per channel; real Minis are linear")
    vignetting: tuple[Number, Number] = Field(
        (0.0, 0.0), description="v1, v2 of 1 + v1 r^2 + v2 r^4, r = 1 in the image's corner"
    )


Ratio = Annotated[float, Field(gt=0, le=100)]


class FlatField(_Part):
    """Smooth ratio of the real to the modelled image, as a grid that spans the image."""

    values: tuple[tuple[tuple[Ratio, Ratio, Ratio], ...], ...] = Field(
        min_length=2, max_length=64, description="rows of columns of RGB ratios"
    )

    @field_validator("values")
    @classmethod
    def _is_a_grid(cls, value: tuple[tuple[Any, ...], ...]) -> tuple[tuple[Any, ...], ...]:
        widths = {len(row) for row in value}
        if len(widths) > 1 or not 2 <= next(iter(widths)) <= 64:
            raise ValueError("expected rows of one length, 2 to 64")
        return value


class SensorModel(_Part):
    """One sensor unit; `sensor_file` reads and writes it."""

    version: Literal[1] = Field(1, description="of this format")
    sensor_id: Name = Field("gelsight_mini", description="name of this unit")
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
        description="from the camera to the gel",
    )
    gel: Gel = Gel()
    markers: Markers | None = Markers()
    lights: tuple[Light, ...] = Field(min_length=0, max_length=16)
    interreflection: Interreflection = Interreflection()
    response: Response = Response()
    flat_field: FlatField | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> SensorModel:
        if self.layers[0].thickness_mm is not None:
            raise ValueError(
                f"layer '{self.layers[0].name}' is the camera's: it has no thickness_mm, because "
                "the camera's position gives it"
            )
        for layer in self.layers[1:]:
            if layer.thickness_mm is None:
                raise ValueError(f"layer '{layer.name}' needs thickness_mm")
        if -self.camera.position_mm[2] <= self.stack_mm:
            raise ValueError(
                f"'camera.position_mm' has z = {self.camera.position_mm[2]:g}: the camera must be "
                f"above the layers, at z < {-self.stack_mm:g} (millimetres, z off the camera)"
            )
        names = [light.name for light in self.lights]
        if len(set(names)) < len(names):
            raise ValueError("two lights have one name")
        return self

    @property
    def stack_mm(self) -> float:
        """Thickness of all layers but the camera's own."""
        return sum(layer.thickness_mm or 0.0 for layer in self.layers[1:])

    @property
    def checksum(self) -> str:
        """Hexadecimal SHA-256 of all values: equal for equal models, however they were written."""
        text = re.sub(r"-0\.0(?=[,\]}])", "0.0", self.model_dump_json())  # -0.0 equals 0.0
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def mm_per_px(self) -> float:
        """Scale on the untouched surface in the image's centre, for a camera that is not turned."""
        apparent = -self.camera.position_mm[2] - self.stack_mm
        apparent += sum((lay.thickness_mm or 0.0) / lay.index for lay in self.layers[1:])
        return apparent / self.camera.focal_px
