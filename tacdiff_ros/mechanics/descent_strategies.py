"""Strategies for a step in which Newton's method finds no equilibrium.

Newton's method fails where the gel snaps over an edge of the indenter. Then the energy of the pad
is minimised with friction bounds that are held fixed during each minimisation (a descent) and
renewed after it (`edge_crossing`). What remains to be chosen is how the friction bounds change from
one descent to the next, and whether the step is divided into substeps. A `DescentStrategy` states
these choices; `ATTEMPTS` lists the strategies in the order in which they are tried. The command
`python benchmarks/mechanics.py --only robustness` tests them on ten indenters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tacdiff_ros.mechanics.contact_energy import ContactPotential
from tacdiff_ros.mechanics.energy_descent import MAX_DESCENTS

# Unsettled friction: difference between the friction bounds of a descent and those that belong to
# its result, as a fraction of all friction. It is 0 where Coulomb's law holds.
SETTLED_FRICTION = 0.02  # a result with at most this fraction is accepted at once
MAX_UNSETTLED_FRICTION = 0.1  # largest fraction of the best result if no descent settles
NEARLY_SETTLED_FRICTION = 0.3  # largest fraction from which Newton's method is tried

EARLY_DESCENTS = 3  # first descents without a ramp; after each of them Newton's method is tried
RAMP_DESCENTS = 6  # descents over which friction returns from 0 to its full bounds
MAX_RAMP_ITERATIONS = 8  # Newton iterations of a descent in the ramp, whose result is only a start

# Weight of the renewed friction bounds against the held ones; 1 takes the renewed ones.
CAUTIOUS_WEIGHT = 0.5  # after a descent with more unsettled friction than the previous one
WEIGHT_GROWTH = 1.4  # factor on the weight after a descent with less unsettled friction


@dataclass(frozen=True)
class DescentStrategy:
    """Choices for a step in which Newton's method fails.

    Attributes:
        max_descents: largest number of descents in one substep.
        min_substep: smallest substep, as a fraction of the step; 1 never divides the step.
        max_tolerant_substep: largest substep, as a fraction of the step, that accepts unsettled
            friction up to `MAX_UNSETTLED_FRICTION` instead of `SETTLED_FRICTION`. Longer substeps
            are left to the next strategy, or divided.
        first_substep: first substep to be tried, as a fraction of the step.
        ramps_friction: True to remove friction in the first descent and to return it over
            `RAMP_DESCENTS` descents.
    """

    max_descents: int
    min_substep: float = 1.0
    max_tolerant_substep: float = 1.0
    first_substep: float = 1.0
    ramps_friction: bool = False

    def max_unsettled(self, substep: float) -> float:
        """Return the largest unsettled friction of an accepted result.

        Args:
            substep: length of the substep, as a fraction of the step.
        """
        is_tolerant = substep <= self.max_tolerant_substep
        return MAX_UNSETTLED_FRICTION if is_tolerant else SETTLED_FRICTION

    @property
    def initial_friction(self) -> float:
        """Factor on the friction bounds of the state before the step, for the first descent."""
        return 0.0 if self.ramps_friction else 1.0

    def is_ramping(self, descent: int) -> bool:
        """Return whether friction is still returning after a descent, numbered from 0."""
        return self.ramps_friction and descent < RAMP_DESCENTS

    def settles_first(self, descent: int) -> bool:
        """Return whether the bounds are first made consistent with the linearised gel.

        That costs a fraction of a descent. The first descent uses the friction bounds of the state
        before the step.
        """
        return not self.ramps_friction and 0 < descent < EARLY_DESCENTS

    def max_iterations(self, descent: int) -> int:
        """Return the largest number of Newton iterations of a descent."""
        return MAX_RAMP_ITERATIONS if self.is_ramping(descent) else MAX_DESCENTS

    def tries_newton(self, descent: int, unsettled: float) -> bool:
        """Return whether Newton's method is tried from the result of a descent.

        Args:
            descent: number of the descent, from 0.
            unsettled: unsettled friction of its result, as a fraction of all friction.
        """
        is_early = not self.ramps_friction and descent < EARLY_DESCENTS
        return is_early or unsettled <= NEARLY_SETTLED_FRICTION

    def renewed(
        self, descent: int, held: ContactPotential, fresh: ContactPotential, weight: float
    ) -> ContactPotential:
        """Return the friction of the next descent.

        During a ramp, it is a growing part of the fresh friction; in early descents, all of it.
        Afterwards held and fresh friction are averaged, since full renewals may oscillate.

        Args:
            descent: number of the descent that has ended, from 0.
            held: friction of that descent.
            fresh: friction that belongs to its result.
            weight: weight of `fresh` in the average, 0 to 1.
        """
        if self.is_ramping(descent):
            return replace(fresh, bound_n=fresh.bound_n * min(1.0, (descent + 1) / RAMP_DESCENTS))
        if not self.ramps_friction and descent < EARLY_DESCENTS - 1:
            return fresh
        return held.toward(fresh, weight)


def next_weight(weight: float, unsettled: float, unsettled_before: float) -> float:
    """Return the weight of renewed friction bounds after a descent.

    Args:
        weight: weight after the previous descent.
        unsettled: unsettled friction of this descent.
        unsettled_before: unsettled friction of the previous descent.
    """
    return min(1.0, WEIGHT_GROWTH * weight) if unsettled < unsettled_before else CAUTIOUS_WEIGHT


# 1. A few descents with the friction bounds of the state before the step, and no division. Only
# settled friction is accepted, because the next strategies may still settle it.
BRIEF_DESCENT = DescentStrategy(max_descents=3, max_tolerant_substep=0.0)

# 2. If the bounds oscillate: friction is removed, so that the gel slides over the edge, and then
# returned; the history of a point consists only of its sticking position.
FRICTION_RAMP = DescentStrategy(max_descents=16, ramps_friction=True)

# 3. The first strategy in substeps of 1/16 of the step or more. Up to 1/8 of the step, a small
# part of unsettled friction is accepted.
BRIEF_SUBSTEPS = DescentStrategy(max_descents=3, max_tolerant_substep=1.0 / 8, min_substep=1.0 / 16)

# 4. The undivided step with many descents, whose bounds are averaged after the early ones.
LONG_DESCENT = DescentStrategy(max_descents=16)

# 5. The ramp in substeps: the last and slowest strategy, which may take more than a minute.
RAMPED_SUBSTEPS = DescentStrategy(max_descents=16, min_substep=1.0 / 16, ramps_friction=True)

# Before all others for a large contact, where an iteration is expensive: Newton's method alone, in
# substeps. As the contact grows, the slip zone must not move by too many vertices in a substep.
NEWTON_SUBSTEPS = DescentStrategy(max_descents=0, first_substep=1.0 / 4, min_substep=1.0 / 32)

# Each attempt starts from the state before the step, and tries Newton's method first in every
# substep; the cheap strategies come first.
ATTEMPTS = (BRIEF_DESCENT, FRICTION_RAMP, BRIEF_SUBSTEPS, LONG_DESCENT, RAMPED_SUBSTEPS)
