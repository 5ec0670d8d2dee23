import json
import subprocess
import sys

import numpy as np
import pytest

from tacdiff_ros.dataset.map_coding import (
    decode_length,
    decode_nocs,
    encode_length,
    encode_nocs,
    encode_signed_length,
)
from tacdiff_ros.dataset.plan import DatasetPlan
from tacdiff_ros.dataset.store import (
    GelSize,
    open_dataset,
    open_or_create,
    read_array,
    read_group,
    write_group,
)
from tacdiff_ros.errors import InputError

GEL = GelSize(width_mm=25.0, height_mm=20.0, thickness_mm=4.0)
PLAN = DatasetPlan(trials=4)


@pytest.fixture
def arrays():
    random = np.random.default_rng(0)
    return {
        "rgb": random.integers(0, 256, (3, 24, 32, 3), np.uint8),
        "nocs": random.integers(0, 65536, (3, 24, 32, 3), np.uint16),
        "contact": random.random((3, 24, 32)) > 0.5,
    }


def test_groups_come_back_as_they_were_written(tmp_path, arrays):
    write_group(tmp_path / "trial", arrays, {"indenter": "sphere"})
    group = read_group(tmp_path / "trial")
    assert group.attrs["indenter"] == "sphere"
    for name, values in arrays.items():
        np.testing.assert_array_equal(read_array(group, name), values)
        np.testing.assert_array_equal(read_array(group, name, 1), values[1])


def test_the_same_arrays_give_the_same_files(tmp_path, arrays):
    contents = []
    for name in ("a", "b"):
        write_group(tmp_path / name, arrays, {})
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        contents.append([path.read_bytes() for path in files])
    assert contents[0] == contents[1]


def test_who_comes_second_keeps_what_is_there(tmp_path, arrays):
    write_group(tmp_path / "trial", arrays, {"writer": 1})
    write_group(tmp_path / "trial", arrays, {"writer": 2})
    assert read_group(tmp_path / "trial").attrs["writer"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["trial"]


@pytest.mark.parametrize("kept", [0, 0.5, 0.99])
def test_a_truncated_array_is_named(tmp_path, arrays, kept):
    write_group(tmp_path / "trial", arrays, {})
    (shard,) = [p for p in (tmp_path / "trial" / "rgb" / "c").rglob("*") if p.is_file()]
    content = shard.read_bytes()
    shard.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(InputError, match="rgb is missing or damaged"):
        read_group(tmp_path / "trial")


def test_a_damaged_index_is_noticed(tmp_path, arrays):
    write_group(tmp_path / "trial", arrays, {})
    (shard,) = [p for p in (tmp_path / "trial" / "nocs" / "c").rglob("*") if p.is_file()]
    content = bytearray(shard.read_bytes())
    content[-8] ^= 0xFF
    shard.write_bytes(content)
    with pytest.raises(InputError, match="nocs is missing or damaged"):
        read_array(read_group(tmp_path / "trial"), "nocs")


def test_a_lost_file_is_noticed_though_it_would_read_as_zeros(tmp_path):
    write_group(tmp_path / "trial", {"contact": np.zeros((3, 24, 32), bool)}, {})
    (shard,) = [p for p in (tmp_path / "trial" / "contact" / "c").rglob("*") if p.is_file()]
    shard.unlink()
    with pytest.raises(InputError, match="contact is missing or damaged: 0 bytes"):
        read_group(tmp_path / "trial")


def test_a_missing_array_is_named(tmp_path, arrays):
    write_group(tmp_path / "trial", arrays, {})
    with pytest.raises(InputError, match="depth is missing or damaged"):
        read_array(read_group(tmp_path / "trial"), "depth")


def test_a_missing_group_is_named(tmp_path):
    with pytest.raises(InputError, match="trial is missing or damaged"):
        read_group(tmp_path / "trial")


def test_a_dataset_is_found_again_and_may_grow(tmp_path):
    folder = tmp_path / "set"
    open_or_create(folder, PLAN, GEL)
    assert open_dataset(folder).plan == PLAN
    grown = open_or_create(folder, PLAN.model_copy(update={"trials": 9}), GEL)
    assert grown.plan.trials == open_dataset(folder).plan.trials == 9


@pytest.mark.parametrize(
    ("plan", "gel", "expected"),
    [
        (PLAN.model_copy(update={"seed": 5}), GEL, "seed: 0, requested 5"),
        (PLAN, GEL.model_copy(update={"thickness_mm": 3.0}), "25 x 20 x 4 mm"),
    ],
)
def test_another_plan_or_pad_needs_another_folder(tmp_path, plan, gel, expected):
    open_or_create(tmp_path / "set", PLAN, GEL)
    with pytest.raises(InputError, match="give another folder") as caught:
        open_or_create(tmp_path / "set", plan, gel)
    assert expected in str(caught.value)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(InputError, match="no dataset and not empty"):
        open_or_create(tmp_path, PLAN, GEL)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda a: a.update(schema_version=99), "version 99, expected"),
        (lambda a: a.update(schema="other"), "schema 'other'"),
        (lambda a: a.pop("schema"), "contains no dataset"),
        (lambda a: a["plan"].update(trials="x"), "damaged"),
        (lambda a: a.pop("gel"), "damaged"),
    ],
)
def test_a_wrong_header_is_refused(tmp_path, change, expected):
    open_or_create(tmp_path / "set", PLAN, GEL)
    header = tmp_path / "set" / "zarr.json"
    content = json.loads(header.read_text())
    change(content["attributes"])
    header.write_text(json.dumps(content))
    with pytest.raises(InputError, match=expected):
        open_dataset(tmp_path / "set")


def test_a_full_disk_is_said_and_nothing_is_half_written(tmp_path):
    """The kernel refuses to let files grow, as it does on a full disk."""
    code = (
        "import resource, signal, sys, numpy, pathlib\n"
        "from tacdiff_ros.dataset.store import write_group\n"
        "from tacdiff_ros.errors import InputError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "noise = numpy.random.default_rng(0).integers(0, 256, (4, 100, 100), numpy.uint8)\n"
        "try: write_group(pathlib.Path(sys.argv[1]) / 'trial', {'rgb': noise}, {})\n"
        "except InputError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert "cannot write" in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_coded_maps_are_off_by_less_than_a_micrometre():
    random = np.random.default_rng(1)
    nocs = random.random((20, 30, 3)).astype(np.float32)
    assert 25.25 * np.abs(decode_nocs(encode_nocs(nocs)) - nocs).max() < 0.001
    depth = (20 + 5 * random.random((20, 30))).astype(np.float32)
    assert np.abs(decode_length(encode_length(depth)) - depth).max() < 0.001
    shear = (random.random((20, 30, 2)) - 0.5).astype(np.float32)
    assert np.abs(decode_length(encode_signed_length(shear)) - shear).max() < 0.001
