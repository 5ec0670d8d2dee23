import numpy as np
import pytest

from tacdiff_ros.evaluation.stamp_pairing import StampPairing

MS = 1_000_000


def pairing(**changes) -> StampPairing:
    return StampPairing(**{"tolerance_ns": 20 * MS, "patience_ns": 500 * MS, **changes})


def stamps(pairs) -> list[tuple[int, int]]:
    return [(pair.real_ns // MS, pair.simulated_ns // MS) for pair in pairs]


def test_each_real_image_gets_the_nearest_once_it_is_sure():
    pairs = pairing()
    assert stamps(pairs.add_simulated(30 * MS, "a")) == []
    assert stamps(pairs.add_real(40 * MS, "x")) == []  # one nearer may come
    assert stamps(pairs.add_simulated(44 * MS, "b")) == [(40, 44)]
    assert stamps(pairs.add_real(31 * MS, "y")) == [(31, 30)]


def test_a_real_image_without_one_in_time_is_counted():
    pairs = pairing()
    assert stamps(pairs.add_real(100 * MS, "x")) == []
    assert stamps(pairs.add_simulated(125 * MS, "a")) == []
    assert (pairs.paired, pairs.unpaired) == (0, 1)


def test_when_the_simulation_is_silent_nothing_waits_for_ever():
    pairs = pairing()
    for k in range(100):
        assert stamps(pairs.add_real(40 * k * MS, k)) == []
    assert pairs.unpaired == 100 - 13
    assert stamps(pairs.finish()) == []
    assert pairs.unpaired == 100


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_arrival_does_not_matter(seed):
    """Compared with the definition, over all images at once."""
    random = np.random.default_rng(seed)
    real = np.sort(random.choice(2000, 40, replace=False)) * MS
    simulated = np.sort(random.choice(2000, 60, replace=False)) * MS
    expected = set()
    for stamp in real:
        nearest = simulated[np.argmin(np.abs(simulated - stamp))]
        if abs(nearest - stamp) <= 20 * MS:
            expected.add((int(stamp), int(abs(nearest - stamp))))
    arrivals = [(s + random.uniform(0, 300 * MS), "real", s) for s in real]
    arrivals += [(s + random.uniform(0, 20 * MS), "simulated", s) for s in simulated]
    pairs = pairing(patience_ns=10_000 * MS)
    found = []
    for _, kind, stamp in sorted(arrivals):
        add = pairs.add_real if kind == "real" else pairs.add_simulated
        found += list(add(int(stamp), None))
    found += list(pairs.finish())
    got = {(pair.real_ns, abs(pair.real_ns - pair.simulated_ns)) for pair in found}
    # A simulated image that overtakes another may make sure what the other would have bettered.
    assert {stamp for stamp, _ in got} == {stamp for stamp, _ in expected}
    assert len(got & expected) >= 0.9 * len(expected)
    assert pairs.paired + pairs.unpaired == 40


def test_memory_is_bounded():
    pairs = pairing(max_images=8)
    for k in range(1000):
        list(pairs.add_simulated(k * MS, k))
    assert stamps(pairs.add_real(995 * MS, "x")) == [(995, 995)]
    assert stamps(pairs.add_real(500 * MS, "x")) == []


def test_an_image_that_comes_twice_is_paired_once():
    pairs = pairing()
    list(pairs.add_real(10 * MS, "x"))
    list(pairs.add_real(10 * MS, "again"))
    (pair,) = pairs.add_simulated(10 * MS, "a")
    assert pair.real == "again"
    assert pairs.paired == 1
