"""Normals: those of the kernels beside numpy's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from imcsim.kernels.philox import fill_normals

NUMBER = 1 << 20


def ours() -> Callable[[], object]:
    """Fill a buffer with normals of the counter-based generator."""
    out, key, word = np.empty(NUMBER, np.float32), np.uint64(1), np.uint32(0)
    return lambda: fill_normals(out, key, 0, word, word, word)


def numpys() -> Callable[[], object]:
    """Fill a buffer with normals of numpy's default generator."""
    out, rng = np.empty(NUMBER, np.float32), np.random.default_rng(1)
    return lambda: rng.standard_normal(dtype=np.float32, out=out)
