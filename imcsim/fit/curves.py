"""Curves of a cell's state that are fitted: their parameters, where a search starts, their spec."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imcsim.fit.likelihood import Free
from imcsim.specs.curves import (
    ConstantCurve,
    Curve,
    ExponentialCurve,
    LogarithmicCurve,
    PolynomialCurve,
    PowerCurve,
    TableCurve,
)

Array = NDArray[Any]

MOST_LEVELS = 64  # of a table: more states than that are no levels
_FEW = 1e-12


@dataclass(frozen=True, kw_only=True)
class Family:
    """A kind of curve: `free(prefix)` its parameters, `value(parameters, x)`, and the `spec` that chips run on."""

    name: str
    free: tuple[Free, ...]
    value: Callable[[Array, Array], Array]
    spec: Callable[[Array], Curve]


def family(kind: str, prefix: str, unit: str, x: Array, y: Array, *, degree: int = 2, positive: bool = True) -> Family:
    """The family `kind` that starts at what a curve through the points (x, y) has; x the state, y in `unit`.

    `positive`: the curve is a standard deviation. `degree` is that of a polynomial. Its parameters are called
    `prefix`.a, `prefix`.b, ...
    """
    size = float(np.mean(np.abs(y))) or 1.0
    makers = {
        "constant": _constant,
        "polynomial": _polynomial,
        "exponential": _exponential,
        "power": _power,
        "logarithmic": _logarithmic,
        "table": _table,
    }
    return makers[kind](prefix, unit, x, y, size, degree, positive)


def _constant(prefix: str, unit: str, x: Array, y: Array, size: float, degree: int, positive: bool) -> Family:
    del x, degree
    free = Free(
        name=prefix,
        unit=unit,
        what="at every state",
        start=float(np.mean(y)),
        log=positive,
        size=size,
        low=1e-9 * size if positive else -np.inf,
    )
    return Family(
        name="constant",
        free=(free,),
        value=lambda p, at: np.full(np.shape(at), p[0]),
        spec=lambda p: ConstantCurve(value=float(p[0])),
    )


def _polynomial(prefix: str, unit: str, x: Array, y: Array, size: float, degree: int, positive: bool) -> Family:
    del positive
    start = np.polynomial.polynomial.polyfit(x, y, min(degree, max(np.unique(x).size - 1, 0)))
    start = np.pad(start, (0, degree + 1 - start.size))
    free = tuple(
        Free(
            name=f"{prefix}.x{k}" if k else f"{prefix}.1",
            unit=unit,
            what=f"coefficient of x^{k}",
            start=float(value),
            size=size,
        )
        for k, value in enumerate(start)
    )
    return Family(
        name=f"polynomial of degree {degree}",
        free=free,
        value=_horner,
        spec=lambda p: PolynomialCurve(coefficients=tuple(map(float, p))),
    )


def _horner(coefficients: Array, x: Array) -> Array:
    total = np.zeros(np.shape(x))
    for one in coefficients[::-1]:
        total = total * x + one
    return total


def _exponential(prefix: str, unit: str, x: Array, y: Array, size: float, degree: int, positive: bool) -> Family:
    del degree, positive
    scale = float(np.median(x)) or 1.0
    free = (
        Free(
            name=f"{prefix}.amplitude",
            unit=unit,
            what="of A (1 - exp(-x / B))",
            start=float(np.max(y)),
            log=True,
            low=1e-6 * size,
            high=1e6 * size,
        ),
        Free(
            name=f"{prefix}.scale",
            unit="1",
            what="B of A (1 - exp(-x / B))",
            start=scale,
            log=True,
            low=1e-4 * scale,
            high=1e4 * scale,
        ),
    )
    return Family(
        name="exponential saturation",
        free=free,
        value=lambda p, at: -p[0] * np.expm1(-at / p[1]),
        spec=lambda p: ExponentialCurve(amplitude=float(p[0]), scale=float(p[1])),
    )


def _power(prefix: str, unit: str, x: Array, y: Array, size: float, degree: int, positive: bool) -> Family:
    del degree, positive
    there = (x > 0) & (y > 0)
    slope, offset = (
        np.polyfit(np.log(x[there]), np.log(y[there]), 1) if np.unique(x[there]).size > 1 else (0.0, np.log(size))
    )
    free = (
        Free(
            name=f"{prefix}.factor",
            unit=unit,
            what="A of A x^b",
            start=float(np.exp(offset)),
            log=True,
            low=_FEW * size,
        ),
        Free(
            name=f"{prefix}.exponent", unit="1", what="b of A x^b", start=float(np.clip(slope, -9, 9)), low=-10, high=10
        ),
    )
    lowest = float(np.min(x[there]))

    def spec(p: Array) -> Curve:
        high = float(p[0] * lowest ** p[1]) if p[1] < 0 else None
        return PowerCurve(factor=float(p[0]), exponent=float(p[1]), high=high)

    return Family(
        name="power",
        free=free,
        value=lambda p, at: p[0] * np.maximum(at, lowest) ** p[1] if p[1] < 0 else p[0] * at ** p[1],
        spec=spec,
    )


def _logarithmic(prefix: str, unit: str, x: Array, y: Array, size: float, degree: int, positive: bool) -> Family:
    """A line in ln x with a floor."""
    del degree, positive
    there = x > 0
    low_half = there & (x <= np.median(x[there]))
    slope, offset = np.polyfit(np.log(x[low_half]), y[low_half], 1)
    free = (
        Free(name=f"{prefix}.offset", unit=unit, what="a of a + b ln x", start=float(offset), size=size),
        Free(name=f"{prefix}.slope", unit=unit, what="b of a + b ln x", start=float(slope), size=size),
        Free(name=f"{prefix}.floor", unit=unit, what="the least value", start=float(np.min(y)), size=size),
    )
    lowest = float(np.min(x[there]))

    def value(p: Array, at: Array) -> Array:
        return np.asarray(np.maximum(p[0] + p[1] * np.log(np.maximum(at, lowest)), p[2]))

    def spec(p: Array) -> Curve:
        high = float(value(p, np.array(lowest))) if p[1] < 0 else None
        return LogarithmicCurve(offset=float(p[0]), slope=float(p[1]), low=float(p[2]), high=high)

    return Family(name="logarithm with a floor", free=free, value=value, spec=spec)


def _table(prefix: str, unit: str, x: Array, y: Array, size: float, degree: int, positive: bool) -> Family:
    del degree
    states = np.unique(x)
    free = tuple(
        Free(
            name=f"{prefix}[{state:.4g}]",
            unit=unit,
            what=f"at x = {state:.4g}",
            log=positive,
            size=size,
            start=max(float(np.interp(state, *_sorted(x, y))), 1e-3 * size if positive else -np.inf),
            low=1e-9 * size if positive else -np.inf,
        )
        for state in states
    )
    return Family(
        name=f"table of {states.size} states",
        free=free,
        value=lambda p, at: np.interp(at, states, p),
        spec=lambda p: TableCurve(states=tuple(map(float, states)), values=tuple(map(float, p))),
    )


def _sorted(x: Array, y: Array) -> tuple[Array, Array]:
    order = np.argsort(x)
    return x[order], y[order]


def binned(x: Array, y: Array, statistic: Callable[[Array], float], most: int = 24) -> tuple[Array, Array]:
    """`statistic` of y in groups of equal size along x, or at each state where there are few: (states, values)."""
    states = np.unique(x)
    if states.size <= MOST_LEVELS and x.size >= 3 * states.size:
        groups: Sequence[Array] = [np.flatnonzero(x == state) for state in states]
    else:
        count = int(np.clip(x.size // 20, 1, most))
        groups = np.array_split(np.argsort(x, kind="stable"), count)
    groups = [group for group in groups if group.size > 1] or [np.arange(x.size)]
    return np.array([x[group].mean() for group in groups]), np.array([statistic(y[group]) for group in groups])
