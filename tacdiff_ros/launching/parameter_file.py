"""Reads the parameter file of all nodes, for what launch files need from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tacdiff_ros.errors import InputError

ALL_NODES, BY_NODE = "/**/*", "/**"  # sections of the file; the second overrides the first


def node_parameters(params_file: Path, node: str) -> dict[str, Any]:
    """Return the parameters of a node in a file in the layout of the shipped tacdiff.yaml.

    Args:
        params_file: parameter file.
        node: name of the node.

    Raises:
        InputError: the file is not valid YAML, or has another layout.
    """
    try:
        content = yaml.safe_load(params_file.read_text(encoding="utf-8")) or {}
        shared = content.get(ALL_NODES, {}).get("ros__parameters", {})
        own = content.get(BY_NODE, {}).get(node, {}).get("ros__parameters", {})
        rig = {**shared.get("rig", {}), **own.get("rig", {})}
        return {**shared, **own, **({"rig": rig} if rig else {})}
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise InputError(
            f"{params_file} is not laid out as the shipped tacdiff.yaml: {error}"
        ) from error


def check_one_rig(params_file: Path) -> None:
    """Check that a twin is simulated at the pose at which the robot is.

    Args:
        params_file: parameter file.

    Raises:
        InputError: acquisition and tactile_simulator have different rigs.
    """
    rigs = [
        node_parameters(params_file, n).get("rig") for n in ("acquisition", "tactile_simulator")
    ]
    if rigs[0] != rigs[1]:
        raise InputError(
            f"the rigs of acquisition and tactile_simulator differ in {params_file}, so that the "
            f"twin would simulate another pose: give one rig for all nodes, in section {ALL_NODES} "
            "as in the shipped tacdiff.yaml"
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
