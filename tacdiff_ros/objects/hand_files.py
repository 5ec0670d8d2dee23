"""Reading of hands: a URDF, and a file that says where taxels and gels are."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import one_line, printable, read_text
from tacdiff_ros.objects.collision_shape import CollisionShape
from tacdiff_ros.objects.distance_field import DistanceField
from tacdiff_ros.objects.hand import GelPad, Hand, Taxels
from tacdiff_ros.objects.object_files import read_mesh
from tacdiff_ros.objects.taxel_layout import TaxelPad, locate_taxels
from tacdiff_ros.resources import config_path
from tacdiff_ros.settings_file import read_settings

Array = NDArray[np.float64]

DEFAULT_HAND = "franka_two_minis"
MAX_FILE_BYTES = 5_000_000
ROBOT_DATA = Path("share/example-robot-data/robots")


class GelPadSettings(BaseModel):
    """A gel on a link whose frame is the sensor's frame `gel`."""

    model_config = ConfigDict(extra="forbid")
    name: str
    link: str = Field(description="link whose frame is the frame `gel`")
    width: float = Field(0.02525, gt=0, le=0.2, description="extent along x, m")
    height: float = Field(0.02075, gt=0, le=0.2, description="extent along y, m")


class HandSettings(BaseModel):
    """Content of a hand file (`config/hands/*.yaml`)."""

    model_config = ConfigDict(extra="forbid")
    urdf: str = Field(
        description="URDF file relative to this file, or package://example-robot-data/..."
    )
    max_indentation: dict[str, float] = Field(
        default_factory=dict, description="depth of the soft cover by link, m; `default` for others"
    )
    gels: list[GelPadSettings] = Field(default_factory=list, max_length=20)
    taxel_pads: list[TaxelPad] = Field(default_factory=list, max_length=200)


def load_hand(source: Path | str = DEFAULT_HAND) -> Hand:
    """Read a hand.

    Args:
        source: name of a hand in `config/hands/` (`franka_two_minis`, `allegro_xela`), a hand file
            (YAML), or a URDF file, which then has neither taxels nor gels.

    Returns:
        The hand.

    Raises:
        InputError: a file is missing or invalid, a named link does not exist, or pinocchio is not
            installed.
    """
    path = Path(source)
    if path.suffix in (".urdf", ".xml"):
        return _read_urdf(path, {})
    if path.suffix not in (".yaml", ".yml"):
        known = sorted(file.stem for file in config_path("hands").glob("*.yaml"))
        if str(source) not in known:
            raise InputError(
                f"no hand {printable(path)}: give {', '.join(known)}, or a .yaml or .urdf file"
            )
        path = config_path(f"hands/{path.name}.yaml")
    settings = read_settings(path, HandSettings, "hand", MAX_FILE_BYTES)
    hand = _read_urdf(_urdf_path(settings.urdf, path), settings.max_indentation)
    gels = tuple(
        GelPad(g.name, _known_link(g.link, hand), np.eye(4), (g.width, g.height))
        for g in settings.gels
    )
    for pad in settings.taxel_pads:
        for link in pad.links:
            _known_link(link, hand)
    taxels = locate_taxels(settings.taxel_pads, hand.links, hand.shapes)
    return _with_sensors(hand, taxels, gels)


def _with_sensors(hand: Hand, taxels: Taxels, gels: tuple[GelPad, ...]) -> Hand:
    return Hand(
        hand.name,
        hand.joint_names,
        hand.lower,
        hand.upper,
        hand.links,
        hand.shapes,
        taxels,
        gels,
        hand.model,
        hand.frames,
    )


def _known_link(link: str, hand: Hand) -> str:
    if link not in hand.links:
        raise InputError(f"hand {hand.name} has no link {link!r}: it has {', '.join(hand.links)}")
    return link


def _urdf_path(name: str, hand_file: Path) -> Path:
    prefix = "package://example-robot-data/robots/"
    if not name.startswith(prefix):
        return hand_file.parent / name
    folders = [Path(folder) for folder in (*sys.path, sys.prefix) if folder]
    candidates = [folder / "cmeel.prefix" / ROBOT_DATA for folder in folders]
    candidates += [folder / ROBOT_DATA for folder in folders]
    for folder in candidates:
        if (path := folder / name.removeprefix(prefix)).is_file():
            return path
    raise InputError(
        f"{name} is not installed: pip install 'tacdiff_ros[pose]', or give a URDF file"
    )


def _read_urdf(path: Path, max_indentation: dict[str, float]) -> Hand:
    pin = import_pinocchio()
    text = read_text(path, "URDF", MAX_FILE_BYTES)
    try:
        model = pin.buildModelFromXML(text)
        geometry = pin.buildGeomFromUrdfString(
            model, text, pin.GeometryType.COLLISION, package_dirs=_package_folders(path)
        )
    except Exception as error:  # urdfdom and hpp-fcl raise many kinds
        raise InputError(f"URDF {printable(path)} cannot be used: {one_line(error)}") from error
    joints = [*model.joints][1:]
    if not joints or any(joint.nv != 1 for joint in joints):
        raise InputError(
            f"URDF {printable(path)}: expected joints with one degree of freedom each, and at "
            "least one"
        )
    body = pin.FrameType.BODY
    frames = tuple(i for i, frame in enumerate(model.frames) if frame.type == body)
    shapes = tuple(_shape(item, model, max_indentation) for item in geometry.geometryObjects)
    return Hand(
        name=model.name,
        joint_names=tuple(model.names)[1:],
        lower=np.array([_limit(model.lowerPositionLimit[j.idx_q], j, -np.inf) for j in joints]),
        upper=np.array([_limit(model.upperPositionLimit[j.idx_q], j, np.inf) for j in joints]),
        links=tuple(model.frames[i].name for i in frames),
        shapes=shapes,
        taxels=Taxels.none(),
        gel_pads=(),
        model=model,
        frames=frames,
    )


def _limit(value: float, joint: Any, unlimited: float) -> float:
    return float(value) if joint.nq == 1 else unlimited


def _package_folders(path: Path) -> list[str]:
    """Folders below which `package://` names are looked up: all parents of the URDF."""
    return [str(folder) for folder in path.resolve().parents if folder != Path("/")]


def _shape(item: Any, model: Any, max_indentation: dict[str, float]) -> CollisionShape:
    """Return the collision shape of one geometry of pinocchio."""
    frame = model.frames[item.parentFrame]
    pose = (frame.placement.inverse() * item.placement).homogeneous
    soft = max_indentation.get(frame.name, max_indentation.get("default", 0.0))
    shape, kind = item.geometry, type(item.geometry).__name__.lower()
    if kind == "box":
        x, y, z = shape.halfSide.tolist()
        return CollisionShape(frame.name, kind, (x, y, z), pose, soft)
    if kind == "sphere":
        return CollisionShape(frame.name, kind, (float(shape.radius), 0.0, 0.0), pose, soft)
    if kind in ("cylinder", "capsule"):
        size = (float(shape.radius), float(shape.halfLength), 0.0)
        return CollisionShape(frame.name, kind, size, pose, soft)
    if not item.meshPath:
        raise InputError(f"link {frame.name}: collision shape {kind} is not supported")
    vertices, faces = read_mesh(Path(item.meshPath))
    vertices = vertices * np.asarray(item.meshScale)
    field = DistanceField.from_mesh(vertices, faces, spacing=1.5e-3, margin=0.01)
    return CollisionShape(frame.name, "mesh", (0, 0, 0), pose, soft, vertices, faces, field)


def import_pinocchio() -> Any:
    """Return the module of pinocchio.

    Raises:
        InputError: the package is not installed.
    """
    try:
        import pinocchio
    except ImportError as error:
        raise InputError("hands need the package pin: pip install 'tacdiff_ros[pose]'") from error
    return pinocchio
