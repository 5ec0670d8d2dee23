import json

import cv2
import numpy as np
import pytest

from tacdiff_ros.cli.application import run
from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.agreement import compare_images, marker_error_px, side_by_side
from tacdiff_ros.markers.marker_field import MarkerField

WIDTH, HEIGHT = 96, 64


@pytest.fixture
def images():
    """Reference, real and simulated image; the contact is a disc, rendered too weak."""
    random = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    disc = ((x - 60) ** 2 + (y - 30) ** 2 < 144)[..., None]
    reference = np.full((HEIGHT, WIDTH, 3), 110.0) + 0.3 * x[..., None]
    drawn = [reference, reference + 60 * disc, reference + 50 * disc]
    noisy = [np.clip(image + random.normal(0, 1, image.shape), 0, 255) for image in drawn]
    return [image.astype(np.uint8) for image in noisy], disc[..., 0]


def test_the_contact_is_where_the_touch_is(images):
    (reference, real, simulated), disc = images
    found = compare_images(simulated, real, reference)
    assert disc.sum() <= found.contact_pixels <= disc.sum() * (15 / 12) ** 2
    told = compare_images(simulated, real, reference, disc)
    assert told.contact_pixels == disc.sum()
    assert told.contact.mse == pytest.approx(100, rel=0.1)
    assert told.background_contact.mse == pytest.approx(3600, rel=0.05)
    assert told.contact_gain_db == pytest.approx(10 * np.log10(36), abs=0.4)
    assert told.whole.mse == pytest.approx(100 * disc.mean() + 2, rel=0.15)


def test_without_a_touch_there_is_no_contact(images):
    (reference, _, _), _ = images
    found = compare_images(reference, reference, reference)
    assert found.contact is None
    assert found.contact_pixels == 0
    assert np.isnan(found.contact_gain_db)


def test_without_a_reference_there_is_the_whole_image_only(images):
    (_, real, simulated), _ = images
    found = compare_images(simulated, real)
    assert (found.contact, found.background_whole) == (None, None)
    assert found.whole.psnr_db > 20


def field(shift: tuple[float, float], missing: int) -> MarkerField:
    x, y = np.meshgrid(np.arange(9.0), np.arange(7.0))
    position = np.stack([20 * x + shift[0], 20 * y + shift[1]], axis=-1)
    found = np.ones((7, 9), bool)
    found.ravel()[:missing] = False
    position[~found] = np.nan
    return MarkerField(position, found, np.where(found, 6.0, np.nan))


def test_dots_are_compared_where_both_images_show_them():
    count, rms = marker_error_px(field((0, 0), 2), field((3, 4), 5))
    assert count == 58
    assert rms == pytest.approx(5.0)
    assert marker_error_px(field((0, 0), 63), field((0, 0), 0))[0] == 0


def test_dots_of_other_grids_are_refused():
    small = MarkerField(np.zeros((8, 10, 2)), np.ones((8, 10), bool), np.ones((8, 10)))
    with pytest.raises(InputError, match="expected one size"):
        marker_error_px(field((0, 0), 0), small)


def test_side_by_side_is_grey_where_they_agree(images):
    (_, real, simulated), disc = images
    picture = side_by_side(simulated, real)
    assert picture.shape == (HEIGHT, 3 * WIDTH, 3)
    difference = picture[:, 2 * WIDTH :].astype(float)
    assert difference[~disc].mean() == pytest.approx(128, abs=1)
    assert difference[disc].mean() == pytest.approx(128 - 40, abs=2)


def test_command_prints_and_draws(images, tmp_path, capsys):
    names = ("reference", "real", "simulated")
    for name, image in zip(names, images[0], strict=True):
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
    paths = {name: str(tmp_path / f"{name}.png") for name in names}
    arguments = ["compare", paths["simulated"], paths["real"], "--reference", paths["reference"]]
    assert run([*arguments, "--picture", str(tmp_path / "p.png"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["contact_gain_db"] > 10
    assert told["marker_rms_px"] is None
    assert cv2.imread(str(tmp_path / "p.png")).shape == (HEIGHT, 3 * WIDTH, 3)
    assert run(["compare", paths["real"], paths["real"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["whole"]["psnr_db"] == "inf"
    exchanged = ["compare", paths["real"], paths["reference"], "--reference", paths["reference"]]
    assert run([*exchanged, "--picture", str(tmp_path / "exchanged.png")]) == 2
    assert not (tmp_path / "exchanged.png").exists()
    assert "exchanged?" in capsys.readouterr().err
    assert run(["compare", paths["real"], str(tmp_path / "none.png")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
