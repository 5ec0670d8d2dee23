import math

import pytest

from tacdiff_ros.evaluation.agreement import Agreement
from tacdiff_ros.evaluation.agreement_watch import AgreementWatch, WatchLimits
from tacdiff_ros.evaluation.image_metrics import ImageScore


def score(psnr_db: float) -> ImageScore:
    return ImageScore(1.0, psnr_db, 0.9, 0.1)


def agreement(whole: float = 35.0, gain: float | None = 10.0, dots: float = 0.4) -> Agreement:
    contact = None if gain is None else score(20.0 + gain)
    baseline = None if gain is None else score(20.0)
    return Agreement(score(whole), contact, score(30.0), baseline, 100, 60, dots)


@pytest.fixture
def watch():
    return AgreementWatch(WatchLimits(window=10))


def test_before_the_first_comparison_there_is_nothing_to_say(watch):
    report = watch.report()
    assert report.compared == 0
    assert report.complaints == ()
    assert math.isnan(report.whole_psnr_db)


def test_good_agreement_is_no_news(watch):
    for _ in range(30):
        watch.add(agreement())
    report = watch.report()
    assert (report.compared, report.complaints) == (10, ())
    assert report.whole_psnr_db == 35.0
    assert report.contact_gain_db == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"whole": 20.0}, "take a new reference"),
        ({"gain": 1.0}, "1.0 dB above that of the reference image"),
        ({"dots": 3.0}, "RMS distance of the markers is 3.0 px"),
    ],
)
def test_what_drifts_is_named_with_what_to_do(watch, change, expected):
    for _ in range(6):
        watch.add(agreement(**change))
    (complaint,) = watch.report().complaints
    assert expected in complaint


def test_a_few_bad_images_are_no_drift(watch):
    for k in range(10):
        watch.add(agreement(whole=10.0 if k < 4 else 35.0))
    assert watch.report().complaints == ()


def test_images_without_contact_say_nothing_of_it(watch):
    for _ in range(10):
        watch.add(agreement(gain=None, dots=float("nan")))
    report = watch.report()
    assert math.isnan(report.contact_gain_db)
    assert report.complaints == ()
