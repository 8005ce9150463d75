"""Curves: a number as a function of a cell's state, as papers fit it; its user says in which units."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from imcsim.errors import Problem
from imcsim.specs.fields import Spec, limited


@dataclass(frozen=True, kw_only=True)
class ConstantCurve(Spec):
    """The same value at every state."""

    kind: ClassVar[str] = "constant"
    value: float = limited(unit="1")


@dataclass(frozen=True, kw_only=True)
class BoundedCurve(Spec):
    """What curves share that clip at `low` and `high` (None: nowhere)."""

    low: float | None = limited(None, unit="1")
    high: float | None = limited(None, unit="1")

    def problems(self) -> Iterable[Problem]:
        if self.low is not None and self.high is not None and self.low > self.high:
            yield Problem(("low",), f"must be at most high = {self.high:g}", given=f"{self.low:g}")


@dataclass(frozen=True, kw_only=True)
class PolynomialCurve(BoundedCurve):
    """sum of coefficients[k] x^k, the constant first."""

    kind: ClassVar[str] = "polynomial"
    coefficients: tuple[float, ...] = limited(unit="1")

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if not self.coefficients:
            yield Problem(("coefficients",), "needs at least one number", given="[]")


@dataclass(frozen=True, kw_only=True)
class ExponentialCurve(BoundedCurve):
    """amplitude (1 - exp(-x / scale)) + offset."""

    kind: ClassVar[str] = "exponential"
    amplitude: float = limited(unit="1")
    scale: float = limited(low=1e-12, unit="1")
    offset: float = limited(0.0, unit="1")


@dataclass(frozen=True, kw_only=True)
class LogarithmicCurve(BoundedCurve):
    """offset + slope ln x. It needs a bound where x = 0 would leave it infinite."""

    kind: ClassVar[str] = "logarithmic"
    offset: float = limited(unit="1")
    slope: float = limited(unit="1")

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.slope < 0 and self.high is None:
            yield Problem(("high",), "is needed where slope is negative: the curve is infinite at x = 0")
        if self.slope > 0 and self.low is None:
            yield Problem(("low",), "is needed where slope is positive: the curve is infinite at x = 0")


@dataclass(frozen=True, kw_only=True)
class PowerCurve(BoundedCurve):
    """factor x^exponent. It needs a bound where x = 0 would leave it infinite."""

    kind: ClassVar[str] = "power"
    factor: float = limited(low=0, unit="1")
    exponent: float = limited(low=-10, high=10, unit="1")

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.exponent < 0 and self.high is None:
            yield Problem(("high",), "is needed where exponent is negative: the curve is infinite at x = 0")


@dataclass(frozen=True, kw_only=True)
class TableCurve(Spec):
    """`values` at `states`, linear between them; what the nearest end has beyond."""

    kind: ClassVar[str] = "table"
    states: tuple[float, ...] = limited(unit="1")
    values: tuple[float, ...] = limited(unit="1")

    def problems(self) -> Iterable[Problem]:
        yield from rising("states", self.states)
        if len(self.values) != len(self.states):
            yield Problem(("values",), f"must be {len(self.states)}, one a state", given=f"{len(self.values)} values")


@dataclass(frozen=True, kw_only=True)
class PiecewiseCurve(Spec):
    """`below` for x < `at`, `above` from there on."""

    kind: ClassVar[str] = "piecewise"
    at: float = limited(unit="1")
    below: Curve
    above: Curve


Curve = ConstantCurve | PolynomialCurve | ExponentialCurve | LogarithmicCurve | PowerCurve | TableCurve | PiecewiseCurve


@dataclass(frozen=True, kw_only=True)
class PolynomialCurves(Spec):
    """A polynomial a time: rows of coefficients, the constant first."""

    kind: ClassVar[str] = "polynomials"
    coefficients: tuple[tuple[float, ...], ...] = limited(unit="1")

    @property
    def count(self) -> int:
        return len(self.coefficients)

    def problems(self) -> Iterable[Problem]:
        if not all(self.coefficients):
            yield Problem(("coefficients",), "needs at least one number in every row", given="an empty row")


@dataclass(frozen=True, kw_only=True)
class ExponentialCurves(Spec):
    """A saturating exponential a time: amplitudes[k] (1 - exp(-x / scales[k]))."""

    kind: ClassVar[str] = "exponentials"
    amplitudes: tuple[float, ...] = limited(unit="1")
    scales: tuple[float, ...] = limited(low=1e-12, unit="1")

    @property
    def count(self) -> int:
        return len(self.amplitudes)

    def problems(self) -> Iterable[Problem]:
        if len(self.scales) != len(self.amplitudes):
            yield Problem(("scales",), f"must be {len(self.amplitudes)}, one a time", given=f"{len(self.scales)}")


Curves = PolynomialCurves | ExponentialCurves


def rising(name: str, values: tuple[float, ...]) -> Iterable[Problem]:
    """What is wrong with values that must rise."""
    if not values or any(a >= b for a, b in itertools.pairwise(values)):
        yield Problem((name,), "must be at least one number, each above the one before", given=str(list(values)))
