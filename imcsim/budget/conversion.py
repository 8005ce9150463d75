"""What the converters of the columns add to the error of an output, in closed form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from imcsim.budget.estimate import Estimate, rare
from imcsim.budget.static import ErrorOf, over_reads, static_error
from imcsim.budget.terms import Terms
from imcsim.converters import dac as dacs
from imcsim.converters.ranges import convert
from imcsim.specs.adc import RangedADC, UniformADC

Array = np.ndarray[Any, Any]

ALIKE = 0.7  # beyond it the errors of two cycles are not independent, however fine the steps


def adc_range(terms: Terms) -> Estimate:
    errors = terms.of_conversion(lambda v, _, s: _in_range(terms, v, s) - v)
    return Estimate(terms.unit * over_reads(errors), doubt=rare(errors) or _unfit(terms) or _alike(terms))


def adc_rounding(terms: Terms) -> Estimate:
    adc, textbook = terms.spec.adc, _textbook_rounding(terms)
    if isinstance(adc, UniformADC) and adc.rounding == "stochastic":
        power, textbook = _stochastic_rounding(terms), 2 * textbook
    else:
        power = over_reads(terms.of_conversion(lambda v, _, s: _rounded(terms, v, s) - _in_range(terms, v, s)))
        power *= terms.unit
    holds = power > 0 and abs(10 * math.log10(power / textbook)) <= 0.5
    name = "LSB^2/6" if isinstance(adc, UniformADC) and adc.rounding == "stochastic" else "LSB^2/12"
    remark = "" if holds else f"{name} does not hold: {'few values a step' if power else 'rounding loses nothing'}"
    return Estimate(power, _unfit(terms) or _alike(terms), remark)


def _stochastic_rounding(terms: Terms) -> float:
    """Up or down with the probabilities f and 1 - f of the fraction f: f (1 - f) LSB^2, 1/6 on the average."""
    ranges, power = terms.setting.ranges, 0.0

    def squared(v: Array, clean: Array, s: int) -> Array:
        del clean
        f = (_in_range(terms, v, s) - ranges.lo[s]) / ranges.lsb[s] % 1
        return np.asarray(f * (1 - f) * ranges.lsb[s] ** 2)

    behind = terms.behind(squared)
    for sums, count in terms.converted_sums:
        counts = np.square(np.kron(sums.inputs.counts, sums.digits.counts))
        columns = len(sums.off)
        for at, (c, law) in enumerate(zip(counts, sums.laws, strict=True)):
            power += count * c * float(law.probability @ behind(law.values, law.values, at % columns))
    return terms.unit * power


def _unfit(terms: Terms) -> str:
    apart = not (terms.plan.subtracts or dacs.accumulates(terms.spec.dac))
    if not apart and not terms.plan.column.linear:
        return "the column's own transfer, ahead of what is subtracted or added up, is left out"
    return ""


def _alike(terms: Terms) -> str:
    if terms.m.off.any() and not terms.plan.subtracts:
        return "what off cells conduct is common to all columns, and correlates their errors"
    inputs = terms.conversions[0]
    deviations = np.sqrt(np.maximum(np.diag(inputs.second) - np.square(inputs.mean), 1e-300))
    rho = (inputs.second - np.outer(inputs.mean, inputs.mean)) / np.outer(deviations, deviations)
    largest = float((rho - np.eye(len(rho))).max())
    return f"cycles are nearly alike (correlation {largest:.2f}), and so are their errors" if largest > ALIKE else ""


def behind_converters(terms: Terms) -> Estimate:
    """What all noise, the range and rounding leave together.

    It is less than their sum where steps are whole MAC units: noise far below half a step is rounded away. Where noise
    spreads over more than a step, it and the error of rounding are uncorrelated (Widrow 1956, unverified).
    """
    adc = terms.spec.adc
    stochastic = isinstance(adc, UniformADC) and adc.rounding == "stochastic"
    code = _in_range if stochastic else _rounded
    error = terms.behind(lambda v, clean, s: code(terms, v, s) - clean)
    power = over_reads([(static_error(sums, error), count) for sums, count in terms.met_by_rounding()])
    power = terms.unit * power + (_stochastic_rounding(terms) if stochastic else 0.0)
    return Estimate(power, doubt=_unfit(terms) or _alike(terms))


def _in_range(terms: Terms, v: Array, s: int) -> Array:
    ranges = terms.setting.ranges
    return np.asarray(np.clip(v, ranges.lo[s], ranges.lo[s] + ranges.lsb[s] * ranges.max_code))


def _rounded(terms: Terms, v: Array, s: int) -> Array:
    ranges = terms.setting.ranges
    return convert(v, ranges.lo[s], ranges.lsb[s], ranges.max_code)


def _textbook_rounding(terms: Terms) -> float:
    inputs, digits, slices = terms.conversions
    lsb = np.array(terms.setting.ranges.lsb)[slices]
    reads = sum(count for _, count in terms.m.reads)
    # LSB^2 / 12 a conversion, independent: Bennett 1948 (unverified)
    each = float(np.square(digits.counts * lsb).sum() / 12 * np.square(inputs.counts).sum())
    return terms.unit * reads * each


def adc_offset(terms: Terms) -> Estimate:
    adc = terms.spec.adc
    assert isinstance(adc, RangedADC)
    # frozen: one a converter of a tile, in every cycle and for every group of rows; codes end with the range
    nodes, weights = np.polynomial.hermite_e.hermegauss(15)
    weights = weights / weights.sum()
    power = mean = 0.0
    for reads, tiles in terms.of_tiles(0.0):
        for j in range(len(terms.lsb)):
            of_column, alone = 0.0, [(sums.column(j), count) for sums, count in reads]
            for node, weight in zip(nodes, weights, strict=True):
                error = _at(terms.behind(_offset(terms, node * adc.offset_sigma_lsb * terms.lsb[j])), j)
                errors = [(static_error(sums, error), count) for sums, count in alone]
                power += tiles * weight * over_reads(errors)
                of_column += weight * sum(count * one.mean for one, count in errors)
            mean += tiles * of_column
            power -= tiles * of_column**2  # what converters have in common is counted once, below
    return Estimate(terms.unit * (power + mean**2), doubt=_alike(terms))


def _offset(terms: Terms, by: float) -> ErrorOf:
    return lambda v, _, s: _in_range(terms, v + by, s) - _in_range(terms, v, s)


def _at(error: ErrorOf, j: int) -> ErrorOf:
    """The error of column j as that of a column that stands alone."""
    return lambda v, clean, _: error(v, clean, j)


def adc_gain(terms: Terms) -> Estimate:
    adc = terms.spec.adc
    assert isinstance(adc, RangedADC)
    power = 0.0
    error = terms.behind(lambda v, _, s: v * (_in_range(terms, v, s) == v))  # beyond the range no gain matters
    for reads, tiles in terms.of_tiles(0.0):
        for j in range(len(terms.lsb)):  # a converter a column: cycles add up coherently, columns do not
            power += tiles * over_reads([(static_error(sums.column(j), _at(error, j)), n) for sums, n in reads])
    return Estimate(terms.unit * adc.gain_sigma_rel**2 * power)


def adc_decisions(terms: Terms) -> Estimate:
    del terms
    return Estimate(None, doubt="no closed form: what a converter of this kind gets wrong hangs on its code")


def adc_noise(terms: Terms) -> Estimate:
    adc = terms.spec.adc
    assert isinstance(adc, RangedADC)
    # sigma^2 a conversion where LSB^2 / 12 is; of values at the ends of the range half of it is cut off
    error = terms.behind(lambda v, clean, s: _in_range(terms, v, s) - _in_range(terms, clean, s))
    found = [
        (static_error(sums, error), count * tiles)
        for reads, tiles in terms.of_tiles(adc.noise_lsb)
        for sums, count in reads
    ]
    return Estimate(terms.unit * over_reads(found))
