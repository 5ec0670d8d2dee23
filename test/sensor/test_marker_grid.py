"""The dot pattern's description refuses what no gel can have."""

import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.sensor.marker_grid import MarkerGrid


def test_default_is_the_current_gel_of_7_rows_and_9_columns() -> None:
    grid = MarkerGrid()
    assert (grid.rows, grid.columns, grid.count) == (7, 9, 63)


@pytest.mark.parametrize(
    ("text", "rows", "columns"), [("7x9", 7, 9), ("8X10", 8, 10), (" 11 x 4 ", 11, 4)]
)
def test_text_is_rows_then_columns(text: str, rows: int, columns: int) -> None:
    grid = MarkerGrid.parse(text)
    assert (grid.rows, grid.columns, grid.count) == (rows, columns, rows * columns)


@pytest.mark.parametrize("text", ["", "7", "7x", "x9", "7x9x2", "7.5x9", "-7x9", "seven", "7*9"])
def test_unreadable_text_is_quoted_in_one_line_with_an_example(text: str) -> None:
    with pytest.raises(InputError) as error:
        MarkerGrid.parse(text)
    message = str(error.value)
    assert repr(text) in message
    assert "7x9" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rows", 0),
        ("rows", 2),
        ("rows", 7.0),
        ("rows", True),
        ("columns", -9),
        ("columns", 1000),
        ("columns", "9"),
        ("pitch_x_mm", 0.0),
        ("pitch_y_mm", float("nan")),
        ("pitch_y_mm", "2"),
        ("diameter_mm", -1.0),
        ("diameter_mm", float("inf")),
    ],
)
def test_impossible_value_is_named(name: str, value: object) -> None:
    with pytest.raises(InputError, match=name) as error:
        MarkerGrid(**{name: value})  # type: ignore[arg-type]
    assert repr(value) in str(error.value)


def test_parsed_grid_obeys_the_same_bounds() -> None:
    with pytest.raises(InputError, match="rows is 1"):
        MarkerGrid.parse("1x9")


def test_dots_may_not_touch() -> None:
    with pytest.raises(InputError, match=r"diameter_mm is 2\.0"):
        MarkerGrid(diameter_mm=2.0)
