import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from tacdiff_ros.errors import InputError
from tacdiff_ros.evaluation.image_metrics import score_images


@pytest.fixture
def pair():
    random = np.random.default_rng(0)
    smooth = gaussian_filter(random.normal(120, 200, (48, 64, 3)), (3, 3, 0))
    truth = np.clip(smooth, 0, 255).astype(np.uint8)
    noisy = np.clip(truth + random.normal(0, 9, truth.shape), 0, 255).astype(np.uint8)
    return noisy, truth


def ssim_of_scikit_image(a: np.ndarray, b: np.ndarray) -> float:
    return structural_similarity(
        a,
        b,
        channel_axis=2,
        data_range=255.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )


def test_metrics_follow_their_definitions(pair):
    image, truth = pair
    score = score_images(image, truth)
    difference = image.astype(float) - truth
    assert score.mse == pytest.approx((difference**2).mean())
    assert score.psnr_db == pytest.approx(20 * math.log10(255 / math.sqrt(score.mse)))
    assert score.ssim == pytest.approx(ssim_of_scikit_image(image, truth), abs=1e-5)
    total = image.astype(float) + truth
    each = np.divide(2 * np.abs(difference), total, out=np.zeros_like(total), where=total > 0)
    assert score.smape == pytest.approx(each.mean())


def test_equal_images_are_perfect(pair):
    score = score_images(pair[1], pair[1])
    assert (score.mse, score.smape) == (0, 0)
    assert score.psnr_db == math.inf
    assert score.ssim == pytest.approx(1.0)


def test_white_on_black_is_the_worst():
    black = np.zeros((16, 16, 3), np.uint8)
    score = score_images(black + np.uint8(255), black)
    assert score.psnr_db == pytest.approx(0.0)
    assert score.smape == pytest.approx(2.0)


def test_metrics_are_symmetric(pair):
    forward, backward = score_images(*pair), score_images(*pair[::-1])
    assert forward.mse == backward.mse
    assert forward.ssim == pytest.approx(backward.ssim)
    assert forward.smape == pytest.approx(backward.smape)


@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        ((20, 30, 3), float, "expected (H, W, 3) uint8"),
        ((20, 30), np.uint8, "expected (H, W, 3) uint8"),
        ((20, 31, 3), np.uint8, "images of 31 x 20 and 30 x 20 pixels"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(shape, dtype, expected):
    with pytest.raises(InputError) as caught:
        score_images(np.zeros(shape, dtype), np.zeros((20, 30, 3), np.uint8))
    assert expected in str(caught.value)


def test_images_smaller_than_the_window_are_refused():
    small = np.zeros((10, 30, 3), np.uint8)
    with pytest.raises(InputError, match="less than 11 pixels"):
        score_images(small, small)


def test_over_all_pixels_but_the_border_it_is_the_whole(pair):
    inside = np.zeros((48, 64), bool)
    inside[5:-5, 5:-5] = True
    whole, masked = score_images(*pair), score_images(*pair, inside)
    assert masked.ssim == pytest.approx(whole.ssim)
    difference = pair[0][5:-5, 5:-5].astype(float) - pair[1][5:-5, 5:-5]
    assert masked.mse == pytest.approx((difference**2).mean())


def test_only_the_pixels_that_count_do(pair):
    image, truth = pair
    here = np.zeros((48, 64), bool)
    here[:20, :20] = True
    spoiled = np.where(here[..., None], truth, 255 - image)
    assert score_images(spoiled, truth, here).mse == 0
    with pytest.raises(InputError, match="0 pixels"):
        score_images(image, truth, np.zeros((48, 64), bool))
