"""What each source adds to the mean squared error of an output, in closed form from second moments.

The signal-to-noise ratio of a chip composes as 1/SNR_T = 1/SNR_A + 1/SQNR_ADC, with 1/SNR_A = 1/SNR_a + 1/SQNR_in:
Gonugondla et al. 2022 (unverified). All powers are in units of (weight x input)^2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from imcsim.budget import conversion
from imcsim.budget.estimate import Estimate, rare
from imcsim.budget.sources import lost_share, sources
from imcsim.budget.static import over_reads
from imcsim.budget.terms import Terms
from imcsim.mapping import largest_code
from imcsim.specs.cells import SramCapacitorCell
from imcsim.specs.dac import IdealDAC

Array = np.ndarray[Any, Any]


def estimates(terms: Terms) -> dict[str, Estimate]:
    """The estimate of each source that the design has."""
    return {name: FORMS[name](terms) for name in sources(terms.setting)}


# Quantisation


def _weights(terms: Terms) -> Estimate:
    bits = terms.spec.array.weight_bits
    lost = quantiser_error(float(terms.setting.crossbar.scale[0]), bits, signed=True)
    # dy = sum dw x, the errors of the weights independent
    return Estimate(terms.rows * lost * float(np.square(terms.setting.x).mean()))


def _inputs(terms: Terms) -> Estimate:
    dac = terms.spec.dac
    assert not isinstance(dac, IdealDAC)  # which quantises nothing
    step = float(terms.setting.crossbar.input_step[0])
    lost = quantiser_error(step, dac.bits, signed=dac.signed)
    return Estimate(terms.rows * lost * float(np.square(terms.setting.weights).mean()))


def quantiser_error(step: float, bits: int, *, signed: bool) -> float:
    """E[(v - q(v))^2] of v ~ N(0, 1) where signed, else of its positive part; exact, clipping included.

    Where steps are fine it is step^2 / 12 and, beyond z, the largest value, 2 [(1 + z^2) Q(z) - z phi(z)].
    """
    from scipy.special import ndtr

    if signed and bits == 1:
        levels, edges = step * np.array([-1.0, 1.0]), np.array([0.0])
    else:
        top = largest_code(bits) if signed else 2**bits - 1
        codes = np.arange(-top if signed else 0, top + 1)
        levels, edges = step * codes, step * (codes[1:] - 0.5)
    a = np.concatenate([[-math.inf if signed else 0.0], edges])
    b = np.concatenate([edges, [math.inf]])

    def integral(v: Array) -> Array:
        # of (v - c)^2 phi(v): (1 + c^2) Phi(v) - (v - 2 c) phi(v)
        finite = np.where(np.isfinite(v), v, 0.0)
        density = np.where(np.isfinite(v), np.exp(-np.square(finite) / 2) / math.sqrt(2 * math.pi), 0.0)
        return np.asarray((1 + levels**2) * ndtr(v) - (finite - 2 * levels) * density)

    return float((integral(b) - integral(a)).sum())


# Cells


def _mismatch(terms: Terms) -> Estimate:
    bias, variance = cell_spread(terms.sigma, getattr(terms.spec.cell, "mismatch_law", "normal"))
    m, n = terms.m, terms.rows
    driven = float(np.square(terms.driven).mean())
    # frozen: the same in every cycle, so the cycles combine to the input itself
    power = n * variance * terms.column_squares * driven
    g = m.conducting.combined
    power += bias**2 * n * driven * float(g.var()) + (bias * n * float(terms.driven.mean() * g.mean())) ** 2
    if isinstance(terms.spec.cell, SramCapacitorCell):
        power += _shared_charge(terms, variance)
    return Estimate(terms.unit * power)


def cell_spread(sigma: float, law: str) -> tuple[float, float]:
    """Mean less one, and variance, of frozen currents max(1 + sigma n, 0); log-normal ones have them as asked."""
    if law == "lognormal" or sigma == 0:
        return 0.0, sigma**2
    z = 1 / sigma
    tail, density = 0.5 * math.erfc(-z / math.sqrt(2)), math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    mean, second = tail + sigma * density, (1 + sigma**2) * tail + sigma * density
    return mean - 1, second - mean**2


def _shared_charge(terms: Terms, variance: float) -> float:
    """Charges are shares of a column's total, which mismatch moves too: sum x d loses what all of them have in common.

    To first order each is off by delta_i - a mean(delta), a = N / (N + C_par / C), so that N rows with S = sum x d have
    the variance sigma^2 (sum x^2 d^2 - (2 a - a^2) S^2 / N).
    """
    cell, m = terms.spec.cell, terms.m
    assert isinstance(cell, SramCapacitorCell)
    array_rows = terms.spec.array.rows
    a = 1 / (1 + cell.c_par_per_cell_rel + cell.c_par_F / cell.c_unit_F / array_rows)
    x, x2 = float(terms.driven.mean()), float(np.square(terms.driven).mean())
    d, d2 = m.conducting.mean, np.diag(m.conducting.second)
    squares = sum(count * (n * x2 * d2 + n * (n - 1) * x**2 * d**2) for n, count in m.tiles)
    return -variance * (2 * a - a**2) / array_rows * float(np.square(m.digits.counts) @ squares)


def _lost_bits(terms: Terms) -> Estimate:
    share, m = lost_share(terms.setting), terms.m
    d, d2 = m.digits.mean, np.diag(m.digits.second)
    # a cell that loses its bit holds 0 or its largest digit, by a fair coin
    off_by_squared = d2 / 2 + (d2 - 2 * terms.top * d + terms.top**2) / 2
    mean_squared = d2 - terms.top * d + terms.top**2 / 4
    variance = float(np.square(m.digits.counts) @ (share * off_by_squared - share**2 * mean_squared))
    mean = share * (m.digits.counts @ (terms.top[:, None] / 2 - m.digits.values))
    driven = terms.driven
    power = terms.rows * float(np.square(driven).mean()) * (variance + float(mean.var()))
    power += (terms.rows * float(driven.mean() * mean.mean())) ** 2
    return Estimate(terms.unit * power)


def _read_noise(terms: Terms) -> Estimate:
    # drawn anew for each cell in each cycle: cell_variance (d x_k)^2
    power = terms.rows * terms.column.cell_variance * terms.column_squares * terms.cycle_squares
    return Estimate(terms.unit * power)


def _column_noise(terms: Terms) -> Estimate:
    reads = sum(count for _, count in terms.m.reads)
    every = float(np.square(terms.m.digits.counts) @ np.broadcast_to(terms.column.variance, terms.top.shape))
    return Estimate(terms.unit * reads * every * float(np.square(terms.m.inputs.counts).sum()))


def _compression(terms: Terms) -> Estimate:
    # f(v) - v, v the sum and what leaks: to second order -(droop / 2 + load) v^2
    def error(v: Array, clean: Array, j: int) -> Array:
        del clean
        pedestal = float(np.broadcast_to(terms.column.pedestal, terms.top.shape)[j])
        return np.asarray(terms.on_column(v, j, limited=False) - (v - pedestal))

    return Estimate(terms.unit * over_reads(terms.of_static(error)))


def _clipping(terms: Terms) -> Estimate:
    # beyond z sigma, of a normal sum, sigma^2 [(1 + z^2) Q(z) - z phi(z)]; here by the law of the sum itself
    errors = terms.of_static(lambda v, _, j: terms.on_column(v, j) - terms.on_column(v, j, limited=False))
    return Estimate(terms.unit * over_reads(errors), doubt=rare(errors))


# Converters of the rows


def _dac_levels(terms: Terms) -> Estimate:
    dac = terms.spec.dac
    assert not isinstance(dac, IdealDAC)
    m = terms.m
    # an error of a row meets every column alike: sum worth d is the weight's code (and the offset)
    weight2 = float(np.square(m.conducting.combined).mean())
    power = dac.gain_sigma_rel**2 * float(np.square(terms.driven).mean())
    power += float(m.inputs.counts @ terms.bent_levels @ m.inputs.counts)
    return Estimate(terms.unit * terms.rows * weight2 * power)


def _dac_noise(terms: Terms) -> Estimate:
    dac = terms.spec.dac
    assert not isinstance(dac, IdealDAC)
    weight2 = float(np.square(terms.m.conducting.combined).mean())
    cycles = float(np.square(terms.m.inputs.counts).sum())
    return Estimate(terms.unit * terms.rows * dac.noise_lsb**2 * cycles * weight2)


FORMS: dict[str, Callable[[Terms], Estimate]] = {
    "weights": _weights,
    "inputs": _inputs,
    "dac_levels": _dac_levels,
    "dac_noise": _dac_noise,
    "lost_bits": _lost_bits,
    "mismatch": _mismatch,
    "read_noise": _read_noise,
    "column_noise": _column_noise,
    "compression": _compression,
    "clipping": _clipping,
    "adc_range": conversion.adc_range,
    "adc_rounding": conversion.adc_rounding,
    "adc_offset": conversion.adc_offset,
    "adc_gain": conversion.adc_gain,
    "adc_decisions": conversion.adc_decisions,
    "adc_noise": conversion.adc_noise,
}
