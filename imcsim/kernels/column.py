"""What happens to the value of a column between its cells and its code: noise, droop, load, limits, conversion."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from imcsim.kernels.decide import Decision, decide
from imcsim.kernels.jit import inline
from imcsim.kernels.philox import fill_normals

# Sources of read noise: the last word of the Philox counter, so that none shares its stream.
CELL_NOISE = 0  # of the first column of a pair, or of the only one
ADC_NOISE = 1
SECOND_CELL_NOISE = 2  # of the second column of a pair
DAC_NOISE = 3

# expm1(-z) = -z (1 - z/2 + z^2/6 - ...), Taylor: for |z| <= 1 the first term left out is 2e-9 of it. numba's scalar exp
# would not vectorise.
_EXPM1 = tuple(
    np.float32(c)
    for c in (
        -1 / 39916800, 1 / 3628800, -1 / 362880, 1 / 40320, -1 / 5040, 1 / 720, -1 / 120, 1 / 24, -1 / 6, 1 / 2, -1.0,
    )
)  # fmt: skip


class Column(NamedTuple):
    """The analog column, in units of a driven on-cell: every number a float, or an array (columns,) as kernels have it.

    `pedestal` is what the column gives with no cell conducting. Its value v then becomes (1 - exp(-droop v)) / droop
    (the current falls as the bit line droops; 0: linear), that becomes v / (1 + load |v|) (a resistive load; 0: none),
    and that clips at `low` and `swing` (-inf, inf: nowhere). `cell_variance` is the variance that a unit of the
    variance sum adds at a read, `variance` what the column adds by itself.
    """

    pedestal: Any = 0.0
    droop: Any = 0.0
    swing: Any = math.inf
    cell_variance: float = 0.0
    variance: Any = 0.0
    load: Any = 0.0
    low: Any = -math.inf

    @property
    def noisy(self) -> bool:
        return bool(self.cell_variance > 0 or np.any(self.variance > 0))

    @property
    def linear(self) -> bool:
        return bool(
            np.all(self.droop == 0)
            and np.all(self.load == 0)
            and np.all(self.swing == math.inf)
            and np.all(self.low == -math.inf)
        )

    def noiseless(self) -> Column:
        return self._replace(cell_variance=0.0, variance=0.0)

    def scaled(self, unit: Any) -> Column:
        """The same column in MAC units, of which a driven on-cell gives `unit`: a float, or an array of the columns."""
        return Column(
            pedestal=self.pedestal * unit,
            droop=self.droop / unit,
            swing=self.swing * unit,
            cell_variance=self.cell_variance,  # the variance sum carries the squares of inputs and digits
            variance=self.variance * unit**2,
            load=self.load / unit,
            low=self.low * unit,
        )


def static_transfer(v: Any, column: Column) -> Any:
    """What a column makes of noise-free values v (..., columns), pedestal included: droop, load, limits; float64."""
    droop = np.maximum(column.droop, 1e-300)
    v = np.where(column.droop > 0, -np.expm1(-column.droop * v) / droop, v)  # as in transfer
    v = v / (1 + column.load * np.abs(v))
    return np.clip(v, column.low, column.swing)


class Converters(NamedTuple):
    """The ADCs of the columns: u = v scale + shift in LSB from the lowest code, v in MAC units, and a code of each u.

    `scale` and `shift` (tiles, columns) float32 hold range, gain and offset of each; noise is in LSB. `max_code` is the
    number of codes less one; 0 stands for ideal converters, whose value goes on unconverted (scale 1, shift 0).
    `trim` (2, tiles, columns) float32 takes gain and offset of each off its codes: (code - offset) / gain, digitally;
    no entries where nothing is trimmed. The rest is how a code is decided on, as in Decision.
    """

    max_code: int
    scale: Any
    shift: Any
    noise_lsb: float
    trim: Any
    kind: int
    table: Any
    which: Any
    decision_noise_lsb: float


@inline
def cell_deviation(variance_sum, column, columns, out):
    """The standard deviation (n,) that cells and the columns themselves add at a read."""
    weight, own = out.dtype.type(column.cell_variance), column.variance[columns]
    if column.cell_variance > 0:
        for c in range(out.shape[0]):
            out[c] = np.sqrt(weight * variance_sum[c] + own[c])
    else:
        for c in range(out.shape[0]):
            out[c] = np.sqrt(own[c])


@inline
def transfer(v, column, columns):
    """What the columns make of values v (n,): droop, load, limits."""
    number = v.dtype.type
    droop, load = column.droop[columns], column.load[columns]
    low, swing = column.low[columns], column.swing[columns]
    if droop[0] > 0:
        for c in range(v.shape[0]):
            # dV/dtau = 1 - droop V with V(0) = 0, at tau = v: the current of each cell falls as the bit line droops
            z = min(max(droop[c] * v[c], number(-1)), number(1))  # beyond it the swing clips
            series = number(_EXPM1[0])
            for term in _EXPM1[1:]:
                series = series * z + number(term)
            v[c] = -z * series / droop[c]
    if load[0] > 0:
        for c in range(v.shape[0]):
            v[c] = v[c] / (number(1) + load[c] * np.abs(v[c]))
    for c in range(v.shape[0]):
        v[c] = min(max(v[c], low[c]), swing[c])


@inline
def analog(v, variance_sum, deviation, noise, column, noisy, linear, columns, key, block, conversion, sample, source):
    """Turn sums of currents v (n,) into the values of the columns (a slice): pedestal, noise, transfer.

    `variance_sum` (n,) is read only where cells are noisy; `deviation` and `noise` (n,) are scratch.
    """
    pedestal = column.pedestal[columns]
    for c in range(v.shape[0]):
        v[c] += pedestal[c]
    if noisy:
        cell_deviation(variance_sum, column, columns, deviation)
        fill_normals(noise, key, block, np.uint32(conversion), np.uint32(sample), np.uint32(source))
        for c in range(v.shape[0]):
            v[c] += deviation[c] * noise[c]
    if not linear:
        transfer(v, column, columns)


@inline
def digitise(u, noise, adc, tile, columns, key, block, conversion, sample):
    """Turn u (n,), in LSB from the lowest code with all noise in, into codes, trimmed if they are; ideal: nothing."""
    if adc.max_code > 0:
        decision = Decision(adc.kind, adc.table, adc.which, adc.decision_noise_lsb)
        decide(u, noise, decision, tile, columns.start, adc.max_code, key, block, conversion, sample)
    if adc.trim.shape[0] > 0:
        gain, offset = adc.trim[0, tile, columns], adc.trim[1, tile, columns]
        for c in range(u.shape[0]):
            u[c] = (u[c] - offset[c]) / gain[c]


@inline
def convert(v, noise, adc, tile, columns, key, block, conversion, sample):
    """Turn values v (n,) of the columns (a slice) into codes: gain, offset and noise of each converter."""
    scale, shift, sigma = adc.scale[tile, columns], adc.shift[tile, columns], v.dtype.type(adc.noise_lsb)
    for c in range(v.shape[0]):
        v[c] = v[c] * scale[c] + shift[c]
    if adc.noise_lsb > 0:
        fill_normals(noise, key, block, np.uint32(conversion), np.uint32(sample), np.uint32(ADC_NOISE))
        for c in range(v.shape[0]):
            v[c] += sigma * noise[c]
    digitise(v, noise, adc, tile, columns, key, block, conversion, sample)


@inline
def convert_linear(v, variance_sum, noise, column, adc, tile, columns, key, block, conversion, sample):
    """Convert sums of currents v (n,) where nothing nonlinear stands between the noise of the cells and the ADC's.

    One draw has both variances; `noise` (n,) is scratch.
    """
    fill_normals(noise, key, block, np.uint32(conversion), np.uint32(sample), np.uint32(CELL_NOISE))
    number = v.dtype.type
    weight, adc_variance = number(column.cell_variance), number(adc.noise_lsb * adc.noise_lsb)
    scale, shift = adc.scale[tile, columns], adc.shift[tile, columns]
    pedestal, own = column.pedestal[columns], column.variance[columns]
    if column.cell_variance > 0:
        for c in range(v.shape[0]):
            variance = (weight * variance_sum[c] + own[c]) * scale[c] * scale[c] + adc_variance
            v[c] = (v[c] + pedestal[c]) * scale[c] + shift[c] + np.sqrt(variance) * noise[c]
    else:
        for c in range(v.shape[0]):
            variance = own[c] * scale[c] * scale[c] + adc_variance
            v[c] = (v[c] + pedestal[c]) * scale[c] + shift[c] + np.sqrt(variance) * noise[c]
    digitise(v, noise, adc, tile, columns, key, block, conversion, sample)
