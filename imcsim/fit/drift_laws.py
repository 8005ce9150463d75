"""The laws of drift: of each its parameters, likelihood, prediction, and the specs that come of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import FitError
from imcsim.fit.curves import MOST_LEVELS, Family, binned, family
from imcsim.fit.laws import NORMAL
from imcsim.fit.likelihood import Free, Maximum, maximise
from imcsim.fit.result import unit_of
from imcsim.specs.curves import PolynomialCurve, PolynomialCurves
from imcsim.specs.resistive import LogarithmicDrift, PowerDrift, ProgrammingError, RelaxationDrift, TableDrift

Array = NDArray[Any]
NuCurve = Literal["auto", "constant", "polynomial", "logarithmic"]

WHERE = "drift"
LEAST_CELLS = 3


@dataclass(frozen=True)
class Paths:
    """Conductances (cells, times) in `unit_S`, NaN where missing; t counts from the write, t0 among it; states x."""

    g: Array
    t: Array
    target: Array
    x: Array
    t0_s: float
    unit_S: float
    state_unit_S: float
    has_target: bool

    def some(self, cells: Array) -> Paths:
        """The cells of a mask."""
        return dataclasses.replace(self, g=self.g[cells], t=self.t[cells], target=self.target[cells], x=self.x[cells])


@dataclass(frozen=True)
class Law:
    """A law that is fitted: its likelihood per cell, what it predicts, and the specs that come of it."""

    name: str
    free: tuple[Free, ...]
    likelihood: Callable[[Paths], Callable[[Array], Array]]
    predict: Callable[[Array, Array, Array], tuple[Array, Array]]  # (values, target, t) -> mean, sigma in unit_S
    components: Callable[[Array], dict[str, Any]]
    several: bool  # the likelihood counts several reads of a cell as independent
    starts: tuple[tuple[float, ...], ...] = ()
    residuals: Callable[[Array, Paths], Array] | None = None  # where they are not those of the prediction

    def fitted(self, paths: Paths) -> Maximum:
        """The maximum of the likelihood of `paths`."""
        return maximise(self.likelihood(paths), self.free, WHERE, self.starts)

    def standardised(self, values: Array, paths: Paths) -> Array:
        """The residuals in standard deviations; of what the law takes for given, NaN."""
        if self.residuals is not None:
            return self.residuals(values, paths)
        mean, sigma = self.predict(values, paths.target[:, None], paths.t)
        given = (not paths.has_target) & (paths.t <= paths.t0_s * (1 + 1e-9))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where((sigma > 0) & ~given, (paths.g - mean) / sigma, np.nan)


def power_law(paths: Paths, nu_mean: NuCurve, nu_sigma: NuCurve, nu_law: Literal["folded", "normal"], most: int) -> Law:
    """The power law; curves left to choose are those of the least AIC, that of the mean first."""
    kinds: dict[str, NuCurve] = {"mean": nu_mean, "sigma": nu_sigma}
    law = _power(paths, kinds["mean"], kinds["sigma"], nu_law, most)
    for which, asked in (("mean", nu_mean), ("sigma", nu_sigma)):
        if asked != "auto":
            continue
        least = np.inf
        best: NuCurve = "constant"
        kind: NuCurve
        for kind in ("constant", "polynomial", "logarithmic"):
            trial = {**kinds, which: kind}
            try:
                made = _power(paths, trial["mean"], trial["sigma"], nu_law, most)
                aic = made.fitted(paths).aic
            except FitError:
                continue
            if aic < least - 2:
                least, best, law = aic, kind, made
        kinds[which] = best
    return law


def _power(paths: Paths, nu_mean: NuCurve, nu_sigma: NuCurve, nu_law: Literal["folded", "normal"], most: int) -> Law:
    """Nu of a cell is the slope of ln g against ln t; its error of estimation adds to the spread from cell to cell."""
    slopes, _, rows, scatter = slopes_of(paths)
    if slopes.size < LEAST_CELLS:
        raise FitError.of(
            (WHERE, "conductance"), "a power law needs cells that conduct at two times or more", f"{slopes.size} cells"
        )
    x = paths.x[rows]
    at, means = binned(x, slopes, np.mean)
    at_s, spreads = binned(x, slopes, np.std)
    kinds = [kind if kind != "auto" else "constant" for kind in (nu_mean, nu_sigma)]
    degree = min(most, np.unique(x).size - 1)
    mean = family(kinds[0], "nu_mean", "1", at, means, degree=degree, positive=False)
    sigma = family(kinds[1], "nu_sigma", "1", at_s, np.maximum(spreads, 1e-6), degree=degree)
    split = len(mean.free)
    written = float(np.nanstd(first_reads(paths.g) - paths.target))

    def likelihood(some: Paths) -> Callable[[Array], Array]:
        nu, error, which, _ = slopes_of(some)
        state = some.x[which]

        def of(values: Array) -> Array:
            spread = sigma.value(values[split:], state)
            if np.min(spread) <= 0:
                return np.full(nu.size, -np.inf)
            middle, width = mean.value(values[:split], state), np.sqrt(spread**2 + error**2)
            density = NORMAL.density(nu, middle, width, 0.0)
            if nu_law == "folded":
                density = np.logaddexp(density, NORMAL.density(nu, -middle, width, 0.0))
            return density

        return of

    def predict(values: Array, target: Array, t: Array) -> tuple[Array, Array]:
        state = target * paths.unit_S / paths.state_unit_S
        middle, spread = mean.value(values[:split], state), sigma.value(values[split:], state)
        logs = np.log(t / paths.t0_s)
        # of exp(-nu L) with nu normal: mean exp(-m L + s^2 L^2 / 2), relative variance exp(s^2 L^2) - 1
        wide = (spread * logs) ** 2
        found = target * np.exp(-middle * logs + wide / 2)
        return found, np.sqrt(found**2 * (np.expm1(wide) + scatter) + (written * found / target) ** 2)

    def residuals(values: Array, some: Paths) -> Array:
        nu, error, which, _ = slopes_of(some)
        middle, spread = mean.value(values[:split], some.x[which]), sigma.value(values[split:], some.x[which])
        return np.asarray((nu - middle) / np.sqrt(spread**2 + error**2))

    def components(values: Array) -> dict[str, Any]:
        drift = PowerDrift(
            nu_mean=mean.spec(values[:split]),
            nu_sigma=sigma.spec(values[split:]),
            nu_law=nu_law,
            state_unit_S=paths.state_unit_S,
        )
        return {"cell.drift": drift}

    return Law(
        "power law", (*mean.free, *sigma.free), likelihood, predict, components, several=False, residuals=residuals
    )


def slopes_of(paths: Paths) -> tuple[Array, Array, Array, float]:
    """-d ln g / d ln t of each cell that has one, its standard error, which cells these are; the scatter of ln g."""
    with np.errstate(invalid="ignore", divide="ignore"):
        y = np.where(paths.g > 0, np.log(paths.g), np.nan)
    logs = np.where(np.isfinite(y), np.log(paths.t), np.nan)
    count = np.isfinite(y).sum(axis=1)
    known = np.isfinite(logs)
    spans = np.where(known, logs, -np.inf).max(axis=1) > np.where(known, logs, np.inf).min(axis=1)
    rows = np.flatnonzero((count >= 2) & spans)
    y, logs, count = y[rows], logs[rows], count[rows]
    lx = logs - np.nanmean(logs, axis=1, keepdims=True)
    sxx = np.nansum(lx**2, axis=1)
    slope = np.nansum(lx * (y - np.nanmean(y, axis=1, keepdims=True)), axis=1) / sxx
    left = np.nansum((y - np.nanmean(y, axis=1, keepdims=True) - slope[:, None] * lx) ** 2, axis=1)
    freedom = np.maximum(count - 2, 0)
    # the scatter of reads about the line, one for all cells: that of a single cell is known from a read or two
    scatter = left.sum() / freedom.sum() if freedom.sum() else 0.0
    return -slope, np.sqrt(scatter / sxx), rows, float(scatter)


def logarithmic_law(paths: Paths) -> Law:
    if paths.t0_s < 1:
        raise FitError.of((WHERE, "time"), "a logarithmic law is told from 1 s on", f"{paths.t0_s:g} s")
    free: tuple[Free, ...] = (
        Free(name="mean_slope", unit=unit_of(paths.unit_S), what="of the mean, for each ln t", start=0.0, size=1.0),
        Free(name="sigma", unit=unit_of(paths.unit_S), what="spread at t = 1 s", start=1.0, log=True, low=1e-9),
        Free(
            name="sigma_slope",
            unit=unit_of(paths.unit_S),
            what="growth of the spread, for each ln t",
            start=0.01,
            low=0.0,
        ),
    )
    change = paths.g - paths.target[:, None]
    logs = np.log(paths.t)
    start = [
        float(np.nansum(change * logs) / np.nansum(np.where(np.isfinite(change), logs**2, 0) + 1e-12)),
        float(np.nanstd(change)),
        0.01,
    ]
    free = tuple(dataclasses.replace(one, start=value) for one, value in zip(free, start, strict=True))

    def likelihood(some: Paths) -> Callable[[Array], Array]:
        there = np.isfinite(some.g)
        if not some.has_target:
            there &= some.t > paths.t0_s * (1 + 1e-9)
        ln_t = np.where(there, np.log(np.where(there, some.t, 1.0)), 0.0)
        moved = np.where(there, some.g - some.target[:, None], 0.0)

        def of(values: Array) -> Array:
            each = NORMAL.density(moved, values[0] * ln_t, values[1] + values[2] * ln_t, 0.0)
            return np.asarray(np.where(there, each, 0.0).sum(axis=1))

        return of

    def predict(values: Array, target: Array, t: Array) -> tuple[Array, Array]:
        return target + values[0] * np.log(t), values[1] + values[2] * np.log(t) + 0 * target

    def components(values: Array) -> dict[str, Any]:
        unit = paths.unit_S
        drift = LogarithmicDrift(
            mean_slope_S=values[0] * unit, sigma_S=values[1] * unit, sigma_slope_S=values[2] * unit
        )
        return {"cell.drift": drift}

    return Law("logarithmic law", free, likelihood, predict, components, several=True)


def relaxation_law(paths: Paths, most: int) -> Law:
    """Var of g(t) - g(first read) = c1(x) log10 t + c2(x): a cell that relaxes one way, as far as t says."""
    if paths.t0_s < 1:
        raise FitError.of((WHERE, "time"), "relaxation is told from 1 s on", f"{paths.t0_s:g} s")
    degree = min(most, np.unique(paths.x).size - 1)
    first = first_reads(paths.g)
    size = float(np.nanvar(paths.g - first[:, None]))
    if size == 0:
        raise FitError.of((WHERE, "conductance"), "does not change: there is nothing to fit")
    start = _moments(paths, degree)
    free = tuple(
        Free(
            name=f"c{which}.x{k}" if k else f"c{which}.1",
            unit=f"{unit_of(paths.unit_S)}^2",
            start=float(start[which - 1][k]),
            size=size,
            what=f"of var = c1 log10 t + c2: coefficient of x^{k}",
        )
        for which in (1, 2)
        for k in range(degree + 1)
    )

    def variance(values: Array, state: Array, t: Array) -> Array:
        c1, c2 = (
            np.polynomial.polynomial.polyval(state, part) for part in (values[: degree + 1], values[degree + 1 :])
        )
        return np.asarray(c1 * np.log10(t) + c2)

    def likelihood(some: Paths) -> Callable[[Array], Array]:
        change = some.g - first_reads(some.g)[:, None]
        there = np.isfinite(change) & (some.t > paths.t0_s * (1 + 1e-9))
        t = np.where(there, some.t, 10.0)
        moved = np.where(there, change, 0.0)
        state = some.x[:, None]

        def of(values: Array) -> Array:
            var = variance(values, state, t)
            if np.min(var[there]) <= 0:
                return np.full(len(change), -np.inf)
            each = -0.5 * (moved**2 / var + np.log(2 * np.pi * np.where(there, var, 1.0)))
            return np.asarray(np.where(there, each, 0.0).sum(axis=1))

        return of

    def predict(values: Array, target: Array, t: Array) -> tuple[Array, Array]:
        var = variance(values, target * paths.unit_S / paths.state_unit_S, t)
        return target + 0 * t, np.sqrt(np.maximum(var, 0))

    def components(values: Array) -> dict[str, Any]:
        c1, c2 = (_polynomial(part) for part in (values[: degree + 1], values[degree + 1 :]))
        return {"cell.drift": RelaxationDrift(c1=c1, c2=c2, unit_S=paths.unit_S, state_unit_S=paths.state_unit_S)}

    return Law("relaxation", free, likelihood, predict, components, several=True)


def _polynomial(coefficients: Array) -> PolynomialCurve:
    return PolynomialCurve(coefficients=tuple(map(float, coefficients)))


def _moments(paths: Paths, degree: int) -> tuple[Array, Array]:
    """Where a search for c1 and c2 starts: a common slope and level of the variance, by state."""
    change = paths.g - first_reads(paths.g)[:, None]
    after = np.isfinite(change) & (paths.t > paths.t0_s * (1 + 1e-9))
    logs, squares = np.log10(paths.t[after]), change[after] ** 2
    slope = max(float(np.polyfit(logs, squares, 1)[0]), 0.0) if np.ptp(logs) > 0 else 0.0
    level = max(float(np.mean(squares)) - slope * float(np.mean(logs)), 1e-3 * float(np.mean(squares)))
    c1, c2 = np.zeros(degree + 1), np.zeros(degree + 1)
    c1[0], c2[0] = slope, level
    return c1, c2


def table_law(paths: Paths, most: int) -> Law:
    """The spread about the target at each time, and the shift of its mean."""
    columns = np.flatnonzero(np.isfinite(paths.g).any(axis=0))
    if not paths.has_target:
        raise FitError.of((WHERE, "target"), "is needed for a table: the spread about what was asked for")
    if np.any(np.nanstd(paths.t[:, columns], axis=0) > 0.2 * np.nanmean(paths.t[:, columns], axis=0)):
        raise FitError.of((WHERE, "time"), "a table needs cells that are read at the same times")
    if columns.size > MOST_LEVELS:
        raise FitError.of((WHERE, "time"), f"a table needs at most {MOST_LEVELS} times", f"{columns.size}")
    times = np.nanmean(paths.t[:, columns], axis=0)
    degree = min(most, np.unique(paths.x).size - 1)
    change = paths.g[:, columns] - paths.target[:, None]
    curves: list[Family] = []
    free: list[Free] = []
    for k in range(times.size):
        there = np.isfinite(change[:, k])
        at, spreads = binned(paths.x[there], change[there, k], np.std)
        curve = family("polynomial", f"sigma@{times[k]:.3g}s", unit_of(paths.unit_S), at, spreads, degree=degree)
        shift = Free(
            name=f"shift@{times[k]:.3g}s",
            unit=unit_of(paths.unit_S),
            what=f"of the mean after {times[k]:.3g} s",
            start=float(np.mean(change[there, k])),
            size=float(np.std(change[there, k])) or 1.0,
        )
        curves.append(curve)
        free += [shift, *curve.free]
    width = degree + 2

    def at_time(moved: Array, state: Array, k: int) -> Callable[[Array], Array]:
        there = np.isfinite(moved)
        state, moved = state[there], moved[there]

        def of(mine: Array) -> Array:
            spread = curves[k].value(mine[1:], state)
            return NORMAL.density(moved, mine[0], spread, 0.0) if np.min(spread) > 0 else np.full(state.size, -np.inf)

        return of

    # the times share no parameter: what is best at each is best of all
    start = np.concatenate(
        [
            maximise(at_time(change[:, k], paths.x, k), free[k * width : (k + 1) * width], WHERE).values
            for k in range(times.size)
        ]
    )

    def likelihood(some: Paths) -> Callable[[Array], Array]:
        moved = some.g[:, columns] - some.target[:, None]

        def of(values: Array) -> Array:
            total = np.zeros(len(moved))
            for k, curve in enumerate(curves):
                mine = values[k * width : (k + 1) * width]
                spread = curve.value(mine[1:], some.x)
                there = np.isfinite(moved[:, k])
                if there.any() and np.min(spread[there]) <= 0:
                    return np.full(len(moved), -np.inf)
                total += np.where(
                    there,
                    NORMAL.density(np.where(there, moved[:, k], 0.0), mine[0], np.where(there, spread, 1.0), 0.0),
                    0.0,
                )
            return total

        return of

    def predict(values: Array, target: Array, t: Array) -> tuple[Array, Array]:
        state = target * paths.unit_S / paths.state_unit_S
        logs = np.log(np.clip(t, times[0], times[-1]))
        rows = values.reshape(times.size, width)
        shape = np.broadcast_shapes(np.shape(state), np.shape(t))
        spreads = np.stack(
            [np.broadcast_to(curve.value(row[1:], state), shape) for curve, row in zip(curves, rows, strict=True)]
        )
        shifts = np.broadcast_to(rows[:, 0].reshape(-1, *([1] * len(shape))), spreads.shape)
        place = np.broadcast_to(np.interp(np.nan_to_num(logs), np.log(times), np.arange(times.size)), shape)
        return target + _at_place(shifts, place), _at_place(spreads, place)

    def components(values: Array) -> dict[str, Any]:
        rows = values.reshape(times.size, width)
        unit: dict[str, Any] = {"unit_S": paths.unit_S, "state_unit_S": paths.state_unit_S}
        programming = ProgrammingError(sigma=_polynomial(rows[0, 1:]), **unit)
        told: dict[str, Any] = {"cell.programming": programming}
        if times.size > 1:
            told["cell.drift"] = TableDrift(
                times_s=tuple(map(float, times[1:])),
                sigma=PolynomialCurves(coefficients=tuple(tuple(map(float, row[1:])) for row in rows[1:])),
                shift=PolynomialCurves(coefficients=tuple((float(row[0] - rows[0, 0]),) for row in rows[1:])),
                **unit,
            )
        return told

    free = [dataclasses.replace(one, start=float(value)) for one, value in zip(free, start, strict=True)]
    return Law("table", tuple(free), likelihood, predict, components, several=True)


def _at_place(table: Array, place: Array) -> Array:
    """The rows of a table (rows, ...) at places between them (...), linearly."""
    below = np.clip(place.astype(int), 0, max(len(table) - 2, 0))
    above = np.minimum(below + 1, len(table) - 1)
    share = place - below
    low, high = (np.take_along_axis(table, one[None], 0)[0] for one in (below, above))
    return np.asarray(low * (1 - share) + high * share)


def first_reads(g: Array) -> Array:
    return np.asarray(np.take_along_axis(g, np.isfinite(g).argmax(axis=1)[:, None], axis=1)[:, 0])
