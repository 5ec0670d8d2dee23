import numpy as np
import pytest

from tacdiff_ros.dataset.plan import DatasetPlan, plan_trial
from tacdiff_ros.dataset.touches import simulate_touches
from tacdiff_ros.mechanics.trajectory import Trajectory
from tacdiff_ros.sensor.sensor_file import default_sensor


def test_live_mechanics_makes_nearly_the_same_touches():
    """Surfaces within the live gel's promise of 0.03 mm, forces within a seventh."""
    plan = DatasetPlan(
        trials=1,
        indenters=("sphere:diameter=6",),
        rows=33,
        columns=41,
        trajectory=Trajectory(
            depth_mm=0.6, translation_mm=0.25, directions=("x+",), rotation_deg=0
        ),
    )
    full = simulate_touches(default_sensor(), plan, plan_trial(plan, 0))
    quick = plan.model_copy(update={"mechanics": "live"})
    live = simulate_touches(default_sensor(), quick, plan_trial(quick, 0))
    assert set(live) == set(full)
    for name, values in full.items():
        assert live[name].shape == values.shape
        assert live[name].dtype == values.dtype
    error = live["position_mm"] - full["position_mm"]
    assert np.sqrt((error[..., 2] ** 2).mean(axis=(1, 2))).max() < 0.03
    assert live["force_n"][-1] == pytest.approx(full["force_n"][-1], rel=0.15, abs=0.02)
    assert live["pressure_mpa"].max() == pytest.approx(full["pressure_mpa"].max(), rel=0.3)
    assert live["converged"].all()
