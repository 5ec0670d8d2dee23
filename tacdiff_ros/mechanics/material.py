"""What the gel is made of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class GelMaterial(BaseModel):
    """A nearly incompressible neo-Hookean gel with Coulomb friction.

    The defaults are typical of a GelSight Mini's pad; `identification.identify_material` finds
    those of one unit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    young_modulus_mpa: float = Field(0.2, ge=0.001, le=100, description="at small strain")
    poisson_ratio: float = Field(0.48, ge=0.0, le=0.499)
    friction: float = Field(0.5, ge=0.0, le=2.0, description="Coulomb coefficient")

    @property
    def shear_modulus_mpa(self) -> float:
        """G = E / (2 (1 + nu))."""
        return self.young_modulus_mpa / (2.0 * (1.0 + self.poisson_ratio))

    @property
    def bulk_modulus_mpa(self) -> float:
        """K = E / (3 (1 - 2 nu))."""
        return self.young_modulus_mpa / (3.0 * (1.0 - 2.0 * self.poisson_ratio))
