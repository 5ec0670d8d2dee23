"""`tacdiff touch probe`: what a linear classifier reads from the features of images."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from tacdiff_ros.cli.output_folder import check_output_folder
from tacdiff_ros.cli.warning_lines import print_warnings
from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.verdict import probe_verdict
from tacdiff_ros.input_files import printable, read_table
from tacdiff_ros.output_files import json_text, write_files

if TYPE_CHECKING:
    from tacdiff_ros.touch_features.feature_file import TouchFeatures
    from tacdiff_ros.touch_features.linear_probe import CrossValidation

FILES = ("report.json", "predictions.csv", "confusion.png")
FILE_COLUMNS = ("file", "video", "name")  # first column of these names the file of a row
MAX_LABEL_BYTES = 64 * 2**20
MAX_NAME = 200


class _Labelled(NamedTuple):
    """Images that have a label.

    Attributes:
        rows: (N,) their rows in the features.
        labels: (N,) labels.
        groups: (N,) groups.
        warnings: rows and images that were left out, in words.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]
    warnings: list[str]


def probe(
    features: Annotated[Path, typer.Option(help="features.npz of `tacdiff touch embed`")],
    labels: Annotated[
        Path, typer.Option(help="CSV table: column file (or video), and columns of labels")
    ],
    label: Annotated[str, typer.Option(help="column of the labels")] = "label",
    group: Annotated[
        str | None,
        typer.Option(help="column whose rows stay in one fold, such as the object; default: file"),
    ] = None,
    folds: Annotated[int, typer.Option(min=2, max=1000, help="number of folds")] = 5,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="seed of the folds")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="folder for report.json, predictions.csv, confusion.png")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
) -> None:
    """Cross-validate a linear probe: accuracy, balanced accuracy, confusion matrix."""
    from tacdiff_ros.touch_features.feature_file import read_features
    from tacdiff_ros.touch_features.linear_probe import cross_validate

    if out is not None:
        check_output_folder(out, FILES)
    embedded = read_features(features)
    labelled = _labelled(embedded, labels, label, group)
    print_warnings(Console(stderr=True), labelled.warnings)
    result = cross_validate(
        embedded.embedding[labelled.rows], labelled.labels, labelled.groups, folds, seed
    )
    figures = {
        "images": len(labelled.rows),
        "classes": len(result.classes),
        "groups": len(np.unique(labelled.groups)),
        "folds": folds,
        "accuracy": round(result.accuracy, 4),
        "balanced_accuracy": round(result.balanced_accuracy, 4),
        "chance": round(1.0 / len(result.classes), 4),
        "encoder": str(embedded.encoder[0]),
        "warnings": labelled.warnings,
    }
    verdict = probe_verdict(result.balanced_accuracy, len(result.classes))
    report = {**figures, **_confusion(result), "verdict": verdict.as_json()}
    if out is not None:
        _write(out, embedded, labelled, result, report)
    if as_json:
        print(json.dumps({"out": None if out is None else str(out), **report}))
        return
    print(
        f"{figures['images']} images, {figures['classes']} classes, {figures['groups']} groups in "
        f"{folds} folds\naccuracy {result.accuracy:.3f}, balanced accuracy "
        f"{result.balanced_accuracy:.3f} (chance {figures['chance']:.3f})\n{verdict.text}"
    )
    if out is not None:
        print(f"confusion matrix: {out / 'confusion.png'}")


def _labelled(features: TouchFeatures, path: Path, label: str, group: str | None) -> _Labelled:
    """Return the images of the features that have a label in a table.

    Raises:
        InputError: a column is missing, a file is in two rows, or no image has a label.
    """
    table = read_table(path, "labels", MAX_LABEL_BYTES)
    origin = f"labels {printable(path)}"
    file_column = next((name for name in FILE_COLUMNS if name in table), None)
    if file_column is None:
        raise InputError(f"{origin} has no column file, video or name: expected one of them")
    for name in filter(None, (label, group)):
        if name not in table:
            known = ", ".join(printable(column) for column in table)
            raise InputError(f"{origin} has no column {printable(name)}: it has {known[:MAX_NAME]}")
    files = table[file_column]
    row_of = {file: row for row, file in enumerate(files)}
    if len(row_of) < len(files):
        repeated = next(file for row, file in enumerate(files) if row_of[file] != row)
        raise InputError(f"{origin}: {printable(repeated)[:MAX_NAME]} is in two rows, expected one")
    matched = np.array([row_of.get(file, -1) for file in features.files.tolist()])
    given = np.array([bool(value.strip()) for value in table[label]] or [False])
    rows = np.flatnonzero((matched >= 0) & given[matched])
    if not len(rows):
        raise InputError(
            f"no image of the features has a label in {printable(path)}: its first is of "
            f"{printable(features.files[0])[:MAX_NAME]!r}, expected such names in column "
            f"{file_column}"
        )
    table_rows = matched[rows]
    warnings = []
    if len(rows) < len(matched):
        warnings.append(f"{len(matched) - len(rows)} of {len(matched)} images have no label")
    unused = len(files) - len(np.unique(table_rows))
    if unused:
        warnings.append(f"{unused} of {len(files)} rows of the table have no image or no label")
    return _Labelled(
        rows,
        np.array(table[label], np.str_)[table_rows],
        np.array(table[group or file_column], np.str_)[table_rows],
        warnings,
    )


def _confusion(result: CrossValidation) -> dict[str, Any]:
    recall = np.diag(result.confusion) / result.confusion.sum(1)
    return {
        "labels": result.classes.tolist(),
        "recall": [round(float(value), 4) for value in recall],
        "confusion": result.confusion.tolist(),
    }


def _write(
    out: Path,
    features: TouchFeatures,
    labelled: _Labelled,
    result: CrossValidation,
    report: dict[str, Any],
) -> None:
    from tacdiff_ros.reports.confusion_picture import confusion_png

    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("file", "frame", "group", "label", "predicted", "fold"))
    for number, row in enumerate(labelled.rows):
        writer.writerow(
            (
                features.files[row],
                features.frames[row],
                labelled.groups[number],
                labelled.labels[number],
                result.predicted[number],
                result.fold[number],
            )
        )
    classes = [printable(name) for name in result.classes.tolist()]
    picture = confusion_png(result.confusion, classes)
    contents: dict[str, bytes | str] = {
        "report.json": json_text(report),
        "predictions.csv": text.getvalue(),
        "confusion.png": picture,
    }
    write_files(out, contents)
