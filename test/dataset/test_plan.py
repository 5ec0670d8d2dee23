from collections import Counter

import pytest

from tacdiff_ros.dataset.plan import DatasetPlan, plan_trial, read_plan
from tacdiff_ros.dataset.plan_cost import plan_cost, plan_warnings
from tacdiff_ros.dataset.touches import check_depth
from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.mechanics.trajectory import Trajectory
from tacdiff_ros.sensor.sensor_file import default_sensor


def test_default_plan_is_the_papers_set():
    plan = DatasetPlan()
    assert plan.trials * plan.states_per_trial == 56_000
    counts = Counter(plan_trial(plan, k).indenter for k in range(plan.trials))
    assert set(counts.values()) == {50}
    assert len(counts) == 10


def test_default_indenters_can_be_built():
    for spec in DatasetPlan().indenters:
        assert build_indenter(spec).bounds.shape == (2, 3)


def test_a_trial_does_not_depend_on_how_many_there_are():
    few, many = DatasetPlan(trials=30), DatasetPlan(trials=3000)
    assert [plan_trial(few, k) for k in range(30)] == [plan_trial(many, k) for k in range(30)]


def test_trials_differ_and_follow_from_the_seed():
    starts = {plan_trial(DatasetPlan(), k).start for k in range(500)}
    assert len(starts) == 500
    assert plan_trial(DatasetPlan(seed=1), 3).start != plan_trial(DatasetPlan(), 3).start


def test_start_poses_fill_their_range_and_stay_inside():
    plan = DatasetPlan(trials=500)
    starts = [plan_trial(plan, k).start for k in range(500)]
    for values, half in (([s.x_mm for s in starts], 5.0), ([s.y_mm for s in starts], 3.5)):
        assert max(values) == pytest.approx(half, abs=0.1)
        assert min(values) == pytest.approx(-half, abs=0.1)


@pytest.mark.parametrize("rounds", [3, 10, 50])
def test_every_indenter_is_in_every_split_and_no_trial_in_two(rounds):
    plan = DatasetPlan(trials=10 * rounds)
    trials = [plan_trial(plan, k) for k in range(plan.trials)]
    pairs = {(trial.indenter, trial.split) for trial in trials}
    assert len(pairs) == 30
    shares = Counter(trial.split for trial in trials)
    if rounds >= 10:
        assert shares["train"] == 7 * rounds
        assert shares["test"] == 2 * rounds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("trials: 0", "'trials' is 0"),
        ("trials: many", "'trials' is 'many'"),
        ("seeds: 3", "seeds"),
        ("indenters: ['sphere:diameter=-1']", "above 0"),
        ("start_mm: [-1, 2]", "0 or more"),
        ("trajectory: {depth_mm: 0}", "trajectory.depth_mm"),
        ("[1, 2]", "no mapping"),
        ("a: [", "not valid YAML"),
    ],
)
def test_bad_plan_files_are_refused_in_one_line(tmp_path, text, expected):
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match="dataset plan") as caught:
        read_plan(path)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_trial_beyond_the_plan_is_refused():
    with pytest.raises(InputError, match="not among the 500"):
        plan_trial(DatasetPlan(), 500)


def test_a_press_that_is_too_deep_for_the_sensor_is_refused_before_anything_is_simulated():
    plan = DatasetPlan(trajectory=Trajectory(depth_mm=2.5))
    with pytest.raises(InputError, match=r"dataset plan: trajectory.depth_mm: .* at most 2 mm"):
        check_depth(default_sensor(), plan)
    check_depth(default_sensor(), DatasetPlan())


def test_the_cost_of_the_papers_set_is_that_of_the_page():
    cost = plan_cost(DatasetPlan())
    assert cost.samples == 56_000
    assert cost.core_hours == pytest.approx(14, abs=0.5)
    assert cost.gigabytes == pytest.approx(38.4, abs=0.1)
    assert cost.missing_splits == ()
    assert plan_cost(DatasetPlan(trials=10)).missing_splits == ("validation", "test")
    assert plan_cost(DatasetPlan(trials=20)).missing_splits == ("validation",)


def test_a_plan_deeper_than_the_fit_of_the_live_gel_is_warned_of():
    deep = DatasetPlan(mechanics="live")
    (line,) = plan_warnings(deep)
    assert "fitted to presses of 1 mm, this plan goes to 2 mm" in line
    shallow = deep.trajectory.model_copy(update={"depth_mm": 1.0})
    assert plan_warnings(deep.model_copy(update={"trajectory": shallow})) == []
    assert plan_warnings(DatasetPlan()) == []
    (line,) = plan_warnings(DatasetPlan(trials=10))
    assert line.startswith("no trial is for validation and test")
