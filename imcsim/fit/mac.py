"""The transfer of a macro that answers sums with codes: thresholds and their spread, gain, offset, curvature, noise.

A chip's codes come as samples, as counts or as probabilities given the sum; each threshold, between a code and the
next, is a probit of the sum with a location and a spread of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import FitError
from imcsim.fit.result import FitResult, Mark, Panel, Parameter, few_devices
from imcsim.kernels.transitions import probit
from imcsim.measurements.groups import MacTransfer
from imcsim.specs.adc import MeasuredADC

Array = NDArray[Any]

WHERE = "mac_transfer"
_APART = 3.0  # times what chips have at the median: one as far off is told
_LEAST_SUMS = 5


@dataclass(frozen=True)
class Chip:
    """What one chip's answers come to: thresholds and spreads (codes - 1,) in sums, moments of the answer (sums,)."""

    thresholds: Array
    spreads: Array
    mean: Array
    sigma: Array
    gain: Array  # offset, gain, curvature
    gain_se: Array
    misfit: float

    @property
    def unsaturated(self) -> Array:
        """The sums whose mean answer is a twentieth of the range or more from either end of it."""
        low, high = self.mean.min(), self.mean.max()
        return np.asarray((self.mean > low + 0.05 * (high - low)) & (self.mean < high - 0.05 * (high - low)))


@dataclass(frozen=True, kw_only=True)
class MacFit:
    """Thresholds of each chip by probits; offset, gain and curvature of the answer through them.

    answer = offset + gain s, s the ideal sum; the curvature is that of a parabola.
    Codes stand for `code_value`, or for themselves.
    `chip`: of which chip, counted from 0, the model is made.
    """

    group = MacTransfer
    kind = "mac"
    name = "macro"
    chip: int = 0

    def fits(self, data: MacTransfer) -> bool:
        """Whether the measurements hold what is fitted."""
        return True

    def fit(self, data: MacTransfer, rng: np.random.Generator) -> FitResult:
        """The fit of the answers of chips. Raises FitError where there are too few sums."""
        sums = np.asarray(data.ideal_sum, float)
        if sums.size < _LEAST_SUMS:
            raise FitError.of((WHERE, "ideal_sum"), f"needs at least {_LEAST_SUMS} sums", f"{sums.size}")
        counts, known = _counts(data)
        values = (
            np.asarray(data.code_value, float)
            if data.code_value is not None
            else np.arange(counts.shape[-1], dtype=float)
        )
        if not 0 <= self.chip < len(counts):
            raise FitError.of(("chip",), f"must be from 0 to {len(counts) - 1}, of {len(counts)} chips", str(self.chip))
        chips = [_chip(one, sums, values, known) for one in counts]
        names = np.arange(len(chips)) if data.chip is None else np.asarray(data.chip)
        told = [
            one
            for name, chip in zip(names, chips, strict=True)
            for one in _told(chip, f"[{name}]" if len(chips) > 1 else "")
        ]
        return FitResult(
            kind=self.kind,
            estimator=self.name,
            group=self.group.name,
            parameters=(*_across(chips), *told),
            goodness={
                f"largest misfit of a probability by the probits, chip {name}": chip.misfit
                for name, chip in zip(names, chips, strict=True)
            },
            warnings=(
                *_flagged(chips, names),
                *([] if known else ["how many answers the probabilities are of is not known: no intervals"]),
                *few_devices(len(chips), "chips"),
            ),
            components={"adc": _component(counts[self.chip], sums, values)},
            panels=_panels(chips[self.chip], counts[self.chip], sums, values, names, chips, rng),
            predict=lambda s: np.interp(np.asarray(s, float), sums, chips[self.chip].mean),
        )


def _counts(data: MacTransfer) -> tuple[Array, bool]:
    """How often each code came out: (chips, sums, codes); whether these are counts, or shares of one answer."""
    if data.counts is not None:
        counts = np.asarray(data.counts, float)
    elif data.code is not None:
        code = np.asarray(data.code)
        code = code.reshape(-1, *code.shape[-2:])
        size = int(code.max()) + 1 if data.code_value is None else len(np.asarray(data.code_value))
        counts = np.stack([[np.bincount(row, minlength=size) for row in chip] for chip in code]).astype(float)
    else:
        share = np.asarray(data.probability, float)
        share = share / share.sum(axis=-1, keepdims=True)
        if data.observations is None:
            return share.reshape(-1, *share.shape[-2:]), False
        seen = np.asarray(data.observations, float)
        counts = share * (seen[..., None] if seen.ndim else seen)
    counts = counts.reshape(-1, *counts.shape[-2:])
    if counts.sum(axis=-1).min() <= 0:
        raise FitError.of((WHERE, "counts"), "has a sum without an answer")
    return counts, True


def _chip(counts: Array, sums: Array, values: Array, known: bool) -> Chip:
    total = counts.sum(axis=1)
    shares = counts / total[:, None]
    mean = shares @ values
    sigma = np.sqrt(np.maximum(shares @ values**2 - mean**2, 0))
    below = np.cumsum(counts, axis=1)[:, :-1].T
    at, log_spread = _begin(below / total, sums)
    found, logs, _, information = probit(
        below,
        np.broadcast_to(total, below.shape).copy(),
        np.broadcast_to(sums, below.shape).copy(),
        at,
        log_spread,
        True,
    )
    share = below / total[None, :]
    crossed = (share.min(axis=1) < 0.5) & (share.max(axis=1) > 0.5)  # else it lies beyond the sums that were put in
    found, logs = np.where(crossed, found, np.nan), np.where(crossed, logs, np.nan)
    spreads = np.exp(logs)
    gain, weights = _line(found, values)
    gain_se = _errors(weights, counts, sums, found, spreads, information) if known else np.full(3, np.nan)
    from scipy.special import ndtr

    with np.errstate(all="ignore"):
        fitted = ndtr((found[:, None] - sums) / spreads[:, None])
    misfit = float(np.nanmax(np.abs(fitted - share)))
    return Chip(found, spreads, mean, sigma, gain, gain_se, misfit)


def _begin(share: Array, sums: Array) -> tuple[Array, Array]:
    """Where thresholds and spreads start: the moments of the share that comes out at or below a code."""
    step = np.gradient(sums)
    falling = np.clip(-np.diff(share, axis=1), 0, None) + 1e-9
    middle = (sums[1:] + sums[:-1]) / 2
    weight = falling / falling.sum(axis=1, keepdims=True)
    at = weight @ middle
    spread = np.sqrt(np.maximum(np.sum(weight * (middle - at[:, None]) ** 2, axis=1), step.min() ** 2 / 4))
    return at, np.log(spread)


def _line(thresholds: Array, values: Array) -> tuple[Array, Array]:
    """Offset and gain of the line through the thresholds, and the curvature of the parabola, by Huber's weights.

    The answer at a threshold is the middle of the codes beside it: averages over codes would see their steps. And how
    the three change with each threshold, (3, thresholds).
    """
    middle = (values[1:] + values[:-1]) / 2
    there = np.isfinite(thresholds)
    slopes = np.zeros((3, thresholds.size))
    if there.sum() < _LEAST_SUMS:
        return np.full(3, np.nan), slopes
    x, y = thresholds[there], middle[there]
    line, by_line = _robust(x[:, None] ** np.arange(2), y)
    parabola, by_parabola = _robust(x[:, None] ** np.arange(3), y)
    # a threshold further on by d lowers what is left of its middle by gain d
    slopes[:, there] = -np.concatenate([by_line, by_parabola[2:]]) * (line[1] + 2 * parabola[2] * (x - x.mean()))
    return np.append(line, parabola[2]), slopes


def _robust(design: Array, y: Array) -> tuple[Array, Array]:
    """Huber's estimate of a linear model (p,), and how it changes with y, (p, values)."""
    weight = np.ones(y.size)
    size = np.abs(design).max(axis=0)
    scaled = design / size
    for _ in range(30):
        normal = scaled.T @ (weight[:, None] * scaled)
        found = np.linalg.solve(normal, scaled.T @ (weight * y))
        left = y - scaled @ found
        scale = max(1.4826 * float(np.median(np.abs(left))), 1e-12)
        weight = np.minimum(1.0, 1.345 * scale / np.maximum(np.abs(left), 1e-300))  # Huber's 95 % efficiency
    # beyond the bend a residual counts by its sign alone, and moving it moves nothing
    bent = (np.abs(left) <= 1.345 * scale).astype(float)
    curvature = scaled.T @ (bent[:, None] * scaled)
    return found / size, (np.linalg.solve(curvature, scaled.T * bent).T / size).T


def _errors(weights: Array, counts: Array, sums: Array, at: Array, spread: Array, information: Array) -> Array:
    """The standard errors of weighed sums of the thresholds: of each answer's part in all of them.

    One answer lies below some thresholds and above others, so that the errors of these are not independent.
    """
    from scipy.special import log_ndtr

    there = np.isfinite(at)
    z = np.clip((at[there, None] - sums) / spread[there, None], -8, 8)
    log_density = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    below, above = np.exp(log_density - log_ndtr(z)), -np.exp(log_density - log_ndtr(-z))
    inverse = np.linalg.inv(information[there])[:, 0]
    # the derivatives by the threshold and by ln of its spread, through the inverse information
    parts = [(inverse[:, :1] / spread[there, None] - inverse[:, 1:] * z) * score for score in (below, above)]
    total = counts.sum(axis=1)
    errors = []
    for weight in weights[:, there]:
        low, high = (weight[:, None] * part for part in parts)
        codes = np.concatenate([np.zeros((1, sums.size)), np.cumsum(high, axis=0)])
        rest = np.cumsum(low[::-1], axis=0)[::-1]
        places = np.concatenate([[0], np.cumsum(there)])  # how many of the fitted thresholds lie below a code
        influence = codes[places] + np.concatenate([rest, np.zeros((1, sums.size))])[places]
        shares = (counts / total[:, None]).T
        mean = np.sum(shares * influence, axis=0)
        errors.append(float(np.sqrt(np.sum(total * np.sum(shares * (influence - mean) ** 2, axis=0)))))
    return np.array(errors)


def _told(chip: Chip, suffix: str) -> list[Parameter]:
    how = "delta method over the answers, within this chip"
    told = []
    for name, unit, what, value, se in zip(
        ("offset", "gain", "curvature"),
        ("1", "1", "1"),
        ("answer to a sum of 0", "answer a unit of sum", "answer a unit of sum squared"),
        chip.gain,
        chip.gain_se,
        strict=True,
    ):
        told.append(
            Parameter(
                name=name + suffix,
                value=float(value),
                unit=unit,
                what=what,
                se=float(se),
                low=float(value - 1.96 * se),
                high=float(value + 1.96 * se),
                interval=how if np.isfinite(se) else "",
            )
        )
    inside = np.isfinite(chip.spreads)
    spread = float(np.median(chip.spreads[inside])) if inside.any() else float("nan")
    told.append(
        Parameter(
            name="transition_sigma" + suffix,
            value=spread,
            unit="1",
            what="of a threshold, in sums; the middle one",
            interval="5th to 95th of 100 thresholds",
            low=float(np.nanquantile(chip.spreads, 0.05)),
            high=float(np.nanquantile(chip.spreads, 0.95)),
        )
    )
    inner = chip.unsaturated
    told.append(
        Parameter(
            name="output_sigma" + suffix,
            value=float(np.median(chip.sigma[inner])),
            unit="1",
            what="of an answer; the middle one of the sums",
            low=float(np.min(chip.sigma[inner])),
            high=float(np.max(chip.sigma[inner])),
            interval="least and largest of the sums that do not saturate",
        )
    )
    return told


def _across(chips: list[Chip]) -> list[Parameter]:
    """The mean over chips and their spread, where there are several."""
    if len(chips) < 2:
        return []
    from scipy.special import stdtrit

    told = []
    for k, name in enumerate(("offset", "gain")):
        values = np.array([chip.gain[k] for chip in chips])
        mean, spread = float(values.mean()), float(values.std(ddof=1))
        wide = float(stdtrit(len(chips) - 1, 0.975)) * spread / np.sqrt(len(chips))
        told.append(
            Parameter(
                name=f"{name} of chips",
                value=mean,
                unit="1",
                what="mean of the chips",
                se=spread / np.sqrt(len(chips)),
                low=mean - wide,
                high=mean + wide,
                interval=f"t over {len(chips)} chips",
            )
        )
        told.append(
            Parameter(name=f"{name} from chip to chip", value=spread, unit="1", what="standard deviation of the chips")
        )
    return told


def _flagged(chips: list[Chip], names: Array) -> list[str]:
    """Chips that are not like the others, or whose answers no threshold explains."""
    told = []
    spreads = np.array([np.nanmedian(chip.spreads) for chip in chips])
    misfits = np.array([chip.misfit for chip in chips])
    for name, chip, spread, misfit in zip(names, chips, spreads, misfits, strict=True):
        if np.any(np.diff(chip.mean) < -0.1 * np.ptp(chip.mean)):
            told.append(
                f"chip {name}: its mean answer falls by a tenth of its range where the sum rises: not a monotonic macro"
            )
        if len(chips) > 2 and spread > _APART * np.median(spreads):
            told.append(
                f"chip {name}: its thresholds spread over {spread:.1f} units of sum, "
                f"{spread / np.median(spreads):.1f} times those of the middle chip"
            )
        unfitted = int(np.sum(~np.isfinite(chip.thresholds)))
        if unfitted:
            told.append(
                f"chip {name}: {unfitted} of {chip.thresholds.size} thresholds are not told: "
                "their codes hardly came out, or lie beyond the sums that were put in"
            )
        if misfit > 0.2:
            told.append(f"chip {name}: its thresholds are not normal: probabilities are off by up to {misfit:.2f}")
    return told


def _component(counts: Array, sums: Array, values: Array) -> MeasuredADC:
    """The measured table as a converter, its inputs in LSB; codes that no level has are never given."""
    steps = np.diff(values)
    if np.any(np.abs(steps - steps[0]) > 1e-6 * np.abs(steps[0])):
        raise FitError.of((WHERE, "code_value"), "must be equally spaced, as the levels of a converter are")
    bits = max(1, int(np.ceil(np.log2(values.size))))
    shares = counts / counts.sum(axis=1, keepdims=True)
    padded = np.zeros((len(sums), 2**bits))
    padded[:, : values.size] = shares
    inputs = (sums - values[0]) / steps[0]
    lo = float(values[0])
    return MeasuredADC(
        bits=bits,
        range="given",
        lo=lo,
        hi=lo + float(steps[0]) * (2**bits - 1),
        inputs=tuple(map(float, inputs)),
        probabilities=tuple(tuple(map(float, row)) for row in padded),
    )


def _panels(
    chip: Chip, counts: Array, sums: Array, values: Array, names: Array, chips: list[Chip], rng: np.random.Generator
) -> tuple[Panel, ...]:
    shares = counts / counts.sum(axis=1, keepdims=True)
    drawn = (rng.random((400, sums.size, 1)) > np.cumsum(shares, axis=1)).sum(axis=-1).clip(max=values.size - 1)
    simulated = values[drawn]
    each = tuple(Mark(kind="line", x=sums, y=one.mean, label=f"{name}") for name, one in zip(names, chips, strict=True))
    return (
        Panel(
            title="Confusion matrix of the chip that the model is of",
            x_label="ideal sum",
            y_label="answer",
            marks=(Mark(kind="image", x=sums, y=shares.T, y2=values),),
        ),
        Panel(title="Mean answers of the chips", x_label="ideal sum", y_label="answer", marks=each),
        Panel(
            title="Spread of an answer: measured and simulated",
            x_label="ideal sum",
            y_label="standard deviation of the answer",
            marks=(
                Mark(kind="line", x=sums, y=chip.sigma, label="measured"),
                Mark(kind="points", x=sums, y=simulated.std(axis=0), label="simulated"),
            ),
        ),
    )
