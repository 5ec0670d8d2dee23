"""Reads the parameter files of all nodes, for what launch files need from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tacdiff_ros.acquisition.rig_settings import INHERITED
from tacdiff_ros.errors import InputError

ALL_NODES, BY_NODE = "/**/*", "/**"  # sections of a file; the second overrides the first

Files = Sequence[Path]


def node_parameters(files: Files, node: str) -> dict[str, Any]:
    """Return the parameters of a node in files in the layout of the shipped tacdiff.yaml.

    What the rig says of an indenter, sensor file or frame counts where the node's own parameter is
    empty, as in the nodes.

    Args:
        files: parameter files; later ones take precedence.
        node: name of the node.

    Raises:
        InputError: a file is not valid YAML, or has another layout.
    """
    parameters: dict[str, Any] = {}
    for file in files:
        given = _parameters_of(file, node)
        rig = {**parameters.get("rig", {}), **given.get("rig", {})}
        parameters = {**parameters, **given, **({"rig": rig} if rig else {})}
    rig = parameters.get("rig", {})
    for name in INHERITED:
        if not parameters.get(name) and rig.get(name):
            parameters[name] = rig[name]
    return parameters


def _parameters_of(file: Path, node: str) -> dict[str, Any]:
    """Parameters of a node in one file; InputError if it has another layout."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        shared = content.get(ALL_NODES, {}).get("ros__parameters", {})
        own = content.get(BY_NODE, {}).get(node, {}).get("ros__parameters", {})
        rig = {**shared.get("rig", {}), **own.get("rig", {})}
        return {**shared, **own, **({"rig": rig} if rig else {})}
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise InputError(f"{file} is not laid out as the shipped tacdiff.yaml: {error}") from error


def check_one_rig(files: Files) -> None:
    """Check that a twin is simulated at the pose at which the robot is.

    Args:
        files: parameter files; later ones take precedence.

    Raises:
        InputError: acquisition and tactile_simulator have different rigs.
    """
    rigs = [node_parameters(files, n).get("rig") for n in ("acquisition", "tactile_simulator")]
    if rigs[0] != rigs[1]:
        names = " and ".join(str(file) for file in files)
        raise InputError(
            f"the rigs of acquisition and tactile_simulator differ in {names}, so that the twin "
            f"would simulate another pose: give one rig for all nodes, in section {ALL_NODES} as "
            "in the shipped tacdiff.yaml"
        )


def chosen_simulator(simulator: str, sensor_file: str, model: str) -> str:
    """Return the simulator of the twin's images.

    Args:
        simulator: launch argument: auto, pix2pix or renderer.
        sensor_file: path of the sensor file; empty for the package's default.
        model: folder of a network; empty for the shipped one, which is for the default sensor only.
    """
    if simulator != "auto":
        return simulator
    return "renderer" if sensor_file and not model else "pix2pix"
