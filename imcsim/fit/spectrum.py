"""The spectrum of read noise: a white floor and 1/f^beta, by Whittle's likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import FitError
from imcsim.fit.likelihood import Free, Maximum, maximise, parameters
from imcsim.fit.read_noise import series, states
from imcsim.fit.result import FitResult, Mark, Panel, Parameter, few_devices
from imcsim.measurements.groups import ReadNoise
from imcsim.specs.curves import ConstantCurve
from imcsim.specs.resistive import FlickerNoise, WhiteNoise

Array = NDArray[Any]

WHERE = "read_noise"
_LEAST_READS = 64
_WORST = "largest deviation of 50 bands from the spectrum"
_BELIEVED = 0.5  # the most of it with which a chip draws the spectrum
_TAPERED = 0.1  # of a series, a cosine at its ends: leakage of a steep spectrum would make it look flatter


@dataclass(frozen=True, kw_only=True)
class SpectrumFit:
    """The one-sided power spectrum of each cell's reads, relative to its mean: S(f) = floor + level (f / f_mid)^-beta.

    Whittle's likelihood of the periodogram of a tapered series; standard errors are those of a taper (Dahlhaus 1983).
    f_mid is the geometric middle of the frequencies. Chips draw the white floor at every read, and the rest,
    constant within a call, as 1/f noise.
    """

    group = ReadNoise
    kind = "spectrum"
    name = "spectrum of read noise"

    def fits(self, data: ReadNoise) -> bool:
        """Whether the measurements hold what is fitted."""
        return data.interval is not None and data.conductance is not None and data.conductance.shape[-1] >= _LEAST_READS

    def fit(self, data: ReadNoise, rng: np.random.Generator) -> FitResult:
        """The fit of each series. Raises FitError where there is no interval, too few reads, or no convergence."""
        if data.interval is None:
            raise FitError.of((WHERE, "interval"), "is needed for a spectrum: the time from read to read")
        interval = float(data.interval)
        told: list[Parameter] = []
        warnings: list[str] = []
        fits = []
        relative = series(data)
        for k, row in enumerate(relative):
            reads = row[np.isfinite(row)]
            if reads.size < _LEAST_READS:
                raise FitError.of(
                    (WHERE, "conductance"), f"a spectrum needs {_LEAST_READS} reads or more", f"{reads.size}"
                )
            frequency, power, widening = periodogram(reads / reads.mean() - 1, interval)
            found = _fitted(frequency, power)
            fits.append((reads, frequency, power, found))
            told.append(_straight(frequency, power, suffix := f"[{k}]" if len(relative) > 1 else ""))
            told += _widened(found, widening, suffix)
            warnings += found.warnings()
        values = np.array([found.values for *_, found in fits])
        told = [*_overall(values), *told]
        goodness = _goodness(fits)
        return FitResult(
            kind=self.kind,
            estimator=self.name,
            group=self.group.name,
            parameters=tuple(told),
            goodness=goodness,
            warnings=(*dict.fromkeys(warnings), *few_devices(len(fits), "cells")),
            components=_components(values, [frequency for _, frequency, *_ in fits], interval),
            tells_most=goodness[_WORST] < _BELIEVED,
            valid=states(relative),
            panels=tuple(_panel(k, *one, interval, rng) for k, one in enumerate(fits[:6])),
            predict=lambda f_Hz: np.median(
                [_density(one, np.asarray(f_Hz, float), _middle(fits[0][1])) for one in values], axis=0
            ),
        )


def periodogram(series_: Array, interval_s: float) -> tuple[Array, Array, float]:
    """Frequencies in Hz, the one-sided periodogram of a tapered series, and by how much the taper widens errors."""
    from scipy.signal.windows import tukey

    n = series_.size
    taper = tukey(n, _TAPERED)
    energy = float(np.sum(taper**2))
    power = (
        2 * interval_s * np.abs(np.fft.rfft((series_ - np.sum(series_ * taper) / taper.sum()) * taper)) ** 2 / energy
    )
    inner = slice(1, (n + 1) // 2)  # neither the mean nor the last, of one degree of freedom
    widening = float(np.sqrt(n * np.sum(taper**4)) / energy)
    return np.fft.rfftfreq(n, interval_s)[inner], power[inner], widening


def _middle(frequency: Array) -> float:
    return float(np.sqrt(frequency[0] * frequency[-1]))


def _density(values: Array, frequency: Array, middle: float) -> Array:
    floor, level, beta = values
    return np.asarray(floor + level * (frequency / middle) ** -beta)


def _fitted(frequency: Array, power: Array) -> Maximum:
    middle = _middle(frequency)
    logs = np.log(frequency / middle)
    half = frequency < middle
    slope = -np.polyfit(logs[half], np.log(power[half] + 1e-300), 1)[0] if half.sum() > 2 else 1.0
    level = float(np.exp(np.median(np.log(power + 1e-300) + np.clip(slope, 0.3, 2) * logs)))
    floor = float(np.median(power[-max(power.size // 10, 1) :]))
    size = float(np.mean(power))
    free = (
        Free(
            name="floor",
            unit="1/Hz",
            what="white part of the relative spectrum",
            start=max(0.5 * floor, 1e-9 * size),
            log=True,
            low=1e-12 * size,
            high=1e3 * size,
        ),
        Free(
            name="level",
            unit="1/Hz",
            what=f"1/f^beta part at {middle:.3g} Hz",
            start=max(level, 1e-9 * size),
            log=True,
            low=1e-12 * size,
            high=1e6 * size,
        ),
        Free(name="beta", unit="1", what="of 1/f^beta", start=float(np.clip(slope, 0.3, 1.9)), low=0.05, high=3.0),
    )
    blocks = np.arange(power.size) * 64 // power.size  # the scores of neighbours are told together

    def likelihood(values: Array) -> Array:
        density = values[0] + values[1] * np.exp(-values[2] * logs)
        return np.bincount(blocks, -np.log(density) - power / density)

    return maximise(likelihood, free, WHERE, [[0.05 * floor, level, 1.0]])


def _widened(found: Maximum, widening: float, suffix: str) -> list[Parameter]:
    """The parameters with intervals of the information matrix, widened for the taper."""
    plain = parameters(lambda values: values, found, np.random.default_rng(0), "information", "series")  # no draws
    told = []
    for one, free in zip(plain, found.free, strict=True):
        wide = 1.959964 * widening * one.se
        ratio = np.exp(wide / one.value) if free.log else 1.0
        low, high = (one.value / ratio, one.value * ratio) if free.log else (one.value - wide, one.value + wide)
        told.append(
            Parameter(
                name=one.name + suffix,
                value=one.value,
                unit=one.unit,
                what=one.what,
                se=one.se * widening,
                low=low,
                high=high,
                interval=one.interval,
            )
        )
    return told


def _straight(frequency: Array, power: Array, suffix: str) -> Parameter:
    """The slope of a straight line through the logarithm of the spectrum, no floor, from bands of equal ratio."""
    edges = np.geomspace(frequency[0], frequency[-1], 25)
    band = np.clip(np.searchsorted(edges, frequency, side="right") - 1, 0, 23)
    counts = np.bincount(band, minlength=24)
    there = counts >= 3
    middle = np.bincount(band, np.log(frequency), 24)[there] / counts[there]
    level = np.log(np.bincount(band, power, 24)[there] / counts[there])
    (slope, _), covariance = np.polyfit(middle, level, 1, cov=True)
    se = float(np.sqrt(covariance[0, 0]))
    return Parameter(
        name="slope" + suffix,
        value=float(slope),
        unit="1",
        what="of a straight line through the spectrum, no floor",
        se=se,
        low=float(slope) - 1.96 * se,
        high=float(slope) + 1.96 * se,
        interval="least squares over bands",
    )


def _overall(values: Array) -> list[Parameter]:
    """The middle one of the cells, where there are several."""
    if len(values) < 2:
        return []
    told = []
    for name, unit, column in zip(("floor", "level", "beta"), ("1/Hz", "1/Hz", "1"), values.T, strict=True):
        told.append(
            Parameter(
                name=name,
                value=float(np.median(column)),
                unit=unit,
                what="the middle one of the cells, and their range",
                low=float(column.min()),
                high=float(column.max()),
                interval=f"least and largest of {len(values)} cells",
            )
        )
    return told


def _goodness(fits: list[Any]) -> dict[str, float]:
    """Periodograms over the fitted spectrum are exponential: their mean and spread are 1."""
    ratios = np.concatenate(
        [power / _density(found.values, frequency, _middle(frequency)) for _, frequency, power, found in fits]
    )
    coarse = np.concatenate(
        [
            [
                np.mean(part)
                for part in np.array_split(power / _density(found.values, frequency, _middle(frequency)), 50)
            ]
            for _, frequency, power, found in fits
        ]
    )
    return {
        "spread of the periodogram over the spectrum (1 if it is right)": float(np.std(ratios)),
        _WORST: float(np.max(np.abs(coarse - 1))),
    }


def _components(values: Array, frequencies: list[Array], interval: float) -> dict[str, Any]:
    """White noise of variance floor x bandwidth; 1/f noise of level x f_mid a neper of frequency, taken as beta = 1."""
    floor = float(np.median(values[:, 0]))
    levels = [one[1] * _middle(frequency) for one, frequency in zip(values, frequencies, strict=True)]
    flicker = FlickerNoise(
        scaling="proportional",
        state="present",
        t_read_s=interval,
        sigma=ConstantCurve(value=float(np.sqrt(np.median(levels)))),
    )
    white = WhiteNoise(scaling="proportional", sigma=ConstantCurve(value=float(np.sqrt(floor / (2 * interval)))))
    return {"cell.flicker_noise": flicker, "cell.white_noise": white}


def _panel(
    k: int,
    reads: Array,
    frequency: Array,
    power: Array,
    found: Maximum,
    interval: float,
    rng: np.random.Generator,
) -> Panel:
    from scipy.signal import welch

    del power
    segment = max(64, reads.size // 16)
    bands, measured = welch(reads / reads.mean() - 1, 1 / interval, nperseg=segment)
    _, simulated = welch(_drawn(found, reads.size, interval, rng), 1 / interval, nperseg=segment)
    shown = np.unique(np.geomspace(1, bands.size - 1, 200).astype(int))
    line = np.geomspace(frequency[0], frequency[-1], 100)
    fitted = _density(found.values, line, _middle(frequency))
    return Panel(
        title=f"Spectrum of cell {k}",
        x_label="frequency (Hz)",
        y_label="relative power (1/Hz)",
        x_scale="log",
        y_scale="log",
        marks=(
            Mark(kind="points", x=bands[shown], y=measured[shown], label="measured (Welch)"),
            Mark(kind="points", x=bands[shown], y=simulated[shown], label="simulated"),
            Mark(kind="line", x=line, y=fitted, label=f"fit: beta = {found.values[2]:.2f}"),
        ),
    )


def _drawn(found: Maximum, count: int, interval: float, rng: np.random.Generator) -> Array:
    """A series with the fitted spectrum, of normal amplitudes at its frequencies."""
    frequency = np.fft.rfftfreq(count, interval)
    density = np.r_[0.0, _density(found.values, frequency[1:], _middle(frequency[1:]))]
    parts = rng.standard_normal((2, frequency.size)) * np.sqrt(density * count / (4 * interval))
    return np.fft.irfft(parts[0] + 1j * parts[1], count)
