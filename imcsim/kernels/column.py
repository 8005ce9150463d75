"""What happens to the value of a column between its cells and its code: noise, droop, swing, conversion."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from imcsim.kernels.jit import inline
from imcsim.kernels.philox import fill_normals

# Sources of read noise: the last word of the Philox counter, so that none shares its stream.
CELL_NOISE = 0
ADC_NOISE = 1

# expm1(-z) = -z (1 - z/2 + z^2/6 - ...), Taylor: for |z| <= 1 the first term left out is 2e-9 of it. numba's scalar exp
# would not vectorise.
_EXPM1 = (
    -1 / 39916800, 1 / 3628800, -1 / 362880, 1 / 40320, -1 / 5040, 1 / 720, -1 / 120, 1 / 24, -1 / 6, 1 / 2, -1.0,
)  # fmt: skip


class Column(NamedTuple):
    """The analog column, in MAC units of the read: every number a float.

    `pedestal` is what the column gives with no cell conducting; `droop` the relative loss of cell current per MAC unit
    (0: linear); `swing` where the column clips (inf: nowhere); `cell_variance` the variance that a unit of the variance
    sum adds at a read, `variance` what the column adds by itself.
    """

    pedestal: float
    droop: float
    swing: float
    cell_variance: float
    variance: float

    @property
    def noisy(self) -> bool:
        return self.cell_variance > 0 or self.variance > 0

    def noiseless(self) -> Column:
        return self._replace(cell_variance=0.0, variance=0.0)

    def scaled(self, unit: float) -> Column:
        """The same column seen in a MAC unit that is `unit` times smaller."""
        return Column(
            self.pedestal * unit,
            self.droop / unit,
            self.swing * unit,
            self.cell_variance,  # the variance sum carries the square of the inputs
            self.variance * unit**2,
        )


class Converters(NamedTuple):
    """The ADCs of the columns: `lo`, `lsb` (columns,), `gain`, `offset_lsb` (tiles, columns), float32.

    `max_code` is the number of levels less one; 0 stands for ideal converters, whose value goes on unconverted.
    """

    max_code: int
    lo: Any
    lsb: Any
    gain: Any
    offset_lsb: Any
    noise_lsb: float


@inline
def read_column(v, variance_sum, noise, column, adc, tile, key, conversion, sample):
    """Turn the noise-free sums v (columns,) of one conversion into ADC codes, or values where the ADC is ideal.

    `noise` (columns,) float32 is scratch; `variance_sum` (columns,) is read only where cells are noisy.
    """
    n = v.shape[0]
    for c in range(n):
        v[c] += column.pedestal
    if column.cell_variance > 0 or column.variance > 0:
        fill_normals(noise, key, np.uint32(conversion), np.uint32(sample), np.uint32(CELL_NOISE))
        if column.cell_variance > 0:
            for c in range(n):
                v[c] += np.sqrt(column.cell_variance * variance_sum[c] + column.variance) * noise[c]
        else:
            sigma = np.sqrt(column.variance)
            for c in range(n):
                v[c] += sigma * noise[c]
    if column.droop > 0:
        # dV/dtau = 1 - droop V with V(0) = 0, at tau = v: the current of each cell falls as the bit line droops
        largest = -np.log(1 - column.droop * column.swing)  # beyond it the swing clips
        for c in range(n):
            z = min(max(column.droop * v[c], -1.0), largest)
            series = _EXPM1[0]
            for term in _EXPM1[1:]:
                series = series * z + term
            v[c] = -z * series / column.droop
    if column.swing < np.inf:
        for c in range(n):
            v[c] = min(v[c], column.swing)
    if adc.max_code > 0:
        for c in range(n):
            v[c] = (v[c] * adc.gain[tile, c] - adc.lo[c]) / adc.lsb[c] + adc.offset_lsb[tile, c]
        if adc.noise_lsb > 0:
            fill_normals(noise, key, np.uint32(conversion), np.uint32(sample), np.uint32(ADC_NOISE))
            for c in range(n):
                v[c] += adc.noise_lsb * noise[c]
        for c in range(n):
            v[c] = min(max(np.rint(v[c]), 0.0), adc.max_code)
