"""The values of curves, and what they mean of a cell: arrays of states -> arrays of numbers, in the precision given."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from imcsim.specs.curves import (
    ConstantCurve,
    Curve,
    Curves,
    ExponentialCurve,
    ExponentialCurves,
    LogarithmicCurve,
    PiecewiseCurve,
    PolynomialCurve,
    PolynomialCurves,
    PowerCurve,
    TableCurve,
)
from imcsim.specs.resistive import OfState

Array = np.ndarray[Any, Any]

_SINGLE_DEGREE = 4  # beyond it the terms of fits are so much larger than their sum that float32 would show
_LEAST_X = 1e-30  # where a curve that is infinite at 0 has long clipped


@singledispatch
def value(curve: Curve, x: Array) -> Array:
    """The curve at x >= 0: any shape -> the same shape and precision."""
    del x
    raise TypeError(f"no values of {type(curve).__name__}")


@value.register
def _(curve: ConstantCurve, x: Array) -> Array:
    return np.full_like(x, curve.value)


@value.register
def _(curve: PolynomialCurve, x: Array) -> Array:
    return _clipped(curve, _polynomial(curve.coefficients, x))


@value.register
def _(curve: ExponentialCurve, x: Array) -> Array:
    return _clipped(curve, _saturating(curve.amplitude, curve.scale, x) + curve.offset)


@value.register
def _(curve: LogarithmicCurve, x: Array) -> Array:
    return _clipped(curve, curve.offset + curve.slope * np.log(np.maximum(x, _LEAST_X)))


@value.register
def _(curve: PowerCurve, x: Array) -> Array:
    # x^n = exp(n ln x), several times faster than the power of an array
    return _clipped(curve, curve.factor * np.exp(curve.exponent * np.log(np.maximum(x, _LEAST_X))))


@value.register
def _(curve: TableCurve, x: Array) -> Array:
    return np.interp(x, curve.states, curve.values).astype(x.dtype)


@value.register
def _(curve: PiecewiseCurve, x: Array) -> Array:
    return np.where(x < curve.at, value(curve.below, x), value(curve.above, x))


@singledispatch
def values(curves: Curves, k: int, x: Array) -> Array:
    """Curve k of several at x: any shape -> the same shape and precision."""
    del k, x
    raise TypeError(f"no values of {type(curves).__name__}")


@values.register
def _(curves: PolynomialCurves, k: int, x: Array) -> Array:
    return _polynomial(curves.coefficients[k], x)


@values.register
def _(curves: ExponentialCurves, k: int, x: Array) -> Array:
    return _saturating(curves.amplitudes[k], curves.scales[k], x)


def scaled(given: OfState, curve: Curve, g_max_S: float, g_S: Array, state_S: Array) -> Array:
    """What `given` says by a curve of `state_S` of a cell of conductance `g_S`, in S: same shape, at least 0."""
    unit_S = given.unit_S or g_max_S
    found = np.maximum(value(curve, relative(state_S, given.state_unit_S, g_max_S)), 0)
    if given.scaling == "independent":
        return np.asarray(found * unit_S)
    if given.scaling == "proportional":
        return np.asarray(found * g_S)
    # eps / G in units of g_max, 0 at G = 0: CrossSim's "inverse" error
    with np.errstate(divide="ignore"):
        return np.where(g_S > 0, found * (unit_S / (g_S / unit_S)), 0).astype(g_S.dtype)


def relative(g_S: Array, state_unit_S: float | None, g_max_S: float) -> Array:
    """States in the unit of a curve."""
    return np.asarray(g_S * (1 / (state_unit_S or g_max_S)))


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    precise = x.astype(np.float64) if len(coefficients) > _SINGLE_DEGREE + 1 else x
    found = np.full_like(precise, coefficients[-1])
    for coefficient in coefficients[-2::-1]:  # Horner
        found *= precise
        found += coefficient
    return found.astype(x.dtype, copy=False)


def _saturating(amplitude: float, scale: float, x: Array) -> Array:
    return np.asarray(-amplitude * np.expm1(x * (-1 / scale)))


def _clipped(curve: PolynomialCurve | ExponentialCurve | LogarithmicCurve | PowerCurve, found: Array) -> Array:
    if curve.low is None and curve.high is None:
        return found
    return np.clip(found, curve.low, curve.high)
