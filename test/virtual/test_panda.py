"""The virtual arm moves, gives way and refuses like a Panda under Cartesian impedance control."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tacdiff_ros.errors import InputError
from tacdiff_ros.geometry.pose import Pose
from tacdiff_ros.virtual.panda import (
    END_EFFECTOR,
    READY_RAD,
    URDF,
    ImpedanceParameters,
    PandaState,
    VirtualPanda,
)

pytest.importorskip("pinocchio")
START = Pose.from_euler([450.0, 0.0, 180.0], [np.pi, 0.0, 0.0])
CONTROL = ImpedanceParameters()
NOTHING = np.zeros(3)
# Franka Emika, "Control parameters documentation", Denavit-Hartenberg (Craig): a [m], d [m], alpha.
FRANKA_DH = [
    (0.0, 0.333, 0.0),
    (0.0, 0.0, -np.pi / 2),
    (0.0, 0.316, np.pi / 2),
    (0.0825, 0.0, np.pi / 2),
    (-0.0825, 0.384, -np.pi / 2),
    (0.0, 0.0, np.pi / 2),
    (0.088, 0.0, np.pi / 2),
]
FLANGE_M, HAND_TURN_RAD, FINGERTIP_M = 0.107, -np.pi / 4, 0.1034


def arm_at(start: Pose | None = START, control: ImpedanceParameters = CONTROL) -> VirtualPanda:
    return VirtualPanda(start, control)


def run(arm: VirtualPanda, seconds: float, force_n=NOTHING, torque_n_m=NOTHING) -> list[PandaState]:
    states = []
    for _ in range(round(seconds * 1000)):
        arm.step(np.asarray(force_n, float), np.asarray(torque_n_m, float))
        states.append(arm.state())
    return states


def franka_forward_kinematics(joints_rad: np.ndarray) -> Pose:
    """Fingertip in the base from Franka's table, in mm."""
    matrix = np.eye(4)
    for (a, d, alpha), angle in zip(FRANKA_DH, joints_rad, strict=True):
        about_x, along = Rotation.from_rotvec([alpha, 0, 0]).as_matrix(), np.eye(4)
        about_z = Rotation.from_rotvec([0, 0, angle]).as_matrix()
        along[:3, :3] = about_x @ about_z
        along[:3, 3] = [a, -np.sin(alpha) * d, np.cos(alpha) * d]
        matrix = matrix @ along
    hand = np.eye(4)
    hand[:3, :3] = Rotation.from_rotvec([0, 0, HAND_TURN_RAD]).as_matrix()
    hand[:3, 3] = [0, 0, FLANGE_M + FINGERTIP_M]
    matrix = matrix @ hand
    return Pose(1e3 * matrix[:3, 3], matrix[:3, :3])


def moved_states() -> list[PandaState]:
    """A few postures, reached by pushing the arm about."""
    random = np.random.default_rng(0)
    arm = arm_at()
    states = [arm.state(), arm_at(None).state()]
    for _ in range(5):
        push_n, twist_n_m = random.uniform(-60, 60, 3), random.uniform(-4, 4, 3)
        states.append(run(arm, 0.2, push_n, twist_n_m)[-1])
    return states


def test_forward_kinematics_are_those_of_frankas_own_table():
    for state in moved_states():
        expected = franka_forward_kinematics(state.position_rad)
        assert state.end_effector.distance_to(expected) == pytest.approx((0.0, 0.0), abs=1e-3)


def test_forward_kinematics_agree_with_pinocchio_on_the_whole_model():
    """Not reduced to seven joints, the fingers closed."""
    import pinocchio

    prefixes = Path(pinocchio.__file__).parents
    urdf = next(prefix / URDF for prefix in prefixes if (prefix / URDF).is_file())
    model = pinocchio.buildModelFromUrdf(str(urdf))
    data = model.createData()
    frame = model.getFrameId(END_EFFECTOR)
    for state in moved_states():
        fingers = np.zeros(model.nq - 7)
        pinocchio.framesForwardKinematics(
            model, data, np.concatenate([state.position_rad, fingers])
        )
        expected = Pose(1e3 * data.oMf[frame].translation, data.oMf[frame].rotation)
        assert state.end_effector.distance_to(expected) == pytest.approx((0.0, 0.0), abs=1e-6)


@pytest.mark.parametrize(
    "start",
    [
        START,
        Pose.from_euler([300.0, 250.0, 400.0], [np.pi, 0.2, 0.5]),
        Pose.from_euler([600.0, -200.0, 150.0], [np.pi - 0.2, 0.0, -0.7]),
    ],
)
def test_the_arm_stands_at_its_start_pose_and_stays_there(start):
    arm = arm_at(start)
    assert arm.end_effector.distance_to(start) == pytest.approx((0.0, 0.0), abs=0.01)
    states = run(arm, 0.3)
    assert states[-1].end_effector.distance_to(start) == pytest.approx((0.0, 0.0), abs=0.01)


def test_without_a_start_it_stands_in_frankas_ready_posture():
    np.testing.assert_allclose(arm_at(None).state().position_rad, READY_RAD)


@pytest.mark.parametrize(
    "force_n", [[0.0, 0.0, 15.0], [0.0, 0.0, -10.0], [8.0, 0.0, 0.0], [-4.0, 9.0, 5.0]]
)
@pytest.mark.parametrize("stiffness_n_m", [800.0, 1500.0])
def test_under_a_constant_force_it_gives_way_by_force_over_stiffness(force_n, stiffness_n_m):
    arm = arm_at(control=ImpedanceParameters(stiffness_n_m=stiffness_n_m))
    place_mm = run(arm, 2.0, force_n)[-1].end_effector.position_mm - START.position_mm
    expected_mm = 1e3 * np.array(force_n) / stiffness_n_m
    np.testing.assert_allclose(place_mm, expected_mm, atol=0.02 * np.linalg.norm(expected_mm))


@pytest.mark.parametrize("axis", range(3))
def test_under_a_constant_torque_it_turns_by_torque_over_stiffness(axis):
    torque_n_m = 3.0 * np.eye(3)[axis]
    state = run(arm_at(), 2.0, NOTHING, torque_n_m)[-1]
    turn = Rotation.from_matrix(state.end_effector.matrix @ START.matrix.T).as_rotvec()
    expected = torque_n_m / CONTROL.rotational_stiffness_n_m_rad
    np.testing.assert_allclose(turn, expected, atol=0.02 * np.linalg.norm(expected))


def test_the_reported_joint_torques_are_those_of_the_external_wrench():
    """Virtual work: joint torque . joint motion = force . motion, by finite differences."""
    force_n, torque_n_m = np.array([3.0, -2.0, 8.0]), np.array([0.3, 0.2, -0.4])
    state = run(arm_at(), 0.05, force_n, torque_n_m)[-1]
    here = franka_forward_kinematics(state.position_rad)
    for joint in range(7):
        step = 1e-6
        there = franka_forward_kinematics(state.position_rad + step * np.eye(7)[joint])
        slide_m = 1e-3 * (there.position_mm - here.position_mm) / step
        turn = Rotation.from_matrix(there.matrix @ here.matrix.T).as_rotvec() / step
        expected_n_m = force_n @ slide_m + torque_n_m @ turn
        assert state.external_torque_n_m[joint] == pytest.approx(expected_n_m, abs=1e-4)


@pytest.mark.parametrize("direction", range(3))
def test_it_follows_a_slow_target_with_the_lag_of_spring_and_damper(direction):
    """At a constant speed the damper pulls back: lag = damping / stiffness x speed."""
    speed_mm_s = 15.0
    along = np.eye(3)[direction]
    arm = arm_at()
    for k in range(1500):
        arm.follow(Pose(START.position_mm + 1e-3 * k * speed_mm_s * along, START.matrix))
        arm.step(NOTHING, NOTHING)
    lag_mm = arm.state().desired.position_mm - arm.end_effector.position_mm
    expected_mm = 2.0 * np.sqrt(8.0 / CONTROL.stiffness_n_m) * speed_mm_s * along
    np.testing.assert_allclose(lag_mm, expected_mm, atol=0.1 * np.linalg.norm(expected_mm))
    states = run(arm, 1.0)
    error_mm = states[-1].desired.position_mm - states[-1].end_effector.position_mm
    assert np.linalg.norm(error_mm) < 0.05


def test_a_far_target_is_followed_no_faster_than_allowed():
    control = ImpedanceParameters(speed_mm_s=50.0, rotation_speed_rad_s=0.5)
    for target in (
        Pose(START.position_mm + np.array([0.0, 80.03, 0.0]), START.matrix),
        Pose(START.position_mm, START.matrix @ Rotation.from_rotvec([0, 0, 0.8]).as_matrix()),
    ):
        arm = arm_at(control=control)
        arm.follow(target)
        poses = [state.end_effector for state in run(arm, 3.0)]
        speeds = (
            np.array([a.distance_to(b) for a, b in zip(poses, poses[10:], strict=False)]) / 0.01
        )
        assert speeds[:, 0].max() < 1.1 * 50.0
        assert speeds[:, 1].max() < 1.1 * 0.5
        assert max(speeds[:, 0].max() / 50.0, speeds[:, 1].max() / 0.5) > 0.9
        assert arm.end_effector.distance_to(target) == pytest.approx((0.0, 0.0), abs=0.01)


def test_it_comes_to_rest_without_ringing():
    """Released from 4 mm away, near critical damping overshoots by a tenth at most."""
    arm = arm_at()
    run(arm, 1.5, [0.0, 0.0, 6.0])
    heights = np.array([s.end_effector.position_mm[2] for s in run(arm, 1.5)])
    assert heights[0] - START.position_mm[2] > 3.5
    assert heights.min() > START.position_mm[2] - 0.4
    assert heights[-1] == pytest.approx(START.position_mm[2], abs=0.02)


def test_hold_keeps_it_where_it_is():
    arm = arm_at()
    arm.follow(Pose(START.position_mm + np.array([30.0, 0.0, 0.0]), START.matrix))
    run(arm, 0.2)
    arm.hold()
    held = arm.end_effector
    assert run(arm, 1.0)[-1].end_effector.distance_to(held)[0] < 12.0  # it was moving
    arm.hold()
    held = arm.end_effector
    assert run(arm, 0.5)[-1].end_effector.distance_to(held)[0] < 0.1


def test_the_same_commands_give_the_same_motion():
    paths = []
    for _ in range(2):
        arm = arm_at()
        arm.follow(Pose(START.position_mm + np.array([5.0, 3.0, -2.0]), START.matrix))
        paths.append([s.position_rad for s in run(arm, 0.3, [1.0, 2.0, 3.0])])
    np.testing.assert_array_equal(paths[0], paths[1])


@pytest.mark.parametrize(
    "position_mm",
    [[1500.0, 0.0, 300.0], [0.0, 0.0, 100.0], [450.0, 0.0, -700.0], [-600.0, 0.0, 200.0]],
)
def test_a_start_out_of_reach_is_refused_with_its_place(position_mm):
    with pytest.raises(InputError, match="cannot reach its start pose") as caught:
        arm_at(Pose.from_euler(position_mm, [np.pi, 0.0, 0.0]))
    assert f"{1e-3 * position_mm[0]:.3f}" in str(caught.value)


def test_start_postures_respect_frankas_joint_limits():
    """Franka's datasheet, rad; a wrist turn that needs more than joint 7 has is refused."""
    lower = [-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973]
    upper = [2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973]
    reached = 0
    for yaw_rad in np.linspace(-np.pi, np.pi, 13):
        start = Pose.from_euler([450.0, 100.0, 250.0], [np.pi, 0.0, yaw_rad])
        try:
            joints = arm_at(start).state().position_rad
        except InputError:
            continue
        reached += 1
        assert np.all(joints >= lower)
        assert np.all(joints <= upper)
    assert 5 <= reached <= 13


def test_a_missing_model_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    monkeypatch.setattr("tacdiff_ros.virtual.panda.URDF", URDF.with_name("absent.urdf"))
    with pytest.raises(InputError, match="pip install example-robot-data"):
        arm_at()
