"""Files that ship with the package, wherever it was installed."""

from __future__ import annotations

import sys
from pathlib import Path

from tacdiff_ros.errors import InputError


def config_path(name: str) -> Path:
    """Path of a file or folder of `config/`.

    Looked for beside the sources, in the pip package, and in the `share` folder of a ROS prefix.

    Raises:
        InputError: it is in none of these.
    """
    package = Path(__file__).resolve().parent
    prefixes = [parent / "share" / "tacdiff_ros" for parent in Path(__file__).parents]
    folders = [package.parent, package, *prefixes, Path(sys.prefix) / "share" / "tacdiff_ros"]
    for folder in folders:
        if (found := folder / "config" / name).exists():
            return found
    raise InputError(f"config/{name} did not come with this installation: install it again")


def shipped_model(any_unit: bool = False) -> Path:
    """Folder of a network that comes with the package.

    Args:
        any_unit: the one of kind `nocs+light`, that draws whatever unit's light it is given;
            else the one of kind `nocs` for the default sensor file.

    Raises:
        InputError: none came with this installation.
    """
    name = "any_gelsight_mini" if any_unit else "gelsight_mini"
    try:
        return config_path(f"models/{name}")
    except InputError as error:
        raise InputError(
            "no network came with this installation: train one (`tacdiff train`) and name its "
            "folder as the model, or use the renderer"
        ) from error
