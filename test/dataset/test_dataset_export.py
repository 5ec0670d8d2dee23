"""An exported dataset has the samples, splits and forces of the dataset itself."""

from __future__ import annotations

import numpy as np
import pytest

from tacdiff_ros.cli.application import run as tacdiff

h5py = pytest.importorskip("h5py")


def test_hdf5_has_the_samples_maps_and_splits_of_a_dataset(made, tmp_path):
    from tacdiff_ros.dataset.plan import SPLITS
    from tacdiff_ros.dataset.reader import SampleReader
    from tacdiff_ros.dataset.store import open_dataset, read_array, read_group

    out = tmp_path / "set.hdf5"
    assert tacdiff(["export", str(made), str(out), "--format", "hdf5"]) == 0
    dataset = open_dataset(made)
    with h5py.File(out) as file:
        for split in SPLITS:
            reader = SampleReader(dataset, split)
            names = file[f"mask/{'valid' if split == 'validation' else split}"][:]
            assert len(names) == len(reader.trials)
            for number, (name, trial) in enumerate(zip(names, reader.trials, strict=True)):
                demo = file[f"data/{name.decode()}"]
                sample = reader.sample(3 * number + 1)
                np.testing.assert_array_equal(demo["obs/gel_image"][1], sample.rgb)
                np.testing.assert_array_equal(demo["obs/indentation_mm"][1], sample.indentation_mm)
                touch = read_group(dataset.touch_folder(trial))
                poses = read_array(touch, "pose")
                np.testing.assert_allclose(demo["obs/state"][:, :4], poses, rtol=1e-6)
                np.testing.assert_allclose(demo["actions"][:-1], poses[1:], rtol=1e-6)
                forces = read_array(touch, "force_n")
                np.testing.assert_allclose(demo["obs/state"][:, 4:7], forces, rtol=1e-5, atol=1e-6)
