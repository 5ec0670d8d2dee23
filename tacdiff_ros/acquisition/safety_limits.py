"""Safety limits of one set-up, as they are set by the parameters."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Vector = tuple[float, float, float]


class SafetyLimits(BaseModel):
    """Safety limits of one set-up; positions are those of the frame `gel` in the robot base."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    box_min_mm: Annotated[Vector, Field(description="lower corner of the workspace box")]
    box_max_mm: Annotated[Vector, Field(description="upper corner of the workspace box")]
    speed_mm_s: Annotated[
        float,
        Field(
            gt=0, le=500, description="maximum speed of the end effector, measured and commanded"
        ),
    ] = 60.0
    rotation_speed_rad_s: Annotated[
        float,
        Field(
            gt=0,
            le=3,
            description="maximum rotation speed of the end effector, measured and commanded",
        ),
    ] = 0.6
    speed_window_s: Annotated[
        float, Field(ge=0.005, le=0.2, description="averaging time of measured speeds")
    ] = 0.02
    force_n: Annotated[
        float, Field(gt=0, le=60, description="maximum external force, bias removed")
    ] = 20.0
    torque_n_m: Annotated[
        float, Field(gt=0, le=20, description="maximum external torque, bias removed")
    ] = 3.0
    force_bias_n: Annotated[
        float, Field(gt=0, le=60, description="maximum force accepted as bias by the tare")
    ] = 10.0
    tracking_mm: Annotated[
        float, Field(gt=0, le=100, description="maximum distance between the arm and its target")
    ] = 15.0
    state_pause_s: Annotated[
        float, Field(gt=0, le=1, description="silence of robot states after which motion pauses")
    ] = 0.03
    state_age_s: Annotated[
        float, Field(gt=0, le=5, description="silence of robot states after which the run stops")
    ] = 0.1
    image_pause_s: Annotated[
        float,
        Field(
            gt=0,
            le=5,
            description="silence of images after which motion pauses; longer for slower streams",
        ),
    ] = 0.08
    image_age_s: Annotated[
        float, Field(gt=0, le=5, description="silence of images after which the run stops")
    ] = 0.4
    clock_jump_s: Annotated[
        float, Field(gt=0, le=5, description="maximum jump of a message clock")
    ] = 0.2

    @model_validator(mode="after")
    def _check_box(self) -> SafetyLimits:
        """Raise a ValueError if the workspace box is empty along an axis."""
        for axis, low, high in zip("xyz", self.box_min_mm, self.box_max_mm, strict=True):
            if not low < high:
                raise ValueError(f"the workspace box is empty along {axis}: {low} to {high} mm")
        return self
