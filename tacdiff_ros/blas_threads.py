"""Limits of BLAS to one thread, for a function or for the whole process.

For many small matrix products on busy cores, synchronising BLAS threads takes longer than the
products themselves.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from threadpoolctl import ThreadpoolController

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@functools.cache
def _controller() -> ThreadpoolController:
    """Return the controller of the loaded BLAS libraries; cached because the search takes 1 ms."""
    return ThreadpoolController()


def use_one_blas_thread() -> None:
    """Limit the BLAS libraries loaded so far to one thread in this process, from now on."""
    ThreadpoolController().limit(limits=1, user_api="blas")


def one_blas_thread(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorate a function to run with one BLAS thread, restoring the previous limit afterwards.

    Args:
        function: function to decorate.

    Returns:
        Function with the same signature. While it runs, the limit applies to the whole process.
    """

    @functools.wraps(function)
    def limited(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with _controller().limit(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return limited
