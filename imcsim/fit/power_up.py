"""Power-up of SRAM cells: noise against mismatch.

A cell comes up as 1 with probability Phi(m / sigma_n), its mismatch m normal about `bias` over the cells (Maes et al.,
CHES 2008; Maes, CHES 2013: the hidden variable model): all that shows are sigma_n / sigma_m and bias / sigma_m.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import FitError
from imcsim.fit.likelihood import Free, Likelihood, maximise, parameters
from imcsim.fit.result import FitResult, Mark, Panel, Parameter
from imcsim.measurements.groups import PowerUp

Array = NDArray[Any]

WHERE = "power_up"
_LEAST_CELLS = 30
_NODES = 801


@dataclass(frozen=True, kw_only=True)
class PowerUpFit:
    """The ratio of noise to mismatch, and the bias towards 1, of all chips and of each; cells are the devices.

    Counts of the majority tell nothing of the bias, which is then taken for 0.
    """

    group = PowerUp
    kind = "power_up"
    name = "power-up"

    def fits(self, data: PowerUp) -> bool:
        """Whether the measurements hold what is fitted."""
        return True

    def fit(self, data: PowerUp, rng: np.random.Generator) -> FitResult:
        """The fit of counts of power-ups. Raises FitError where all cells are stable, or too few are there."""
        n = int(np.asarray(data.power_ups))
        signed = data.ones is not None
        counts = np.asarray(data.ones if signed else data.majority)
        chips = counts.reshape(counts.shape[0], -1) if counts.ndim == 3 else counts.reshape(1, -1)
        if chips.size < _LEAST_CELLS:
            raise FitError.of(
                (WHERE, "ones" if signed else "majority"), f"needs at least {_LEAST_CELLS} cells", f"{chips.size}"
            )
        unstable = (chips > 0) & (chips < n)
        if not unstable.any():
            raise FitError.of(
                (WHERE, "ones" if signed else "majority"),
                "has no cell that came up both ways: no noise to tell from mismatch",
            )
        histogram = np.bincount(chips.ravel(), minlength=n + 1)
        told, found = _fitted(histogram, n, signed, rng, "")
        names = np.arange(len(chips)) if data.chip is None else np.asarray(data.chip)
        each: list[Parameter] = []
        if len(chips) > 1:
            for name, one in zip(names, chips, strict=True):
                if ((one > 0) & (one < n)).any():
                    each += _fitted(np.bincount(one, minlength=n + 1), n, signed, rng, f"[{name}]")[0]
        expected = chips.size * _shares(found, n, signed)
        seen = expected > 5  # in a class, which chi-square wants
        chi2 = float(np.sum((histogram[seen] - expected[seen]) ** 2 / expected[seen]))
        from scipy.special import chdtrc

        p = float(chdtrc(max(int(seen.sum()) - 1 - len(found), 1), chi2))
        warnings = (
            []
            if p > 1e-3
            else [f"counts do not follow the normal model (chi-square p = {p:.1g}): see how they differ in the picture"]
        )
        return FitResult(
            kind=self.kind,
            estimator=self.name,
            group=self.group.name,
            parameters=(*told, *each),
            goodness={"chi-square p of the counts": p, "share of cells that came up both ways": float(unstable.mean())},
            warnings=tuple(warnings),
            panels=(
                Panel(
                    title="Cells by how often they came up as " + ("1" if signed else "they mostly do"),
                    x_label=f"of {n} power-ups",
                    y_label="cells",
                    y_scale="log",
                    marks=(
                        Mark(
                            kind="points",
                            x=np.arange(n + 1)[histogram > 0],
                            y=histogram[histogram > 0].astype(float),
                            label="measured",
                        ),
                        Mark(kind="line", x=np.arange(n + 1)[expected > 0], y=expected[expected > 0], label="fit"),
                    ),
                ),
            ),
            predict=lambda k: _shares(found, n, signed)[np.asarray(k, int)],
        )


def _fitted(
    histogram: Array, n: int, signed: bool, rng: np.random.Generator, suffix: str
) -> tuple[list[Parameter], Array]:
    free = [
        Free(
            name="noise_over_mismatch" + suffix,
            unit="1",
            what="sigma_n / sigma_m",
            start=0.1,
            log=True,
            low=1e-4,
            high=100,
        )
    ]
    if signed:
        free.append(
            Free(
                name="bias" + suffix,
                unit="1",
                what="mean of the mismatch towards 1, in sigma_m",
                start=0.0,
                low=-5,
                high=5,
            )
        )
    likelihood = _of_counts(histogram, n, signed)
    found = maximise(likelihood, free, WHERE)
    told = parameters(likelihood, found, rng, "information", "cells")  # each cell is a device of its own
    how = f"information matrix over {int(histogram.sum())} cells"
    return [
        Parameter(
            name=one.name,
            value=one.value,
            unit=one.unit,
            what=one.what,
            se=one.se,
            low=one.low,
            high=one.high,
            interval=how,
        )
        for one in told
    ], found.values


def _of_counts(histogram: Array, n: int, signed: bool) -> Likelihood:
    there = histogram > 0
    return lambda values: histogram[there] * np.log(np.maximum(_shares(values, n, signed)[there], 1e-300))


def _shares(values: Array, n: int, signed: bool) -> Array:
    """The probability of each count, 0 to n: the binomial of Phi(z / ratio), z normal about the bias."""
    from scipy.special import gammaln, log_ndtr, ndtr

    ratio, bias = float(values[0]), float(values[1]) if signed else 0.0
    # what comes up both ways lies within a few sigma_n of the middle; beyond, a cell is sure
    reach = 8 * ratio
    u = np.linspace(-reach, reach, _NODES)
    weight = np.exp(-0.5 * (u - bias) ** 2) / np.sqrt(2 * np.pi) * (u[1] - u[0])
    weight[0] = weight[-1] = weight[0] / 2
    k = np.arange(n + 1)
    choose = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    logs = choose + k * log_ndtr(u / ratio)[:, None] + (n - k) * log_ndtr(-u / ratio)[:, None]
    shares = weight @ np.exp(logs)
    shares[0] += ndtr(-reach - bias)
    shares[n] += ndtr(-reach + bias)
    if signed:
        return np.asarray(shares / shares.sum())
    folded = np.where(2 * k > n, shares + shares[::-1], np.where(2 * k == n, shares, 0.0))
    return np.asarray(folded / folded.sum())
