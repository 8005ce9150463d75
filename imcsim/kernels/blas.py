"""BLAS on one thread."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any


class _Nested(threading.local):
    depth = 0


_NESTED = _Nested()


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Matrix products inside run on one thread, so that their bits do not depend on how many there are.

    Several threads cut a product into parts and so sum it in another order.
    """
    with nullcontext() if _NESTED.depth else _limited():  # asking the libraries takes as long as a small product
        _NESTED.depth += 1
        try:
            yield
        finally:
            _NESTED.depth -= 1


def _limited() -> AbstractContextManager[Any]:
    controller = _controller()
    if all(library.num_threads == 1 for library in controller.lib_controllers if library.user_api == "blas"):
        return nullcontext()  # setting and resetting the threads would take longer still
    limited: AbstractContextManager[Any] = controller.limit(limits=1, user_api="blas")
    return limited


@functools.cache
def _controller() -> Any:
    """The BLAS libraries of this process, looked up once: numpy's own, and scipy's, which kernels call."""
    import scipy.linalg.cython_blas  # noqa: F401  # what is not loaded yet would go unlimited
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
