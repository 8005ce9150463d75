"""Where variance comes from: dies, places that all dies share, each place of each die, repeats; devices and cycles.

Variance components by Henderson's first method (Biometrics 1953): sums of squares over the levels of each factor are
set to what they are expected to be. For balanced measurements that is the analysis of variance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import FitError
from imcsim.fit.result import FEW_DEVICES, FitResult, Mark, Panel, Parameter, bins, few_devices, unit_of
from imcsim.measurements.groups import ProgramVerify, Spread

Array = NDArray[Any]

_DRAWS = 400


@dataclass(frozen=True, kw_only=True)
class SpreadFit:
    """The standard deviations, relative to the mean, of dies, places, places of a die, and repeats.

    Intervals are of dies drawn anew, 30 or more of them; of fewer, none.
    """

    group = Spread
    kind = "spread"
    name = "variance by origin"

    def fits(self, data: Spread) -> bool:
        """Whether the measurements hold what is fitted."""
        return True

    def fit(self, data: Spread, rng: np.random.Generator) -> FitResult:
        """The fit of dies (dies, places, repeats). Raises FitError where there are fewer than two dies or places."""
        mean, noise, repeats = _cells(data)
        dies, places = mean.shape
        if min(dies, places) < 2:
            raise FitError.of(
                ("spread", "value"), "needs two dies and two places, or more", f"{dies} dies, {places} places"
            )
        found = _balanced(mean, noise, repeats)
        draws = (
            np.array([_balanced(mean[pick], noise[pick], repeats) for pick in rng.integers(0, dies, (_DRAWS, dies))])
            if dies >= FEW_DEVICES
            else None
        )
        overall = float(np.nanmean(mean))
        names = (
            ("die_rel", "from die to die"),
            ("place_rel", "of places, alike on all dies: systematic"),
            ("random_rel", "of a place of a die by itself: random"),
            ("within_die_rel", "within a die: systematic and random"),
            ("repeat_rel", "of repeats of a measurement"),
        )
        told = []
        for k, (name, what) in enumerate(names):
            value = float(np.sqrt(max(found[k], 0))) / overall
            one = Parameter(name=name, value=value, unit="1", what=what)
            if draws is not None:
                spread = np.sqrt(np.maximum(draws[:, k], 0)) / overall
                # basic intervals: drawing dies with replacement makes places look more alike than they are
                low, high = np.quantile(spread, [0.025, 0.975])
                one = Parameter(
                    name=name,
                    value=value,
                    unit="1",
                    what=what,
                    se=float(spread.std(ddof=1)),
                    low=max(2 * value - float(high), 0.0),
                    high=2 * value - float(low),
                    interval=f"bootstrap over {dies} dies",
                )
            told.append(one)
        mean_se = float(np.nanstd(np.nanmean(mean, axis=1), ddof=1) / np.sqrt(dies))
        told.insert(
            0,
            Parameter(
                name="mean",
                value=overall,
                unit=data.unit,
                what="of all",
                se=mean_se,
                low=overall - 1.96 * mean_se,
                high=overall + 1.96 * mean_se,
                interval=f"normal, over {dies} dies",
            ),
        )
        deviations = (mean - overall) / overall
        edges = bins(deviations)
        by_die = np.sort(np.nanmean(mean, axis=1)) / overall - 1
        return FitResult(
            kind=self.kind,
            estimator=self.name,
            group=self.group.name,
            parameters=tuple(told),
            warnings=tuple(few_devices(dies, "dies")),
            panels=(
                Panel(
                    title="Means of the dies, in order",
                    x_label="die",
                    y_label="relative deviation",
                    marks=(Mark(kind="points", x=np.arange(dies), y=by_die, label="dies"),),
                ),
                Panel(
                    title="Places of all dies",
                    x_label="relative deviation",
                    y_label="places",
                    marks=(
                        Mark(
                            kind="bars", x=edges, y=np.histogram(deviations, edges)[0].astype(float), label="measured"
                        ),
                    ),
                ),
            ),
        )


def _cells(data: Spread) -> tuple[Array, Array, float]:
    """The mean of each place of each die, the variance of its repeats, and how many these are."""
    if data.value is not None:
        value = np.asarray(data.value, float)
        if value.shape[-1] < 2:
            raise FitError.of(
                ("spread", "value"),
                "needs two repeats or more: without them noise is not told from mismatch",
                f"{value.shape[-1]}",
            )
        return np.nanmean(value, axis=-1), np.nanvar(value, axis=-1, ddof=1), float(value.shape[-1])
    mean = np.asarray(data.mean, float)
    if data.sigma is None or data.repeats is None:
        raise FitError.of(
            ("spread", "sigma"), "and repeats are needed beside the mean: without them noise is not told from mismatch"
        )
    return mean, np.asarray(data.sigma, float) ** 2, float(data.repeats)


def _balanced(mean: Array, noise: Array, repeats: float) -> Array:
    """Variances of dies, places, their interaction, both within a die, repeats: of two crossed factors."""
    dies, places = mean.shape
    repeat = float(np.nanmean(noise))
    overall, rows, columns = np.nanmean(mean), np.nanmean(mean, axis=1), np.nanmean(mean, axis=0)
    left = mean - rows[:, None] - columns + overall
    interaction = float(np.nansum(left**2)) / ((dies - 1) * (places - 1))
    of_die = float(np.sum((rows - overall) ** 2)) / (dies - 1) - interaction / places
    of_place = float(np.sum((columns - overall) ** 2)) / (places - 1) - interaction / dies
    random = interaction - repeat / repeats
    return np.array([of_die, of_place, random, max(of_place, 0) + random, repeat])


# ---- writes of devices that are written more than once


@dataclass(frozen=True, kw_only=True)
class ComponentsFit:
    """The error of writes, in parts: device to device, of rows, columns and dies, and cycle to cycle.

    The mean error at each target is taken off first. Intervals are of devices drawn anew.
    """

    group = ProgramVerify
    kind = "components"
    name = "variance of writes by origin"
    unit_S: float = 1e-6

    def fits(self, data: ProgramVerify) -> bool:
        """Whether a device is written twice or more, or rows, columns or dies are told."""
        return data.conductance is not None and data.target is not None and bool(_factors(data))

    def fit(self, data: ProgramVerify, rng: np.random.Generator) -> FitResult:
        """The fit of writes. Raises FitError where no factor has several levels with several writes."""
        if data.conductance is None or data.target is None:
            raise FitError.of(("program_verify", "conductance"), "and target are needed")
        factors = _factors(data)
        if not factors:
            raise FitError.of(
                ("program_verify", "device"), "must hold devices that are written twice or more, or rows, columns, dies"
            )
        there = np.isfinite(data.conductance) & np.isfinite(data.target)
        error = (np.asarray(data.conductance) - np.asarray(data.target))[there] / self.unit_S
        level = np.unique(np.asarray(data.target)[there], return_inverse=True)[1]
        error = error - (np.bincount(level, error) / np.bincount(level))[level]
        codes = {name: np.unique(values[there], return_inverse=True)[1] for name, values in factors.items()}
        found = henderson(error, codes)
        unit = unit_of(self.unit_S)
        device = codes.get("device", np.arange(error.size))
        count = int(device.max()) + 1
        draws = self._drawn(error, codes, device, rng) if count >= FEW_DEVICES else None
        told = []
        for k, name in enumerate((*codes, "cycle")):
            value = float(np.sqrt(max(found[k], 0)))
            what = {"device": "device to device", "cycle": "cycle to cycle, and all else"}.get(name, f"of {name}s")
            if draws is None:
                told.append(Parameter(name=f"sigma_{name}", value=value, unit=unit, what=what))
                continue
            spread = np.sqrt(np.maximum(draws[:, k], 0))
            low, high = np.quantile(spread, [0.025, 0.975])
            told.append(
                Parameter(
                    name=f"sigma_{name}",
                    value=value,
                    unit=unit,
                    what=what,
                    se=float(spread.std(ddof=1)),
                    low=float(low),
                    high=float(high),
                    interval=f"bootstrap over {count} devices",
                )
            )
        negative = [name for name, part in zip((*codes, "cycle"), found, strict=True) if part < 0]
        return FitResult(
            kind=self.kind,
            estimator=self.name,
            group=self.group.name,
            parameters=tuple(told),
            warnings=(
                *(
                    [f"of {', '.join(negative)} nothing is seen: the estimate of the variance is below 0"]
                    if negative
                    else []
                ),
                *few_devices(count),
            ),
        )

    def _drawn(self, error: Array, codes: Mapping[str, Array], device: Array, rng: np.random.Generator) -> Array:
        order = np.argsort(device, kind="stable")
        starts = np.searchsorted(device[order], np.arange(device.max() + 2))
        draws = []
        for _ in range(_DRAWS // 2):
            picked = rng.integers(0, len(starts) - 1, len(starts) - 1)
            rows = [order[starts[d] : starts[d + 1]] for d in picked]
            at = np.concatenate(rows)
            new = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
            draws.append(
                henderson(error[at], {name: new if name == "device" else values[at] for name, values in codes.items()})
            )
        return np.array(draws)


def henderson(error: Array, factors: Mapping[str, Array]) -> Array:
    """The variances of factors, which number each value's level, and of what is left; any may be negative."""
    n = error.size
    codes = list(factors.values())
    counts = [np.bincount(code) for code in codes]
    total = len(codes)
    matrix, right = np.zeros((total + 2, total + 2)), np.zeros(total + 2)  # unknown: mean^2, the factors, what is left
    for row, code in enumerate(codes):
        sums = np.bincount(code, error)
        right[row] = float(np.sum(sums**2 / counts[row]))
        matrix[row, 0], matrix[row, -1] = n, counts[row].size
        for column, other in enumerate(codes):
            pairs, how_many = np.unique(code.astype(np.int64) * (int(other.max()) + 1) + other, return_counts=True)
            matrix[row, column + 1] = float(np.sum(how_many**2 / counts[row][pairs // (int(other.max()) + 1)]))
    right[total], right[total + 1] = float(np.sum(error**2)), n * float(np.mean(error)) ** 2
    matrix[total, :] = n
    matrix[total + 1, 0], matrix[total + 1, -1] = n, 1
    for column, count in enumerate(counts):
        matrix[total + 1, column + 1] = float(np.sum(count.astype(float) ** 2)) / n
    return np.asarray(np.linalg.lstsq(matrix, right, rcond=None)[0][1:])


def _factors(data: ProgramVerify) -> dict[str, Array]:
    """The factors of which a level has two writes or more."""
    found = {}
    for name in ("device", "row", "column", "die"):
        values = getattr(data, name)
        if values is None:
            continue
        levels, counts = np.unique(values, return_counts=True)
        if levels.size > 1 and counts.max() > 1:
            found[name] = np.asarray(values)
    return found
