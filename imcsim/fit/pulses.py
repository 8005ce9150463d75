"""Pulse response: how a cell steps up and down, how that differs from device to device and from pulse to pulse.

The likelihood of a train is that of a walk that is read with an error (kernels.responses): reads that err would else
be taken for steps that vary.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import FitError
from imcsim.fit.likelihood import Free, Maximum, maximise, parameters
from imcsim.fit.pulse_models import (
    KINDS,
    Trains,
    device_of,
    expected_course,
    free_of,
    likelihood_of,
    slopes_at,
    split_of,
    steps_at,
)
from imcsim.fit.result import FitResult, Mark, Panel, Parameter, few_devices
from imcsim.measurements.groups import PulseResponse

Array = NDArray[Any]

WHERE = "pulse_response"
_LEAST_PULSES = 10
_TRIED = 8  # devices on which a model is chosen
_FITS = 0.05  # of the range, by which the expected course may miss the mean of the trains


@dataclass(frozen=True, kw_only=True)
class PulseFit:
    """The step model of trains of pulses, a device of imcsim.specs.pulsed; "auto": that of the least AIC.

    Each device is fitted by itself; what is told is the mean, and what differs beyond its own uncertainty is spread
    from device to device. Steps are told in units of the
    conductance, at the middle between the bounds; the model's weights are in half the range between them.
    """

    group = PulseResponse
    kind = "pulses"
    name = "pulse response"
    model: Literal["auto", "constant", "linear", "soft_bounds", "exponential", "power", "table"] = "auto"

    def fits(self, data: PulseResponse) -> bool:
        """Whether the measurements hold what is fitted."""
        return True

    def fit(self, data: PulseResponse, rng: np.random.Generator) -> FitResult:
        """The fit of trains. Raises FitError where they are too short, go one way only, or it does not converge."""
        trains = _trains(data)
        devices = [trains.of(k) for k in range(int(trains.device.max()) + 1)]
        whole = [one for one in devices if one.up.any() and not one.up.all()] if len(devices) > 1 else [trains]
        if not whole:
            raise FitError.of((WHERE, "device"), "no device has trains both up and down")
        kind, ranking = self._chosen(whole[:_TRIED])
        fits = _each(kind, whole)
        told, spread, warnings = (
            _alone(kind, fits[0], trains, rng) if len(whole) == 1 else _between(kind, fits, len(devices))
        )
        values = np.array([one.value for one in told])
        missed = _missed(kind, values, whole)
        return FitResult(
            kind=self.kind,
            estimator=f"{self.name}, {kind.replace('_', ' ')}",
            group=self.group.name,
            parameters=(*(_in_units(one, trains, data.unit) for one in told), *spread),
            goodness=ranking | {"largest miss of the mean of the trains, of their range": missed},
            components={"cell.device": device_of(kind, values, {one.name: one.value for one in spread})},
            warnings=(*few_devices(len(devices)), *warnings, *_far_off(missed)),
            panels=_panels(kind, whole[0], values, data.unit),
            predict=lambda start, pulses, up: expected_course(
                kind, values, trains, float(start), int(pulses), bool(up)
            ),
        )

    def _chosen(self, devices: list[Trains]) -> tuple[str, dict[str, float]]:
        """The model of the least AIC over the devices, and by how much others have more."""
        if self.model != "auto":
            return self.model, {}
        scores: dict[str, float] = {}
        failed: FitError | None = None
        for kind in KINDS:
            try:
                scores[kind] = sum(_fitted(kind, one).aic for one in devices)
            except FitError as error:
                failed = error
        if not scores:
            raise failed or FitError.of((WHERE,), "no model could be fitted")
        best = min(scores, key=lambda name: scores[name])
        return best, {
            f"AIC of {name.replace('_', ' ')}, above the best": value - scores[best] for name, value in scores.items()
        }


def _fitted(kind: str, trains: Trains) -> Maximum:
    """The fit of one device; from a second start, too, of wide bounds and steps that vary more than they move."""
    free = free_of(kind, trains)
    other = {"cycle_sigma_rel": 3.0, "low": -0.6, "high": 1.6}
    return maximise(likelihood_of(kind, trains), free, WHERE, [[other.get(one.name, one.start) for one in free]])


def _each(kind: str, devices: list[Trains]) -> list[Maximum]:
    """The fit of each device; those that do not converge, or end at a bound, are left out."""
    fits: list[Maximum] = []
    failed: FitError | None = None
    for one in devices:
        try:
            found = _fitted(kind, one)
        except FitError as error:
            failed = error
            continue
        if len(devices) == 1 or not found.at_bound.any():
            fits.append(found)
    if not fits or 2 * len(fits) < len(devices):
        raise failed or FitError.of(
            (WHERE,), f"did not converge for {len(devices) - len(fits)} of {len(devices)} devices"
        )
    return fits


def _alone(
    kind: str, found: Maximum, trains: Trains, rng: np.random.Generator
) -> tuple[list[Parameter], list[Parameter], list[str]]:
    """Of one device: its trains stand for themselves, and nothing is known of others."""
    told = parameters(likelihood_of(kind, trains), found, rng, noun="trains of one device")
    return (
        list(told),
        [],
        [*found.warnings(), "one device: the spread from device to device is not known, and taken for none"],
    )


def _trains(data: PulseResponse) -> Trains:
    g = np.asarray(data.conductance, float)
    long = np.isfinite(g).sum(axis=1) > _LEAST_PULSES
    if not long.any():
        raise FitError.of(
            (WHERE, "conductance"),
            f"needs trains of more than {_LEAST_PULSES} pulses",
            f"{int(np.isfinite(g).sum(axis=1).max())} at most",
        )
    up = np.asarray(data.direction)[long] > 0
    if up.all() or not up.any():
        raise FitError.of(
            (WHERE, "direction"),
            "must have trains up and down: one way tells nothing of the other",
            "up alone" if up.all() else "down alone",
        )
    g = g[long]
    device = (
        np.zeros(len(g), int)
        if data.device is None
        else np.unique(np.asarray(data.device)[long], return_inverse=True)[1]
    )
    low, high = float(np.nanmin(g)), float(np.nanmax(g))
    if high == low:
        raise FitError.of((WHERE, "conductance"), "does not change: there is no step to fit")
    return Trains((g - low) / (high - low), up, device, low, high - low)


def _between(kind: str, fits: list[Maximum], devices: int) -> tuple[list[Parameter], list[Parameter], list[str]]:
    """Of several devices: the mean of each parameter, and what differs beyond the uncertainty of each."""
    free = fits[0].free
    estimates = np.array([found.values for found in fits])
    scales = [
        np.array([v if one.log else one.size for one, v in zip(free, found.values, strict=True)]) for found in fits
    ]
    errors = np.array([scale[:, None] * found.covariance * scale for found, scale in zip(fits, scales, strict=True)])
    # weights count from one reference, the same for all devices: their steps are compared there
    bounds = np.array([split_of(kind, values)[1] for values in estimates])
    reference = float(bounds.mean())
    for k, values in enumerate(estimates.copy()):
        slopes = np.eye(values.size)
        slopes[:2] = slopes_at(kind, values, reference)
        errors[k] = slopes @ errors[k] @ slopes.T
        estimates[k, :2] = steps_at(kind, values, reference)
    told = [_mean(one.name, one.what, estimates[:, k], one.unit) for k, one in enumerate(free)]
    left = devices - len(fits)
    warnings = [f"{left} of {devices} devices could not be fitted by themselves, and are left out"] if left else []
    return told, _spreads(estimates, errors, [one.name for one in free]), warnings


def _spreads(estimates: Array, errors: Array, names: list[str]) -> list[Parameter]:
    """Standard deviations between devices of gain, asymmetry and bounds, beyond the uncertainty of each."""
    up, down = estimates[:, 0], estimates[:, 1]
    size = float(np.mean(up + down)) / 2
    to_gain, to_asymmetry = np.array([0.5, 0.5]) / size, np.array([0.5, -0.5]) / size
    pair = estimates[:, :2]
    told = []
    for name, what, weights in (
        ("dw_min_dtod_rel", "size of the step, from device to device", to_gain),
        ("up_down_dtod", "asymmetry, from device to device", to_asymmetry),
    ):
        told.append(_spread(name, what, pair @ weights, np.einsum("i,dij,j->d", weights, errors[:, :2, :2], weights)))
    told.append(_mean("up_down", "asymmetry: half the difference of the steps over their mean", pair @ to_asymmetry))
    if "low" in names:
        low, high = names.index("low"), names.index("high")
        half = float(np.mean(estimates[:, high] - estimates[:, low])) / 2
        for name, what, k in (
            ("w_max_dtod_rel", "upper bound, from device to device, in half the range", high),
            ("w_min_dtod_rel", "lower bound, likewise", low),
        ):
            told.append(_spread(name, what, estimates[:, k] / half, errors[:, k, k] / half**2))
    return told


def _spread(name: str, what: str, values: Array, variances: Array) -> Parameter:
    """The standard deviation between devices by maximum likelihood, the variance of each estimate known."""
    free = (
        Free(name="mean", unit="1", what="", start=float(values.mean()), size=max(float(values.std()), 1e-6)),
        Free(
            name=name,
            unit="1",
            what=what,
            start=max(float(np.sqrt(max(values.var(ddof=1) - variances.mean(), 0))), 1e-3),
            low=0.0,
            size=max(float(values.std()), 1e-6),
        ),
    )

    def likelihood(at: Array) -> Array:
        total = variances + at[1] ** 2
        return np.asarray(-0.5 * ((values - at[0]) ** 2 / total + np.log(total)))

    found = maximise(likelihood, free, WHERE)
    count = len(values)
    correction = np.sqrt(count / (count - 1))  # of the degree of freedom that the mean took
    one = parameters(likelihood, found, np.random.default_rng(0), "information", "devices")[1]
    return dataclasses.replace(
        one,
        value=one.value * correction,
        se=one.se * correction,
        low=max(one.low * correction, 0.0),
        high=one.high * correction,
        interval=f"information matrix over {count} devices",
    )


def _mean(name: str, what: str, values: Array, unit: str = "1") -> Parameter:
    from scipy.special import stdtrit

    mean, se = float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size))
    wide = float(stdtrit(values.size - 1, 0.975)) * se
    return Parameter(
        name=name,
        value=mean,
        unit=unit,
        what=what,
        se=se,
        low=mean - wide,
        high=mean + wide,
        interval=f"t over {values.size} devices",
    )


def _in_units(one: Parameter, trains: Trains, unit: str) -> Parameter:
    """A parameter in the unit of the measurements, which is what has none of its own."""
    if one.unit:
        return one
    shift = trains.low if one.name in ("low", "high") else 0.0
    return dataclasses.replace(
        one,
        unit=unit,
        value=shift + one.value * trains.size,
        se=one.se * trains.size,
        low=shift + one.low * trains.size,
        high=shift + one.high * trains.size,
    )


_UNIT = Trains(np.empty((0, 0)), np.empty(0), np.empty(0), 0.0, 1.0)  # the range measured, as it is


def _missed(kind: str, values: Array, devices: list[Trains]) -> float:
    """By how much the expected course misses the mean of the trains, at most, in shares of the range measured."""
    worst = 0.0
    for up in (True, False):
        rows = np.concatenate([one.values[one.up == up] for one in devices])
        full = rows[:, np.isfinite(rows).mean(axis=0) > 0.5]  # those that most trains have
        mean = np.nanmean(full, axis=0)
        course = [expected_course(kind, values, _UNIT, float(start), full.shape[1] - 1, up) for start in full[:, 0]]
        worst = max(worst, float(np.max(np.abs(np.mean(course, axis=0) - mean))))
    return worst


def _far_off(missed: float) -> list[str]:
    if missed < _FITS:
        return []
    return [
        f"the model does not tell the course of these trains: it misses their mean by up to {missed:.0%} of the range"
    ]


def _panels(kind: str, trains: Trains, values: Array, unit: str) -> tuple[Panel, ...]:
    label = f"conductance ({unit})" if unit != "1" else "conductance (relative)"
    panels = []
    for up in (True, False):
        mine = trains.values[trains.up == up]
        pulses = mine.shape[1] - 1
        marks = [
            Mark(kind="line", x=np.arange(mine.shape[1]), y=trains.low + trains.size * row)
            for row in mine[:: max(1, len(mine) // 12)]
        ]
        start = float(np.nanmean(mine[:, 0]))
        line = expected_course(kind, values, trains, trains.low + trains.size * start, pulses, up)
        panels.append(
            Panel(
                title=f"Pulses {'up' if up else 'down'}",
                x_label="pulse",
                y_label=label,
                marks=(
                    *marks,
                    Mark(
                        kind="points",
                        x=np.arange(pulses + 1)[:: max(1, pulses // 40)],
                        y=line[:: max(1, pulses // 40)],
                        label=f"fit: {kind.replace('_', ' ')}",
                    ),
                ),
            )
        )
    return tuple(panels)
