"""Every reader of files: how to make a small valid input, how to read it, and how to spoil it."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator

RGB = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
SENSOR_IMAGE = np.random.default_rng(1).integers(0, 256, (24, 32, 3), np.uint8)
MODEL_SIDES = (32, 32)
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
Restructure = Callable[[Path, Generator], None]


@dataclass(frozen=True)
class Reader:
    """One way in for files.

    Attributes:
        make: writes a valid input into an empty folder.
        read: reads it; InputError where it is none.
        restructure: changes an input as its format's own tools would, so that it stays well-formed.
        tries: changed inputs in the test suite.
    """

    make: Callable[[Path], None]
    read: Callable[[Path], object]
    restructure: Restructure | None = None
    tries: int = 40


# --- texts ---------------------------------------------------------------------------------


def make_sensor(folder: Path) -> None:
    from tacdiff_ros.sensor.sensor_file import default_sensor, write_sensor

    write_sensor(default_sensor(), folder / "sensor.yaml")


def read_sensor(folder: Path) -> None:
    from tacdiff_ros.sensor.sensor_file import read_sensor

    read_sensor(folder / "sensor.yaml")


def make_settings(folder: Path) -> None:
    (folder / "protocol.yaml").write_text("trials: 3\ndirections: [x+, y-]\nstart: {yaw_deg: 10}\n")
    (folder / "plan.yaml").write_text("trials: 6\nindenters: ['sphere:diameter=5', cube]\n")
    (folder / "slurm.yaml").write_text(
        "queue: gpu\njobs: 2\nmemory: 32GB\nprologue: [module load]\n"
    )
    (folder / "training.yaml").write_text("steps: 10\nlearning_rate: 1.0e-3\ndevice: cpu\n")
    square = "{rows: 3, cols: 3, data: [3, 0, 1, 0, 3, 1, 0, 0, 1]}"
    (folder / "camera.yaml").write_text(
        f"image_width: 320\nimage_height: 240\ncamera_matrix: {square}\n"
        f"rectification_matrix: {square}\n"
        "distortion_coefficients: {rows: 1, cols: 5, data: [0, 0, 0, 0, 0]}\n"
        "projection_matrix: {rows: 3, cols: 4, data: [3, 0, 1, 0, 0, 3, 1, 0, 0, 0, 1, 0]}\n"
    )


def read_settings(folder: Path) -> None:
    from tacdiff_ros.acquisition.protocol import load_protocol
    from tacdiff_ros.dataset.cluster import read_slurm_settings
    from tacdiff_ros.dataset.plan import read_plan
    from tacdiff_ros.images.camera_info_file import read_calibration
    from tacdiff_ros.settings_file import read_settings
    from tacdiff_ros.translation.training_settings import TrainingSettings

    load_protocol(folder / "protocol.yaml")
    read_plan(folder / "plan.yaml")
    read_calibration(folder / "camera.yaml")
    read_slurm_settings(folder / "slurm.yaml")
    read_settings(folder / "training.yaml", TrainingSettings, "training settings", 65_536)


def bomb_with_aliases(folder: Path, random: Generator) -> None:
    """Few bytes that are many values once aliases, merges or base 60 are written out."""
    files = sorted(folder.glob("*.yaml"))
    path = files[int(random.integers(len(files)))]
    kind = int(random.integers(4))
    if kind == 0:
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
        lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 8)}]" for i in range(1, 12)]
    elif kind == 1:
        lines = ["a0: &a0 {a: 1, b: 1}"]
        lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 8)}]}}" for i in range(1, 12)]
    else:
        number = "1" + ":1" * 100_000
        lines = [f"a0: {number}" if kind == 2 else f"a0: {number}.5", "a1: &a1 [*a1]"]
    path.write_text("\n".join(lines) + "\n" + path.read_text("latin-1"), "utf-8")


def make_weights_table(folder: Path) -> None:
    from tacdiff_ros.mechanics.live.second_order import SecondOrderWeights

    SecondOrderWeights.fitted().to_yaml(folder / "second_order.yaml")


def read_weights_table(folder: Path) -> None:
    from tacdiff_ros.mechanics.live.second_order import SecondOrderWeights

    SecondOrderWeights.from_yaml(folder / "second_order.yaml")


# --- images, videos and tables of them -----------------------------------------------------


def make_images(folder: Path) -> None:
    for ending in ("png", "jpg", "bmp", "tif"):
        cv2.imwrite(str(folder / f"image.{ending}"), RGB)


def odd_images(folder: Path, random: Generator) -> None:
    """Images of other sizes and types, and PNG headers that are wrong but for their checksum."""
    kinds = ((), (1,), (3,), (4,))
    sides = [int(random.choice((1, 2, 3, 17, 300, 4096, 4097))) for _ in range(2)]
    if min(sides) > 300:
        sides[0] = 1
    depth = np.uint16 if random.random() < 0.3 else np.uint8
    values = np.full((*sides, *kinds[int(random.integers(4))]), 200, depth)
    for ending in ("png", "tif"):
        cv2.imwrite(str(folder / f"image.{ending}"), values)
    if random.random() < 0.5:
        content = bytearray((folder / "image.png").read_bytes())
        content[int(random.integers(16, 29))] = int(random.choice((0, 1, 2, 3, 4, 8, 16, 255)))
        content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
        (folder / "image.png").write_bytes(content)


def read_images(folder: Path) -> None:
    from tacdiff_ros.images.frame_sources import open_frames

    frames = open_frames(str(folder), loop=False)
    while frames.read() is not None:
        pass


def make_video(folder: Path) -> None:
    writer = cv2.VideoWriter(str(folder / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (32, 24))
    for _ in range(3):
        writer.write(SENSOR_IMAGE)
    writer.release()


def read_video(folder: Path) -> None:
    from tacdiff_ros.images.frame_sources import open_frames

    frames = open_frames(str(folder / "v.avi"), loop=False)
    try:
        while frames.read() is not None:
            pass
    finally:
        frames.close()


def make_calibration_folder(folder: Path) -> None:
    rows = ["experiment_reldir,diameter(mm)"]
    for k in range(2):
        (folder / f"p{k}").mkdir()
        cv2.imwrite(str(folder / f"p{k}" / "gelsight.png"), RGB // (k + 1))
        rows.append(f"p{k},5")
    cv2.imwrite(str(folder / "background.png"), RGB)
    (folder / "catalog.csv").write_text("\n".join(rows) + "\n")


def read_calibration_folder(folder: Path) -> None:
    from tacdiff_ros.cli.calibration_images import from_folder
    from tacdiff_ros.images.crop import Crop

    from_folder(folder, 2, Crop((RGB.shape[1], RGB.shape[0]), 0.0))


def make_rig(folder: Path) -> None:
    from tacdiff_ros.acquisition.rig_file import write_rig
    from tacdiff_ros.acquisition.rig_settings import RigSettings

    write_rig(folder / "rig.yaml", RigSettings(indenter="cube", mount_position_mm=(0, 0, 80.0)))


def read_and_change_rig(folder: Path) -> None:
    from tacdiff_ros.acquisition.rig_file import read_rig, write_rig

    path = folder / "rig.yaml"
    changed = read_rig(path).model_copy(update={"mount_rpy_rad": (0.0, 0.1, 0.0)})
    write_rig(path, changed)
    assert read_rig(path) == changed


def make_poses(folder: Path) -> None:
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), RGB)
    (folder / "poses.csv").write_text(
        "image,x_mm,y_mm,depth_mm,yaw_rad,trial,phase\n"
        "a.png,0,0,0,0,0,reference\nb.png,1,2,0.5,0.1,0,indent\n"
    )


def read_recording(folder: Path) -> None:
    from tacdiff_ros.replay.replay_frames import open_recording

    for _ in open_recording(folder).frames():
        pass


# --- recordings ----------------------------------------------------------------------------


def write_bag(
    bag: Path, sqlite: bool, changes: dict[str, Any] | None = None, compression: str = "STORAGE"
) -> None:
    """Three images and states; `changes` are fields of the image message."""
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

    from tacdiff_ros.recording.run_recorder import make_typestore

    state = (
        "std_msgs/Header header\ngeometry_msgs/Pose measured_indenter\nuint32 trial\nuint8 phase\n"
    )
    store = make_typestore({"tacdiff_ros/msg/AcquisitionState": state})
    plugin = StoragePlugin.SQLITE3 if sqlite else StoragePlugin.MCAP
    writer = Writer(bag, version=9, storage_plugin=plugin)
    if not sqlite:
        writer.set_compression(CompressionMode[compression], CompressionFormat.ZSTD)
    with writer:
        names = {"/image_raw": "sensor_msgs/msg/Image"}
        names["/acquisition_state"] = "tacdiff_ros/msg/AcquisitionState"
        topics = {k: writer.add_connection(k, v, typestore=store) for k, v in names.items()}
        for k in range(3):
            for name, message in zip(names, _bag_messages(store, k, changes or {}), strict=True):
                data = store.serialize_cdr(message, names[name])
                writer.write(topics[name], (k + 1) * 40_000_000, bytes(data))


def _bag_messages(store: Any, k: int, changes: dict[str, Any]) -> tuple[Any, Any]:
    types = store.types
    stamp = types["builtin_interfaces/msg/Time"](sec=0, nanosec=(k + 1) * 40_000_000)
    header = types["std_msgs/msg/Header"](stamp=stamp, frame_id="gel")
    fields = {"height": 12, "width": 16, "encoding": "rgb8", "is_bigendian": 0, "step": 48}
    fields |= {"data": RGB.ravel(), **changes}
    image = types["sensor_msgs/msg/Image"](header, **fields)
    x = float("nan") if changes else 0.001
    position = types["geometry_msgs/msg/Point"](x, 0.0, -0.0005)
    turn = types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0)
    pose = types["geometry_msgs/msg/Pose"](position, turn)
    return image, types["tacdiff_ros/msg/AcquisitionState"](header, pose, 0, 4)


def make_run(folder: Path) -> None:
    from tacdiff_ros.recording.run_recorder import INDEX_COLUMNS

    write_bag(folder / "bag", sqlite=False)
    (folder / "run.yaml").write_text(
        "indenter: sphere\n"
        "base_to_indenter: {position_mm: [1, 2, 3], quaternion_xyzw: [0, 0, 0, 1]}\n"
    )
    with (folder / "index.csv").open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(INDEX_COLUMNS)
        for k, phase in enumerate(("reference", "indent", "indent")):
            row = [k, (k + 1) * 40_000_000, 0, phase, phase, "dwelling", int(k > 0)]
            writer.writerow([*row, *[0.1 * k] * 11, 0.0, 0.0, 0.0, 1.0, *[0.5] * 7][:29])


def read_run(folder: Path) -> None:
    from tacdiff_ros.recording.bag_reading import open_run
    from tacdiff_ros.replay.recorded_presses import recorded_presses
    from tacdiff_ros.replay.replay_frames import open_recording

    for from_rig in (False, True):
        for _ in open_recording(folder, from_rig=from_rig).frames():
            pass
    recorded_presses(open_run(folder))


def make_bag(folder: Path) -> None:
    write_bag(folder / "mcap", sqlite=False)
    write_bag(folder / "sqlite", sqlite=True)


def read_bags(folder: Path) -> None:
    read_recording(folder / "mcap")
    read_recording(folder / "sqlite")


def spoil_bags(folder: Path, random: Generator) -> None:
    """Images with odd fields, or a database with odd contents."""
    if random.random() < 0.5:
        spoil_database(folder, random)
        return
    odd = (0, 1, 15, 17, 2**31, 2**32 - 1)
    changes = {
        name: int(random.choice(odd))
        for name in ("height", "width", "step", "is_bigendian")
        if random.random() < 0.4
    }
    changes["is_bigendian"] = changes.get("is_bigendian", 0) % 2
    if random.random() < 0.5:
        changes["encoding"] = str(
            random.choice(["", "mono8", "bgr8", "x" * 5000, "\u202e", "RGB8"])
        )
    if random.random() < 0.3:
        changes["data"] = RGB.ravel()[: int(random.integers(577))]
    shutil.rmtree(folder / "mcap")
    write_bag(folder / "mcap", False, changes)


def spoil_database(folder: Path, random: Generator) -> None:
    """Statements that a stranger may have left in a database."""
    scripts = (
        "DROP TABLE messages; CREATE VIEW messages AS WITH RECURSIVE r(i) AS "
        "(SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT i AS id, 1 AS topic_id, i AS timestamp, "
        "zeroblob(1000000) AS data FROM r;",
        "UPDATE messages SET data = zeroblob(100000000);",
        "UPDATE topics SET type = 'a/msg/B:\n  pass\nraise SystemExit(7)\nclass C';",
        "UPDATE message_definitions SET encoded_message_definition = 'uint8[2000000000] data';",
        "UPDATE messages SET timestamp = 'x', data = 5;",
        "DROP TABLE message_definitions;",
        "INSERT INTO topics SELECT id + 10, name, type, serialization_format, "
        "offered_qos_profiles, type_description_hash FROM topics;",
    )
    with sqlite3.connect(next((folder / "sqlite").glob("*.db3"))) as database:
        database.executescript(scripts[int(random.integers(len(scripts)))])
    database.close()


def make_other_bags(folder: Path) -> None:
    """A ROS 1 bag, a bag that was not closed, and compressed images."""
    from rosbags import rosbag1
    from rosbags.rosbag2 import Writer
    from rosbags.typesys import Stores, get_typestore

    for version, store in ((1, Stores.ROS1_NOETIC), (2, Stores.ROS2_JAZZY)):
        types = get_typestore(store)
        writer: Any = Writer(folder / "jpeg", version=9)
        if version == 1:
            writer = rosbag1.Writer(folder / "old.bag")
            writer.set_compression(rosbag1.Writer.CompressionFormat.LZ4)
        with writer:
            topic = writer.add_connection("/image", COMPRESSED_IMAGE, typestore=types)
            for k in range(3):
                data = (types.serialize_ros1 if version == 1 else types.serialize_cdr)(
                    _compressed_message(types, k, version), COMPRESSED_IMAGE
                )
                writer.write(topic, (k + 1) * 40_000_000, bytes(data))
    write_bag(folder / "killed", sqlite=False, compression="NONE")
    (folder / "killed" / "metadata.yaml").unlink()
    file = folder / "killed" / "killed.mcap"
    file.write_bytes(file.read_bytes()[:-300])


def _compressed_message(types: Any, k: int, version: int) -> Any:
    stamp = types.types["builtin_interfaces/msg/Time"](sec=0, nanosec=(k + 1) * 40_000_000)
    sequence = {"seq": k} if version == 1 else {}
    header = types.types["std_msgs/msg/Header"](**sequence, stamp=stamp, frame_id="gel")
    data = cv2.imencode((".jpg", ".png")[k % 2], RGB)[1].ravel()
    return types.types[COMPRESSED_IMAGE](header, format="jpeg", data=data)


def read_other_bags(folder: Path) -> None:
    from tacdiff_ros.replay.replay_frames import open_recording

    for name in ("old.bag", "jpeg", "killed"):
        for _ in open_recording(folder / name, with_poses=False).frames():
            pass


# --- arrays and meshes ---------------------------------------------------------------------


def make_maps(folder: Path) -> None:
    random = np.random.default_rng(2)
    np.save(folder / "nocs.npy", random.random((6, 8, 3)).astype(np.float32))
    np.save(folder / "depth.npy", random.random((6, 8)))


def read_maps(folder: Path) -> None:
    from tacdiff_ros.cli.translate import _read

    _read("nocs", folder / "nocs.npy", None)
    _read("depth", folder / "depth.npy", None)


def reshape_maps(folder: Path, random: Generator) -> None:
    """Arrays of other shapes and types, some of them pickled."""
    shape = tuple(int(n) for n in random.integers(0, 9, int(random.integers(5))))
    kind = ("f2", "f8", "i1", "u8", "c8", "?", "U3", "M8[s]", "V4", "O")[random.integers(10)]
    values = np.zeros(shape, kind)
    np.save(folder / "nocs.npy", values, allow_pickle=True)
    np.save(folder / "depth.npy", np.full(shape, np.nan), allow_pickle=True)


def make_unit(folder: Path) -> None:
    from tacdiff_ros.sensor.gel_surface import GelSurface

    make_sensor(folder)
    surface = GelSurface.flat(25.0, 20.0, 5, 6)
    np.savez_compressed(
        folder / "press_0.npz", rest=surface.rest, position=surface.position, shape=[5, 6]
    )
    touch = {"indenter": "sphere", "at_mm": [0.5, 1.0], "yaw_rad": 0.1, "depth_mm": 0.8}
    (folder / "press_0.json").write_text(json.dumps({**touch, "shear_mm": [0, 0], "friction": 0.5}))
    for name in ("press_0.png", "reference.png"):
        cv2.imwrite(str(folder / name), SENSOR_IMAGE)


def read_unit(folder: Path) -> None:
    from tacdiff_ros.virtual.sensor_store import load_sensor

    load_sensor(folder, 1)


def make_meshes(folder: Path) -> None:
    import trimesh

    box = trimesh.creation.box((4, 4, 3))
    for name in ("binary.stl", "body.ply", "body.obj"):
        box.export(str(folder / name))
    box.export(str(folder / "text.stl"), file_type="stl_ascii")
    box.export(str(folder / "text.ply"), encoding="ascii")


def read_meshes(folder: Path) -> None:
    from tacdiff_ros.mechanics.indenters.mesh_file import read_solid

    for path in sorted(folder.iterdir()):
        read_solid(str(path))


# --- datasets ------------------------------------------------------------------------------


def make_dataset(folder: Path) -> None:
    from tacdiff_ros.dataset.plan import DatasetPlan
    from tacdiff_ros.dataset.store import gel_size, open_or_create, write_group, write_json
    from tacdiff_ros.mechanics.trajectory import Trajectory
    from tacdiff_ros.sensor.sensor_file import default_sensor, format_sensor

    model, way = (
        default_sensor(),
        Trajectory(depth_mm=0.5, step_mm=0.25, directions=(), rotation_deg=0),
    )
    dataset = open_or_create(
        folder / "set",
        DatasetPlan(trials=2, indenters=("sphere",), trajectory=way),
        gel_size(model),
    )
    attributes = {"sensor": format_sensor(model), "sensor_checksum": model.checksum}
    write_group(dataset.sensor_folder(model.checksum), {}, attributes)
    images = dataset.sensor_folder(model.checksum)
    write_group(images / "untouched", {k: v[:1] for k, v in sample_arrays().items()}, {})
    write_group(dataset.image_folder(model.checksum, 0), sample_arrays(), {"split": "train"})
    positions = {
        "position_mm": np.zeros((2, 9, 9, 3), np.float32),
        "contact": np.ones((2, 9, 9), bool),
    }
    write_group(dataset.touch_folder(0), positions, {})
    write_json(dataset.failure_file(1), {"indenter": "sphere", "reason": "none"})


def sample_arrays() -> dict[str, np.ndarray]:
    """Arrays of two samples of 6 x 8 pixels."""
    random = np.random.default_rng(3)
    colours = {name: random.integers(0, 256, (2, 6, 8, 3), np.uint8) for name in ("rgb", "light")}
    lengths = {
        name: random.integers(0, 999, (2, 6, 8), np.uint16) for name in ("depth", "indentation")
    }
    return {
        **colours,
        **lengths,
        "nocs": random.integers(0, 65536, (2, 6, 8, 3), np.uint16),
        "shear": random.integers(-99, 99, (2, 6, 8, 2), np.int16),
        "contact": random.random((2, 6, 8)) > 0.5,
    }


def read_dataset(folder: Path) -> None:
    from tacdiff_ros.dataset.pairs import SamplePairs, reference_pair
    from tacdiff_ros.dataset.plan import SPLITS
    from tacdiff_ros.dataset.reader import SampleReader, sensor_checksums, stored_sensor
    from tacdiff_ros.dataset.store import open_dataset, read_array, read_group

    dataset = open_dataset(folder / "set")
    for checksum in sensor_checksums(dataset):
        stored_sensor(dataset, checksum)
        for split in SPLITS:
            reader = SampleReader(dataset, split, checksum)
            pairs = SamplePairs(reader, "nocs+light")
            reference_pair(reader, "depth")
            for number in range(len(reader)):
                reader.sample(number)
                assert pairs[number][0].shape[1:] == pairs[number][1].shape[1:]
    read_array(read_group(dataset.touch_folder(0)), "position_mm")
    dataset.failures()


def rewrite_arrays(folder: Path, random: Generator) -> None:
    """Arrays that Zarr itself writes: old formats, pickles, huge or other shapes."""
    import zarr

    (place,) = (folder / "set").glob("images_*/trial_00000")
    kind = int(random.integers(4))
    if kind == 0:
        (place / "rgb" / "zarr.json").unlink(missing_ok=True)
        metadata = {"zarr_format": 2, "shape": [2], "chunks": [2], "dtype": "|O", "order": "C"}
        metadata |= {"fill_value": 0, "compressor": None, "filters": [{"id": "pickle"}]}
        (place / "rgb" / ".zarray").write_text(json.dumps(metadata))
    elif kind == 1:
        zarr.create_array(place / "rgb", shape=(2, 6, 8, 3), dtype="u1", overwrite=True)
    elif kind == 2:
        side = int(random.choice((7, 3000, 10**9)))
        path = place / "rgb" / "zarr.json"
        path.write_text(path.read_text().replace("6,", f"{side},").replace("6\n", f"{side}\n"))
    else:
        text = {"a": 1, "array_bytes": {"../../x": 5, "rgb": True, "": 0}}
        content = {"zarr_format": 3, "node_type": "group", "attributes": text}
        (place / "zarr.json").write_text(json.dumps(content))


# --- networks ------------------------------------------------------------------------------


def model_card() -> Any:
    from tacdiff_ros.translation.model_file import ModelCard
    from tacdiff_ros.translation.network_settings import NetworkSettings

    height, width = MODEL_SIDES
    settings = NetworkSettings(height_px=height, width_px=width, width=4, texture=(1, 8, 8))
    return ModelCard(settings=settings, sensor_checksum="a" * 64, full_indentation_mm=3.0)


def metadata() -> dict[str, str]:
    from tacdiff_ros.translation.model_file import FORMAT

    return {"format": FORMAT, "card": model_card().model_dump_json()}


def small_network() -> Any:
    """An ONNX network of a few operators that takes and gives what a generator does."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(4).random((3, 3, 3, 3)).astype(np.float32)
    arrays = {"weights": weights, "half": np.full((1,), 0.5, np.float32)}
    arrays["shape"] = np.array([-1, 3, *MODEL_SIDES], np.int64)
    nodes = [
        helper.make_node("Constant", [], ["two"], value=numpy_helper.from_array(np.float32(2.0))),
        helper.make_node("Conv", ["maps", "weights"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Mul", ["a", "half"], ["b"]),
        helper.make_node("Div", ["b", "two"], ["c"]),
        helper.make_node("Reshape", ["c", "shape"], ["d"]),
        helper.make_node("Sigmoid", ["d"], ["image"]),
    ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3, *MODEL_SIDES])
        for name in ("maps", "image")
    ]
    initializers = [numpy_helper.from_array(value, name) for name, value in arrays.items()]
    graph = helper.make_graph(nodes, "small", values[:1], values[1:], initializers)
    opsets = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.helper.set_model_props(model, metadata())
    return model


def make_network(folder: Path) -> None:
    (folder / "network.onnx").write_bytes(small_network().SerializeToString())


def read_network(folder: Path) -> None:
    from tacdiff_ros.errors import InputError
    from tacdiff_ros.translation.translator import Translator

    height, width = MODEL_SIDES
    maps = np.full((3, height, width), 0.5, np.float32)
    image = Translator(folder, threads=1).translate(maps)
    if image.shape != (height, width, 3):
        raise InputError("an image of another size")


def change_network(folder: Path, random: Generator) -> None:
    """One field of the network's protocol buffer: valid ONNX that no exporter wrote."""
    import onnx

    model = onnx.load(str(folder / "network.onnx"), load_external_data=False)
    parts = list(_messages(model))
    for _ in range(int(random.integers(1, 4))):
        with suppress(ValueError):  # no number of an enumeration
            _change_message(parts[int(random.integers(len(parts)))], random)
    (folder / "network.onnx").write_bytes(model.SerializePartialToString())


def _messages(message: Any) -> Any:
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if hasattr(value, "__len__") else (value,):
                yield from _messages(part)


def _change_message(message: Any, random: Generator) -> None:
    import onnx

    if isinstance(message, onnx.TensorProto) and random.random() < 0.4:
        message.data_location = onnx.TensorProto.EXTERNAL
        entry = message.external_data.add()
        entry.key, entry.value = "location", "/etc/passwd"
        return
    fields = message.ListFields()
    if not fields:
        return
    field, value = fields[int(random.integers(len(fields)))]
    if field.message_type is not None:
        if hasattr(value, "add") and random.random() < 0.5:
            value.add().CopyFrom(value[0])
        else:
            message.ClearField(field.name)
    elif isinstance(value, str):
        words = (
            "",
            "maps",
            "image",
            "Loop",
            "ConstantOfShape",
            "Tile",
            "a\x00b",
            "weights",
            "Expand",
        )
        setattr(message, field.name, words[int(random.integers(len(words)))])
    elif isinstance(value, int):
        setattr(message, field.name, int(random.choice((0, 1, 2, 3, 7, 16, 2**20, 2**31 - 1))))
    elif isinstance(value, bytes):
        setattr(message, field.name, value[: int(random.integers(len(value) + 1))])
    elif len(value) and isinstance(value[0], int):
        value[int(random.integers(len(value)))] = int(random.choice((-1, 0, 1, 2**20, 2**40)))


def make_weights(folder: Path) -> None:
    from safetensors.torch import save_file

    from tacdiff_ros.translation.generator import build_generator

    generator = build_generator(model_card().settings)
    weights = {name: value.contiguous() for name, value in generator.state_dict().items()}
    save_file(weights, folder / "weights.safetensors", metadata())


def read_weights(folder: Path) -> None:
    from tacdiff_ros.translation.model_file import load_generator

    load_generator(folder)


def training_run(folder: Path) -> Any:
    """A training that resumes from what the folder holds."""
    from tacdiff_ros.translation import training
    from tacdiff_ros.translation.training_settings import TrainingSettings

    height, width = MODEL_SIDES
    maps, image = np.zeros((3, height, width), np.float32), np.zeros((3, height, width), np.uint8)
    settings = TrainingSettings(steps=10, batch=1, device="cpu", half_precision=False)
    untouched = training.ReferenceSample(maps, image)
    return training._TrainingRun(model_card().settings, settings, untouched, folder)


def make_checkpoint(folder: Path) -> None:
    import torch

    from tacdiff_ros.translation.training import Validation

    run = training_run(folder)
    run.train_step(torch.zeros(1, 3, *MODEL_SIDES), torch.ones(1, 3, *MODEL_SIDES))
    run.best_psnr = 20.0
    run._write_checkpoint(Validation(1, 1.0, 1.0, 20.0, True))
    (folder / "curves.csv").unlink()


def read_checkpoint(folder: Path) -> None:
    import torch

    run = training_run(folder)
    run.train_step(torch.zeros(1, 3, *MODEL_SIDES), torch.ones(1, 3, *MODEL_SIDES))


def change_checkpoint(folder: Path, random: Generator) -> None:
    """One entry of a checkpoint by something else, saved by PyTorch."""
    import torch

    path = folder / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    odd = (None, 0, -1, 1.5, "x", [], {}, [1, 2], torch.zeros(3), torch.tensor(float("nan")))
    odd = (*odd, torch.zeros(1).expand(10**9), torch.zeros(0), float("nan"), 2**70, True)
    parent, key = state, list(state)[int(random.integers(len(state)))]
    while isinstance(parent[key], dict) and parent[key] and random.random() < 0.8:
        parent = parent[key]
        key = list(parent)[int(random.integers(len(parent)))]
    parent[key] = odd[int(random.integers(len(odd)))]
    torch.save(state, path)


# --- touches -------------------------------------------------------------------------------


def make_touch_files(folder: Path) -> None:
    from tacdiff_ros.touch_features.feature_file import FeatureRows
    from tacdiff_ros.touch_features.loss_table import COLUMNS
    from tacdiff_ros.touch_features.touch_encoder import TouchReading
    from tacdiff_ros.touch_features.touch_memory import TouchMemory

    memory, rows = TouchMemory("checksum"), FeatureRows(("force",), "checksum")
    for number, name in enumerate(("cup", "key", "cup")):
        values = np.random.default_rng(number).normal(size=8).astype(np.float32)
        memory.remember(name, values)
        surface = np.zeros((5, 30, 40), np.float32)
        rows.add(f"{name}.png", number, TouchReading(values, values, {"force": 1.0}, surface))
    memory.save(folder / "memory.npz")
    rows.features().save(folder / "features.npz")
    (folder / "touch.yaml").write_text("encoder: {features: 64}\npretraining: {steps: 10}\n")
    (folder / "losses.csv").write_text(f"{','.join(COLUMNS)}\n1{',0.5' * (len(COLUMNS) - 1)}\n")


def read_touch_files(folder: Path) -> None:
    from tacdiff_ros.touch_features.feature_file import read_features
    from tacdiff_ros.touch_features.loss_table import LossTable
    from tacdiff_ros.touch_features.touch_memory import read_memory
    from tacdiff_ros.touch_features.training_settings import read_training_settings

    read_memory(folder / "memory.npz")
    read_features(folder / "features.npz")
    read_training_settings(folder / "touch.yaml")
    table = LossTable(folder / "losses.csv", 10)
    table.add(2, {"masked": 0.5})
    assert table.last["masked"] == 0.5


def reshape_touch_arrays(folder: Path, random: Generator) -> None:
    """One array of an archive of another shape and type."""
    path = folder / ("memory.npz", "features.npz")[random.integers(2)]
    arrays = dict(np.load(path))
    shape = tuple(int(n) for n in random.integers(0, 9, int(random.integers(4))))
    kind = ("f4", "f8", "i1", "u8", "i4", "?", "U3")[random.integers(7)]
    arrays[list(arrays)[random.integers(len(arrays))]] = np.ones(shape, kind)
    np.savez(path, **arrays)


READERS: dict[str, Reader] = {
    "sensor file": Reader(make_sensor, read_sensor, bomb_with_aliases),
    "settings": Reader(make_settings, read_settings, bomb_with_aliases),
    "second-order weights": Reader(make_weights_table, read_weights_table, bomb_with_aliases),
    "images": Reader(make_images, read_images, odd_images),
    "video": Reader(make_video, read_video, tries=25),
    "gs_sdk folder": Reader(make_calibration_folder, read_calibration_folder),
    "rig file": Reader(make_rig, read_and_change_rig, bomb_with_aliases),
    "poses": Reader(make_poses, read_recording),
    "run": Reader(make_run, read_run, tries=25),
    "rosbag": Reader(make_bag, read_bags, spoil_bags, tries=25),
    "other bags": Reader(make_other_bags, read_other_bags, tries=25),
    "maps": Reader(make_maps, read_maps, reshape_maps),
    "virtual sensor": Reader(make_unit, read_unit),
    "meshes": Reader(make_meshes, read_meshes, tries=25),
    "dataset": Reader(make_dataset, read_dataset, rewrite_arrays, tries=20),
    "network": Reader(make_network, read_network, change_network, tries=20),
    "network weights": Reader(make_weights, read_weights, tries=20),
    "touches": Reader(make_touch_files, read_touch_files, reshape_touch_arrays),
    "checkpoint": Reader(make_checkpoint, read_checkpoint, change_checkpoint, tries=20),
}
