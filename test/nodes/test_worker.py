"""A computation beside the executor ends with a result or one line, whatever it raises."""

import threading
import time

import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.nodes.worker import Worker


class PanicError(BaseException):
    """As those of Rust extensions: no subclass of Exception."""


def wait(worker: Worker) -> Worker:
    end = time.monotonic() + 10.0
    while not worker.is_done and time.monotonic() < end:
        time.sleep(0.005)
    assert worker.is_done
    return worker


def raising(error: BaseException):
    def task(_progress):
        raise error

    return task


def test_a_result_is_kept():
    worker = wait(Worker(lambda _progress: 42, "the fit"))
    assert (worker.result, worker.failure) == (42, "")


@pytest.mark.parametrize(
    "error", [RuntimeError("w1"), SystemExit("w2"), PanicError("w3"), KeyboardInterrupt("w4")]
)
def test_whatever_a_task_raises_is_one_line_and_its_traceback_is_in_the_log(caplog, error):
    worker = wait(Worker(raising(error), "the fit"))
    assert worker.failure == f"the fit failed: {type(error).__name__}: {error}"
    assert "Traceback" in caplog.text
    assert "in task" in caplog.text


def test_what_a_user_can_mend_needs_no_traceback(caplog):
    worker = wait(Worker(raising(InputError("no such image")), "the fit"))
    assert worker.failure == "no such image"
    assert not caplog.records


def test_a_cancelled_one_says_why(caplog):
    begun, go = threading.Event(), threading.Event()

    def task(progress):
        begun.set()
        go.wait(10)
        progress("fitting", 0.5)

    worker = Worker(task, "the fit")
    assert begun.wait(10)
    worker.cancel("given up after 3 s")
    go.set()
    assert wait(worker).failure == "given up after 3 s"
    assert not caplog.records
