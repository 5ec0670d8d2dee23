"""A protocol file says what the arm will do: nothing in it is guessed, nothing wrong is passed."""

import math

import numpy as np
import pytest

from tacdiff_ros.acquisition.protocol import (
    Phase,
    Protocol,
    load_protocol,
    plan_trials,
)
from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.resources import config_path

SHIPPED = ["default.yaml", "demo.yaml", "demo_ball.yaml", "forward_only.yaml"]


def load_text(folder, text: str | bytes) -> Protocol:
    path = folder / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_protocol(path)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_protocol_loads_and_plans_all_its_trials(name):
    protocol = load_protocol(config_path("protocols") / name)
    assert len(plan_trials(protocol)) == protocol.trials


def test_no_shipped_protocol_is_left_out_of_these_tests():
    assert sorted(path.name for path in config_path("protocols").glob("*")) == SHIPPED


@pytest.mark.parametrize("source", ["defaults of the code", "default.yaml"])
def test_defaults_are_the_papers_numbers(source):
    """Section V-A, figure 5: 2 mm in four directions, rotation by +-5 degrees."""
    file = config_path("protocols") / "default.yaml"
    protocol = Protocol() if source == "defaults of the code" else load_protocol(file)
    assert protocol.translation_mm == 2.0
    assert set(protocol.directions) == {"x+", "x-", "y+", "y-"}
    assert protocol.rotation_deg == 5.0
    start, *steps = (step.target for step in plan_trials(protocol)[0].steps)
    reach = {(round(t.x_mm - start.x_mm, 9), round(t.y_mm - start.y_mm, 9)) for t in steps}
    assert reach == {(0, 0), (2, 0), (-2, 0), (0, 2), (0, -2)}
    turns = {round(math.degrees(t.yaw_rad - start.yaw_rad), 9) for t in steps}
    assert turns == {0, 5, -5}


def test_the_dataset_protocol_is_forward_only_and_up_to_two_millimetres_deep():
    protocol = load_protocol(config_path("protocols") / "forward_only.yaml")
    assert not protocol.return_to_center
    assert protocol.depth_mm == 2.0
    assert protocol.translation_mm == 2.0


def test_trial_i_of_a_seed_is_the_same_however_many_trials_are_asked_for():
    protocol = Protocol(trials=3)
    few, many = plan_trials(protocol, seed=11), plan_trials(protocol, trials=50, seed=11)
    assert len(many) == 50
    assert many[:3] == few
    assert plan_trials(protocol.model_copy(update={"seed": 11})) == few


def test_another_seed_gives_other_start_poses():
    starts = {plan_trials(Protocol(), trials=1, seed=seed)[0].start for seed in range(50)}
    assert len(starts) == 50


def test_start_poses_fill_their_ranges_evenly_and_never_leave_them():
    """A uniform variable on [-r, r] has mean 0 and standard deviation r / sqrt(3)."""
    protocol = Protocol(start={"offset_x_mm": 3.0, "offset_y_mm": 0.5, "yaw_deg": 20.0})
    starts = [trial.start for trial in plan_trials(protocol, trials=3000)]
    for values, reach in (
        ([start.x_mm for start in starts], 3.0),
        ([start.y_mm for start in starts], 0.5),
        ([math.degrees(start.yaw_rad) for start in starts], 20.0),
    ):
        assert np.max(np.abs(values)) <= reach
        assert np.mean(values) == pytest.approx(0.0, abs=0.05 * reach)
        assert np.std(values) == pytest.approx(reach / math.sqrt(3.0), rel=0.05)
    assert {start.depth_mm for start in starts} == {0.0}


def test_a_returning_protocol_ends_every_excursion_where_it_began():
    trial = plan_trials(Protocol(depth_mm=1.4))[0]
    pressed = trial.steps[0].target
    assert (pressed.depth_mm, pressed.x_mm, pressed.y_mm, pressed.yaw_rad) == (
        1.4,
        trial.start.x_mm,
        trial.start.y_mm,
        trial.start.yaw_rad,
    )
    assert all(step.target == pressed for step in trial.steps if step.name.endswith("_back"))
    assert [step.phase for step in trial.steps] == [
        Phase.INDENT,
        *[Phase.TRANSLATE] * 8,
        *[Phase.ROTATE] * 4,
    ]


def test_a_forward_only_protocol_starts_each_step_where_the_last_ended():
    """x+ then x- brings the indenter back to the middle, never beyond it."""
    trial = plan_trials(Protocol(return_to_center=False))[0]
    start = trial.start
    ends = [(s.target.x_mm - start.x_mm, s.target.y_mm - start.y_mm) for s in trial.steps]
    np.testing.assert_allclose(
        ends, [(0, 0), (2, 0), (0, 0), (0, 2), (0, 0), (0, 0), (0, 0)], atol=1e-12
    )
    turns = [math.degrees(s.target.yaw_rad - start.yaw_rad) for s in trial.steps]
    np.testing.assert_allclose(turns, [0, 0, 0, 0, 0, 5, 0], atol=1e-12)


def test_every_step_keeps_the_depth_of_the_press():
    for returning in (True, False):
        trial = plan_trials(Protocol(depth_mm=0.7, return_to_center=returning))[0]
        assert {step.target.depth_mm for step in trial.steps} == {0.7}


def test_no_rotation_means_no_rotation_steps():
    steps = plan_trials(Protocol(rotation_deg=0))[0].steps
    assert not [step for step in steps if step.phase is Phase.ROTATE]


def test_depth_points_from_the_gel_toward_the_camera():
    """The indenter's tip lies at negative z of the frame `gel` when it is pressed in."""
    pose = IndenterPose(1.0, -2.0, 0.6, math.radians(30))
    np.testing.assert_allclose(pose.tip_mm, [1.0, -2.0, -0.6])
    np.testing.assert_allclose(pose.matrix @ [1, 0, 0], [math.sqrt(0.75), 0.5, 0.0], atol=1e-12)
    corner = pose.to_gel(np.array([[1.0, 0.0, 0.0]]))
    np.testing.assert_allclose(pose.to_indenter(corner), [[1.0, 0.0, 0.0]], atol=1e-12)


@pytest.mark.parametrize("trials", [-1, 10_001, 10**12])
def test_an_absurd_number_of_trials_is_refused_before_it_is_planned(trials):
    with pytest.raises(InputError, match=f"{trials} trials"):
        plan_trials(Protocol(), trials=trials)


NESTED = "[" * 30_000
# Ten aliases of ten aliases of ...: 10^9 words, were it ever written out.
BOMB = "note:\n- &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"- &{b} [{','.join(['*' + a] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "mapping"),
        ("- trials: 3", "mapping"),
        ("just a word", "mapping"),
        ("trials: [3", "not valid YAML"),
        ("trials: 3\n\ttabs: here", "not valid YAML"),
        (b"\xff\xfe\x00trials", "not UTF-8 text"),
        ("trials: 2024-99-99", "not valid YAML"),
        ("seed: " + "9" * 5000, "not valid YAML"),
        (NESTED, "not valid YAML"),
        ("trials: !!python/object/apply:os.system ['true']", "not valid YAML"),
        ("depht_mm: 1.0", "depht_mm"),
        ("start: {offset_z_mm: 1}", "start.offset_z_mm"),
        ("approach: {contact: sound}", "approach.contact"),
        ("trials: many", "trials"),
        ("trials: 2.5", "trials"),
        ("trials: 0", "trials"),
        ("trials: 10001", "trials"),
        ("seed: -1", "seed"),
        ("version: 2", "version"),
        ("depth_mm: 2.01", "depth_mm"),
        ("depth_mm: -1", "depth_mm"),
        ("depth_mm: .nan", "depth_mm"),
        ("speed_mm_s: .inf", "speed_mm_s"),
        ("speed_mm_s: 0", "speed_mm_s"),
        ("directions: [x+, up]", "directions.1"),
        ("start: 5", "start"),
        ("start: null", "start"),
        ("1: 2", "'1"),
        (BOMB, "over 200000 values"),
        ("x" * 60_000 + ": 1", "not valid YAML"),
        ("note: " + "x" * 60_000, "note"),
        ("# " + "x" * 70_000, "over 65536 bytes"),
    ],
)
def test_a_bad_file_is_refused_in_one_short_line_that_names_file_and_value(tmp_path, text, named):
    with pytest.raises(InputError, match=named) as caught:
        load_text(tmp_path, text)
    message = str(caught.value)
    assert "mine.yaml" in message
    assert "\n" not in message
    assert len(message) < 600 + len(str(tmp_path))


@pytest.mark.parametrize("name", ["absent.yaml", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    with pytest.raises(InputError, match="cannot read protocol") as caught:
        load_protocol(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
