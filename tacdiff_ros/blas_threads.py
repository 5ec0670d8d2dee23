"""One BLAS thread for many small products: two wait for each other wherever cores are busy."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from threadpoolctl import ThreadpoolController

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@functools.cache
def _controller() -> ThreadpoolController:
    """Of the libraries that are loaded; looking for them takes a millisecond."""
    return ThreadpoolController()


def one_blas_thread(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Run a function with BLAS on one thread, in the whole process, and restore it after."""

    @functools.wraps(function)
    def limited(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with _controller().limit(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return limited
