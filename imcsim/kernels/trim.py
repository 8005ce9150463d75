"""Conversions of known values: what a chip measures of its converters."""

from __future__ import annotations

import numba as nb
import numpy as np

from imcsim.kernels.column import convert
from imcsim.kernels.jit import parallel_kernel

_CHUNK = 64


@parallel_kernel(lambda known, *others: known.size * others[2] * others[3].scale.size * 10)
def mean_codes(known, lo, lsb, reads, adc, keys):
    """The mean code of `reads` conversions of each known value: (values, tiles, columns) float64.

    `known` are in LSB from the lowest code, `lo` and `lsb` (1 or members, columns) the ranges, `keys` (members,).
    """
    tiles, columns = adc.scale.shape
    each = tiles // keys.shape[0]
    out = np.zeros((known.shape[0], tiles, columns))
    for at in nb.prange(tiles):
        member, tile = at // each, at % each
        own = member % lo.shape[0]
        for start in range(0, columns, _CHUNK):
            n = min(_CHUNK, columns - start)
            here = slice(start, start + n)
            v, noise = np.empty(n, np.float32), np.empty(n, np.float32)
            for level in range(known.shape[0]):
                for read in range(reads):
                    v[:] = lo[own, here] + known[level] * lsb[own, here]
                    convert(v, noise, adc, at, here, keys[member], start // _CHUNK, tile, level * reads + read)
                    out[level, at, here] += v
    out /= reads
    return out
