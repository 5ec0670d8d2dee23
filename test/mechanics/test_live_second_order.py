"""The second-order term has the symmetries of the gel, and its fit finds what is there."""

import numpy as np
import pytest
from second_order_fit import FitState, fit_second_order

from tacdiff_ros.errors import InputError
from tacdiff_ros.mechanics.live.second_order import (
    TABLES,
    WIDTHS,
    SecondOrder,
    SecondOrderWeights,
)
from tacdiff_ros.mechanics.live.smoothing import gaussian_matrix, interpolation_matrix, slopes

SHAPE = (21, 21)
SPACING_MM = (0.8, 0.8)


def some_weights(seed: int = 1) -> SecondOrderWeights:
    rng = np.random.default_rng(seed)
    return SecondOrderWeights(
        **{name: rng.normal(size=(len(WIDTHS), len(terms))) for name, terms in TABLES.items()}
    )


def term(weights: SecondOrderWeights) -> SecondOrder:
    return SecondOrder(weights, SHAPE, SPACING_MM, 4.0, 0.07)


def smooth_fields(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Displacement and force that vanish toward the sides."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_matrix(SHAPE[0], 1.0, 2.0)
    window = np.outer(*2 * [np.sin(np.linspace(0, np.pi, SHAPE[0])) ** 2])
    fields = [
        window * (smooth @ rng.normal(size=(3, *SHAPE)) @ smooth.T) * size for size in (3.0, 0.05)
    ]
    return fields[0], fields[1]


def mirrored(field: np.ndarray) -> np.ndarray:
    return field[:, :, ::-1] * np.array([-1.0, 1.0, 1.0])[:, None, None]


def turned(field: np.ndarray) -> np.ndarray:
    """By 90 degrees: x becomes y, y becomes -x."""
    swapped = field.transpose(0, 2, 1)[:, :, ::-1]
    return np.stack([-swapped[1], swapped[0], swapped[2]])


@pytest.mark.parametrize("way", [mirrored, turned])
def test_it_turns_and_mirrors_with_the_fields(way):
    u, f = smooth_fields(3)
    second = term(some_weights())
    expected = way(second.displacement(u, f))
    assert np.abs(expected).max() > 1e-3
    assert np.allclose(second.displacement(way(u), way(f)), expected, atol=1e-9)


def test_it_is_quadratic():
    u, f = smooth_fields(4)
    second = term(some_weights())
    small = second.displacement(0.01 * u, 0.01 * f)
    assert np.abs(small).max() > 0.0
    assert np.allclose(second.displacement(0.03 * u, 0.03 * f), 9 * small, atol=1e-12)
    assert not term(SecondOrderWeights.none()).displacement(u, f).any()


def test_the_fit_finds_the_weights_that_made_the_states():
    weights = some_weights()
    second = term(weights)
    states = []
    for seed in range(12):
        u, f = smooth_fields(seed)
        states.append(FitState("any", second, u, u - second.displacement(u, f), f))
    found = term(fit_second_order(states, ridge=1e-9))
    u, f = smooth_fields(99)
    expected = second.displacement(u, f)
    off = found.displacement(u, f) - expected
    assert np.sqrt((off**2).mean()) < 0.02 * np.sqrt((expected**2).mean())
    with pytest.raises(InputError, match="no states"):
        fit_second_order([])


def test_weights_are_written_and_read_back(tmp_path):
    weights = some_weights()
    file = tmp_path / "weights.yaml"
    weights.to_yaml(file)
    again = SecondOrderWeights.from_yaml(file)
    for name in TABLES:
        assert np.allclose(getattr(again, name), getattr(weights, name), rtol=1e-4)
    file.write_text("plane_vectors: 3\n")
    with pytest.raises(InputError, match="not usable"):
        SecondOrderWeights.from_yaml(file)
    with pytest.raises(InputError, match="shape"):
        SecondOrderWeights(*4 * [np.zeros((4, 3))])
    assert np.isfinite(SecondOrderWeights.fitted().plane_vectors).all()


def test_smoothing_keeps_sums_and_slopes_are_exact_for_lines():
    smooth = gaussian_matrix(41, 0.5, 1.0)
    bump = np.zeros(41)
    bump[20] = 1.0
    assert (smooth @ bump).sum() == pytest.approx(1.0, abs=1e-6)
    y, x = np.meshgrid(np.arange(5) * 0.3, np.arange(7) * 0.2, indexing="ij")
    by_x, by_y = slopes(2 * x - 3 * y, (0.2, 0.3))
    assert np.allclose(by_x, 2) and np.allclose(by_y, -3)
    matrix = interpolation_matrix(9, 5)
    assert np.allclose(matrix @ np.linspace(0, 1, 5), np.linspace(0, 1, 9))
