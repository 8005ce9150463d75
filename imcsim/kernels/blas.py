"""BLAS on one thread."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager, nullcontext
from typing import Any


def single_threaded_blas() -> AbstractContextManager[Any]:
    """Matrix products inside run on one thread, so that their bits do not depend on how many there are.

    Several threads cut a product into parts and so sum it in another order.
    """
    controller = _controller()
    if all(library.num_threads == 1 for library in controller.lib_controllers if library.user_api == "blas"):
        return nullcontext()  # setting and resetting the threads would take as long as a small product
    limited: AbstractContextManager[Any] = controller.limit(limits=1, user_api="blas")
    return limited


@functools.cache
def _controller() -> Any:
    """The BLAS libraries of this process, looked up once: numpy's own, and scipy's, which kernels call."""
    import scipy.linalg.cython_blas  # noqa: F401  # what is not loaded yet would go unlimited
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
