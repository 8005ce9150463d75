"""The transfer of a converter: where its codes change and how noisily; offset, gain, INL, DNL, missing codes.

INL and DNL are those of IEEE Std 1241: of the transitions about their best line, in LSB of that line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import FitError
from imcsim.fit.likelihood import Z_95
from imcsim.fit.result import FitResult, Mark, Panel, Parameter, few_devices
from imcsim.kernels.transitions import counted_below, probit, variances
from imcsim.measurements.groups import AdcTransfer
from imcsim.specs.adc import MeasuredADC

Array = NDArray[Any]

WHERE = "adc_transfer"
MISSING = -0.9  # LSB of DNL: a code as narrow as that does not come out
SPIKE = 3.0  # LSB of DNL that are worth a warning
_LEAST_CODES = 3
_EVEN = 0.2  # of a step, by which steps of a ramp may differ
_REACH = 8.0  # standard deviations from a transition within which an input tells of it
_EDGE = 1  # codes at either end of what came out, cut off by the ramp


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What one chip's transfer comes to: transitions above `bottom` and on, in the unit of the input, the noise."""

    transitions: Array
    bottom: int  # the lowest code that came out; transitions below it and above the highest are not measured
    levels: int
    sigma: float
    sigma_se: float
    lsb: float
    lsb_se: float
    offset: float
    offset_se: float
    code_sigma: float

    @property
    def codes(self) -> Array:
        """The codes above which the transitions lie."""
        return self.bottom + np.arange(self.transitions.size)

    @property
    def whole(self) -> Array:
        """All transitions in LSB (levels - 1,), those not measured an LSB apart, none below the one before."""
        before = self.in_lsb[0] - np.arange(self.bottom, 0, -1)
        after = self.in_lsb[-1] + 1 + np.arange(self.levels - 1 - self.bottom - self.transitions.size)
        return np.maximum.accumulate(np.concatenate([before, self.in_lsb, after]))

    @property
    def in_lsb(self) -> Array:
        """The transitions in LSB from the lowest level; nominally k + 0.5."""
        return np.asarray((self.transitions - self.offset) / self.lsb)

    @property
    def inl(self) -> Array:
        """The integral nonlinearity of each transition, in LSB."""
        return self.in_lsb - (self.codes + 0.5)

    @property
    def dnl(self) -> Array:
        """The differential nonlinearity of the codes but the first and the last, in LSB."""
        return np.diff(self.in_lsb) - 1


@dataclass(frozen=True, kw_only=True)
class AdcFit:
    """Transitions of each chip by the probit likelihood of its ramp, with one noise for all codes of a chip.

    `chip`: of which chip, counted from 0, the model is made.
    """

    group = AdcTransfer
    kind = "adc"
    name = "converter"
    chip: int = 0

    def fits(self, data: AdcTransfer) -> bool:
        """Whether the measurements hold what is fitted."""
        return data.code is not None

    def fit(self, data: AdcTransfer, rng: np.random.Generator) -> FitResult:
        """The fit of a ramp. Raises FitError where it does not cover the codes, or has no noise to tell."""
        del rng  # nothing is drawn
        code, inputs, bits = np.asarray(data.code), np.asarray(data.input, float), int(np.asarray(data.bits))
        chips = code.reshape(-1, *code.shape[-2:])
        if not 0 <= self.chip < len(chips):
            raise FitError.of(("chip",), f"must be from 0 to {len(chips) - 1}, of {len(chips)} chips", str(self.chip))
        if code.shape[-1] < 2:
            raise FitError.of(
                (WHERE, "code"), "needs each input to be converted twice or more", f"{code.shape[-1]} repeat"
            )
        found = [_transfer(one, inputs, bits) for one in chips]
        names = np.arange(len(chips)) if data.chip is None else np.asarray(data.chip)
        told: list[Parameter] = []
        warnings: list[str] = []
        for name, one in zip(names, found, strict=True):
            told += _told(one, f"[{name}]" if len(found) > 1 else "", data.unit)
            warnings += _warned(one, f"chip {name}: " if len(found) > 1 else "")
        one = found[self.chip]
        component = MeasuredADC(bits=bits, noise_lsb=one.sigma / one.lsb, transitions=tuple(map(float, one.whole)))
        return FitResult(
            kind=self.kind,
            estimator=self.name,
            group=self.group.name,
            parameters=tuple(told),
            goodness={
                "density of codes against transitions, rms difference of DNL (LSB)": _density_agrees(
                    one, chips[self.chip], inputs
                )
            },
            warnings=(*warnings, *few_devices(len(found), "chips")),
            components={"adc": component},
            panels=_panels(found, names),
            predict=lambda value: np.searchsorted(one.whole, (np.asarray(value, float) - one.offset) / one.lsb),
        )


def _transfer(code: Array, inputs: Array, bits: int) -> Transfer:
    steps, repeats = code.shape
    levels = 2**bits
    top, bottom = int(code.max()), int(code.min())
    if top - bottom < _LEAST_CODES:
        raise FitError.of((WHERE, "code"), f"must span {_LEAST_CODES} codes or more of {levels}", f"{bottom} to {top}")
    # the ramp's inputs by place: the share of conversions at or below a code, summed, is where the code ends
    place = np.cumsum(np.bincount(code.ravel(), minlength=levels))[bottom:top] / repeats
    spread = max(float(np.mean(code.std(axis=1, ddof=1))) * steps / levels, 0.3)
    steps_of = np.diff(inputs)
    if np.ptp(steps_of) > _EVEN * np.mean(steps_of):
        raise FitError.of((WHERE, "input"), "must rise in steps of one size: the noise is told in steps of the ramp")
    if not np.any(code != code[:, :1]):
        raise FitError.of(
            (WHERE, "code"), "does not vary from repeat to repeat: the noise is too small for the steps of the ramp"
        )
    width = int(min(steps, np.ceil(16 * spread) + 8))
    first = np.clip(np.rint(place) - width // 2, 0, max(steps - width, 0)).astype(np.int64)
    below = counted_below(code - bottom, first, width)
    at = first[:, None] + np.arange(width)
    total = np.where(at < steps, float(repeats), 0.0)
    place = np.clip(place - 0.5, 0, steps - 1)

    def profile(log_sigma: float) -> tuple[float, Array]:
        same = np.full(place.size, log_sigma)
        where, _, values, _ = probit(below, total, at.astype(float), place, same, False)
        return float(np.sum(values)), where

    best = _best(lambda s: profile(s)[0], float(np.log(spread)))
    _, where = profile(best)
    if not np.isfinite(where).all():
        raise FitError.of(
            (WHERE, "code"), "did not converge at a transition", f"code {int(np.flatnonzero(~np.isfinite(where))[0])}"
        )
    transitions = np.interp(where, np.arange(steps), inputs)
    slope = np.gradient(inputs)[np.clip(np.rint(where).astype(int), 0, steps - 1)]
    codes = bottom + np.arange(transitions.size) + 0.5
    lsb, start = np.polyfit(codes, transitions, 1)
    of_lsb = (codes - codes.mean()) / np.sum((codes - codes.mean()) ** 2)
    weights = np.stack([of_lsb, 1 / codes.size - codes.mean() * of_lsb]) * slope
    sigma, ordered = float(np.exp(best)), np.maximum.accumulate(where)
    near = [np.searchsorted(ordered, np.arange(steps) + side * _REACH * sigma) for side in (-1, 1)]
    found, squares, of_sigma = variances(code - bottom, where, near[0], near[1], sigma, weights)
    # every transition that is fitted takes from the noise: the adjusted profile likelihood (Cox & Reid 1987) of an
    # information on each that goes with 1 / sigma
    sigma *= float(np.exp(transitions.size / (2 * of_sigma)))
    step = float(np.mean(np.diff(inputs)))
    return Transfer(
        transitions=transitions,
        bottom=bottom,
        levels=levels,
        sigma=sigma * step,
        sigma_se=sigma * step * float(np.sqrt(squares)) / of_sigma,
        lsb=float(lsb),
        lsb_se=float(np.sqrt(found[0])),
        offset=float(start),
        offset_se=float(np.sqrt(found[1])),
        code_sigma=float(np.sqrt(np.mean(code.var(axis=1, ddof=1)))),
    )


def _best(value: Callable[[float], float], start: float) -> float:
    """Where a likelihood of log sigma is largest."""
    from scipy.optimize import minimize_scalar

    bracket = (start - 0.5, start + 0.2)
    return float(minimize_scalar(lambda s: -value(s), bracket=bracket, method="brent", options={"xtol": 1e-3}).x)


def _told(one: Transfer, suffix: str, unit: str) -> list[Parameter]:
    per = 1 / one.lsb
    worst_inl, worst_dnl = int(np.argmax(np.abs(one.inl))), int(np.argmax(np.abs(one.dnl)))
    return [
        _known("lsb" + suffix, unit, "of the best line", one.lsb, one.lsb_se),
        _known("offset" + suffix, unit, "input of the lowest level", one.offset, one.offset_se),
        _known("noise" + suffix, "LSB", "of a conversion", one.sigma * per, one.sigma_se * per),
        Parameter(
            name="code_sigma" + suffix,
            value=one.code_sigma,
            unit="LSB",
            what="of the codes of one input, rms: noise and rounding",
        ),
        Parameter(
            name="inl" + suffix,
            value=float(one.inl[worst_inl]),
            unit="LSB",
            what=f"largest, at the transition above code {one.codes[worst_inl]}",
        ),
        Parameter(
            name="dnl" + suffix,
            value=float(one.dnl[worst_dnl]),
            unit="LSB",
            what=f"largest, of code {one.codes[worst_dnl + 1]}",
        ),
        Parameter(
            name="missing_codes" + suffix,
            value=float(np.sum(one.dnl <= MISSING)),
            unit="1",
            what=f"codes with a DNL of {MISSING:g} LSB or less",
        ),
    ]


def _known(name: str, unit: str, what: str, value: float, se: float) -> Parameter:
    how = "sandwich over conversions, within this chip"
    return Parameter(
        name=name, unit=unit, what=what, value=value, se=se, low=value - Z_95 * se, high=value + Z_95 * se, interval=how
    )


def _warned(one: Transfer, whose: str) -> list[str]:
    inner = one.dnl[_EDGE:-_EDGE]
    spikes = np.flatnonzero(inner > SPIKE) + _EDGE + 1
    told = []
    if spikes.size:
        listed = ", ".join(f"{one.codes[k]} ({one.dnl[k - 1]:+.1f} LSB)" for k in spikes[:12])
        told.append(f"{whose}DNL spikes at codes {listed}" + (" and more" if spikes.size > 12 else ""))
    unseen = one.levels - 1 - one.transitions.size
    if unseen:
        told.append(
            f"{whose}codes below {one.bottom} and above {one.bottom + one.transitions.size} did not come out: "
            "their transitions are set an LSB apart"
        )
    back = int(np.sum(np.diff(one.transitions) < 0))
    if back:
        told.append(
            f"{whose}{back} transitions lie below the one before: not monotonic; the model leaves those codes out"
        )
    return told


def code_density(code: Array, kind: str = "ramp") -> Array:
    """The transitions between the codes that came out, in shares of the input's span, of their histogram alone.

    `kind` is what was put in: a "ramp", or a "sine" that spans the whole range (IEEE Std 1241: T = -cos(pi H)).
    """
    counts = np.bincount(np.asarray(code).ravel() - int(np.min(code)))
    share = np.cumsum(counts)[:-1] / counts.sum()
    if kind == "ramp":
        return np.asarray(share)
    if kind == "sine":
        return np.asarray((1 - np.cos(np.pi * share)) / 2)
    raise FitError.of(("kind",), 'must be "ramp" or "sine"', kind)


def _density_agrees(one: Transfer, code: Array, inputs: Array) -> float:
    """How far the DNL of the code density is from that of the transitions: rms, in LSB."""
    by_density = np.interp(code_density(code) * inputs.size, np.arange(inputs.size) + 0.5, inputs)
    return float(np.std(np.diff(by_density) / one.lsb - 1 - one.dnl))


def _panels(found: list[Transfer], names: Array) -> tuple[Panel, ...]:
    inl = tuple(
        Mark(kind="line", x=one.codes, y=one.inl, label=f"chip {name}") for one, name in zip(found, names, strict=True)
    )
    dnl = tuple(
        Mark(kind="line", x=one.codes[1:], y=one.dnl, label=f"chip {name}")
        for one, name in zip(found, names, strict=True)
    )
    return (
        Panel(title="Integral nonlinearity", x_label="code", y_label="INL (LSB)", marks=inl),
        Panel(title="Differential nonlinearity", x_label="code", y_label="DNL (LSB)", marks=dnl),
    )
