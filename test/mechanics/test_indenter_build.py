"""Indenters by name: every size counts, and what cannot be built is said in one line."""

import numpy as np
import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.indenter_spec import (
    MAX_TEXT,
    IndenterSpec,
    format_indenter,
    parse_indenter,
)
from tacdiff_ros.mechanics.indenters.build import SHAPES, build_indenter
from tacdiff_ros.mechanics.indenters.glyphs import GLYPHS

ANALYTIC = [name for name in SHAPES if name != "mesh"]


@pytest.mark.parametrize("name", ANALYTIC)
def test_the_canonical_spec_builds_the_same_body(name):
    indenter = build_indenter(name)
    again = build_indenter(indenter.spec)
    assert again.spec == indenter.spec
    points = np.random.default_rng(0).uniform(-4, 4, (200, 3))
    assert np.array_equal(indenter.distance(points), again.distance(points))
    assert build_indenter(parse_indenter(name)).spec == indenter.spec


def test_specs_are_short_where_there_is_little_to_say():
    assert build_indenter("sphere").spec == "sphere:diameter=5"
    assert build_indenter(IndenterSpec("torus", {"tube": 1.5})).spec == "torus:diameter=7,tube=1.5"


def test_texts_and_sizes_are_read_and_written_alike():
    spec = parse_indenter("text:word = GEL, size=4.125")
    assert spec == IndenterSpec("text", {"size": 4.125}, {"word": "GEL"})
    assert parse_indenter(format_indenter(spec.name, spec.sizes_mm, spec.texts)) == spec
    assert parse_indenter("mesh:file=a=b c.stl,scale=1e3").texts == {"file": "a=b c.stl"}
    assert format_indenter("none", {}) == "none"


@pytest.mark.parametrize("name", ANALYTIC)
def test_bodies_are_high_enough_to_be_pressed_in_by_3_mm(name):
    """But for the ring, which is as high as its tube."""
    low, high = build_indenter(name).bounds
    assert high[2] - low[2] >= (2.0 if name == "torus" else 4.0)
    assert np.all(np.ptp([low, high], axis=0)[:2] < (15.0, 15.0))


@pytest.mark.parametrize("name", ANALYTIC)
def test_no_points_give_no_distances(name):
    field = build_indenter(name).derivatives(np.zeros((0, 3)))
    assert (field.distance.shape, field.hessian.shape) == ((0,), (0, 3, 3))
    assert build_indenter(name).distance(np.zeros((0, 3))).shape == (0,)


@pytest.mark.parametrize("shape", [(3,), (4, 2), (2, 2, 3)])
def test_points_of_another_shape_are_refused(shape):
    with pytest.raises(InputError, match=r"expected \(N, 3\)"):
        build_indenter("cube").distance(np.zeros(shape))


def test_every_letter_fits_its_line():
    """Pens stay within the letters' height and start at the left."""
    for character, (lines, arcs) in GLYPHS.items():
        y = [y for line in lines for y in line[1::2]]
        for _, middle, radius, first, last in arcs:
            angles = np.radians(np.linspace(first, last, 91))
            y += list(middle + radius * np.sin(angles))
        assert min(y) >= -1e-9, character
        assert max(y) <= 1 + 1e-9, character
    for character in GLYPHS:
        body = build_indenter(f"text:word={character}")
        assert body.bounds[1, 0] < 4.0


REFUSED = {
    "none": "has no body",
    "ball:diameter=5": r"not known \(did you mean sphere\?\); known are none, sphere",
    "sphere:radius=3": "no size 'radius'; it takes diameter",
    "sphere:word=GEL": "no text 'word'",
    "sphere:diameter=0.1": "expected 0.2 to 40",
    "sphere:diameter=41": "expected 0.2 to 40",
    "sphere:diameter=0": "expected a length above 0",
    "cube:height=3": "expected 4 to 40",
    "cube:round=0.01": "expected 0.05 to 20",
    "cube:size=2,round=1": "up to 0.9 mm, 0.45 of the smallest extent",
    "cylinder:height=4,round=2": "up to 1.8 mm",
    "cross:arm=8": r"up to \(size - arm\) / 2",
    "cross:arm=2,round=1": "0.45 of the width of an arm",
    "cross:fillet=3": r"up to \(size - arm\) / 2",
    "cone:angle=10": "angle is 10 degrees, expected 20 to 160",
    "cone:angle=25": "less than the height of 8 mm",
    "pyramid:round=4": "0.45 of the width",
    "edge:length=1": "0.45 of the length",
    "torus:diameter=2,tube=2": "0.9 of the diameter of the circle",
    "text:word=": "expected 1 to",
    "text:word=G3L!": "letters A to Z, digits",
    "text:word=gelgelgelgelgel": "15 letters, expected up to 12",
    "text:stroke=2": "a quarter of the letters' size",
    "text:round=0.4": "0.45 of the stroke",
    "text:height=5": "expected 6 mm or more",
    "text:word=WWWWWW,size=20": "expected up to 60 mm",
    "text:size=GEL": "expected a length above 0",
    f"text:word={'a' * (MAX_TEXT + 1)}": "printable characters",
    "mesh": "no file is given, expected mesh:file=PATH",
    "mesh:file=part.stl,size=3": "no size 'size'; it takes file, repair, scale, spacing",
    "mesh:file=part.step": "ending in .stl, .ply, .obj",
    "mesh:file=/not/there.stl": "does not exist",
    "mesh:file=~nobody_here/part.stl": "cannot be read",
    "mesh:file=part.stl,spacing=2": "expected 0.02 to 1",
}


@pytest.mark.parametrize("spec", REFUSED)
def test_what_cannot_be_built_is_said_in_one_line(spec):
    with pytest.raises(InputError, match=REFUSED[spec]) as caught:
        build_indenter(spec)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 0.0])
def test_sizes_that_did_not_come_as_text_are_checked_too(value):
    with pytest.raises(InputError, match="expected"):
        build_indenter(IndenterSpec("sphere", {"diameter": value}))


@pytest.mark.parametrize("seed", range(5))
def test_random_sizes_build_a_body_at_its_place_or_are_refused(seed):
    random = np.random.default_rng(seed)
    built = 0
    for name in ANALYTIC:
        defaults = parse_indenter(build_indenter(name).spec)
        for _ in range(10):
            sizes = {k: v * 2 ** random.uniform(-1.5, 1.5) for k, v in defaults.sizes_mm.items()}
            try:
                indenter = build_indenter(IndenterSpec(name, sizes, defaults.texts))
            except InputError:
                continue
            built += 1
            low, high = indenter.bounds
            assert low[2] == 0.0
            assert np.all(high > low)
            points = random.uniform(low - 1, high + 1, (200, 3))
            field = indenter.derivatives(points)
            assert np.isfinite(field.hessian).all()
            beyond = np.maximum(low - points, points - high).max(axis=1)
            assert np.all(field.distance >= beyond - 1e-9)
    assert built > 20


@pytest.mark.parametrize(("given", "meant"), [("spere", "sphere"), ("ball", "sphere")])
def test_a_misspelt_indenter_is_answered_with_the_likely_one(given, meant):
    with pytest.raises(InputError, match=f"did you mean {meant}"):
        build_indenter(given)
