"""A Mitsuba emitter for surfaces that shine in a lobe, for the path-traced reference.

Radiance falls as cos^(exponent - 1) of the angle to the surface's normal; exponent 1 is Mitsuba's
own `area` emitter.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

MIN_COSINE = 1e-6


class LobeEmitter(mi.Emitter):
    """Parameters: `exponent` >= 1; `radiance` along the normal, RGB, default 1.

    Samples directions for light that is received, not emitted.
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
        """Radiance toward `si.wi`."""
        return self._radiance(mi.Frame3f.cos_theta(si.wi)) & active

    def sample_direction(self, it: Any, sample: Any, active: Any = True) -> tuple[Any, Any]:
        """A point of the surface as seen from a reference point, and radiance over density."""
        found = self.get_shape().sample_direction(it, sample, active)
        cosine = -dr.dot(found.d, found.n)
        valid = active & (cosine > 0.0) & (found.pdf > 0.0)
        found.emitter = mi.EmitterPtr(self)
        return found, self._radiance(cosine) / dr.maximum(found.pdf, 1e-12) & valid

    def pdf_direction(self, it: Any, ds: Any, active: Any = True) -> Any:
        """Density of `sample_direction` per solid angle."""
        density = self.get_shape().pdf_direction(it, ds, active)
        return dr.select(dr.dot(ds.d, ds.n) < 0.0, density, 0.0)

    def eval_direction(self, it: Any, ds: Any, active: Any = True) -> Any:
        """Radiance of a sampled direction."""
        return self._radiance(-dr.dot(ds.d, ds.n)) & active

    def to_string(self) -> str:
        """For Mitsuba's log."""
        return f"LobeEmitter[exponent={self._exponent}]"

    def traverse(self, callback: Any) -> None:
        """No parameters for Mitsuba."""


mi.register_emitter("tacdiff_lobe", LobeEmitter)
