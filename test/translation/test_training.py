import numpy as np
import pytest
import torch

from tacdiff_ros.errors import InputError
from tacdiff_ros.translation.generator import build_generator
from tacdiff_ros.translation.input_kinds import CHANNELS
from tacdiff_ros.translation.network_settings import NetworkSettings
from tacdiff_ros.translation.training import CHECKPOINT, CURVES, train_generator
from tacdiff_ros.translation.training_settings import TrainingSettings

QUICK = TrainingSettings(
    steps=240, batch=4, validate_every=80, validated=12, half_precision=False, device="cpu"
)


def psnr(a, b) -> float:
    return 10 * np.log10(255**2 / np.mean((np.asarray(a, float) - b) ** 2))


class Depths:
    """The same images beside heights alone."""

    def __init__(self, pairs) -> None:
        self._pairs = pairs

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, number):
        maps, image = self._pairs[number]
        return 22.0 + maps[2:], image


class Lit(Depths):
    """NOCS beside the image at four fifths of its light."""

    def __getitem__(self, number):
        maps, image = self._pairs[number]
        return np.concatenate([maps, 0.8 * image.astype(np.float32) / 255]), image


@pytest.fixture(scope="module")
def trained(pairs, small, untouched, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    generator, report = train_generator(small, QUICK, *pairs, untouched, folder)
    return generator, report, folder


def test_it_learns_dots_that_move_and_shading_that_follows_slopes(pairs, trained, untouched):
    """Far better than the untouched image on samples that it has not seen."""
    _, report, _ = trained
    nothing = np.mean([psnr(untouched.image, image) for _, image in list(pairs[1])])
    assert nothing < 20
    assert report.psnr_db > nothing + 8


def test_what_is_given_back_is_the_best_validation(pairs, trained):
    generator, report, _ = trained
    squared = []
    for maps, image in pairs[1]:
        with torch.inference_mode():
            drawn = generator(torch.from_numpy(maps)[None])[0].clamp(0, 1).numpy()
        squared.append(np.mean((np.rint(255 * drawn) - image) ** 2))
    assert 10 * np.log10(255**2 / np.mean(squared)) == pytest.approx(report.psnr_db, abs=0.01)


def test_curves_have_a_row_a_validation(trained):
    rows = (trained[2] / CURVES).read_text().strip().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "80", "160", "240"]


def test_interrupted_training_ends_as_if_it_had_not_been(
    pairs, small, untouched, tmp_path, trained
):
    class StoppedError(Exception):
        pass

    def stop(step, _):
        if step == 200:
            raise StoppedError

    with pytest.raises(StoppedError):
        train_generator(small, QUICK, *pairs, untouched, tmp_path, stop)
    steps = []
    generator, report = train_generator(
        small, QUICK, *pairs, untouched, tmp_path, lambda step, _: steps.append(step)
    )
    assert steps == list(range(161, 241))
    assert report.psnr_db == pytest.approx(trained[1].psnr_db, abs=0.02)
    for name, value in trained[0].state_dict().items():
        torch.testing.assert_close(generator.state_dict()[name], value, atol=1e-3, rtol=1e-2)


def test_depth_cannot_know_where_dots_went(pairs, small, untouched, tmp_path, trained):
    """The paper's comparison: the same network and effort on depth."""
    from tacdiff_ros.translation.training import ReferenceSample

    settings = small.model_copy(update={"kind": "depth"})
    flat = ReferenceSample(22.0 + untouched.maps[2:], untouched.image)
    _, report = train_generator(settings, QUICK, *map(Depths, pairs), flat, tmp_path)
    assert report.psnr_db < trained[1].psnr_db - 3


def test_light_needs_no_place_or_texture_of_one_unit(pairs, small, untouched, tmp_path):
    from tacdiff_ros.translation.training import ReferenceSample

    settings = small.model_copy(update={"kind": "nocs+light"})
    train, validation = map(Lit, pairs)
    flat = ReferenceSample(train[0][0], untouched.image)
    before = np.mean([psnr(255 * maps[3:], image) for maps, image in list(validation)])
    short = QUICK.model_copy(update={"steps": 80})
    generator, report = train_generator(settings, short, train, validation, flat, tmp_path)
    assert report.psnr_db > before + 5
    sizes = {value.shape for value in generator.state_dict().values()}
    assert not any(shape[-2:] == (48, 64) or shape[-2:] == (96, 128) for shape in sizes)


def test_a_discriminator_can_have_its_say(pairs, small, untouched, tmp_path):
    settings = QUICK.model_copy(update={"steps": 6, "adversarial_weight": 0.01})
    settings = settings.model_copy(update={"validate_every": 3})
    _, report = train_generator(small, settings, *pairs, untouched, tmp_path)
    assert report.steps == 6
    _, again = train_generator(small, settings, *pairs, untouched, tmp_path)
    assert again.psnr_db == pytest.approx(report.psnr_db)


def test_it_stops_when_nothing_gets_better(pairs, small, untouched, tmp_path):
    still = QUICK.model_copy(
        update={"learning_rate": 1e-12, "validate_every": 2, "patience": 3, "steps": 100}
    )
    _, report = train_generator(small, still, *pairs, untouched, tmp_path)
    assert report.stopped_early
    assert report.steps < 20


@pytest.mark.parametrize("kind", ["nocs", "depth", "nocs+light"])
@pytest.mark.parametrize("architecture", ["fast", "unet"])
def test_every_generator_gives_images_of_the_maps_size(kind, architecture):
    settings = NetworkSettings(architecture=architecture, kind=kind, width=8, texture=(4, 64, 64))
    generator = build_generator(settings).eval()
    with torch.inference_mode():
        assert generator(torch.rand(2, CHANNELS[kind], 240, 320)).shape == (2, 3, 240, 320)


def test_the_reference_is_as_large_as_published_but_for_its_depth():
    """54.4 million parameters with eight halvings; the two left out have 8.4 million each."""
    generator = build_generator(NetworkSettings(architecture="unet", width=64))
    count = sum(value.numel() for value in generator.parameters())
    assert 25e6 < count < 54.4e6


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"batch": 1000}, "64 samples to train"),
        ({"device": "cuda"}, "device cuda"),
    ],
)
def test_what_cannot_be_trained_is_refused(pairs, small, untouched, tmp_path, change, expected):
    if change.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    settings = QUICK.model_copy(update=change)
    with pytest.raises(InputError, match=expected):
        train_generator(small, settings, *pairs, untouched, tmp_path)


def test_maps_of_another_size_are_refused(pairs, untouched, tmp_path):
    with pytest.raises(InputError, match=r"expected \(3, 240, 320\)"):
        train_generator(NetworkSettings(), QUICK, *pairs, untouched, tmp_path)


def test_a_checkpoint_of_other_settings_is_not_gone_on_with(pairs, small, untouched, trained):
    other = QUICK.model_copy(update={"seed": 9})
    with pytest.raises(InputError, match="other settings"):
        train_generator(small, other, *pairs, untouched, trained[2])


def test_a_damaged_checkpoint_is_named(pairs, small, untouched, tmp_path):
    (tmp_path / CHECKPOINT).write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match=r"is damaged .*: delete it"):
        train_generator(small, QUICK, *pairs, untouched, tmp_path)
