"""Material constants of the gel."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from tacdiff_ros.sensor.sensor_model import SensorModel


class GelMaterial(BaseModel):
    """Nearly incompressible neo-Hookean gel with Coulomb friction.

    The defaults are typical of a GelSight Mini's pad; `identification.identify_material` estimates
    the constants of one sensor.

    Attributes:
        young_modulus_mpa: Young's modulus E at small strain, MPa.
        poisson_ratio: Poisson's ratio nu.
        friction: Coulomb friction coefficient mu between gel and indenter.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    young_modulus_mpa: float = Field(
        0.2, ge=0.001, le=100, description="Young's modulus at small strain, MPa"
    )
    poisson_ratio: float = Field(0.48, ge=0.0, le=0.499, description="Poisson's ratio")
    friction: float = Field(0.5, ge=0.0, le=2.0, description="Coulomb friction coefficient")

    @classmethod
    def of_sensor(cls, model: SensorModel) -> GelMaterial:
        """Return the identified material of a sensor, with defaults for what was not identified.

        Args:
            model: sensor model.
        """
        known = model.material
        if known is None:
            return cls()
        friction = {} if known.friction is None else {"friction": known.friction}
        return cls(young_modulus_mpa=known.young_modulus_mpa, **friction)

    @property
    def shear_modulus_mpa(self) -> float:
        """Shear modulus G = E / (2 (1 + nu)), MPa."""
        return self.young_modulus_mpa / (2.0 * (1.0 + self.poisson_ratio))

    @property
    def bulk_modulus_mpa(self) -> float:
        """Bulk modulus K = E / (3 (1 - 2 nu)), MPa."""
        return self.young_modulus_mpa / (3.0 * (1.0 - 2.0 * self.poisson_ratio))
