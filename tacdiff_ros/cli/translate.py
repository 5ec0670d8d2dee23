"""`tacdiff translate`: tactile images of deformation maps, rendered by a trained network."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from tacdiff_ros.array_file import read_array
from tacdiff_ros.cli.output_folder import check_output_folder
from tacdiff_ros.cli.progress_bar import ProgressBar
from tacdiff_ros.errors import InputError
from tacdiff_ros.output_files import png_bytes, write_files
from tacdiff_ros.resources import shipped_model
from tacdiff_ros.translation.input_kinds import InputKind, network_input

MAX_MAP_BYTES = 100_000_000


def translate(
    maps: Annotated[
        list[Path], typer.Argument(help="nocs.npy or depth.npy, as `tacdiff simulate` writes them")
    ],
    out: Annotated[Path, typer.Option(help="folder to write to")],
    model: Annotated[
        Path | None, typer.Option(help="folder of the network; default: the shipped network")
    ] = None,
    light: Annotated[
        list[Path] | None,
        typer.Option(help="light image of each map, in order; for networks with input nocs+light"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Render an image for every map: OUT/NAME.png."""
    from tacdiff_ros.translation.translator import Translator

    names = _names(maps)
    check_output_folder(out, names)
    translator = Translator(model or shipped_model())
    kind = translator.card.settings.kind
    lights: list[Path | None] = list(light or [])
    if kind == "nocs+light" and len(lights) != len(maps):
        raise InputError(f"{len(lights)} light images for {len(maps)} maps: give one --light each")
    inputs = zip(maps, lights or [None] * len(maps), strict=True)
    network_inputs = [_read(kind, path, light_path) for path, light_path in inputs]
    started = time.perf_counter()
    with ProgressBar("translating", len(network_inputs)) as bar:
        images = list(bar.track(translator.stream(network_inputs)))
    seconds = time.perf_counter() - started
    write_files(out, {name: png_bytes(image) for name, image in zip(names, images, strict=True)})
    if as_json:
        figures = {"out": str(out), "images": len(images), "seconds": round(seconds, 4)}
        print(json.dumps({**figures, "input": kind}))
        return
    print(f"{out}: {len(images)} images, {1e3 * seconds / len(images):.1f} ms each")


def _names(maps: list[Path]) -> list[str]:
    """Return the image file names; images of nocs.npy and depth.npy are named by the folder."""
    stems = [
        path.absolute().parent.name if path.stem in ("nocs", "depth") else path.stem
        for path in maps
    ]
    duplicates = sorted({stem for stem in stems if stems.count(stem) > 1})
    if duplicates:
        raise InputError(f"several maps would be written to {duplicates[0]}.png: rename them")
    return [f"{stem}.png" for stem in stems]


def _read(kind: InputKind, path: Path, light: Path | None) -> NDArray[np.float32]:
    values = _read_map(path)
    try:
        if kind == "depth":
            return network_input(kind, depth_mm=values)
        return network_input(kind, values, light=None if light is None else _read_light(light))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _read_map(path: Path) -> NDArray[np.float32]:
    return read_array(path, "map", MAX_MAP_BYTES)


def _read_light(path: Path) -> NDArray[np.uint8]:
    from tacdiff_ros.images.image_file import read_image

    return read_image(path)
