"""Read noise: how far the reads of a cell scatter, against the state; its spectrum; traps that come and go.

The scatter within a series is all that came and went between its first read and its last. The white part of it is told
by the differences of reads that follow each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import FitError
from imcsim.fit.curves import Family, family
from imcsim.fit.laws import NORMAL
from imcsim.fit.likelihood import Free, Likelihood, Maximum, maximise, parameters
from imcsim.fit.result import FitResult, Mark, Panel, Parameter, few_devices, quantiles_against, unit_of
from imcsim.measurements.groups import ReadNoise
from imcsim.specs.resistive import WhiteNoise

Array = NDArray[Any]

WHERE = "read_noise"
_LEAST_READS = 16
_ROUGH = 0.2  # of the spread of ln sigma, above what so many reads leave: cells differ


@dataclass(frozen=True, kw_only=True)
class ReadNoiseFit:
    """The standard deviation of reads of a cell against its state x = mean / `state_unit_S`: ln sigma is normal about
    the logarithm of a curve in `unit_S`, with a spread from cell to cell.

    "auto" takes the curve of the least AIC. `white` fits that part alone which reads that follow each other do not
    share. What chips draw is a normal at every read.
    """

    group = ReadNoise
    kind = "read_noise"
    name = "read noise"
    sigma: Literal["auto", "constant", "power", "exponential"] = "auto"
    white: bool = False
    unit_S: float = 1e-6
    state_unit_S: float | None = None

    def fits(self, data: ReadNoise) -> bool:
        """Whether the measurements hold what is fitted."""
        return data.conductance is not None

    def fit(self, data: ReadNoise, rng: np.random.Generator) -> FitResult:
        """The fit of series of reads. Raises FitError where there are too few, or it does not converge."""
        g = series(data) / self.unit_S
        reads = np.isfinite(g).sum(axis=1)
        mean = np.nanmean(g, axis=1)
        whole, white = np.nanstd(g, axis=1, ddof=1), _white(g)
        measured = white if self.white else whole
        there = (measured > 0) & (mean > 0)
        if not there.any():
            raise FitError.of((WHERE, "conductance"), "does not vary: there is no noise to fit")
        unit = self.state_unit_S or float(np.max(mean[there])) * self.unit_S
        x, y = mean[there] * self.unit_S / unit, np.log(measured[there])
        cells = int(there.sum())
        if cells < 2:
            return self._of_one(measured[there], reads[there], whole, white, unit, states(g * self.unit_S))
        curve, found, likelihood = self._chosen(x, y)
        fitted = parameters(likelihood, found, rng, noun="cells")
        middle = np.log(curve.value(found.values[:-1], x))
        residuals = (y - middle) / found.values[-1]
        return FitResult(
            kind=self.kind,
            estimator=f"{self.name}, the white part" if self.white else self.name,
            group=self.group.name,
            parameters=(
                *fitted,
                _relative(whole / mean, "sigma_rel", "of all reads of a cell, relative to their mean"),
                _relative(white / mean, "white_rel", "of the white part, relative to the mean"),
            ),
            goodness={
                "standard deviation of ln sigma about the curve": float(np.std(y - middle)),
                "cells": float(cells),
            },
            warnings=(*found.warnings(), *few_devices(cells, "cells"), *self._differ(found.values[-1], reads)),
            components={
                "cell.white_noise": WhiteNoise(
                    sigma=curve.spec(found.values[:-1]), unit_S=self.unit_S, state_unit_S=unit
                )
            },
            valid=states(g * self.unit_S),
            panels=self._panels(x * unit / self.unit_S, x, y, curve, found, residuals, rng),
            predict=lambda g_S: curve.value(found.values[:-1], np.asarray(g_S, float) / unit) * self.unit_S,
            residuals=residuals,
        )

    def _chosen(self, x: Array, y: Array) -> tuple[Family, Maximum, Likelihood]:
        kinds = (
            [self.sigma]
            if self.sigma != "auto"
            else ["constant", *(["power", "exponential"] if np.unique(x).size >= 4 else [])]
        )
        best: tuple[Family, Maximum, Likelihood] | None = None
        failed: FitError | None = None
        for kind in kinds:
            curve = family(kind, "sigma", unit_of(self.unit_S), x, np.exp(y))
            spread = Free(
                name="spread",
                unit="1",
                what="of ln sigma from cell to cell",
                start=max(float(np.std(y)), 1e-3),
                log=True,
                low=1e-6,
            )
            likelihood = _about(curve, x, y)
            try:
                found = maximise(likelihood, (*curve.free, spread), WHERE)
            except FitError as error:
                failed = error
                continue
            if best is None or (found.aic < best[1].aic and not found.is_loose):
                best = curve, found, likelihood
        if best is None:
            raise failed or FitError.of((WHERE,), "no curve could be fitted")
        return best

    def _of_one(
        self, measured: Array, reads: Array, whole: Array, white: Array, unit: float, valid: dict[str, float]
    ) -> FitResult:
        """One cell: its own scatter, and nothing of others."""
        from imcsim.specs.curves import ConstantCurve

        value = float(measured[0])
        se = value / np.sqrt(2 * (reads[0] - 1))
        one = Parameter(
            name="sigma",
            value=value,
            unit=unit_of(self.unit_S),
            what="of the one cell",
            se=float(se),
            low=value - 1.96 * se,
            high=value + 1.96 * se,
            interval="normal, of one cell; reads taken for independent",
        )
        return FitResult(
            kind=self.kind,
            estimator=self.name,
            group=self.group.name,
            parameters=(one,),
            goodness={"white part of the variance": float((white[0] / whole[0]) ** 2)},
            valid=valid,
            warnings=tuple(few_devices(1, "cells")),
            components={
                "cell.white_noise": WhiteNoise(sigma=ConstantCurve(value=value), unit_S=self.unit_S, state_unit_S=unit)
            },
            predict=lambda g_S: np.full(np.shape(g_S), value * self.unit_S),
        )

    def _differ(self, spread: float, reads: Array) -> list[str]:
        chance = float(np.sqrt(np.mean(1 / (2 * np.maximum(reads - 1, 1)))))
        if spread < chance + _ROUGH:
            return []
        return [
            (
                f"cells differ: ln sigma spreads by {spread:.2f} from cell to cell, where so many reads would leave "
                f"{chance:.2f}; a chip gives all cells of a state the same noise"
            )
        ]

    def _panels(
        self, at: Array, x: Array, y: Array, curve: Family, found: Maximum, residuals: Array, rng: np.random.Generator
    ) -> tuple[Panel, ...]:
        line = np.linspace(x.min(), x.max(), 80) if np.ptp(x) else x
        to = float(at[0] / x[0])
        spread = np.stack([curve.value(values[:-1], line) for values in found.drawn(rng, 200)])
        unit = unit_of(self.unit_S)
        return (
            Panel(
                title="Read noise against state",
                x_label=f"mean of the reads ({unit})",
                y_label=f"standard deviation ({unit})",
                y_scale="log",
                marks=(
                    Mark(
                        kind="band",
                        x=line * to,
                        y=np.quantile(spread, 0.025, axis=0),
                        y2=np.quantile(spread, 0.975, axis=0),
                        label="95 %",
                    ),
                    Mark(kind="line", x=line * to, y=curve.value(found.values[:-1], line), label=f"fit: {curve.name}"),
                    Mark(kind="points", x=at, y=np.exp(y), label="cells"),
                ),
            ),
            quantiles_against(residuals, "normal", lambda share: NORMAL.quantile(share, 0.0)),
        )


def series(data: ReadNoise) -> Array:
    """The reads of the cells that were read often enough, (cells, reads) in S; FitError where there are none."""
    g = np.asarray(data.conductance, float)
    enough = np.isfinite(g).sum(axis=1) >= _LEAST_READS
    if not enough.any():
        raise FitError.of(
            (WHERE, "conductance"),
            f"needs a cell that is read {_LEAST_READS} times or more",
            f"{int(np.isfinite(g).sum(axis=1).max())} reads",
        )
    return np.asarray(g[enough])


def states(g_S: Array) -> dict[str, float]:
    """From which to which mean conductance series of reads (cells, reads) go: `valid` of a fit."""
    mean = np.nanmean(g_S, axis=1)
    return {"g_low_S": float(mean.min()), "g_high_S": float(mean.max())}


def _white(g: Array) -> Array:
    """The standard deviation of what reads that follow each other do not share: half of the variance of differences."""
    return np.asarray(np.sqrt(np.nanmean(np.diff(g, axis=1) ** 2, axis=1) / 2))


def _about(curve: Family, x: Array, y: Array) -> Likelihood:
    def of(values: Array) -> Array:
        middle = curve.value(values[:-1], x)
        if np.min(middle) <= 0:
            return np.full(x.size, -np.inf)
        return NORMAL.density(y, np.log(middle), values[-1], 0.0)

    return of


def _relative(values: Array, name: str, what: str) -> Parameter:
    there = values[np.isfinite(values)]
    low, high = np.quantile(there, [0.05, 0.95])
    return Parameter(
        name=name,
        value=float(np.median(there)),
        unit="1",
        what=f"{what}; the middle one of the cells, and 90 % of them",
        low=float(low),
        high=float(high),
        interval="5th to 95th of 100 cells",
    )
