"""BLAS on one thread while a function runs."""

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from tacdiff_ros.blas_threads import one_blas_thread, use_one_blas_thread


def threads():
    return [found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"]


def test_a_function_has_one_thread_and_the_process_its_own_number_after_it():
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        inside, product = one_blas_thread(lambda side: (threads(), np.eye(side) @ np.eye(side)))(8)
        assert before and set(inside) == {1}
        assert threads() == before
    assert product.trace() == 8


def test_the_number_comes_back_after_an_error_too():
    def failing():
        raise ValueError("no")

    with threadpool_limits(2, user_api="blas"):
        before = threads()
        with pytest.raises(ValueError, match="no"):
            one_blas_thread(failing)()
        assert threads() == before


def test_a_process_can_have_one_thread_from_now_on():
    with threadpool_limits(2, user_api="blas"):  # restores the process's own number
        use_one_blas_thread()
        assert set(threads()) == {1}
        one_blas_thread(lambda: None)()
        assert set(threads()) == {1}
