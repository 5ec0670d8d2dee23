"""`tacdiff demo --grasp`: grasp, look, touch and refine on virtual hardware over real DDS."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console

from tacdiff_ros.calibration.calibrate import calibrate
from tacdiff_ros.calibration.calibration_inputs import PressImage
from tacdiff_ros.cli.processes import isolated_environment, running_node
from tacdiff_ros.cli.virtual_graph import SERVER_TIMEOUT_S, parameters, run_client
from tacdiff_ros.evaluation.object_pose import orientation_error_deg
from tacdiff_ros.geometry.indenter_pose import IndenterPose
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.mechanics.indenters.build import build_indenter
from tacdiff_ros.object_pose import se3
from tacdiff_ros.object_pose.observation_file import read_observation
from tacdiff_ros.objects.grasp_observation import GelTouch, GraspObservation
from tacdiff_ros.objects.hand_files import load_hand
from tacdiff_ros.objects.object_files import load_object
from tacdiff_ros.reports.story_report import Chapter, write_story
from tacdiff_ros.sensor.sensor_file import default_sensor, write_sensor
from tacdiff_ros.sensor.sensor_model import SensorModel
from tacdiff_ros.virtual.grasp_scene import write_bracket
from tacdiff_ros.virtual.virtual_sensor import VirtualSensor, virtual_sensor_model

if TYPE_CHECKING:
    from tacdiff_ros.object_pose.pose_estimate import PoseEstimate
    from tacdiff_ros.objects.rigid_object import RigidObject

Floats = NDArray[np.float64]

HAND, BALL = "franka_two_minis", "sphere:diameter=5"
PRESSES = (IndenterPose(-5.0, -3.5, 1.0), IndenterPose(5.0, 3.5, 1.0))
MAX_AGE_S = 60.0
MARGIN_PX, PICTURE_PX = 20, 700  # around the hand in a picture; width of the picture
INTRODUCTION = (
    "No hardware: arm, gripper, camera, object and both GelSight Minis are virtual, with the "
    "errors of real ones. The nodes, DDS and the estimate are those that run on a robot."
)


@dataclass(frozen=True)
class Refined:
    """An estimate from some of the data, and its errors.

    Attributes:
        estimate: the estimate.
        position_mm: distance of the centre of mass from the true one, mm.
        angle_deg: angle to the true orientation, degrees.
    """

    estimate: PoseEstimate
    position_mm: float
    angle_deg: float


def grasp_demo(out: Path, seed: int, console: Console) -> dict[str, Any]:
    """Run the demonstration and write its report.

    Args:
        out: existing folder for files and report.
        seed: seed of everything that is virtual.
        console: console for progress.

    Returns:
        Figures for JSON, and `success` with `message`.
    """
    hand = load_hand(HAND)
    (out / "objects").mkdir(exist_ok=True)
    mesh = out / "objects" / "bracket.stl"
    write_bracket(mesh)
    console.print("[bold]1. calibrating the two sensors, each from three images[/]")
    for number, pad in enumerate(hand.gel_pads):
        with console.status(f"calibrating the {pad.name} sensor"):
            write_sensor(calibrated_sensor(seed + number), out / f"{pad.name}.yaml")
    console.print("[bold]2. grasp, lift, look and touch with a virtual arm; refine the pose[/]")
    result = _run(out, mesh, seed, console)
    if not (out / "observation" / "observation.yaml").exists() or "pose" not in result:
        return {"success": False, "message": result["message"]}
    item = load_object(mesh)
    observation, _ = read_observation(out / "observation", hand)
    truth = np.array(result["true_pose"])
    console.print("[bold]3. the same without the gels, and without the camera[/]")
    cases = {
        "camera and gels": observation,
        "camera alone": replace(observation, gel_touches=()),
        "gels alone": replace(observation, camera=None, depth=None, mask=None),
    }
    refined = {name: _refined(item, data, truth) for name, data in cases.items()}
    chapters = [
        _touch_chapter(out, observation),
        _pose_chapter(result, item, observation, refined, truth),
    ]
    write_story(out / "report.html", "Where is the object in the hand?", INTRODUCTION, chapters)
    by_node = pose_errors(item, np.array(result["pose"]), truth)
    return {
        "success": result["success"],
        "message": result["message"],
        "verdict": result["verdict"],
        "position_error_mm": round(by_node[0], 3),
        "orientation_error_deg": round(by_node[1], 3),
        "camera_alone_mm": round(refined["camera alone"].position_mm, 3),
        "camera_alone_deg": round(refined["camera alone"].angle_deg, 3),
        "observation": str(out / "observation"),
    }


def calibrated_sensor(seed: int) -> SensorModel:
    """Return a virtual sensor's model as calibrated from a reference image and two presses.

    Args:
        seed: seed of the virtual sensor.
    """
    sensor = VirtualSensor(virtual_sensor_model(seed), BALL, seed)
    reference = sensor.sense(IndenterPose(depth_mm=0.0)).image
    ball = build_indenter(BALL)
    presses = []
    for number, pose in enumerate(PRESSES):
        presses.append(PressImage(sensor.sense(pose).image, ball, f"press {number}"))
        sensor.sense(IndenterPose(depth_mm=0.0))
    return calibrate(default_sensor(), reference, presses).model


def _run(out: Path, mesh: Path, seed: int, console: Console) -> dict[str, Any]:
    """Start the nodes and the client; return the result of the client."""
    environment = isolated_environment()
    logs = out / "logs"
    fingers = [pad.name for pad in load_hand(HAND).gel_pads]
    starts: dict[str, tuple[str, list[str]]] = {
        "virtual_panda": ("virtual_panda", parameters(contact="none")),
        "virtual_grasp": ("virtual_grasp", parameters(object=mesh.resolve(), seed=seed)),
        "object_pose_refiner": (
            "object_pose_refiner",
            parameters(
                object_folder=mesh.parent.resolve(),
                object=mesh.stem,
                max_age_s=MAX_AGE_S,
            ),
        ),
    }
    for finger in fingers:
        inputs = parameters(sensor_file=(out / f"{finger}.yaml").resolve())
        names = {"__ns": f"/{finger}", "__node": f"{finger}_inversion", "readiness": "/readiness"}
        remaps = [part for rule in names.items() for part in ("-r", ":=".join(rule))]
        starts[f"{finger}_inversion"] = ("mesh_inversion", [*inputs, *remaps])
    processes = {}
    with ExitStack() as stack:
        for name, (node, extra) in starts.items():
            log = logs / f"grasp_{name}.log"
            process = stack.enter_context(running_node(node, extra, log, environment))
            processes[log] = process
        goal = [str(out / "observation"), "--server-timeout", str(SERVER_TIMEOUT_S)]
        goal += [part for name in starts for part in ("--await-ready", name)]
        result = run_client("grasp_client", goal, environment, console, processes)
        for process in processes.values():  # all at once, to stop them in parallel
            process.send_signal(signal.SIGINT)
        return result


def _refined(item: RigidObject, observation: GraspObservation, truth: Floats) -> Refined:
    from tacdiff_ros.object_pose.refiner import PoseRefiner

    estimate = PoseRefiner(item, load_hand(HAND)).refine(observation)
    return Refined(estimate, *pose_errors(item, estimate.best.object_pose, truth))


def pose_errors(item: RigidObject, pose: Floats, truth: Floats) -> tuple[float, float]:
    """Return the distance of the centres of mass, mm, and the angle, degrees."""
    centre = item.centre_of_mass[None]
    distance = np.linalg.norm(se3.apply(pose, centre) - se3.apply(truth, centre))
    return 1e3 * float(distance), orientation_error_deg(pose, truth)


def _touch_chapter(out: Path, observation: GraspObservation) -> Chapter:
    images = [read_image(out / "observation" / f"{t.name}.png") for t in observation.gel_touches]
    return Chapter(
        "Grasped and touched",
        "The arm moves to the object, the fingers close, the arm lifts. Two nodes mesh_inversion "
        "turn the images of the gels into surfaces, with the calibrated sensor files.",
        {f"{touch.name} gel": _extent(touch) for touch in observation.gel_touches},
        [
            (
                ", ".join(touch.name for touch in observation.gel_touches) + ": tactile images",
                np.concatenate(images, axis=1),
            ),
            ("the inverted surfaces, and where they touch", _surface_plot(observation)),
        ],
    )


def _extent(touch: GelTouch) -> str:
    """Deepest point and contact area of a gel."""
    cell_mm2 = 1e6 * np.ptp(touch.points[:, :2], axis=0).prod() / len(touch.points)
    depth_mm = -1e3 * touch.points[:, 2].min()
    return f"{depth_mm:.2f} mm deep, {touch.contact.sum() * cell_mm2:.0f} mm2 in contact"


def _surface_plot(observation: GraspObservation) -> Figure:
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(observation.gel_touches)))
    for axis, touch in zip(axes, observation.gel_touches, strict=True):
        x, y, z = 1e3 * touch.points.T
        picture = axis.scatter(x, y, c=z, s=4, cmap="viridis")
        axis.plot(x[touch.contact], y[touch.contact], "r.", ms=0.8)
        axis.set(title=f"{touch.name} (red: contact)", xlabel="x [mm]", ylabel="y [mm]")
        axis.invert_yaxis()
        axis.set_aspect("equal")
        figure.colorbar(picture, ax=axis, label="height [mm]")
    return figure


def _pose_chapter(
    result: dict[str, Any],
    item: RigidObject,
    observation: GraspObservation,
    refined: dict[str, Refined],
    truth: Floats,
) -> Chapter:
    from tacdiff_ros.reports.object_pose_report import overlay_of

    position_mm, angle_deg = pose_errors(item, np.array(result["pose"]), truth)
    figures: dict[str, Any] = {
        "verdict of the node": result["message"],
        "error of the node's pose": f"{position_mm:.2f} mm, {angle_deg:.2f} deg",
        "its standard deviations": f"{result['position_stddev_mm']:.2f} mm, "
        f"{result['rotation_stddev_deg']:.2f} deg",
        "duration of the action": f"{result['seconds']:.1f} s",
    }
    for name, each in refined.items():
        figures[f"{name}: error"] = f"{each.position_mm:.2f} mm, {each.angle_deg:.2f} deg"
        figures[f"{name}: open directions"] = (
            "; ".join(direction.words for direction in each.estimate.open_directions) or "none"
        )
    pictures = [
        (
            f"{name}: mask (yellow), outlines of the estimate (green: the most probable pose), "
            "contacts (red)",
            _at_hand(picture, observation),
        )
        for name, each in refined.items()
        if (picture := overlay_of(each.estimate, item, observation)) is not None
    ]
    return Chapter(
        "Refined",
        "object_pose_refiner searches all orientations, without a start: camera, joints, gels and "
        "gravity in one estimate. The same observation can be used again: tacdiff pose observation "
        "--object objects/bracket.stl --out pose",
        figures,
        pictures,
    )


def _at_hand(picture: NDArray[np.uint8], observation: GraspObservation) -> NDArray[np.uint8]:
    """Return the part of a picture of the depth image that shows the hand."""
    assert observation.depth is not None  # noqa: S101
    scale = picture.shape[0] / observation.depth.shape[0]
    rows, columns = np.nonzero(observation.depth > 0.0)
    if not len(rows):
        return picture
    top, left = (max(int(scale * at.min()) - MARGIN_PX, 0) for at in (rows, columns))
    bottom, right = (int(scale * at.max()) + MARGIN_PX for at in (rows, columns))
    part = picture[top:bottom, left:right]
    factor = max(1, round(PICTURE_PX / part.shape[1]))
    return np.ascontiguousarray(part.repeat(factor, axis=0).repeat(factor, axis=1))


def write_summary(figures: dict[str, Any], out: Path) -> None:
    """Print the result of the demonstration for people.

    Args:
        figures: result of `grasp_demo`.
        out: folder of the report.
    """
    print(figures["message"])
    print(
        f"error {figures['position_error_mm']:.2f} mm, "
        f"{figures['orientation_error_deg']:.2f} deg; camera alone "
        f"{figures['camera_alone_mm']:.2f} mm, {figures['camera_alone_deg']:.2f} deg"
    )
    print(f"report: {out / 'report.html'}")
