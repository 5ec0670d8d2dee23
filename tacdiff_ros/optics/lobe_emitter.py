"""A Mitsuba emitter for surfaces that emit in a lobe, for the path-traced reference.

The radiance is proportional to cos^(exponent - 1) of the angle to the surface normal; exponent 1
is Mitsuba's own `area` emitter.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

MIN_COSINE = 1e-6


class LobeEmitter(mi.Emitter):
    """Area emitter with a cosine lobe, registered as `tacdiff_lobe`.

    Its properties are `exponent` >= 1 (default 1) and `radiance` along the normal, RGB (default 1).
    It samples directions for received light only, not for emitted light.
    """

    def __init__(self, properties: Any) -> None:
        super().__init__(properties)
        self._exponent = dr.opaque(mi.Float, float(properties.get("exponent", 1.0)))
        self._color = dr.opaque(mi.Color3f(*properties.get("radiance", (1.0,) * 3)))
        self.m_flags = mi.EmitterFlags.Surface

    def _radiance(self, cosine: Any) -> Any:
        lobe = dr.power(dr.maximum(cosine, MIN_COSINE), self._exponent - 1.0)
        return self._color * dr.select(cosine > 0.0, lobe, 0.0)

    def eval(self, si: Any, active: Any = True) -> Any:
        """Return the radiance emitted in the direction `si.wi` (interface of Mitsuba)."""
        return self._radiance(mi.Frame3f.cos_theta(si.wi)) & active

    def sample_direction(self, it: Any, sample: Any, active: Any = True) -> tuple[Any, Any]:
        """Sample a point of the emitter, as seen from a reference point (interface of Mitsuba).

        Returns:
            Direction sample, and the ratio of radiance to probability density.
        """
        ds = self.get_shape().sample_direction(it, sample, active)
        cosine = -dr.dot(ds.d, ds.n)
        valid = active & (cosine > 0.0) & (ds.pdf > 0.0)
        ds.emitter = mi.EmitterPtr(self)
        return ds, self._radiance(cosine) / dr.maximum(ds.pdf, 1e-12) & valid

    def pdf_direction(self, it: Any, ds: Any, active: Any = True) -> Any:
        """Return the density of `sample_direction` per solid angle (interface of Mitsuba)."""
        density = self.get_shape().pdf_direction(it, ds, active)
        return dr.select(dr.dot(ds.d, ds.n) < 0.0, density, 0.0)

    def eval_direction(self, it: Any, ds: Any, active: Any = True) -> Any:
        """Return the radiance of a sampled direction (interface of Mitsuba)."""
        return self._radiance(-dr.dot(ds.d, ds.n)) & active

    def to_string(self) -> str:
        """Return a description for Mitsuba's log."""
        return f"LobeEmitter[exponent={self._exponent}]"

    def traverse(self, callback: Any) -> None:
        """Expose no parameters to Mitsuba."""


mi.register_emitter("tacdiff_lobe", LobeEmitter)
