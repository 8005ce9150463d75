"""Random telegraph noise: traps that capture and release, by a hidden Markov model of 1 to 3 of them.

Every trap is a chain of two states that goes its own way; the current is a base and the amplitudes of the traps that
are filled, in normal noise. Rates are those of a process in continuous time, seen at equal intervals (Colquhoun &
Hawkes 1977): P(up in an interval) = up / (up + down) (1 - exp(-(up + down) interval)).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import FitError
from imcsim.fit.likelihood import Free, Maximum, parameters
from imcsim.fit.read_noise import series, states
from imcsim.fit.result import FitResult, Mark, Panel, Parameter, few_devices, unit_of
from imcsim.kernels.chains import forward, smoothed, viterbi
from imcsim.measurements.groups import ReadNoise
from imcsim.specs.curves import ConstantCurve
from imcsim.specs.resistive import TelegraphNoise, WhiteNoise

Array = NDArray[Any]

WHERE = "read_noise"
_LEAST_READS = 200
_ROUNDS, _ROUNDS_OF_ALL = 60, 12  # of expectation and maximisation; Newton's method goes on from there
_WORTH = 10.0  # of BIC, that another trap must be worth: very strong evidence (Kass & Raftery 1995)
_SHORT = 10_000  # reads on which a number of traps is first tried
_MOST = 0.5  # of the variance, that traps must have to be the noise a chip draws
_WHITE = 0.1  # a correlation of neighbours below which what is left is white
_SEEN = 1.0  # an amplitude below so many sigma of the white noise


@dataclass(frozen=True)
class Traps:
    """A base, the noise, and of each trap its amplitude and the probabilities to fill and to empty in an interval."""

    base: float
    sigma: float
    amplitude: Array
    fill: Array
    empty: Array

    @property
    def count(self) -> int:
        """How many."""
        return self.amplitude.size

    def chain(self) -> tuple[Array, Array, Array]:
        """The levels (states,) of all combinations, the transitions (states, states), the stationary shares."""
        levels, transitions, shares = np.array([self.base]), np.ones((1, 1)), np.ones(1)
        for a, up, down in zip(self.amplitude, self.fill, self.empty, strict=True):
            one = np.array([[1 - up, up], [down, 1 - down]])
            levels = (levels[:, None] + np.array([0.0, a])[None, :]).ravel()
            transitions = np.kron(transitions, one)
            shares = np.kron(shares, np.array([down, up]) / (up + down))
        return levels, transitions, shares


@dataclass(frozen=True, kw_only=True)
class TelegraphFit:
    """Traps of each series of reads: amplitude, share of the time filled, rates; their number, up to `most`, by BIC.

    A series of no trap is one of normal noise. Rates are per second where the interval is known, else per read. The
    intervals are of the information matrix. Chips draw a cell's trap as filled or not, constant within a call.
    """

    group = ReadNoise
    kind = "telegraph"
    name = "telegraph noise"
    most: int = 3
    unit_S: float = 1e-6

    def fits(self, data: ReadNoise) -> bool:
        """Whether the measurements hold what is fitted."""
        return data.conductance is not None and data.conductance.shape[-1] >= _LEAST_READS

    def fit(self, data: ReadNoise, rng: np.random.Generator) -> FitResult:
        """The fit of each series. Raises FitError where there are too few reads."""
        del rng  # nothing is drawn
        if not 1 <= self.most <= 3:
            raise FitError.of(("most",), "must be from 1 to 3 traps", str(self.most))
        interval = float(data.interval) if data.interval is not None else None
        reads = series(data) / self.unit_S
        if reads.shape[1] < _LEAST_READS:
            raise FitError.of(
                (WHERE, "conductance"), f"telegraph noise needs {_LEAST_READS} reads of a cell", f"{reads.shape[1]}"
            )
        decoded = [self._series(one[np.isfinite(one)], interval) for one in reads]
        means = np.nanmean(reads, axis=1)
        return self._told(reads, means, decoded, interval)

    def _series(self, y: Array, interval: float | None) -> tuple[Traps, Maximum | None]:
        """The traps of one series, and the maximum that tells their intervals; None where there is no trap."""
        spread = float(np.std(y))
        best = Traps(float(np.mean(y)), spread, np.empty(0), np.empty(0), np.empty(0))
        if spread == 0:
            return best, None
        least = -2 * _log_likelihood(best, y) + 2 * np.log(y.size)
        for count in range(1, self.most + 1):
            traps = _expected(y, count)
            if traps is None or np.min(traps.amplitude) < _SEEN * traps.sigma:
                break
            bic = -2 * _log_likelihood(traps, y) + (2 + 3 * count) * np.log(y.size)
            if bic >= least - _WORTH:
                break
            best, least = traps, bic
        while best.count:
            try:
                found = _polished(y, best, interval, self.unit_S)
                return _from_values(found.values, interval), found
            except FitError:  # the last trap is not told from the noise: one fewer
                fewer = _expected(y, best.count - 1) if best.count > 1 else None
                best = fewer or Traps(float(np.mean(y)), spread, np.empty(0), np.empty(0), np.empty(0))
        return best, None

    def _told(
        self, reads: Array, means: Array, decoded: list[tuple[Traps, Maximum | None]], interval: float | None
    ) -> FitResult:
        told: list[Parameter] = []
        warnings: list[str] = []
        counts = np.array([traps.count for traps, _ in decoded])
        several = len(decoded) > 1
        for k, (_, found) in enumerate(decoded):
            if found is not None:
                fitted = parameters(lambda values: values, found, np.random.default_rng(0), "information", "series")
                suffix = f"[{k}]" if several else ""
                told += [_renamed(one, suffix) for one in fitted]
                warnings += found.warnings()
        relative = (
            np.array([np.sqrt(np.sum((t.amplitude) ** 2 * _filled(t) * (1 - _filled(t)))) for t, _ in decoded]) / means
        )
        amplitudes = np.concatenate(
            [t.amplitude / m for (t, _), m in zip(decoded, means, strict=True)] or [np.empty(0)]
        )
        shares = np.concatenate([_filled(t) for t, _ in decoded] or [np.empty(0)])
        overall = [
            Parameter(
                name="cells_with_traps",
                value=float(np.mean(counts > 0)),
                unit="1",
                what="share of the cells in which a trap is seen",
            )
        ]
        components: dict[str, Any] = {}
        if amplitudes.size:
            overall += [
                Parameter(
                    name="amplitude_rel",
                    value=float(np.median(amplitudes)),
                    unit="1",
                    what="of a trap, relative to the mean of its cell; the middle one",
                    low=float(amplitudes.min()),
                    high=float(amplitudes.max()),
                    interval=f"least and largest of {amplitudes.size} traps",
                ),
                Parameter(
                    name="filled",
                    value=float(np.median(shares)),
                    unit="1",
                    what="share of the time a trap is in its upper level; the middle one",
                    low=float(shares.min()),
                    high=float(shares.max()),
                    interval=f"least and largest of {shares.size} traps",
                ),
            ]
            components["cell.telegraph_noise"] = TelegraphNoise(
                scaling="proportional",
                amplitude=ConstantCurve(value=float(np.median(amplitudes))),
                occupancy=float(np.median(shares)),
                share_of_cells=float(np.mean(counts > 0)),
            )
            if several and np.ptp(amplitudes) > 0.5 * np.median(amplitudes):
                warnings.append(
                    "traps differ from cell to cell by more than half their amplitude: a chip gives all the middle one"
                )
        white = np.array([t.sigma for t, _ in decoded]) / means
        components["cell.white_noise"] = WhiteNoise(
            scaling="proportional", sigma=ConstantCurve(value=float(np.median(white)))
        )
        left = np.concatenate(
            [_residuals(one[np.isfinite(one)], traps) for one, (traps, _) in zip(reads, decoded, strict=True)]
        )
        memory = [
            _memory(_residuals(one[np.isfinite(one)], traps)) for one, (traps, _) in zip(reads, decoded, strict=True)
        ]
        if np.median(memory) > _WHITE:
            warnings.append(
                f"what is left beside the traps is not white: reads that follow each other correlate by "
                f"{np.median(memory):.2f}; see the spectrum"
            )
        if interval is None:
            warnings.append("the interval of reads is not known: rates are per read, not per second")
        explained = float(np.median((relative * means) ** 2 / np.nanvar(reads, axis=1)))
        return FitResult(
            kind=self.kind,
            estimator=self.name,
            group=self.group.name,
            parameters=(*overall, *told),
            goodness={
                "correlation of neighbouring residuals, middle of the cells": float(np.median(memory)),
                "share of the variance that is of traps, middle of the cells": explained,
            },
            tells_most=bool(amplitudes.size and explained > _MOST and abs(np.median(memory)) < _WHITE),
            valid=states(reads * self.unit_S),
            warnings=(*dict.fromkeys(warnings), *few_devices(len(decoded), "cells")),
            components=components,
            panels=tuple(
                self._panel(k, reads[k], decoded[k][0], interval) for k in np.argsort(-counts, kind="stable")[:3]
            ),
            residuals=left,
        )

    def _panel(self, k: int, reads: Array, traps: Traps, interval: float | None) -> Panel:
        y = reads[np.isfinite(reads)][:2000]
        levels, transitions, shares = traps.chain()
        path = (
            levels[viterbi(y, levels, traps.sigma, np.log(transitions), np.log(shares))]
            if traps.count
            else np.full(y.size, traps.base)
        )
        time = np.arange(y.size) * (interval or 1.0)
        unit = unit_of(self.unit_S)
        return Panel(
            title=f"Cell {k}, {traps.count} trap{'s' if traps.count != 1 else ''}: reads and decoded levels",
            x_label="time (s)" if interval else "read",
            y_label=f"conductance ({unit})",
            marks=(Mark(kind="points", x=time, y=y, label="reads"), Mark(kind="line", x=time, y=path, label="decoded")),
        )


def _filled(traps: Traps) -> Array:
    return np.asarray(traps.fill / (traps.fill + traps.empty))


def _log_likelihood(traps: Traps, y: Array) -> float:
    levels, transitions, shares = traps.chain()
    return float(forward(y, levels, traps.sigma, transitions, shares))


def _expected(y: Array, count: int) -> Traps | None:
    """Traps by expectation and maximisation, from two starts on the first reads; the best goes over all of them."""
    short = y[:_SHORT]
    spread, base = float(np.std(short)), float(np.mean(short))
    low, high = np.quantile(short, [0.02, 0.98])
    best: tuple[float, Traps] | None = None
    for share, rate in ((1.0, 0.03), (0.6, 0.2)):
        amplitude = share * (high - low) * 0.5 ** np.arange(count)
        rates = rate * 0.7 ** np.arange(count)
        start = Traps(base - float(amplitude.sum()) / 2, max(0.3 * spread, 1e-12), amplitude, rates, rates)
        traps = _rounds(short, start, _ROUNDS)
        value = _log_likelihood(traps, short) if traps is not None else -np.inf
        if traps is not None and np.isfinite(value) and (best is None or value > best[0]):
            best = value, traps
    if best is None:
        return None
    return best[1] if y.size <= _SHORT else _rounds(y, best[1], _ROUNDS_OF_ALL)


def _rounds(y: Array, traps: Traps, most: int) -> Traps | None:
    states = 2**traps.count
    filled = ((np.arange(states)[:, None] >> np.arange(traps.count)[::-1]) & 1).astype(float)
    before = -np.inf
    for _ in range(most):
        levels, transitions, shares = traps.chain()
        gamma_sum, gamma_y, gamma_yy, pairs, _, value = smoothed(y, levels, traps.sigma, transitions, shares)
        if not np.isfinite(value):
            return None
        if value - before < 1e-6 * abs(value):
            break
        before = value
        # the amplitudes are a regression of the reads on which traps are filled, weighed by how probable that is
        design = np.column_stack([np.ones(states), filled])
        try:
            solution = np.linalg.solve(design.T @ (gamma_sum[:, None] * design), design.T @ gamma_y)
        except np.linalg.LinAlgError:
            return None
        fitted = design @ solution
        sigma = np.sqrt(max(float(np.sum(gamma_yy - 2 * fitted * gamma_y + fitted**2 * gamma_sum)) / y.size, 1e-24))
        fill, empty = np.empty(traps.count), np.empty(traps.count)
        for k in range(traps.count):
            off = filled[:, k] == 0
            stay, go = pairs[np.ix_(off, off)].sum(), pairs[np.ix_(off, ~off)].sum()
            back, hold = pairs[np.ix_(~off, off)].sum(), pairs[np.ix_(~off, ~off)].sum()
            fill[k] = np.clip(go / max(stay + go, 1e-12), 1e-7, 0.98)
            empty[k] = np.clip(back / max(back + hold, 1e-12), 1e-7, 0.98)
        traps = _upward(Traps(float(solution[0]), float(sigma), solution[1:], fill, empty))
    return traps


def _upward(traps: Traps) -> Traps:
    """The same process, all amplitudes positive, the largest first: a trap that lowers is one that raises, turned."""
    down = traps.amplitude < 0
    base = traps.base + float(traps.amplitude[down].sum())
    fill, empty = np.where(down, traps.empty, traps.fill), np.where(down, traps.fill, traps.empty)
    order = np.argsort(-np.abs(traps.amplitude))
    return Traps(base, traps.sigma, np.abs(traps.amplitude)[order], fill[order], empty[order])


def _polished(y: Array, traps: Traps, interval: float | None, unit_S: float) -> Maximum:
    """Newton's method from where expectation and maximisation ended, in base, noise, amplitudes and rates."""
    step = interval or 1.0
    total = -np.log1p(-np.clip(traps.fill + traps.empty, 1e-9, 0.999)) / step
    up, down = total * _filled(traps), total * (1 - _filled(traps))
    free = _free(traps, up, down, unit_S, "1/s" if interval else "1/read", step)
    theta = np.array([one.inward(one.start) for one in free])

    def gradient(at: Array) -> Array:
        values = np.array([one.outward(t) for one, t in zip(free, at, strict=True)])
        scales = np.array([value if one.log else one.size for one, value in zip(free, values, strict=True)])
        return np.asarray(_gradient(y, values, step) * scales)

    for _ in range(12):
        slope = gradient(theta)
        hessian = np.empty((theta.size, theta.size))
        for i in range(theta.size):
            by = np.zeros(theta.size)
            by[i] = 1e-3 if free[i].log else 1e-2
            hessian[i] = (gradient(theta + by) - gradient(theta - by)) / (2 * by[i])
        information = -(hessian + hessian.T) / 2
        if not np.isfinite(information).all() or np.linalg.eigvalsh(information).min() <= 0:
            break
        move = np.linalg.solve(information, slope)
        if 0.5 * float(slope @ move) < 1e-3:
            axes = np.linalg.inv(np.linalg.cholesky(information)).T
            if np.max(np.sqrt(np.diag(axes @ axes.T))[[k for k, one in enumerate(free) if one.log]]) > 2:
                break
            values = np.array([one.outward(t) for one, t in zip(free, theta, strict=True)])
            value = _log_likelihood(_from_values(values, interval), y)
            return Maximum(tuple(free), theta, value, axes, np.zeros(theta.size, bool), 1)
        theta = theta + move * min(1.0, 0.7 / float(np.abs(move).max()))
    raise FitError.of((WHERE, "conductance"), "did not converge: the traps are not told apart from the noise")


def _free(traps: Traps, up: Array, down: Array, unit_S: float, per: str, step: float) -> list[Free]:
    unit = unit_of(unit_S)
    del step
    free = [
        Free(name="base", unit=unit, what="level with no trap filled", start=traps.base, size=traps.sigma),
        Free(name="sigma", unit=unit, what="of the white noise", start=traps.sigma, log=True),
    ]
    for k in range(traps.count):
        name = f"trap{k + 1}" if traps.count > 1 else "trap"
        free += [
            Free(name=f"{name}.amplitude", unit=unit, what="of the step", start=float(traps.amplitude[k]), log=True),
            Free(name=f"{name}.up", unit=per, what="rate to the upper level", start=float(up[k]), log=True),
            Free(name=f"{name}.down", unit=per, what="rate to the lower level", start=float(down[k]), log=True),
        ]
    return free


def _gradient(y: Array, values: Array, step: float) -> Array:
    """The derivatives of the log-likelihood: those of the complete data, as probable as they are (Fisher)."""
    traps = _from_values(values, step)
    levels, transitions, shares = traps.chain()
    sums, first, second, pairs, begun, _ = smoothed(y, levels, traps.sigma, transitions, shares)
    by_level = (first - levels * sums) / traps.sigma**2
    squares = float(np.sum(second - 2 * levels * first + levels**2 * sums))
    told = [float(by_level.sum()), -y.size / traps.sigma + squares / traps.sigma**3]
    states = 2**traps.count
    filled = ((np.arange(states)[:, None] >> np.arange(traps.count)[::-1]) & 1).astype(bool)
    for k, (up, down) in enumerate(values[2:].reshape(-1, 3)[:, 1:]):
        on = filled[:, k]
        stay, go = pairs[np.ix_(~on, ~on)].sum(), pairs[np.ix_(~on, on)].sum()
        back, hold = pairs[np.ix_(on, ~on)].sum(), pairs[np.ix_(on, on)].sum()
        fill, empty = traps.fill[k], traps.empty[k]
        by_fill, by_empty = go / fill - stay / (1 - fill), back / empty - hold / (1 - empty)
        total = up + down
        moved, decay = -np.expm1(-total * step), np.exp(-total * step) * step
        # fill = up / total * moved, empty = down / total * moved; the first state is of the stationary shares
        fill_up, fill_down = down / total**2 * moved + up / total * decay, -up / total**2 * moved + up / total * decay
        empty_up, empty_down = (
            -down / total**2 * moved + down / total * decay,
            up / total**2 * moved + down / total * decay,
        )
        begins = float(begun[on].sum())
        told += [
            float(by_level[on].sum()),
            by_fill * fill_up + by_empty * empty_up + begins / up - 1 / total,
            by_fill * fill_down + by_empty * empty_down + (1 - begins) / down - 1 / total,
        ]
    return np.array(told)


def _from_values(values: Array, interval: float | None) -> Traps:
    rows = np.asarray(values[2:]).reshape(-1, 3)
    total = rows[:, 1] + rows[:, 2]
    moved = -np.expm1(-total * (interval or 1.0)) / total
    return Traps(float(values[0]), float(values[1]), rows[:, 0], rows[:, 1] * moved, rows[:, 2] * moved)


def _residuals(y: Array, traps: Traps) -> Array:
    if traps.count == 0:
        return np.asarray((y - traps.base) / (traps.sigma or 1.0))
    levels, transitions, shares = traps.chain()
    path = viterbi(y, levels, traps.sigma, np.log(transitions), np.log(shares))
    return np.asarray((y - levels[path]) / traps.sigma)


def _memory(residuals: Array) -> float:
    centred = residuals - residuals.mean()
    return float(np.sum(centred[1:] * centred[:-1]) / max(np.sum(centred**2), 1e-300))


def _renamed(one: Parameter, suffix: str) -> Parameter:
    return dataclasses.replace(one, name=one.name + suffix)
