"""A process that is asked before each piece of work uses no more than its budget."""

import pytest

from tacdiff_ros.twin.cpu_budget import BURST_S, CpuBudget


def used_cores(cores, cost_s, period_s=0.01, seconds=20.0):
    """Mean use of a worker that takes `cost_s` of processor time whenever it is allowed to."""
    now = used = 0.0
    budget = CpuBudget(cores, lambda: now, lambda: used)
    while now < seconds:
        if budget.allows():
            used += cost_s
        now += period_s
    return used / seconds


@pytest.mark.parametrize("cores", [0.3, 1.2])
def test_the_mean_use_is_the_budget_where_more_work_waits(cores):
    assert used_cores(cores, 0.03) == pytest.approx(cores, rel=0.06)


def test_work_within_the_budget_is_never_refused():
    assert used_cores(1.2, 0.01) == pytest.approx(1.0, rel=0.01)


def test_zero_is_no_limit():
    assert used_cores(0, 0.03) == pytest.approx(3.0, rel=0.01)


def test_a_pause_does_not_save_up_more_than_a_burst():
    now = used = 0.0
    budget = CpuBudget(1.0, lambda: now, lambda: used)
    now = 100.0
    count = 0
    while budget.allows():
        used += 0.125
        count += 1
    assert 0.125 * count == pytest.approx(BURST_S)
