"""Indenters as text: every size arrives as it was written, and nothing is guessed."""

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.indenter_spec import (
    MAX_SPEC,
    IndenterSpec,
    confine_files,
    parse_indenter,
)
from tacdiff_ros.mechanics.indenters.build import build_indenter


@pytest.mark.parametrize("seed", range(10))
def test_random_sizes_are_read_to_the_last_bit(seed):
    random = np.random.default_rng(seed)
    names = random.permutation(["diameter", "size", "arm", "edge"])[: random.integers(1, 5)]
    sizes = {str(name): float(10 ** random.uniform(-9, 9)) for name in names}
    text = "round_one:" + ",".join(f"{name}={size!r}" for name, size in sizes.items())
    assert parse_indenter(text) == IndenterSpec("round_one", sizes)


@pytest.mark.parametrize(
    "text", ["cross:size=8,arm=2", " cross:arm=2.0, size=8e0", "cross :size = 8 , arm = 2 "]
)
def test_order_and_blanks_do_not_matter(text):
    assert parse_indenter(text) == IndenterSpec("cross", {"size": 8.0, "arm": 2.0})


@pytest.mark.parametrize("text", ["none", " none ", "none:"])
def test_a_name_alone_has_no_sizes(text):
    assert parse_indenter(text) == IndenterSpec("none", {})


def test_sizes_that_are_not_given_have_their_defaults():
    spec = parse_indenter("sphere:diameter=4.5")
    assert spec.sizes(diameter=5.0, height=1.0) == {"diameter": 4.5, "height": 1.0}
    assert spec.sizes_mm == {"diameter": 4.5}


def test_a_size_that_the_shape_does_not_have_is_named_beside_those_that_it_has():
    with pytest.raises(InputError, match="'sphere' has no size 'radius'; it takes diameter, hole"):
        parse_indenter("sphere:radius=3").sizes(diameter=5.0, hole=1.0)


@pytest.mark.parametrize(
    "value", ["0", "-0.0", "-2", "nan", "inf", "-inf", "", "5 mm", "five", "="]
)
def test_a_size_that_is_no_length_is_quoted_with_its_name(value):
    text = f"sphere:diameter={value}"
    with pytest.raises(InputError, match="expected a length above 0 mm") as caught:
        parse_indenter(text)
    message = str(caught.value)
    assert f"'diameter' is {value!r}" in message
    assert repr(text) in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "text", ["", ":", "Sphere", "sphere diameter=5", "2d:size=1", "sphere\n:a=1\nb=2", "ball;rm"]
)
def test_text_of_another_form_is_quoted_with_an_example(text):
    with pytest.raises(InputError, match=r"sphere:diameter=5\.0") as caught:
        parse_indenter(text)
    message = str(caught.value)
    assert repr(text) in message
    assert "\n" not in message


def test_text_is_read_up_to_the_longest_allowed_and_refused_beyond():
    text = "ball:" + "a" * (MAX_SPEC - 7) + "=1"
    assert len(text) == MAX_SPEC
    assert list(parse_indenter(text).sizes_mm.values()) == [1.0]
    with pytest.raises(InputError, match="expected NAME") as caught:
        parse_indenter(text + "5" * 100_000)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("file", ["part.stl", "sub/part.stl", "sub/../part.stl"])
def test_a_file_inside_the_folder_is_found_there(tmp_path, file):
    spec = confine_files(parse_indenter(f"mesh:file={file},scale=2"), tmp_path)
    assert spec.texts["file"] == str((tmp_path / file).resolve())
    assert spec.sizes_mm == {"scale": 2.0}


@pytest.mark.parametrize("file", ["../part.stl", "/etc/part.stl", "sub/../../part.stl", "link.stl"])
def test_a_file_outside_the_folder_is_refused(tmp_path, file):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "link.stl").symlink_to(tmp_path / "part.stl")
    with pytest.raises(InputError, match="lies outside"):
        confine_files(parse_indenter(f"mesh:file={file}"), folder)


def test_a_spec_without_a_file_is_left_alone(tmp_path):
    spec = parse_indenter("sphere:diameter=5")
    assert confine_files(spec, tmp_path) is spec


def test_angles_may_be_negative_or_zero_and_are_bounded():
    spec = parse_indenter("cube:roll=-12.5,pitch=0")
    assert spec.sizes_mm == {"roll": -12.5, "pitch": 0.0}
    for value in ("nan", "ten", ""):
        with pytest.raises(InputError, match=f"'roll' is '{value}', expected an angle in degrees"):
            parse_indenter(f"cube:roll={value}")
    for name in ("cube", "mesh"):
        with pytest.raises(InputError, match="pitch is 181 degrees, expected -180 to 180"):
            build_indenter(f"{name}:pitch=181")
