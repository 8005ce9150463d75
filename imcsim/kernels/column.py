"""What happens to the value of a column between its cells and its code: noise, droop, swing, conversion."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from imcsim.kernels.jit import inline
from imcsim.kernels.philox import fill_words, normal_of

# Sources of read noise: the last word of the Philox counter, so that none shares its stream.
CELL_NOISE = 0
ADC_NOISE = 1

# expm1(-z) = -z (1 - z/2 + z^2/6 - ...), Taylor: for |z| <= 1 the first term left out is 2e-9 of it. numba's scalar exp
# would not vectorise.
_EXPM1 = tuple(
    np.float32(c)
    for c in (
        -1 / 39916800, 1 / 3628800, -1 / 362880, 1 / 40320, -1 / 5040, 1 / 720, -1 / 120, 1 / 24, -1 / 6, 1 / 2, -1.0,
    )
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

    @property
    def linear(self) -> bool:
        return self.droop == 0 and self.swing == math.inf

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


def static_transfer(v: Any, column: Column) -> Any:
    """What a column makes of noise-free values v, any shape, pedestal included: droop, then the swing; float64."""
    if column.droop > 0:
        v = -np.expm1(-column.droop * v) / column.droop  # as in read_column
    return np.minimum(v, column.swing)


class Converters(NamedTuple):
    """The ADCs of the columns: code = clip(rint(v scale + shift), 0, max_code), v in MAC units; noise in LSB.

    `scale` and `shift` (tiles, columns) float32 hold range, gain and offset of each. `max_code` is the number of levels
    less one; 0 stands for ideal converters, whose value goes on unconverted (scale 1, shift 0).
    """

    max_code: int
    scale: Any
    shift: Any
    noise_lsb: float


@inline
def draw(noise, cycles, key, block, conversion, sample, source):
    """Fill noise (cycles x columns,) float32 with the normals of `cycles` conversions of the same columns."""
    words = noise.view(np.uint32)
    columns = noise.shape[0] // cycles
    for cycle in range(cycles):
        part = words[cycle * columns : (cycle + 1) * columns]
        fill_words(part, key, block, np.uint32(conversion + cycle), np.uint32(sample), np.uint32(source))
    for i in range(noise.shape[0]):
        noise[i] = normal_of(words[i])


@inline
def convert(v, scale, shift, max_code):
    """Turn values v (n,) into the codes of converters that have no noise."""
    top, zero = v.dtype.type(max_code), v.dtype.type(0)
    for c in range(v.shape[0]):
        v[c] = min(max(np.rint(v[c] * scale[c] + shift[c]), zero), top)


@inline
def to_codes(v, max_code):
    """Round values v (n,), in LSB from the lowest level, to codes; ideal converters (max_code 0) leave them."""
    if max_code > 0:
        top, zero = v.dtype.type(max_code), v.dtype.type(0)
        for c in range(v.shape[0]):
            v[c] = min(max(np.rint(v[c]), zero), top)


@inline
def read_column(
    v, variance_sum, noise, column, scale, shift, max_code, noise_lsb, cycles, key, block, conversion, sample
):
    """Turn noise-free values v (cycles x columns,) into ADC codes, or values where the ADC is ideal.

    They include the pedestal. `scale`, `shift` (cycles x columns,) are those of the columns' ADCs; `noise` (the same,
    float32) is scratch; `variance_sum` is read only where cells are noisy. The first column is column 64 `block`, the
    first cycle conversion number `conversion`.
    """
    number = v.dtype.type
    cell_variance, variance = number(column.cell_variance), number(column.variance)
    adc_variance = number(noise_lsb * noise_lsb)
    noisy = column.cell_variance > 0 or column.variance > 0
    if column.droop == 0 and column.swing == np.inf:
        if noisy or noise_lsb > 0:
            # nothing nonlinear stands between the noise of the cells and that of the ADC: one draw has both variances
            draw(noise, cycles, key, block, conversion, sample, CELL_NOISE)
            if column.cell_variance > 0:
                for c in range(v.shape[0]):
                    cells = (cell_variance * variance_sum[c] + variance) * scale[c] * scale[c]
                    v[c] = v[c] * scale[c] + shift[c] + np.sqrt(cells + adc_variance) * noise[c]
            else:
                for c in range(v.shape[0]):
                    cells = variance * scale[c] * scale[c]
                    v[c] = v[c] * scale[c] + shift[c] + np.sqrt(cells + adc_variance) * noise[c]
            to_codes(v, max_code)
        elif max_code > 0:
            convert(v, scale, shift, max_code)
        return
    if noisy:
        draw(noise, cycles, key, block, conversion, sample, CELL_NOISE)
        if column.cell_variance > 0:
            for c in range(v.shape[0]):
                v[c] += np.sqrt(cell_variance * variance_sum[c] + variance) * noise[c]
        else:
            for c in range(v.shape[0]):
                v[c] += np.sqrt(variance) * noise[c]
    if column.droop > 0:
        # dV/dtau = 1 - droop V with V(0) = 0, at tau = v: the current of each cell falls as the bit line droops
        droop = number(column.droop)
        largest = number(-np.log(1 - column.droop * column.swing))  # beyond it the swing clips
        for c in range(v.shape[0]):
            z = min(max(droop * v[c], number(-1)), largest)
            series = number(_EXPM1[0])
            for term in _EXPM1[1:]:
                series = series * z + number(term)
            v[c] = -z * series / droop
    swing = number(column.swing)
    for c in range(v.shape[0]):
        v[c] = min(v[c], swing)
    if noise_lsb > 0:
        draw(noise, cycles, key, block, conversion, sample, ADC_NOISE)
        for c in range(v.shape[0]):
            v[c] = v[c] * scale[c] + shift[c] + number(noise_lsb) * noise[c]
        to_codes(v, max_code)
    elif max_code > 0:
        convert(v, scale, shift, max_code)
