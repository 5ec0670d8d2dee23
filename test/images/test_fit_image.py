"""Images of a fit at half of their size."""

import numpy as np
import pytest

from tacdiff_ros.images.fit_image import FitImage, halved


def test_a_halved_image_has_the_mean_of_the_free_pixels_of_each_block():
    random = np.random.default_rng(1)
    value, free = random.uniform(0.0, 1.0, (7, 8, 3)), random.uniform(size=(7, 8)) > 0.4
    found = halved(FitImage(value, free))
    assert found.value.shape == (3, 4, 3)
    for row in range(3):
        for column in range(4):
            block = np.s_[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            assert found.free[row, column] == (free[block].mean() >= 0.5)
            if free[block].any():
                mean = value[block][free[block]].mean(axis=0)
                assert found.value[row, column] == pytest.approx(mean, abs=1e-6)
