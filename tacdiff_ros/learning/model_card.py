"""Model cards: the validated metadata that the files of a network contain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from tacdiff_ros.errors import InputError
from tacdiff_ros.input_files import printable
from tacdiff_ros.settings_file import first_complaint

Card = TypeVar("Card", bound=BaseModel)


def card_metadata(card: BaseModel, file_format: str) -> dict[str, str]:
    """Return the metadata that a file of a network contains.

    Args:
        card: model card.
        file_format: name and version of the format.
    """
    return {"format": file_format, "card": card.model_dump_json()}


def parse_card(
    metadata: Mapping[str, str], file_format: str, card: type[Card], kind: str, origin: Path
) -> Card:
    """Return the model card in the metadata of a file.

    Args:
        metadata: texts by name, as the file contains them.
        file_format: expected name and version of the format.
        card: type of the model card.
        kind: kind of the network, for error messages.
        origin: path of the file, for error messages.

    Returns:
        Validated model card.

    Raises:
        InputError: the metadata is damaged or of another format.
    """
    if metadata.get("format") != file_format:
        raise InputError(
            f"{origin} is no {kind} of this package: format {metadata.get('format', '')[:80]!r}, "
            f"expected {file_format!r}"
        )
    try:
        return card.model_validate_json(metadata.get("card", ""))
    except ValidationError as error:
        raise InputError(f"{origin}: {first_complaint(error)}") from error


def existing_file(folder: Path, name: str, kind: str) -> Path:
    """Return the path of a network's file.

    Args:
        folder: folder of the network.
        name: name of the file.
        kind: kind of the network, for error messages.

    Raises:
        InputError: the file does not exist.
    """
    path = folder / name
    if not path.exists():
        raise InputError(f"{printable(folder)} contains no {kind}: {name} cannot be read")
    return path
