"""A smooth Mitsuba interface that transmits all rays, weighted by Fresnel's transmittance.

Mitsuba's `dielectric` chooses reflection or transmission at random, which causes most of the noise
in an image seen through it. Where reflected light is not wanted, this interface transmits every ray
with the transmitted fraction as its weight; the expected value is the same.
"""

from __future__ import annotations

from typing import Any

from tacdiff_ros.optics.variant import start_mitsuba

start_mitsuba()

import drjit as dr  # noqa: E402
import mitsuba as mi  # noqa: E402


class PassingInterface(mi.BSDF):
    """Smooth interface between `int_ior` and `ext_ior` with transmission only (Mitsuba BSDF)."""

    def __init__(self, properties: Any) -> None:
        super().__init__(properties)
        self.eta = float(properties["int_ior"]) / float(properties["ext_ior"])
        both_sides = mi.BSDFFlags.FrontSide | mi.BSDFFlags.BackSide
        flags = mi.BSDFFlags.DeltaTransmission | both_sides | mi.BSDFFlags.NonSymmetric
        self.m_components = [flags]
        self.m_flags = flags

    def sample(
        self, _context: Any, si: Any, _sample1: Any, _sample2: Any, active: Any = True
    ) -> Any:
        """Return the refracted direction and the weight of its radiance."""
        reflected, cosine, eta_it, eta_ti = mi.fresnel(mi.Frame3f.cos_theta(si.wi), self.eta)
        bs = mi.BSDFSample3f()
        bs.wo = mi.refract(si.wi, cosine, eta_ti)
        bs.eta = eta_it
        bs.pdf = 1.0
        bs.sampled_type = mi.UInt32(+mi.BSDFFlags.DeltaTransmission)
        bs.sampled_component = mi.UInt32(0)
        weight = (1.0 - reflected) * dr.square(eta_ti)
        return bs, mi.Color3f(weight) & active

    def eval(self, _context: Any, _si: Any, _wo: Any, _active: Any = True) -> Any:
        """Return zero: only the refracted direction carries light."""
        return mi.Color3f(0.0)

    def pdf(self, _context: Any, _si: Any, _wo: Any, _active: Any = True) -> Any:
        """Return zero: a single direction has no density."""
        return mi.Float(0.0)

    def eval_pdf(self, context: Any, si: Any, wo: Any, active: Any = True) -> Any:
        """Return the results of `eval` and `pdf`."""
        return self.eval(context, si, wo, active), self.pdf(context, si, wo, active)


mi.register_bsdf("tacdiff_passing", lambda properties: PassingInterface(properties))
