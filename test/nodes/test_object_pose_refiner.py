"""`object_pose_refiner` on real DDS: load an object, refine a grasp that the request contains."""

import numpy as np
import pytest
import trimesh

pytest.importorskip("rclpy", reason="ROS 2 is not installed; `make setup` brings it")

from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from rclpy.action import ActionClient
from sensor_msgs.msg import CameraInfo, Image, JointState
from tacdiff_ros.action import RefineObjectPose
from tacdiff_ros.srv import LoadObject

from tacdiff_ros.nodes.conversion.images import to_image
from tacdiff_ros.nodes.conversion.object_pose import from_pose_message, to_pose_message
from tacdiff_ros.nodes.qos import LATCHED
from tacdiff_ros.objects.grasp_sensing import HARD
from tacdiff_ros.objects.grasp_set import GraspSetSettings, generate_cases
from tacdiff_ros.objects.hand_files import load_hand
from tacdiff_ros.objects.object_files import load_object

SIDES = (0.05, 0.07, 0.12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("objects")
    trimesh.creation.box(SIDES).export(path / "box.obj")
    return path


@pytest.fixture(scope="module")
def case(folder):
    item = load_object(folder / "box.obj")
    hand = load_hand("allegro_xela")
    return next(iter(generate_cases(hand, item, GraspSetSettings(1, HARD), seed=3))), hand, item


@pytest.fixture(scope="module")
def met(meeting, folder, case):
    camera = case[0].observation.camera.pose
    message = to_pose_message(camera)
    at, turn = message.position, message.orientation
    pose = [at.x, at.y, at.z, turn.x, turn.y, turn.z, turn.w]
    parameters = {"hand": "allegro_xela", "object_folder": str(folder), "camera_pose": pose}
    arguments = [f"{name}:={value}" for name, value in parameters.items()]
    return meeting("object_pose_refiner", [word for a in arguments for word in ("-p", a)])


def answer(met, future, seconds=60.0):
    met.spin(seconds, future.done)
    assert future.done(), "no answer"
    return future.result()


def load(met, name):
    client = met.node.create_client(LoadObject, "load_object")
    assert client.wait_for_service(20.0)
    return answer(met, client.call_async(LoadObject.Request(name=name)))


def goal(case, **changes):
    grasp, hand, _ = case
    seen = grasp.observation
    camera = seen.camera
    mask = Image(height=camera.height, width=camera.width, encoding="mono8", step=camera.width)
    mask.data = (255 * seen.mask).astype(np.uint8).tobytes()
    start = PoseStamped(pose=to_pose_message(grasp.starts[0]))
    start.header.frame_id = "fr3_hand"
    matrix = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    request = RefineObjectPose.Goal(
        start=start,
        depth=to_image(seen.depth, Time(), "camera"),
        mask=mask,
        camera_info=CameraInfo(width=camera.width, height=camera.height, k=matrix),
        joint_state=JointState(name=list(hand.joint_names), position=seen.joint_positions.tolist()),
    )
    for name, value in changes.items():
        setattr(request, name, value)
    return request


def refine(met, request):
    client = ActionClient(met.node, RefineObjectPose, "refine_object_pose")
    assert client.wait_for_server(20.0)
    stages = []
    sending = client.send_goal_async(request, lambda told: stages.append(told.feedback.stage))
    handle = answer(met, sending)
    assert handle.accepted
    result = answer(met, handle.get_result_async(), 120.0).result
    client.destroy()
    return result, stages


def test_a_goal_without_an_object_is_refused_with_what_to_do(met, case):
    result, _ = refine(met, goal(case))
    assert not result.success
    assert "call load_object first" in result.message


def test_objects_outside_of_the_folder_and_missing_ones_are_refused(met):
    for name in ("../box", "cup", ""):
        response = load(met, name)
        assert not response.success
        assert response.message


def test_a_loaded_object_is_found_where_it_is(met, case):
    loaded = load(met, "box")
    assert loaded.success, loaded.message
    assert sorted(loaded.size) == pytest.approx(sorted(SIDES), abs=1e-6)
    poses = []
    kind = PoseWithCovarianceStamped
    met.node.create_subscription(kind, "object_pose", poses.append, LATCHED)
    result, stages = refine(met, goal(case))
    assert result.success, result.message
    assert set(stages) <= {"", "search", "coarse", "fine", "assess"}
    grasp, _, item = case
    found = from_pose_message(result.object_pose.pose.pose)
    copies = grasp.truth.pose @ item.symmetry_transforms()
    assert min(np.abs(found - copy).max() for copy in copies) < 0.05
    assert sum(result.weights) == pytest.approx(1.0)
    covariance = np.reshape(result.object_pose.pose.covariance, (6, 6))
    assert np.all(np.linalg.eigvalsh(covariance) > 0.0)
    met.spin(10.0, lambda: bool(poses))
    assert poses[0].header.frame_id == "fr3_hand"


def test_a_start_in_another_frame_and_an_empty_mask_are_refused(met, case):
    load(met, "box")
    moved = goal(case)
    moved.start.header.frame_id = "base"
    result, _ = refine(met, moved)
    assert "in frame 'base'" in result.message
    empty = goal(case)
    empty.mask.data = bytes(len(empty.mask.data))
    result, _ = refine(met, empty)
    assert "mask marks 0 pixels" in result.message
