"""From the summed codes of columns to products: shift and add."""

from __future__ import annotations

import numba as nb
import numpy as np

from imcsim.kernels.jit import parallel_kernel


@parallel_kernel(lambda sums, *_: sums.size)
def shift_and_add(sums, worth, lsb, constant, out):
    """Recombine sums (members, samples, polarities, slices, cols) of ADC codes into out (members, samples, cols).

    A column stands for lsb x sum + constant, (1 or members, slices) both, each worth worth[polarity, slice]. Where
    there is one polarity and slice, out may be sums itself.
    """
    members, samples, polarities, slices, cols = sums.shape
    for item in nb.prange(members * samples):
        member, sample = item // samples, item % samples
        own = member % lsb.shape[0]
        if polarities * slices == 1:
            factor, add = worth[0, 0] * lsb[own, 0], worth[0, 0] * constant[own, 0]
            for c in range(cols):
                out[member, sample, c] = factor * sums[member, sample, 0, 0, c] + add
            continue
        total = np.zeros(cols)
        for polarity in range(polarities):
            for s in range(slices):
                factor, add = worth[polarity, s] * lsb[own, s], worth[polarity, s] * constant[own, s]
                for c in range(cols):
                    total[c] += factor * sums[member, sample, polarity, s, c] + add
        for c in range(cols):
            out[member, sample, c] = total[c]
