"""`tacdiff view`: a page that shows a file or folder, or a camera live."""

from __future__ import annotations

import json
import time
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from tacdiff_ros.cli.output_folder import HTML, check_output_file
from tacdiff_ros.errors import InputError


def view(
    path: Annotated[
        Path | None,
        typer.Argument(help="image, map, mesh, result, sensor file, run, bag, video or dataset"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="HTML file to write; default: NAME_view.html here")
    ] = None,
    topic: Annotated[str | None, typer.Option(help="image topic of a bag with several")] = None,
    camera: Annotated[
        str | None,
        typer.Option(help="live: part of a camera's name, N, /dev/videoN, or virtual"),
    ] = None,
    sensor: Annotated[
        Path | None, typer.Option(help="live: sensor file, for the depth; default: no depth")
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="live: port on this machine; 0: a free one")
    ] = 8766,
    open_browser: Annotated[bool, typer.Option("--open", help="open the page")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Show a file or folder as one local page, or a camera with change and depth, live."""
    if (path is None) == (camera is None):
        raise InputError("give either a file or folder, or --camera")
    if camera is not None:
        from tacdiff_ros.cli.live_view import show_live

        show_live(camera, sensor, port, open_browser, as_json)
        return
    if sensor is not None:
        raise InputError("--sensor is for --camera: a result names its sensor itself")
    assert path is not None  # noqa: S101
    _write_page(path, out, topic, open_browser, as_json)


def _write_page(
    path: Path, out: Path | None, topic: str | None, open_browser: bool, as_json: bool
) -> None:
    from tacdiff_ros.viewing.open_view import open_view
    from tacdiff_ros.viewing.page import write_view

    started = time.perf_counter()
    target = out or Path(f"{path.resolve().name or 'root'}_view.html")
    check_output_file(target, HTML, (path,))
    content = open_view(path, topic)
    write_view(content, target)
    if open_browser:
        webbrowser.open(target.absolute().as_uri())
    figures = {
        "out": str(target),
        "title": content.title,
        "megabytes": round(1e-6 * target.stat().st_size, 2),
        "seconds": round(time.perf_counter() - started, 1),
    }
    if as_json:
        print(json.dumps(figures))
        return
    for note in content.notes:
        print(f"note: {note}")
    print(f"{content.title}: {target}, {figures['megabytes']} MB; open it in a browser")
