import json
import struct

import numpy as np
import onnx
import pytest
import torch

from tacdiff_ros.cli.application import run
from tacdiff_ros.errors import InputError
from tacdiff_ros.translation.generator import build_generator
from tacdiff_ros.translation.input_kinds import CHANNELS, network_input
from tacdiff_ros.translation.model_file import (
    ModelCard,
    check_sensor,
    load_generator,
    load_network,
    read_card,
    save_model,
)
from tacdiff_ros.translation.translator import Translator

CHECKSUM = "ab" * 32


@pytest.fixture(scope="module", params=["nocs", "depth", "nocs+light"])
def stored(request, small, tmp_path_factory):
    torch.manual_seed(0)
    settings = small.model_copy(update={"kind": request.param})
    generator = build_generator(settings)
    for value in generator.parameters():
        value.data += 0.05 * torch.randn_like(value)
    card = ModelCard(settings=settings, sensor_checksum=CHECKSUM, full_indentation_mm=3.0)
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, generator, card)
    return folder, generator.eval(), card


@pytest.fixture
def copied(stored, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for path in stored[0].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def inputs(kind: str) -> np.ndarray:
    return np.random.default_rng(3).random((CHANNELS[kind], 48, 64)).astype(np.float32)


def test_a_network_does_not_tell_where_it_was_made(stored):
    content = (stored[0] / "network.onnx").read_bytes()
    assert b'File "' not in content
    assert b"stack_trace" not in content


def test_what_runs_is_what_was_trained(stored):
    folder, generator, card = stored
    translator = Translator(folder, threads=1)
    assert translator.card == card
    maps = inputs(card.settings.kind)
    with torch.inference_mode():
        expected = 255 * generator(torch.from_numpy(maps)[None])[0].clamp(0, 1).numpy()
    drawn = translator.translate(maps)
    assert drawn.shape == (48, 64, 3)
    assert np.abs(drawn.transpose(2, 0, 1) - expected).max() <= 0.5 + 1e-3
    assert expected.std() > 5


def test_fast_precision_is_off_by_little(stored):
    maps = inputs(stored[2].settings.kind)
    exact, fast = (Translator(stored[0], 1, mode).translate(maps) for mode in ("exact", "fast"))
    assert np.abs(exact.astype(int) - fast).mean() < 1.5


def test_weights_come_back_for_torch(stored):
    generator, card = load_generator(stored[0])
    assert card == stored[2] == read_card(stored[0])
    for name, value in stored[1].state_dict().items():
        torch.testing.assert_close(generator.state_dict()[name], value)


def test_another_sensor_or_height_is_refused(stored):
    card = stored[2]
    check_sensor(card, CHECKSUM, 3.0)
    with pytest.raises(InputError, match="renders sensor abab"):
        check_sensor(card, "cd" * 32, 3.0)
    with pytest.raises(InputError, match="reach 3 mm deep, those of the sensor file 2 mm"):
        check_sensor(card, CHECKSUM, 2.0)
    check_sensor(card.model_copy(update={"sensor_checksum": "any"}), "cd" * 32, 3.0)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.95])
def test_cut_files_are_named(copied, kept):
    for path in copied.iterdir():
        content = path.read_bytes()
        path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(InputError, match=r"weights\.safetensors"):
        load_generator(copied)
    with pytest.raises(InputError, match=r"network\.onnx"):
        Translator(copied)


def test_files_of_other_programs_are_named(copied):
    path = copied / "network.onnx"
    network = onnx.load(str(path))
    del network.metadata_props[:]
    onnx.save(network, str(path))
    with pytest.raises(InputError, match="no model of this package"):
        Translator(copied)
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    weights = copied / "weights.safetensors"
    weights.write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0\0\0")
    with pytest.raises(InputError, match="no model of this package"):
        read_card(copied)


def test_a_network_that_reads_other_files_is_refused(copied, tmp_path):
    path = copied / "network.onnx"
    network = onnx.load(str(path))
    onnx.save(network, str(path), save_as_external_data=True, location="secret", size_threshold=0)
    with pytest.raises(InputError, match="refers to other files"):
        load_network(copied)


def test_a_missing_model_is_said(tmp_path):
    with pytest.raises(InputError, match="contains no model"):
        Translator(tmp_path)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.zeros((48, 64), np.float32), "expected (H, W, 3)"),
        (np.full((48, 64, 3), np.nan, np.float32), "not finite"),
        (np.full((48, 64, 3), 2.0, np.float32), "expected 0 to 1"),
        (np.zeros((48, 64, 3), complex), "expected (H, W, 3)"),
        (None, "a NOCS map is needed"),
    ],
)
def test_maps_that_are_none_are_refused(values, expected):
    with pytest.raises(InputError) as caught:
        network_input("nocs", values)
    assert expected in str(caught.value)


def test_maps_of_another_size_are_refused(stored):
    kind = stored[2].settings.kind
    with pytest.raises(InputError, match="expected"):
        Translator(stored[0]).translate(np.zeros((CHANNELS[kind], 40, 64), np.float32))


@pytest.mark.parametrize("stored", ["nocs"], indirect=True)
def test_command_draws_maps(tmp_path, stored, capsys):
    folder, _, _ = stored
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "nocs.npy", inputs("nocs").transpose(1, 2, 0))
    maps = [str(tmp_path / name / "nocs.npy") for name in ("a", "b")]
    out = tmp_path / "drawn"
    arguments = ["translate", *maps, "--model", str(folder), "--out", str(out)]
    assert run([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 2
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "b.png"]
    (tmp_path / "a" / "nocs.npy").write_bytes(b"nonsense")
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert "cannot read map" in error
    assert error.count("\n") == 1
