"""Paths of the files that ship with the package, for every kind of installation."""

from __future__ import annotations

import sys
from pathlib import Path

from tacdiff_ros.errors import InputError


def config_path(name: str) -> Path:
    """Return the path of a file or folder in `config/`.

    Searched are the checkout, the pip package and the `share` folder of the ROS prefix.

    Args:
        name: path relative to `config/`, such as "tacdiff.yaml".

    Raises:
        InputError: the file is in none of these folders.
    """
    package = Path(__file__).resolve().parent
    prefixes = [parent / "share" / "tacdiff_ros" for parent in Path(__file__).parents]
    folders = [package.parent, package, *prefixes, Path(sys.prefix) / "share" / "tacdiff_ros"]
    for folder in folders:
        if (path := folder / "config" / name).exists():
            return path
    raise InputError(f"config/{name} is missing in this installation: reinstall the package")


def shipped_model() -> Path:
    """Return the folder of the shipped network, trained for the default sensor file.

    Raises:
        InputError: this installation has no shipped network.
    """
    try:
        return config_path("models/gelsight_mini")
    except InputError as error:
        raise InputError(
            "this installation has no shipped network: train one (`tacdiff train`) and give its "
            "folder as the model, or use the renderer"
        ) from error


def shipped_encoder() -> Path:
    """Return the folder of the shipped touch encoder.

    Raises:
        InputError: this installation has no shipped touch encoder.
    """
    try:
        return config_path("models/touch_encoder")
    except InputError as error:
        raise InputError(
            "this installation has no shipped touch encoder: train one (`tacdiff touch train`) "
            "and give its folder as the encoder"
        ) from error
