"""Settings of a run that are independent of the protocol and of the safety limits."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class SessionSettings(BaseModel):
    """Motion of a run: contact detection, settling, compliance correction, stop and retraction."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    retract_speed_mm_s: Annotated[
        float, Field(gt=0, le=50, description="peak speed of the retraction")
    ] = 10.0
    pause_before_retract_s: Annotated[
        float, Field(ge=0, le=5, description="standstill between a stop and the retraction")
    ] = 0.2
    wait_for_control_s: Annotated[
        float,
        Field(
            ge=0,
            le=60,
            description="maximum waiting time for trustworthy robot states after a stop",
        ),
    ] = 2.0
    wait_for_recovery_s: Annotated[
        float,
        Field(
            ge=0,
            le=600,
            description="maximum waiting time for a recovery from a reflex, which often takes over "
            "12 s; a cancel request ends it",
        ),
    ] = 30.0
    wait_for_streams_s: Annotated[
        float,
        Field(gt=0, le=60, description="maximum waiting time for the first state and image"),
    ] = 5.0
    hold_s: Annotated[
        float,
        Field(ge=0, le=5, description="time for which the arm must hold its pose before a run"),
    ] = 0.3
    hold_limit_mm: Annotated[
        float,
        Field(gt=0, le=20, description="motion at its own pose as target that ends the run"),
    ] = 3.0
    compliance_gain_per_s: Annotated[
        float,
        Field(
            ge=0,
            le=20,
            description="gain of the integrator that removes the position error in contact",
        ),
    ] = 6.0
    compliance_limit_mm: Annotated[
        float,
        Field(ge=0, le=20, description="maximum shift of a target by this integrator"),
    ] = 8.0
    settled_mm: Annotated[
        float,
        Field(gt=0, le=5, description="distance from the target within which the arm has settled"),
    ] = 0.05
    settle_limit_s: Annotated[
        float,
        Field(ge=0, le=10, description="maximum settling time beyond the protocol's settle_s"),
    ] = 1.5
    contact_states: Annotated[
        int,
        Field(
            ge=1,
            le=100,
            description="number of consecutive states above the contact force that are contact",
        ),
    ] = 5
