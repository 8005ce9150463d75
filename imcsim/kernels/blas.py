"""BLAS on one thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Matrix products inside run on one thread, so that their bits do not depend on how many there are.

    Several threads cut a product into parts and so sum it in another order.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield
