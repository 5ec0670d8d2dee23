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


def shipped_model() -> Path:
    """Folder of the network that comes with the package, for the default sensor file.

    Raises:
        InputError: none came with this installation.
    """
    try:
        return config_path("models/gelsight_mini")
    except InputError as error:
        raise InputError(
            "no network came with this installation: train one (`tacdiff train`) and name its "
            "folder as the model, or use the renderer"
        ) from error
