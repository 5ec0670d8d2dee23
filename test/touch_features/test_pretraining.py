"""Pretraining of the touch encoder on discs, its file, and its runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from tacdiff_ros.errors import InputError
from tacdiff_ros.touch_features.encoder_file import EncoderCard, load_model, save_encoder
from tacdiff_ros.touch_features.encoder_settings import EncoderSettings
from tacdiff_ros.touch_features.pretraining import CHECKPOINT, Pretraining
from tacdiff_ros.touch_features.pretraining_heads import contrast
from tacdiff_ros.touch_features.pretraining_settings import PretrainingSettings
from tacdiff_ros.touch_features.touch_encoder import TouchEncoder, TouchStream
from tacdiff_ros.touch_features.touch_input import network_input, touch_image
from tacdiff_ros.touch_features.touch_set import TouchSet
from tacdiff_ros.touch_features.training_batches import FLOORS, PROPERTIES, TouchBatches

SMALL = EncoderSettings(channels=(8, 8, 16, 16), blocks=(1, 1, 1, 1), features=16)
SETTINGS = PretrainingSettings(steps=6, batch=8, checkpoint_every=2, half_precision=False)

pytestmark = pytest.mark.xdist_group("touch_features")


@pytest.fixture(scope="module")
def batches(touch_set: TouchSet) -> TouchBatches:
    return TouchBatches([touch_set])


@pytest.fixture(scope="module")
def folder(batches: TouchBatches, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder of a few steps, with its checkpoint."""
    folder = tmp_path_factory.mktemp("encoder")
    model = Pretraining(SMALL, SETTINGS, batches).run(folder)
    card = EncoderCard(
        settings=SMALL,
        properties=PROPERTIES,
        floors=FLOORS,
        mean=tuple(batches.mean.tolist()),
        stddev=tuple(batches.stddev.tolist()),
    )
    save_encoder(folder, model, card)
    return folder


def test_pairs_of_a_batch_show_the_same_touch_on_other_sensors(batches: TouchBatches) -> None:
    batch = batches.draw(np.random.default_rng(1), 12)
    assert (batch.touch[:6] == batch.touch[6:]).all()
    assert (batch.sensor[:6] != batch.sensor[6:]).all()
    assert not batch.inputs[:, 3:].any()  # single images have no motion


def test_training_lowers_the_loss_of_the_surface(batches: TouchBatches, tmp_path: Path) -> None:
    losses: list[float] = []
    settings = SETTINGS.model_copy(update={"steps": 30, "learning_rate": 1e-2, "batch": 12})
    Pretraining(SMALL, settings, batches).run(tmp_path, lambda _, now: losses.append(now["maps"]))
    assert np.mean(losses[-4:]) < 0.8 * np.mean(losses[:4])


def test_a_resumed_training_ends_with_the_same_weights(
    batches: TouchBatches, folder: Path, tmp_path: Path
) -> None:
    def stop(step: int, _losses: dict[str, float]) -> None:
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Pretraining(SMALL, SETTINGS, batches).run(tmp_path, stop)
    resumed = Pretraining(SMALL, SETTINGS, batches).run(tmp_path).state_dict()
    whole = load_model(folder)[0].state_dict()
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, rtol=1e-5, atol=1e-6)


def test_a_checkpoint_of_other_settings_is_refused(batches: TouchBatches, folder: Path) -> None:
    other = SETTINGS.model_copy(update={"learning_rate": 0.5})
    with pytest.raises(InputError, match="other settings"):
        Pretraining(SMALL, other, batches).run(folder)


def test_a_loss_without_weight_is_off(batches: TouchBatches) -> None:
    weights = SETTINGS.weights.model_copy(update={"words": 0.0, "matching": 0.0})
    settings = SETTINGS.model_copy(update={"weights": weights, "first_level": 0.0})
    random = np.random.default_rng(0)
    losses = Pretraining(SMALL, settings, batches).train_step(batches.draw(random, 8), random)
    assert {"words", "matching"}.isdisjoint(losses) and {"sensors", "depth"} <= set(losses)


def test_contrast_equals_a_direct_sum() -> None:
    random = np.random.default_rng(2)
    a, b = random.normal(size=(2, 5, 4))
    expected = []
    for x, y in ((a, b), (b, a)):
        x, y = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, y))
        logits = x @ y.T / 0.2
        expected += [np.log(np.exp(row).sum()) - row[k] for k, row in enumerate(logits)]
    got = contrast(torch.tensor(a), torch.tensor(b), 0.2, torch.eye(5, dtype=torch.bool))
    assert float(got) == pytest.approx(np.mean(expected), rel=1e-5)


def test_the_runtime_gives_what_the_network_gives(folder: Path, touch_set: TouchSet) -> None:
    image, reference = touch_set.images[4], touch_set.references[touch_set.sensor[4]]
    reading = TouchEncoder(folder, threads=1).read(image, reference)
    model, card = load_model(folder)
    with torch.inference_mode():
        shown, untouched = (touch_image(each)[None] for each in (image, reference))
        values = torch.from_numpy(network_input(shown, untouched))
        embedding, touch, properties, surface = model(values)
    scale = float(embedding.abs().max())
    np.testing.assert_allclose(reading.embedding, embedding[0], atol=0.02 * scale)
    np.testing.assert_allclose(reading.touch, touch[0], atol=0.02)
    np.testing.assert_allclose(reading.surface, surface[0], atol=0.02)
    force = np.exp(card.mean[0] + card.stddev[0] * float(properties[0, 0])) - card.floors[0]
    assert reading.properties["force"] == pytest.approx(max(force, 0.0), rel=0.05, abs=0.02)


def test_the_embedding_shows_texture_that_half_the_resolution_does_not(folder: Path) -> None:
    reference = np.full((240, 320, 3), 120, np.uint8)
    fine = reference.copy()
    fine[::2], fine[1::2] = 105, 135  # rows in turn: their mean is the reference
    encoder = TouchEncoder(folder, threads=1)
    smooth, rough = (encoder.read(image, reference) for image in (reference, fine))
    np.testing.assert_allclose(rough.touch, smooth.touch, atol=1e-5)
    assert np.abs(rough.embedding - smooth.embedding).max() > 1.0


def test_images_of_which_one_is_enlarged_are_refused(folder: Path, touch_set: TouchSet) -> None:
    small, large = touch_set.images[4], np.zeros((480, 640, 3), np.uint8)
    encoder = TouchEncoder(folder, threads=1)
    stream = TouchStream(encoder)
    stream.set_reference(large)
    with pytest.raises(InputError, match="only the reference image is smaller"):
        encoder.read(large, small)
    with pytest.raises(InputError, match="only the image is smaller"):
        stream.read(small, 0.0)
    stream.set_reference(small)
    assert np.isfinite(stream.read(small, 0.0).touch).all()


def test_withheld_quantities_are_nan(folder: Path, touch_set: TouchSet, tmp_path: Path) -> None:
    model, card = load_model(folder)
    save_encoder(tmp_path, model, card.model_copy(update={"withheld": ("compliance",)}))
    image, reference = touch_set.images[4], touch_set.references[touch_set.sensor[4]]
    readings = [TouchEncoder(f, threads=1).read(image, reference) for f in (folder, tmp_path)]
    whole, withheld = (reading.properties for reading in readings)
    assert np.isfinite(whole["compliance"]) and np.isnan(withheld["compliance"])
    assert withheld["force"] == whole["force"]


def test_a_stream_without_reference_image_is_refused(folder: Path, touch_set: TouchSet) -> None:
    stream = TouchStream(TouchEncoder(folder, threads=1))
    with pytest.raises(InputError, match="reference image"):
        stream.read(touch_set.images[0], 0.0)
    stream.set_reference(touch_set.references[0])
    with pytest.raises(InputError, match="4:3"):
        stream.read(np.zeros((200, 200, 3), np.uint8), 0.0)


def test_a_stream_uses_the_image_a_tenth_of_a_second_earlier(
    folder: Path, touch_set: TouchSet
) -> None:
    encoder = TouchEncoder(folder, threads=1)
    stream = TouchStream(encoder)
    stream.set_reference(touch_set.references[0])
    images = touch_set.images[touch_set.sensor == 0][:5]
    readings = [stream.read(image, 0.04 * k) for k, image in enumerate(images)]
    expected = encoder.read(images[4], touch_set.references[0], images[1])
    np.testing.assert_array_equal(readings[4].embedding, expected.embedding)


def test_a_damaged_encoder_is_refused(folder: Path, tmp_path: Path) -> None:
    content = bytearray((folder / "network.onnx").read_bytes())
    content[len(content) // 2 :] = b""
    (tmp_path / "network.onnx").write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        TouchEncoder(tmp_path)
    with pytest.raises(InputError, match="contains no touch encoder"):
        load_model(tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(b"nothing")
