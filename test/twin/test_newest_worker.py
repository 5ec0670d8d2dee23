import threading
import time

import pytest

from tacdiff_ros.errors import InputError
from tacdiff_ros.twin.newest_worker import NewestWorker


def test_only_the_newest_is_worked_on_and_the_others_are_counted():
    go, begun, seen = threading.Event(), threading.Event(), []

    def task(item):
        seen.append(item)
        begun.set()
        go.wait(10)

    worker = NewestWorker(task, lambda line: None)
    worker.offer(0)
    assert begun.wait(10)
    for item in (1, 2, 3):
        worker.offer(item)
    begun.clear()
    go.set()
    assert begun.wait(10)
    assert worker.close()
    assert seen == [0, 3]
    assert worker.dropped == 2
    assert worker.done == 2


def test_some_may_wait_in_their_order_and_the_oldest_is_dropped():
    begun, go, done = threading.Event(), threading.Event(), []

    def task(item: int) -> None:
        begun.set()
        assert go.wait(10.0)
        done.append(item)

    worker = NewestWorker(task, lambda line: None, capacity=3)
    worker.offer(0)
    assert begun.wait(10.0)
    for item in range(1, 6):
        worker.offer(item)
    go.set()
    end = time.monotonic() + 10.0
    while len(done) < 4 and time.monotonic() < end:
        time.sleep(0.01)
    assert done == [0, 3, 4, 5]
    assert worker.dropped == 2
    assert worker.close()


def test_what_fails_is_told_and_the_next_one_is_worked_on():
    told, done = [], threading.Event()

    def task(item):
        if item == "bad":
            raise InputError("no such pose")
        if item == "broken":
            raise ValueError("a bug")
        done.set()

    worker = NewestWorker(task, told.append)
    for item, count in (("bad", 1), ("broken", 2)):
        worker.offer(item)
        for _ in range(1000):
            if len(told) == count:
                break
            threading.Event().wait(0.01)
    worker.offer("good")
    assert done.wait(10)
    assert told == ["no such pose", "unexpected error: ValueError: a bug"]
    assert worker.close()


class PanicError(BaseException):
    """As those of Rust extensions: no subclass of Exception."""


@pytest.mark.parametrize("error", [RuntimeError("r1"), SystemExit("r2"), PanicError("r3")])
def test_whatever_a_task_raises_leaves_a_traceback_and_the_thread_lives_on(caplog, error):
    told, done = [], threading.Event()

    def task(item):
        if item == "bad":
            raise error
        done.set()

    worker = NewestWorker(task, told.append, capacity=2)
    worker.offer("bad")
    worker.offer("good")
    assert done.wait(10)
    assert told == [f"unexpected error: {type(error).__name__}: {error}"]
    assert "Traceback" in caplog.text
    assert "in task" in caplog.text
    assert worker.close()


def test_a_report_that_fails_does_not_end_the_thread(caplog):
    done = threading.Event()

    def task(item):
        if item == "bad":
            raise InputError("no such pose")
        done.set()

    def complain(_line):
        raise RuntimeError("the publisher is gone")

    worker = NewestWorker(task, complain, capacity=2)
    worker.offer("bad")
    worker.offer("good")
    assert done.wait(10)
    assert "the publisher is gone" in caplog.text
    assert "no such pose" in caplog.text
    assert worker.close()


def test_closed_it_works_no_more():
    seen = []
    worker = NewestWorker(seen.append, lambda line: None)
    assert worker.close()
    worker.offer(1)
    assert seen == []
