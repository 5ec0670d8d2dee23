"""`tacdiff sbom`: software bill of materials and licences of the installed dependencies."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from tacdiff_ros.output_files import write_file

if TYPE_CHECKING:
    from tacdiff_ros.machine.packages import InstalledPackage

FILE_WIDTH = 220  # characters per line of a table that is not printed on a terminal


def sbom(
    out: Annotated[Path | None, typer.Option(help="file to write; default: stdout")] = None,
    licences: Annotated[
        bool, typer.Option("--licences", help="print a table of licences with notes instead")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Write the software bill of materials of this installation in CycloneDX JSON."""
    from tacdiff_ros.machine.bill_of_materials import bill_of_materials
    from tacdiff_ros.machine.packages import needed_packages

    packages = needed_packages()
    if licences:
        _print_licences(packages, as_json)
        return
    bill = bill_of_materials(packages, datetime.datetime.now(datetime.timezone.utc))
    text = json.dumps(bill, indent=2)
    if out is None:
        print(text)
        return
    write_file(out, text + "\n")
    figures = {"out": str(out), "components": len(packages)}
    print(json.dumps(figures) if as_json else f"{out}: {len(packages)} packages")


def _print_licences(packages: Sequence[InstalledPackage], as_json: bool) -> None:
    from tacdiff_ros.machine.licences import note

    rows = [(p.name, p.version, p.licence, note(p.name, p.licence)) for p in packages]
    columns = ("name", "version", "licence", "note")
    if as_json:
        print(json.dumps({"packages": [dict(zip(columns, row, strict=True)) for row in rows]}))
        return
    table = Table(box=None)
    for column in columns:
        table.add_column(column, no_wrap=column != "note")
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else FILE_WIDTH
    Console(width=width, markup=False).print(table)
