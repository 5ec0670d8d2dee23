import logging

import pytest

from tacdiff_ros import exception_log
from tacdiff_ros.exception_log import log_exception

LOGGER = logging.getLogger("tacdiff_ros.of_this_test")


@pytest.fixture(autouse=True)
def nothing_logged_before(monkeypatch):
    monkeypatch.setattr(exception_log, "_last_logged_s", {})


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def test_the_caller_gets_one_line_and_the_log_the_traceback(caplog):
    line = log_exception(LOGGER, "the fit failed", raised(ValueError("two\nlines")))
    assert line == "the fit failed: ValueError: two lines"
    assert "Traceback (most recent call last)" in caplog.text
    assert "in raised" in caplog.text


def test_an_error_that_repeats_is_logged_once_in_a_while(caplog, monkeypatch):
    for _ in range(25):
        log_exception(LOGGER, "the fit failed", raised(ValueError("same")))
    log_exception(LOGGER, "the fit failed", raised(ValueError("other")))
    assert len(caplog.records) == 2
    monkeypatch.setattr(exception_log, "REPEAT_S", 0.0)
    log_exception(LOGGER, "the fit failed", raised(ValueError("same")))
    assert len(caplog.records) == 3


def test_different_errors_without_end_are_not_remembered_without_end():
    for number in range(1000):
        log_exception(LOGGER, "the fit failed", ValueError(f"{number}"))
    assert len(exception_log._last_logged_s) <= exception_log.MAX_REMEMBERED
