"""Files that were made to do harm, one of each kind, through the readers that meet them."""

import json
import os
import pickle
import sqlite3
import struct
import time
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from fuzz_readers import READERS, make_dataset, small_network, write_bag
from fuzz_trials import read_input

from tacdiff_ros.array_file import read_archive, read_array
from tacdiff_ros.cli.application import run
from tacdiff_ros.errors import InputError
from tacdiff_ros.images.image_file import read_image
from tacdiff_ros.recording import bag_checks
from tacdiff_ros.recording.bag_reading import images, messages
from tacdiff_ros.replay.frame_states import STATE_TYPE
from tacdiff_ros.sensor.sensor_file import parse_sensor

MODULES = {"dataset": "zarr", "checkpoint": "torch", "network": "onnx", "network weights": "torch"}


class Saboteur:
    """Runs code where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", READERS)
def test_pipes_in_the_place_of_files_are_refused_at_once(name, tmp_path):
    for module in filter(None, [MODULES.get(name)]):
        pytest.importorskip(module)
    READERS[name].make(tmp_path)
    READERS[name].read(tmp_path)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    for path in files[:: max(1, len(files) // 4)]:
        content = path.read_bytes()
        path.unlink()
        os.mkfifo(path)
        outcome = read_input(READERS[name], tmp_path)
        assert not outcome.failed, f"{path}: {outcome.message}"
        path.unlink()
        path.write_bytes(content)


def test_a_command_refuses_pipes_devices_and_folders_in_one_line(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe.png")
    for name in (str(tmp_path / "pipe.png"), "/dev/zero", str(tmp_path)):
        assert run(["compare", name, name]) == 2
        message = capsys.readouterr().err
        assert message.count("\n") == 1
        assert "expected a file" in message


# --- images --------------------------------------------------------------------------------


def huge_image(path: Path, ending: str) -> None:
    """A small image whose header says 60 000 x 60 000 pixels."""
    content = bytearray(cv2.imencode(ending, np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    side = 60_000
    if ending == ".png":
        content[16:24] = struct.pack(">II", side, side)
    elif ending == ".jpg":
        frame = content.index(b"\xff\xc0")
        content[frame + 5 : frame + 9] = struct.pack(">HH", side, side)
    elif ending == ".bmp":
        content[18:26] = struct.pack("<ii", side, -side)
    else:
        (start,) = struct.unpack_from("<I", content, 4)
        for entry in range(start + 2, start + 2 + 12 * content[start], 12):
            tag, kind = struct.unpack_from("<HH", content, entry)
            if tag in (256, 257):
                struct.pack_into("<I" if kind == 4 else "<H", content, entry + 8, side)
    path.write_bytes(content)


@pytest.mark.parametrize("ending", [".png", ".jpg", ".bmp", ".tif"])
def test_an_image_is_refused_by_the_size_in_its_header(tmp_path, ending):
    path = tmp_path / f"image{ending}"
    huge_image(path, ending)
    with pytest.raises(InputError, match="sides of 60000 x 60000 pixels, expected 1 to 4096"):
        read_image(path)


@pytest.mark.parametrize("ending", [".png", ".jpg", ".bmp", ".tif"])
def test_usual_images_are_read_whatever_their_name(tmp_path, ending):
    picture = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    content = cv2.imencode(ending, picture)[1].tobytes()
    (tmp_path / "image.dat").write_bytes(content)
    expected = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(read_image(tmp_path / "image.dat"), expected)


@pytest.mark.parametrize("kind", [cv2.IMWRITE_PNG_BILEVEL, None])
def test_grey_images_with_16_bits_and_of_two_levels_are_read(tmp_path, kind):
    deep = np.full((20, 30), 1000, np.uint16) if kind is None else np.full((20, 30), 255, np.uint8)
    cv2.imwrite(str(tmp_path / "image.png"), deep, [] if kind is None else [kind, 1])
    assert read_image(tmp_path / "image.png").shape == (20, 30, 3)


# --- texts ---------------------------------------------------------------------------------

ALIASES = "\n".join(
    ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1]"]
    + [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 8)}]" for k in range(1, 20)]
)
MERGES = "\n".join(
    ["a0: &a0 {a: 1, b: 2}"]
    + [f"a{k}: &a{k} {{<<: [{', '.join([f'*a{k - 1}'] * 8)}]}}" for k in range(1, 20)]
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ALIASES, "over 200000 values"),
        (MERGES, "merge keys"),
        ("a: 1" + ":59" * 200_000, "a number of over 64 characters"),
        ("a: 1" + ":59" * 200_000 + ".5", "a number of over 64 characters"),
        ("a: &a [*a]", "nesting deeper than 50"),
        ("a: " + "[" * 900 + "]" * 900, "nesting deeper than 50"),
        ("a: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("camera: {\u202efocal_px: 5}", "u202efocal_px"),
    ],
)
def test_yaml_that_grows_when_it_is_read_is_refused(text, message):
    started = time.process_time()
    with pytest.raises(InputError, match=message) as caught:
        parse_sensor(text)
    assert time.process_time() - started < 1.0
    assert str(caught.value).isprintable()


# --- arrays --------------------------------------------------------------------------------


def test_arrays_of_terabytes_or_pickles_are_refused(tmp_path):
    path = tmp_path / "map.npy"
    np.save(path, np.zeros((6, 8, 3), np.float32))
    read_array(path, "map", 10_000)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"(6, 8, 3), }", b"(9**9,8,3), }"[:12]))
    with pytest.raises(InputError, match="cannot read map"):
        read_array(path, "map", 10_000)
    path.write_bytes(content.replace(b"(6, 8, 3)", b"(9999999,)"[:9].ljust(9)))
    with pytest.raises(InputError, match="cannot read map"):
        read_array(path, "map", 10_000)
    np.save(path, np.array([Saboteur(tmp_path / "ran")], object), allow_pickle=True)
    with pytest.raises(InputError, match="expected numbers"):
        read_array(path, "map", 10_000)
    assert not (tmp_path / "ran").exists()


def test_an_archive_that_unpacks_to_gigabytes_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rest.npy", bytes(20_000_000))
    with pytest.raises(InputError, match="cannot read surface"):
        read_archive(tmp_path / "a.npz", "surface", 10_000_000)


# --- datasets ------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path):
    """A dataset, and the folder of its only images."""
    pytest.importorskip("zarr")
    make_dataset(tmp_path)
    (trial,) = (tmp_path / "set").glob("images_*/trial_00000")
    return tmp_path, trial


def refusal(folder: Path) -> str:
    outcome = read_input(READERS["dataset"], folder)
    assert (outcome.kind, outcome.growth_mb < 200) == ("refused", True), outcome
    return outcome.message


def test_an_array_of_an_old_format_is_not_opened(stored):
    """Filters of format 2 may unpickle what they read."""
    folder, trial = stored
    metadata = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "order": "C"}
    metadata |= {"fill_value": 0, "compressor": None, "filters": [{"id": "pickle"}]}
    (trial / "rgb" / "zarr.json").unlink()
    (trial / "rgb" / ".zarray").write_text(json.dumps(metadata))
    (trial / "rgb" / "0").write_bytes(pickle.dumps(Saboteur(folder / "ran")))
    assert "rgb is missing or damaged" in refusal(folder)
    (trial / "zarr.json").unlink()
    (trial / ".zgroup").write_text('{"zarr_format": 2}')
    assert "trial_00000 is missing or damaged" in refusal(folder)
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"uint16"', '"float64"', "type is 'float64', expected uint16"),
        ('"uint16"', '"string"', "type is 'string', expected uint16"),
        ('"blosc"', '"pickle"', "chunk codecs"),
        ('"blosc"', '"vlen-utf8"', "chunk codecs"),
        ('"sharding_indexed"', '"bytes"', "codec"),
        ('"zarr_format": 3', '"zarr_format": 2', "format 3"),
        ("6,", "1000000000,", "1000000000, expected 1 to 8192"),
        ("8,", "30000,", "30000, expected 1 to 8192"),
    ],
)
def test_arrays_of_another_layout_are_refused_before_they_are_opened(stored, old, new, message):
    folder, trial = stored
    path = trial / "nocs" / "zarr.json"
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new))
    assert message in refusal(folder)


def test_a_chunk_that_would_decode_to_gigabytes_is_refused(stored):
    """Blosc allocates what a chunk's own header says."""
    folder, trial = stored
    (shard,) = (path for path in (trial / "rgb" / "c").rglob("*") if path.is_file())
    content = bytearray(shard.read_bytes())
    content[4:8] = struct.pack("<I", 2**31 - 1)
    shard.write_bytes(content)
    assert "its chunks do not decode to one sample each" in refusal(folder)


# --- networks ------------------------------------------------------------------------------


def external(tensor) -> None:
    import onnx

    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


def hide_in_constant(model) -> None:
    external(model.graph.node[0].attribute[0].t)


def hide_in_initializer(model) -> None:
    external(model.graph.initializer[0])


def hide_in_subgraph(model) -> None:
    attribute = model.graph.node[1].attribute.add()
    attribute.g.initializer.add().CopyFrom(model.graph.initializer[0])
    external(attribute.g.initializer[0])


def hide_in_function(model) -> None:
    node = model.functions.add().node.add()
    node.CopyFrom(model.graph.node[0])
    external(node.attribute[0].t)


def hide_in_sparse(model) -> None:
    model.graph.sparse_initializer.add().values.CopyFrom(model.graph.initializer[0])
    external(model.graph.sparse_initializer[0].values)


def hide_in_list(model) -> None:
    model.graph.node[0].attribute[0].tensors.add().CopyFrom(model.graph.initializer[0])
    external(model.graph.node[0].attribute[0].tensors[0])


@pytest.mark.parametrize(
    "hide",
    [
        *(hide_in_constant, hide_in_initializer, hide_in_subgraph),
        *(hide_in_function, hide_in_sparse, hide_in_list),
    ],
)
def test_a_network_reads_no_other_file_wherever_it_names_one(tmp_path, hide):
    pytest.importorskip("onnx")
    from tacdiff_ros.translation.model_file import load_network

    model = small_network()
    hide(model)
    (tmp_path / "network.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="refers to other files"):
        load_network(tmp_path)


def grow_weights(model) -> None:
    model.graph.initializer[0].dims[0] = 2**40


def grow_shape(model) -> None:
    model.graph.node[4].op_type = "Expand"
    model.graph.initializer[2].raw_data = struct.pack("<4q", 1, 3, 2**20, 2**20)


def loop(model) -> None:
    model.graph.node[1].op_type = "Loop"


def call_function(model) -> None:
    model.functions.add().name = "Conv"


def need_future_operators(model) -> None:
    model.opset_import[0].version = 2**31 - 1


def need_many_operator_sets(model) -> None:
    for _ in range(5000):
        model.opset_import.add().CopyFrom(model.opset_import[0])


def double_the_output(model) -> None:
    model.graph.output.add().CopyFrom(model.graph.output[0])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (grow_weights, "weights of shape"),
        (grow_shape, "damaged|tensor of shape"),
        (loop, "operator 'Loop'"),
        (call_function, "without functions"),
        (need_future_operators, "expected one of 9 to 30"),
        (need_many_operator_sets, "expected one of 9 to 30"),
        (double_the_output, "2 outputs, expected 1 and 1"),
    ],
)
def test_a_network_that_asks_for_more_than_a_generator_is_not_run(tmp_path, spoil, message):
    pytest.importorskip("onnx")
    from tacdiff_ros.translation.model_file import load_network

    model = small_network()
    spoil(model)
    (tmp_path / "network.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=message) as caught:
        load_network(tmp_path)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"texture": [16, 2048, 2048]}, "over 4194304 values"),
        ({"texture": [1000, 8, 8]}, "texture.0"),
        ({"texture": [1, 8, -8]}, "texture.2"),
        ({"width": 10**9}, "settings.width"),
        ({"height_px": 2048, "width_px": 2048}, "up to 1048576 pixels"),
        ({"architecture": "unet", "width": 128}, "width 128, expected up to 64"),
        ({"height_px": 33}, "even sides"),
        ({"width": 8}, "does not fit its own settings"),
    ],
)
def test_a_model_folder_cannot_ask_for_a_network_of_any_size(tmp_path, changed, message):
    pytest.importorskip("torch")
    from tacdiff_ros.translation.model_file import load_generator

    READERS["network weights"].make(tmp_path)
    path = tmp_path / "weights.safetensors"
    content = path.read_bytes()
    (size,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + size])
    card = json.loads(header["__metadata__"]["card"])
    card["settings"].update(changed)
    header["__metadata__"]["card"] = json.dumps(card)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])
    with pytest.raises(InputError, match=message):
        load_generator(tmp_path)


def test_a_checkpoint_runs_no_code_and_unpacks_no_more_than_it_holds(tmp_path):
    torch = pytest.importorskip("torch")
    from tacdiff_ros.learning.checkpoint_file import read_checkpoint

    path = tmp_path / "checkpoint.pt"
    torch.save({"identity": Saboteur(tmp_path / "ran")}, path)
    with pytest.raises(InputError, match="is damaged"):
        read_checkpoint(path, "cpu")
    assert not (tmp_path / "ran").exists()
    torch.save({"identity": torch.zeros(1_000_000)}, path)
    with zipfile.ZipFile(path) as stored, zipfile.ZipFile(tmp_path / "c.pt", "w") as packed:
        for name in stored.namelist():
            packed.writestr(name, stored.read(name), zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="larger than the file"):
        read_checkpoint(tmp_path / "c.pt", "cpu")


# --- recordings ----------------------------------------------------------------------------


def test_a_type_name_in_a_bag_is_not_run_as_code(tmp_path):
    """rosbags makes Python classes of the names in message definitions."""
    write_bag(tmp_path / "bag", sqlite=True)
    file, trace = tmp_path / "bag" / "bag.db3", tmp_path / "ran"
    code = f"a/msg/B:\n  pass\nopen({str(trace)!r}, 'w')\nclass C"
    text = f"a/B x\n{'=' * 80}\nMSG: a/B:\n  pass\nopen({str(trace)!r}, 'w')\nclass C\nint8 y\n"
    with sqlite3.connect(file) as database:
        database.execute("UPDATE message_definitions SET encoded_message_definition = ?", (text,))
    with pytest.raises(InputError, match="cannot read the bag"):
        list(messages(tmp_path / "bag", STATE_TYPE))
    with sqlite3.connect(file) as database:
        database.execute("UPDATE topics SET type = ? WHERE type LIKE 'tacdiff%'", (code,))
    database.close()
    assert len(list(images(file))) == 3
    assert not trace.exists()


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE messages; CREATE VIEW messages AS WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL "
        "SELECT i + 1 FROM r) SELECT i AS id, 1 AS topic_id, i AS timestamp, x'00' AS data FROM r",
        "CREATE TRIGGER t AFTER INSERT ON topics BEGIN DELETE FROM topics; END",
        "DROP TABLE messages; CREATE VIRTUAL TABLE messages USING fts5(id, topic_id)",
    ],
)
def test_a_database_that_computes_its_rows_is_refused(tmp_path, statement):
    write_bag(tmp_path / "bag", sqlite=True)
    with sqlite3.connect(tmp_path / "bag" / "bag.db3") as database:
        database.executescript(statement)
    database.close()
    with pytest.raises(InputError, match="was not written by rosbag2"):
        list(images(tmp_path / "bag"))


def test_a_chunk_is_decompressed_no_further_than_it_says():
    from rosbags.rosbag2 import storage_mcap

    from tacdiff_ros.recording.bag_checks import bound_decompression

    bound_decompression()
    for name in ("zstd", "lz4"):
        library = vars(storage_mcap)["zstd"] if name == "zstd" else pytest.importorskip("lz4.frame")
        packed = library.compress(bytes(50_000_000))
        assert len(storage_mcap.DECOMPRESSORS[name](packed, 1000)) <= 1001
        with pytest.raises(InputError, match="the chunk is damaged"):
            storage_mcap.DECOMPRESSORS[name](packed[:100], 50_000_000)


@pytest.mark.parametrize("mode", ["MESSAGE", "FILE", "STORAGE"])
def test_compressed_bags_are_read_unless_they_explode(tmp_path, mode, monkeypatch):
    write_bag(tmp_path / "bag", sqlite=False, compression=mode)
    assert [stamp for stamp, _ in images(tmp_path / "bag")] == [40_000_000 * k for k in (1, 2, 3)]
    monkeypatch.setattr(bag_checks, "MAX_CHUNK_BYTES", 100)
    monkeypatch.setattr(bag_checks, "MAX_FILE_EXPANSION", 1)
    with pytest.raises(InputError, match=r"decompresses to more than|states \d+ bytes"):
        list(images(tmp_path / "bag"))


def test_names_with_a_nul_character_are_refused(tmp_path):
    READERS["poses"].make(tmp_path)
    table = tmp_path / "poses.csv"
    table.write_text(table.read_text().replace("a.png", "a\0.png"))
    assert "is no file name" in read_input(READERS["poses"], tmp_path).message
    for name in ("a\0b", "../x", "x" * 5000):
        with pytest.raises(InputError) as caught:
            read_image(tmp_path / name)
        assert str(caught.value).isprintable()
