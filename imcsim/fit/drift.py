"""Drift: what cells conduct as time goes on after one write, by four laws.

Which of them describes a file is decided by cells held out, not by the fit: each law predicts the mean and the spread
of what a cell conducts at a time from the conductance asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import FitError
from imcsim.fit.curves import binned
from imcsim.fit.drift_laws import (
    LEAST_CELLS,
    WHERE,
    Law,
    NuCurve,
    Paths,
    first_reads,
    logarithmic_law,
    power_law,
    relaxation_law,
    slopes_of,
    table_law,
)
from imcsim.fit.laws import NORMAL
from imcsim.fit.likelihood import Maximum, Method, parameters
from imcsim.fit.result import (
    FEW_DEVICES,
    FitResult,
    Mark,
    Panel,
    Parameter,
    bins,
    few_devices,
    quantiles_against,
    unit_of,
    warn_beyond,
)
from imcsim.measurements.groups import Drift

Array = NDArray[Any]

_OUTERMOST = (0.001, 0.999)  # of the targets: single cells beyond are no states
_ROBUST = 1.482602218505602  # standard deviation of a normal law over its median absolute deviation


@dataclass(frozen=True, kw_only=True)
class DriftFit:
    """The law of drift of cells that were written once: "power", "logarithmic", "relaxation" or "table".

    power: g = g0 (t / t0)^-nu, nu of a cell normal about a curve of the state x = target / `state_unit_S`.
    logarithmic: about target + m ln t with the spread s0 + s1 ln t. relaxation: var = c1(x) log10 t + c2(x) about the
    first read. table: the spread about the target at each time, a polynomial of x each. "auto": the law that
    tells most of cells held out. `t0_s`, the time of the first read after the write, is added to the times where the
    first is 0. Cells without a target take their first read for it.
    """

    group = Drift
    kind = "drift"
    name = "drift"
    law: Literal["auto", "power", "logarithmic", "relaxation", "table"] = "auto"
    nu_mean: NuCurve = "auto"
    nu_sigma: NuCurve = "auto"
    nu_law: Literal["folded", "normal"] = "normal"
    degree: int = 2
    t0_s: float = 1.0
    unit_S: float = 1e-6
    state_unit_S: float | None = None

    def fits(self, data: Drift) -> bool:
        """Whether the measurements hold what is fitted."""
        return data.conductance is not None

    def fit(self, data: Drift, rng: np.random.Generator) -> FitResult:
        """The fit of cells over time. Raises FitError where there are too few, or it does not converge."""
        paths = self._paths(data)
        law, ranking = self._law(paths, rng)
        found = law.fitted(paths)
        cells = len(paths.g)
        method: Method = "sandwich" if law.several and cells < FEW_DEVICES else "auto"
        fitted = parameters(law.likelihood(paths), found, rng, method, "cells")
        residuals = law.standardised(found.values, paths)
        spread, heavy = _spread_at_the_end(paths)
        last = float(np.nanmax(paths.t - paths.t0_s))
        valid = {
            "g_low_S": float(np.quantile(paths.target, _OUTERMOST[0])) * self.unit_S,
            "g_high_S": float(np.quantile(paths.target, _OUTERMOST[1])) * self.unit_S,
            "t_max_s": last,
        }
        return FitResult(
            kind=self.kind,
            estimator=f"{self.name}, {law.name}",
            group=self.group.name,
            parameters=(*fitted, *spread),
            goodness=_goodness(residuals) | ranking,
            warnings=(*found.warnings(), *few_devices(cells, "cells"), *heavy, *_unlike(residuals)),
            components={"cell.t0_s": paths.t0_s, **law.components(found.values)},
            valid=valid,
            panels=self._panels(paths, law, found, residuals, rng),
            predict=lambda target_S, t_s: self._predicted(law, found, valid, paths.t0_s, target_S, t_s),
            residuals=residuals,
        )

    def _predicted(
        self, law: Law, found: Maximum, valid: Mapping[str, float], t0_s: float, target_S: Any, t_s: Any
    ) -> tuple[Array, Array]:
        """Mean and standard deviation in S of cells of a target, t (t0 among it) after the write."""
        target, t = np.asarray(target_S, float), np.asarray(t_s, float)
        warn_beyond(valid, target, t - t0_s)
        mean, sigma = law.predict(found.values, target / self.unit_S, t)
        return mean * self.unit_S, sigma * self.unit_S

    def _paths(self, data: Drift) -> Paths:
        g = np.asarray(data.conductance) / self.unit_S
        times = np.asarray(data.time)
        if times.shape != g.shape:
            times = np.broadcast_to(times, g.shape)
        there = np.isfinite(g) & np.isfinite(times)
        target = (
            np.asarray(data.target) / self.unit_S
            if data.target is not None
            else first_reads(np.where(there, g, np.nan))
        )
        keep = (there.sum(axis=1) >= 2) & np.isfinite(target)
        if keep.sum() < LEAST_CELLS:
            raise FitError.of(
                (WHERE, "conductance"), f"needs at least {LEAST_CELLS} cells read twice or more", f"{keep.sum()}"
            )
        g, times, target, there = g[keep], times[keep], target[keep], there[keep]
        first = float(np.min(times[there]))
        shift = 0.0 if first > 0 else self.t0_s
        t = np.where(there, times + shift, np.nan)
        t0 = float(np.nanmin(t))
        if np.nanmax(t) <= t0:
            raise FitError.of((WHERE, "time"), "is one time only: drift needs two or more", "1")
        unit = self.state_unit_S or float(np.quantile(target, _OUTERMOST[1])) * self.unit_S
        return Paths(
            np.where(there, g, np.nan),
            t,
            target,
            target * self.unit_S / unit,
            t0,
            self.unit_S,
            unit,
            data.target is not None,
        )

    def _law(self, paths: Paths, rng: np.random.Generator) -> tuple[Law, dict[str, float]]:
        if self.law != "auto":
            return self._made(self.law, paths), {}
        half = rng.permutation(len(paths.g)) < len(paths.g) / 2
        scores: dict[str, float] = {}
        for name in ("power", "logarithmic", "relaxation", "table"):
            try:
                law = self._made(name, paths.some(half))
                found = law.fitted(paths.some(half))
            except FitError:
                continue
            other = paths.some(~half)
            mean, sigma = law.predict(found.values, other.target[:, None], other.t)
            after = np.isfinite(other.g) & (other.t > paths.t0_s * (1 + 1e-9))
            with np.errstate(all="ignore"):
                each = NORMAL.density(other.g, mean, sigma, 0.0)[after]
            scores[name] = float(np.mean(each)) if np.isfinite(each).all() else -np.inf
        if not scores:
            raise FitError.of((WHERE,), "no law of drift could be fitted: give one to see why", remedy='law = "power"')
        best = max(scores, key=lambda name: scores[name])
        told = {f"log-likelihood of a read by {name}, on cells held out": value for name, value in scores.items()}
        return self._made(best, paths), told

    def _made(self, name: str, paths: Paths) -> Law:
        if name == "power":
            return power_law(paths, self.nu_mean, self.nu_sigma, self.nu_law, self.degree)
        if name == "logarithmic":
            return logarithmic_law(paths)
        return relaxation_law(paths, self.degree) if name == "relaxation" else table_law(paths, self.degree)

    def _panels(
        self, paths: Paths, law: Law, found: Maximum, residuals: Array, rng: np.random.Generator
    ) -> tuple[Panel, ...]:
        unit = unit_of(self.unit_S)
        order = np.argsort(paths.target)
        groups = [group for group in np.array_split(order, 4) if group.size]
        lines = []
        t_line = np.geomspace(paths.t0_s, np.nanmax(paths.t), 50)
        for group in groups:
            middle = float(np.median(paths.target[group]))
            at, medians = _by_time(paths, group)
            mean, sigma = law.predict(found.values, np.array(middle), t_line)
            lines += [
                Mark(kind="band", x=t_line, y=mean - sigma, y2=mean + sigma),
                Mark(kind="line", x=t_line, y=mean + 0 * t_line),
                Mark(kind="points", x=at, y=medians, label=f"about {middle:.3g} {unit}"),
            ]
        last = _last(paths.g)
        change = last - first_reads(paths.g)
        x, measured = binned(paths.x, change, lambda d: float(np.std(d)))
        _, robust = binned(paths.x, change, lambda d: float(_ROBUST * np.median(np.abs(d - np.median(d)))))
        to = paths.state_unit_S / paths.unit_S
        nu = slopes_of(paths)[0]
        edges = bins(nu) if nu.size else np.linspace(-1, 1, 3)
        return (
            Panel(
                title="Conductance over time: medians, and the law with its standard deviation",
                x_label="time since the write (s)",
                y_label=f"conductance ({unit})",
                marks=tuple(lines),
                x_scale="log",
            ),
            Panel(
                title="Change from the first read to the last",
                x_label=f"target ({unit})",
                y_label=f"spread ({unit})",
                marks=(
                    Mark(kind="points", x=x * to, y=measured, label="standard deviation"),
                    Mark(kind="points", x=x * to, y=robust, label="robust: from the median deviation"),
                ),
            ),
            Panel(
                title="Exponents of the cells",
                x_label="nu, of g ~ t^-nu",
                y_label="cells",
                marks=(Mark(kind="bars", x=edges, y=np.histogram(nu, edges)[0].astype(float), label="measured"),),
            ),
            _overlay(paths, law, found, unit, rng),
            quantiles_against(residuals.ravel(), "normal", lambda share_: NORMAL.quantile(share_, 0.0)),
        )


def _overlay(paths: Paths, law: Law, found: Maximum, unit: str, rng: np.random.Generator) -> Panel:
    """How far cells are from their target at their last read: measured, and drawn from the law."""
    last, at = _last(paths.g), _last(np.where(np.isfinite(paths.g), paths.t, np.nan))
    mean, sigma = law.predict(found.values, paths.target, at)
    measured, simulated = last - paths.target, mean - paths.target + sigma * rng.standard_normal(last.size)
    edges = bins(measured)
    return Panel(
        title="Last read less the target: measured and simulated",
        x_label=f"change ({unit})",
        y_label="density",
        marks=(
            Mark(kind="bars", x=edges, y=np.histogram(measured, edges, density=True)[0], label="measured"),
            Mark(kind="steps", x=edges, y=np.histogram(simulated, edges, density=True)[0], label="simulated"),
        ),
    )


def _spread_at_the_end(paths: Paths) -> tuple[list[Parameter], list[str]]:
    """The spread of the change from first to last read in four bands of state, plain and robust; heavy tails."""
    change = _last(paths.g) - first_reads(paths.g)
    order = np.argsort(paths.target)
    told, kurtoses = [], []
    for band in np.array_split(order, 4):
        if band.size < FEW_DEVICES:
            continue
        d = change[band]
        middle = float(np.median(paths.target[band]))
        robust = float(_ROBUST * np.median(np.abs(d - np.median(d))))
        plain = float(np.std(d, ddof=1))
        kurtosis = float(np.mean((d - d.mean()) ** 4) / np.var(d) ** 2 - 3)
        kurtoses.append((kurtosis, d.size))
        # var of s is sigma^2 (kurtosis + 2) / (4 n)
        se = plain * np.sqrt(max(kurtosis + 2, 0) / (4 * d.size))
        error = 1.167 * robust / np.sqrt(d.size)  # of a median deviation, where the law is normal
        name = f"spread of the change about {middle:.3g} {unit_of(paths.unit_S)}"
        told.append(
            Parameter(
                name=name,
                value=plain,
                unit=unit_of(paths.unit_S),
                what="standard deviation, first to last read",
                se=se,
                low=plain - 1.96 * se,
                high=plain + 1.96 * se,
                interval=f"normal, of {d.size} cells",
            )
        )
        told.append(
            Parameter(
                name=f"{name}, robust",
                value=robust,
                unit=unit_of(paths.unit_S),
                what="1.4826 times the median absolute deviation",
                se=error,
                low=robust - 1.96 * error,
                high=robust + 1.96 * error,
                interval=f"normal, of {d.size} cells",
            )
        )
    heavy = [(k, n) for k, n in kurtoses if k > 5 * np.sqrt(24 / n)]
    if not heavy:
        return told, []
    most = max(k for k, _ in heavy)
    return told, [
        (
            f"heavy tails: the change of cells has an excess kurtosis of up to {most:.1f}; "
            "a normal law draws too few that go far"
        )
    ]


def _goodness(residuals: Array) -> dict[str, float]:
    there = residuals[np.isfinite(residuals)]
    return {
        "standard deviation of the residuals": float(np.std(there)),
        "excess kurtosis of the residuals": float(np.mean(((there - there.mean()) / there.std()) ** 4) - 3),
    }


def _unlike(residuals: Array) -> list[str]:
    spread = float(np.nanstd(residuals))
    if 0.8 < spread < 1.25:
        return []
    return [
        f"the law does not tell the spread of these cells: residuals have a standard deviation of {spread:.2f}, not 1"
    ]


def _last(g: Array) -> Array:
    return first_reads(g[:, ::-1])


def _by_time(paths: Paths, cells: Array) -> tuple[Array, Array]:
    part = paths.g[cells]
    columns = np.flatnonzero(np.isfinite(part).sum(axis=0) > 0)
    return np.nanmedian(paths.t[cells][:, columns], axis=0), np.nanmedian(part[:, columns], axis=0)
