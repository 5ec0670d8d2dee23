"""Settings of the estimate: standard deviations of data and priors, sizes of the search."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, Field


class PoseSettings(BaseModel):
    """Settings of the object pose estimate; lengths in m, angles in rad, forces in N."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    camera_position_stddev: float = Field(
        0.003, ge=0.0, le=0.1, description="prior of the camera's position in the hand, an axis [m]"
    )
    camera_rotation_stddev: float = Field(
        math.radians(0.7), ge=0.0, le=1.0, description="prior of its rotation, an axis [rad]"
    )
    joint_stddev: float = Field(
        math.radians(1.5), ge=0.0, le=1.0, description="prior of a revolute joint's offset [rad]"
    )
    slide_stddev: float = Field(
        0.0005, ge=0.0, le=0.1, description="prior of a prismatic joint's offset [m]"
    )
    depth_bias_stddev: float = Field(
        0.002, ge=0.0, le=0.1, description="prior of the bias of the depth image [m]"
    )
    depth_stddev: float = Field(
        0.002, gt=0.0, le=0.1, description="noise of a pixel of the depth image [m]"
    )
    mesh_stddev: float = Field(
        0.0005, gt=0.0, le=0.05, description="error of the object's mesh [m]"
    )
    hand_stddev: float = Field(
        0.0007, gt=0.0, le=0.05, description="error of the hand's collision shapes [m]"
    )
    mask_stddev: float = Field(
        0.002, gt=0.0, le=0.1, description="error of a sight line beside the object [m]"
    )
    taxel_stddev: float = Field(
        0.001, gt=0.0, le=0.05, description="distance of a touched taxel from the object [m]"
    )
    min_taxel_force: float = Field(0.05, ge=0.0, description="force of a touched taxel [N]")
    gel_stddev: float = Field(0.0001, gt=0.0, le=0.01, description="height error of a gel [m]")
    gel_normal_stddev: float = Field(
        math.radians(10.0), gt=0.0, le=1.0, description="error of a gel's normal [rad]"
    )
    force_direction_stddev: float = Field(
        math.radians(10.0), gt=0.0, le=1.0, description="error of a force's direction [rad]"
    )
    force_stddev_fraction: float = Field(
        0.1, gt=0.0, le=1.0, description="error of measured forces, as a fraction"
    )
    support_stddev: float = Field(
        0.2, gt=0.0, description="unbalanced fraction of the weight at a true pose"
    )
    friction: float = Field(
        0.6, gt=0.0, le=5.0, description="friction where the object's own is unknown"
    )
    start_position_stddev: float = Field(
        0.04, gt=0.0, le=1.0, description="prior of a given pose's position, an axis [m]"
    )
    start_rotation_stddev: float = Field(
        math.radians(40.0), gt=0.0, le=4.0, description="prior of its rotation, an axis [rad]"
    )
    depth_pixels: int = Field(600, ge=20, le=20_000, description="pixels of the object used")
    hand_pixels: int = Field(400, ge=0, le=20_000, description="pixels of the hand used")
    sight_lines: int = Field(
        600, ge=0, le=20_000, description="sight lines beside the mask used; half of it inside"
    )
    hand_points: int = Field(400, ge=20, le=20_000, description="points of the hand's surface")
    gel_points: int = Field(300, ge=10, le=20_000, description="points of each gel used")
    use_friction: bool = Field(True, description="friction cones of measured forces")
    use_support: bool = Field(True, description="support of the weight and balance of torques")
    use_free_space: bool = Field(True, description="sight lines beside and inside the mask")
    max_open_stddev: float = Field(
        0.001, gt=0.0, description="largest standard deviation of an observable direction [m]"
    )
    covariance_inflation: float = Field(
        2.2, ge=0.1, le=1e4, description="factor of the covariance for correlated errors"
    )
    temperature: float = Field(
        4.0,
        ge=1.0,
        le=1e4,
        description="factor of the variances in the weights of hypotheses, for errors of the mesh",
    )
    seed: int = Field(0, ge=0, description="seed of the choice of pixels and points")
