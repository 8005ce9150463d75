"""Programming error: what a write leaves, about what was asked for, against the state."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import FitError
from imcsim.fit.curves import MOST_LEVELS, Family, binned, family
from imcsim.fit.laws import LAWS, LEAST_DEGREES, LOGNORMAL, NORMAL, STUDENT, Law
from imcsim.fit.likelihood import Free, Likelihood, Maximum, maximise, parameters
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
from imcsim.fit.shares import share
from imcsim.measurements.groups import ProgramVerify
from imcsim.specs.resistive import ProgrammingError

Array = NDArray[Any]

WHERE = "program_verify"
_HEAVY = 2.0  # so many times as many beyond 4 sigma as the law has, and more than chance would have, are told
_LEAST = 20  # writes


@dataclass(frozen=True)
class Writes:
    """What is fitted: targets and outcomes in `unit_S`, the state x of each target, and which device was written."""

    target: Array
    value: Array
    x: Array
    device: Array
    unit_S: float
    state_unit_S: float

    @property
    def devices(self) -> int:
        """How many devices there are."""
        return int(self.device.max()) + 1

    def some(self, devices: Array) -> Writes:
        """The writes of the devices of a mask, numbered anew."""
        keep = devices[self.device]
        numbers = np.unique(self.device[keep], return_inverse=True)[1]
        return dataclasses.replace(
            self, target=self.target[keep], value=self.value[keep], x=self.x[keep], device=numbers
        )


@dataclass(frozen=True)
class Model:
    """A mean error, a standard deviation and a law: their parameters in that order, the shape of the law last."""

    mean: Family | None
    sigma: Family
    law: Law

    @property
    def free(self) -> tuple[Free, ...]:
        """All parameters."""
        shape = Free(
            name="degrees_of_freedom", unit="1", what="of Student's t", start=6.0, log=True, low=LEAST_DEGREES, high=200
        )
        return (*(self.mean.free if self.mean else ()), *self.sigma.free, *((shape,) if self.law.shaped else ()))

    def parts(self, values: Array, x: Array) -> tuple[Array | float, Array, float]:
        """The mean error and the standard deviation at states x, and the shape."""
        first = len(self.mean.free) if self.mean else 0
        last = first + len(self.sigma.free)
        mean = self.mean.value(values[:first], x) if self.mean else 0.0
        return mean, self.sigma.value(values[first:last], x), float(values[-1]) if self.law.shaped else 0.0

    def likelihood(self, writes: Writes) -> Likelihood:
        """The log-likelihood of each device."""

        def of(values: Array) -> Array:
            mean, sigma, shape = self.parts(values, writes.x)
            if np.min(sigma) <= 0:
                return np.full(writes.devices, -np.inf)
            each = self.law.density(writes.value, writes.target + mean, sigma, shape)
            return np.bincount(writes.device, each, writes.devices)

        return of


@dataclass(frozen=True, kw_only=True)
class ProgrammingFit:
    """Mean and standard deviation of the error of a write against the state x = target / `state_unit_S`, and its law.

    `mean` and `sigma` are curves in `unit_S`; "auto" takes those of the least AIC, `law` "auto" that of normal,
    log-normal and Student's t. `state_unit_S` None: the largest target. A target that is only told as a window is its
    middle.
    """

    group = ProgramVerify
    kind = "programming"
    name = "programming error"
    mean: Literal["auto", "none", "constant", "polynomial", "table"] = "auto"
    mean_degree: int = 1
    sigma: Literal["auto", "constant", "polynomial", "exponential", "table"] = "auto"
    sigma_degree: int = 2
    law: Literal["auto", "normal", "lognormal", "student_t"] = "auto"
    unit_S: float = 1e-6
    state_unit_S: float | None = None

    def fits(self, data: ProgramVerify) -> bool:
        """Whether the measurements hold what is fitted."""
        return data.conductance is not None

    def fit(self, data: ProgramVerify, rng: np.random.Generator) -> FitResult:
        """The fit of writes. Raises FitError where there are too few of them, or it does not converge."""
        writes = self._writes(data)
        model, found, ranking = self._chosen(writes, rng)
        fitted = parameters(model.likelihood(writes), found, rng)
        mean, sigma, shape = model.parts(found.values, writes.x)
        residuals = model.law.standard(writes.value, writes.target + mean, sigma, shape)
        goodness, warnings = self._judged(writes, model, residuals, shape, ranking)
        valid = {
            "g_low_S": float(np.min(writes.target)) * self.unit_S,
            "g_high_S": float(np.max(writes.target)) * self.unit_S,
        }
        return FitResult(
            kind=self.kind,
            estimator=self.name,
            group=self.group.name,
            parameters=(*fitted, *_success(data, rng)),
            goodness=goodness,
            warnings=(*found.warnings(), *few_devices(writes.devices), *warnings),
            components=self._components(model, found, writes),
            valid=valid,
            panels=self._panels(writes, model, found, residuals, shape, rng),
            predict=lambda target_S: self._predicted(model, found, writes, np.asarray(target_S, float), valid),
            residuals=residuals,
        )

    def _writes(self, data: ProgramVerify) -> Writes:
        if data.conductance is None:
            raise FitError.of((WHERE, "conductance"), "is needed for the programming error")
        target = data.target if data.target is not None else (np.asarray(data.low) + np.asarray(data.high)) / 2
        there = np.isfinite(target) & np.isfinite(data.conductance)
        if there.sum() < _LEAST:
            raise FitError.of(
                (WHERE, "conductance"), f"needs at least {_LEAST} writes with their targets", f"{there.sum()}"
            )
        device = np.arange(there.size) if data.device is None else data.device
        numbers = np.unique(device[there], return_inverse=True)[1]
        if numbers.max() == 0:
            raise FitError.of(
                (WHERE, "device"), "needs writes of several devices: with one, nothing is known of others", "1"
            )
        unit = self.state_unit_S or float(np.max(target[there]))
        target, value = target[there] / self.unit_S, data.conductance[there] / self.unit_S
        if np.ptp(value - target) == 0:
            raise FitError.of((WHERE, "conductance"), "does not vary about its targets: there is no error to fit")
        return Writes(target, value, target * self.unit_S / unit, numbers, self.unit_S, unit)

    # ---- which model

    def _chosen(self, writes: Writes, rng: np.random.Generator) -> tuple[Model, Maximum, dict[str, float]]:
        """The model of the least AIC among those asked for, its fit, and how the laws compare."""
        best: tuple[float, Model, Maximum] | None = None
        first = NORMAL if self.law == "auto" else LAWS[self.law]
        failed: FitError | None = None
        for model in self._models(writes, first):
            try:
                found = maximise(model.likelihood(writes), model.free, WHERE)
            except FitError as error:
                failed = error
                continue
            if best is None or (found.aic < best[0] and not found.is_loose):
                best = found.aic, model, found
        if best is None:
            raise failed or FitError.of((WHERE,), "no model could be fitted")
        if self.law != "auto":
            return best[1], best[2], {}
        return self._lawful(writes, best[1], best[2], rng)

    def _models(self, writes: Writes, law: Law) -> Iterator[Model]:
        error = writes.value - writes.target
        at, means = binned(writes.x, error, np.mean)
        at, sigmas = binned(writes.x, error, np.std)
        several = np.unique(writes.x).size
        for kind, degree in self._means(several):
            mean = (
                None
                if kind == "none"
                else family(kind, "mean", unit_of(writes.unit_S), at, means, degree=degree, positive=False)
            )
            for shape, power in self._sigmas(several):
                yield Model(mean, family(shape, "sigma", unit_of(writes.unit_S), at, sigmas, degree=power), law)

    def _means(self, states: int) -> list[tuple[str, int]]:
        if self.mean != "auto":
            return [(self.mean, self.mean_degree)]
        return [("none", 0), ("constant", 0), *(("polynomial", degree) for degree in (1, 2) if states > degree)]

    def _sigmas(self, states: int) -> list[tuple[str, int]]:
        if self.sigma != "auto":
            if self.sigma == "table" and states > MOST_LEVELS:
                raise FitError.of(
                    (WHERE, "target"),
                    f"a table needs at most {MOST_LEVELS} states",
                    f"{states} targets",
                    'take sigma = "polynomial"',
                )
            if self.sigma in ("polynomial", "exponential") and states == 1:
                raise FitError.of(
                    (WHERE, "target"),
                    "is one level only: a curve against the state needs several",
                    "1",
                    'take sigma = "constant"',
                )
            return [(self.sigma, self.sigma_degree)]
        curves = [("polynomial", degree) for degree in (1, 2, 3, 4) if states > degree]
        return [("constant", 0), *curves, *([("exponential", 0)] if states > 2 else [])]

    def _lawful(
        self, writes: Writes, model: Model, found: Maximum, rng: np.random.Generator
    ) -> tuple[Model, Maximum, dict[str, float]]:
        """The law of the least AIC, and of each the AIC above it and what it gives devices held out."""
        candidates: dict[str, tuple[Model, Maximum, float]] = {}
        halves = rng.permutation(writes.devices) < writes.devices / 2
        for law in (NORMAL, LOGNORMAL, STUDENT):
            if law is LOGNORMAL and np.min(writes.value) <= 0:
                continue
            other = dataclasses.replace(model, law=law)
            start = [*found.values, *([6.0] if law.shaped else [])]
            try:
                fitted = maximise(other.likelihood(writes), other.free, WHERE, [start])
                held_out = _held_out(other, writes, halves, fitted.values)
            except FitError:
                continue
            candidates[law.name] = other, fitted, held_out
        if not candidates:
            return model, found, {}
        best = min(candidates, key=lambda name: candidates[name][1].aic)
        least = candidates[best][1].aic
        ranking = {f"AIC of {name}, above the best": one[1].aic - least for name, one in candidates.items()}
        ranking |= {
            f"log-likelihood of {name} a write, on devices held out": one[2] for name, one in candidates.items()
        }
        return candidates[best][0], candidates[best][1], ranking

    # ---- what is told

    def _judged(
        self, writes: Writes, model: Model, residuals: Array, shape: float, ranking: dict[str, float]
    ) -> tuple[dict[str, float], list[str]]:
        from scipy.stats import kstest

        law = model.law
        ordered = np.sort(residuals)
        cdf = np.interp(ordered, law.quantile(_GRID, shape), _GRID)
        goodness = {
            "Kolmogorov-Smirnov p": float(kstest(cdf, "uniform").pvalue),
            "excess kurtosis of the residuals": float(
                np.mean(((residuals - residuals.mean()) / residuals.std()) ** 4) - 3
            ),
        }
        warnings = []
        for deviations in (3.0, 4.0):
            count = int(np.sum(np.abs(residuals) > deviations))
            expected = law.beyond(deviations, shape) * residuals.size
            goodness[f"share beyond {deviations:g} sigma, of that of the law"] = count / max(expected, 1e-12)
            if deviations == 4 and count > _HEAVY * expected + 5 * np.sqrt(expected) + 2:
                warnings.append(
                    f"heavy tails: {count} of {residuals.size} writes lie beyond 4 sigma, "
                    f"where the {law.name} law has {expected:.2g}"
                )
        p = goodness["Kolmogorov-Smirnov p"]
        if p < 1e-3:
            warnings.append(f"the residuals do not follow the {law.name} law (Kolmogorov-Smirnov p = {p:.1g})")
        held_out = {name: value for name, value in ranking.items() if "held out" in name}
        if held_out and f"of {law.name} " not in max(held_out, key=lambda name: held_out[name]):
            warnings.append("devices held out prefer another law than AIC does: see the goodness of fit")
        return goodness | ranking, warnings

    def _components(self, model: Model, found: Maximum, writes: Writes) -> dict[str, Any]:
        first = len(model.mean.free) if model.mean else 0
        last = first + len(model.sigma.free)
        shape: dict[str, Any] = {"degrees_of_freedom": float(found.values[-1])} if model.law.shaped else {}
        spec = ProgrammingError(
            sigma=model.sigma.spec(found.values[first:last]),
            law=model.law.name,  # type: ignore[arg-type]  # a law is called as its spec calls it
            unit_S=writes.unit_S,
            state_unit_S=writes.state_unit_S,
            **shape,
        )
        return {"cell.programming": spec}

    def _predicted(
        self, model: Model, found: Maximum, writes: Writes, target_S: Array, valid: Mapping[str, float]
    ) -> tuple[Array, Array]:
        warn_beyond(valid, target_S)
        mean, sigma, _ = model.parts(found.values, target_S / writes.state_unit_S)
        return target_S + mean * writes.unit_S, sigma * writes.unit_S

    def _panels(
        self, writes: Writes, model: Model, found: Maximum, residuals: Array, shape: float, rng: np.random.Generator
    ) -> tuple[Panel, ...]:
        unit = unit_of(writes.unit_S)
        error = writes.value - writes.target
        at, measured = binned(writes.x, error, lambda e: float(np.std(e, ddof=1)))
        line = np.linspace(writes.x.min(), writes.x.max(), 100)
        middle = model.parts(found.values, line)[1]
        spread = np.stack([model.parts(one, line)[1] for one in found.drawn(rng, 200)])
        to = writes.state_unit_S / writes.unit_S
        law = model.law
        simulated = law.quantile(rng.random(min(20_000, 20 * error.size)), shape)
        edges = bins(residuals)
        return (
            Panel(
                title="Programming error against state",
                x_label=f"target ({unit})",
                y_label=f"standard deviation ({unit})",
                marks=(
                    Mark(
                        kind="band",
                        x=line * to,
                        y=np.quantile(spread, 0.025, axis=0),
                        y2=np.quantile(spread, 0.975, axis=0),
                        label="95 %",
                    ),
                    Mark(kind="line", x=line * to, y=middle, label=f"fit: {model.sigma.name}"),
                    Mark(kind="points", x=at * to, y=measured, label="measured, in groups"),
                ),
            ),
            quantiles_against(residuals, law.name, lambda share_: law.quantile(share_, shape)),
            Panel(
                title="Measured and simulated",
                x_label="error, in standard deviations",
                y_label="density",
                marks=(
                    Mark(kind="bars", x=edges, y=np.histogram(residuals, edges, density=True)[0], label="measured"),
                    Mark(kind="steps", x=edges, y=np.histogram(simulated, edges, density=True)[0], label="simulated"),
                ),
            ),
            Panel(
                title="Residuals",
                x_label=f"target ({unit})",
                y_label="residual, in standard deviations",
                marks=(
                    Mark(
                        kind="points",
                        x=(writes.x * to)[:: max(1, writes.x.size // 3000)],
                        y=residuals[:: max(1, writes.x.size // 3000)],
                    ),
                ),
            ),
        )


_GRID = np.concatenate(
    [np.geomspace(1e-9, 1e-3, 100), np.linspace(2e-3, 0.998, 997), 1 - np.geomspace(1e-3, 1e-9, 100)]
)


def _held_out(model: Model, writes: Writes, half: Array, start: Array) -> float:
    """The mean log-likelihood of a write of one half of the devices, under the fit of the other; of both ways."""
    total = 0.0
    for mask in (half, ~half):
        fitted = maximise(model.likelihood(writes.some(mask)), model.free, WHERE, [list(start)])
        total += float(np.sum(model.likelihood(writes.some(~mask))(fitted.values)))
    return total / writes.value.size


def _success(data: ProgramVerify, rng: np.random.Generator) -> list[Parameter]:
    """How many writes ended in their window, and the pulses that took."""
    device = np.arange(len(next(iter(data.present.values())))) if data.device is None else data.device
    told = []
    if data.success is not None:
        told.append(share("success", "writes that ended in their window", data.success == 1, device, rng))
    if data.pulses is not None:
        mean = float(np.mean(data.pulses))
        told.append(
            Parameter(
                name="pulses",
                value=mean,
                unit="1",
                what="pulses a write, on average",
                se=float(np.std(data.pulses, ddof=1) / np.sqrt(data.pulses.size))
                if data.pulses.size >= FEW_DEVICES
                else np.nan,
            )
        )
    return told
