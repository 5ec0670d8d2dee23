"""An interface between two media that light passes: Fresnel's loss without the roll of the dice.

Mitsuba's `dielectric` reflects or transmits at random, which is most of the noise of an image of
what lies behind it. Where reflected light is not wanted, all rays are let through with the share
that is transmitted, and the mean is the same.
"""

from __future__ import annotations

from typing import Any

from tacdiff_ros.optics.variant import start_mitsuba

start_mitsuba()

import drjit as dr  # noqa: E402
import mitsuba as mi  # noqa: E402


class PassingInterface(mi.BSDF):
    """Smooth interface of `int_ior` and `ext_ior`, transmission only."""

    def __init__(self, properties: Any) -> None:
        super().__init__(properties)
        self.eta = float(properties["int_ior"]) / float(properties["ext_ior"])
        both = mi.BSDFFlags.FrontSide | mi.BSDFFlags.BackSide
        flags = mi.BSDFFlags.DeltaTransmission | both | mi.BSDFFlags.NonSymmetric
        self.m_components = [flags]
        self.m_flags = flags

    def sample(self, _context: Any, si: Any, _one: Any, _two: Any, active: Any = True) -> Any:
        """The refracted direction and its weight of radiance."""
        reflected, cosine, eta_it, eta_ti = mi.fresnel(mi.Frame3f.cos_theta(si.wi), self.eta)
        found = mi.BSDFSample3f()
        found.wo = mi.refract(si.wi, cosine, eta_ti)
        found.eta = eta_it
        found.pdf = 1.0
        found.sampled_type = mi.UInt32(+mi.BSDFFlags.DeltaTransmission)
        found.sampled_component = mi.UInt32(0)
        weight = (1.0 - reflected) * dr.square(eta_ti)
        return found, mi.Color3f(weight) & active

    def eval(self, _context: Any, _si: Any, _wo: Any, _active: Any = True) -> Any:
        """Nothing in any other direction."""
        return mi.Color3f(0.0)

    def pdf(self, _context: Any, _si: Any, _wo: Any, _active: Any = True) -> Any:
        """No density: the direction is one."""
        return mi.Float(0.0)

    def eval_pdf(self, context: Any, si: Any, wo: Any, active: Any = True) -> Any:
        """Both of these."""
        return self.eval(context, si, wo, active), self.pdf(context, si, wo, active)


mi.register_bsdf("tacdiff_passing", lambda properties: PassingInterface(properties))
