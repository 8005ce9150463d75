"""Resistive cells against what was published: a million cells a device, written and read as those of a crossbar."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.stats import foldnorm

import imcsim
from docs.validation.points import Point
from imcsim.specs.adc import IdealADC
from imcsim.specs.array import ArraySpec
from imcsim.specs.chip import ChipSpec
from imcsim.specs.dac import OneShotDAC

Array = np.ndarray[Any, Any]

STANDARD_ERRORS = 5  # that a statistic may be off
ROWS, COLS, TOP = 1000, 1000, 127  # a million cells that hold 0 ... 127
CODES = (3, 6, 13, 26, 40, 64, 100, 127)
DAY_S = 86400.0

# The published spread of a write, in uS, of x = g / g_max and of g in uS (sources: device_models/).
WRITES: dict[str, Callable[[float, float], float]] = {
    "pcm": lambda x, _: 0.26348 + 1.9650 * x - 1.1731 * x**2,
    "pcm_hermes_1": lambda x, _: 0.15782 + 2.32444 * x - 2.16311 * x**2 + 0.68842 * x**3,
    "pcm_hermes_2": lambda x, _: 0.16603 + 4.71806 * x - 8.48101 * x**2 + 4.68961 * x**3,
    "rram_wan": lambda x, _: 0.348 + 16.030 * x - 43.853 * x**2 + 45.393 * x**3 - 16.815 * x**4,
    "rram_cmo": lambda _, g: 0.0112185 + 0.0112903 * g,
    "rram_milo": lambda _, g: 4.7823 - 0.009107 * g,
    "sonos_40nm": lambda _, g: 0.1988665 * -math.expm1(-g / 1.763115),
}


def crossbar(cell: Any, codes: Array, name: str) -> imcsim.Crossbar:
    """Codes -127 ... 127, (rows, cols), each written into a cell of its own; a row of them an input of 0 or 1."""
    array = ArraySpec(rows=len(codes), cols=codes.shape[1], cell_bits=7, weight_scale="given", weight_limit=1.0)
    spec = ChipSpec(cell=cell, array=array, dac=OneShotDAC(bits=1), adc=IdealADC())
    return imcsim.manufacture(spec, codes.shape, 1).program(codes / TOP, imcsim.child(0, name, "write"))


def _states(codes: tuple[int, ...]) -> Array:
    """As many rows of each code: (ROWS, COLS)."""
    return np.repeat(np.repeat(codes, ROWS // len(codes))[:, None], COLS, axis=1)


def _conducts(of: imcsim.Crossbar, states: int, now_s: float = 0.0, call: int | None = None) -> Array:
    """What the cells of positive weights conduct, in uS: (states, cells of each); in a `call`, with its noise."""
    cell, held = of.die.spec.cell, of.held
    assert held is not None
    keys = None if call is None else np.array([call], np.uint64)
    digits = held.read(of.die, now_s, keys)[0, 0, :, 0, 0].astype(np.float64)
    return 1e6 * cell.span / TOP * digits.reshape(states, -1)  # from lowest on: a driven cell conducts that, too


def _target(cell: Any, code: int) -> float:
    """The conductance that a code stands for, in uS."""
    return float(1e6 * (cell.lowest + cell.span * code / TOP))


def writes() -> Iterator[Point]:
    """The spread of a write, in uS, over the state; at the ends, too, but where cells clip there."""
    for name, law in WRITES.items():
        cell = imcsim.load(name).cell
        # none clips at g_max; at g_min only one whose g_min lies far above the zero where it clips
        free = cell.clips == "zero" and cell.lowest > 0.1 * cell.g_max_S
        codes = (0, 51, 76, 102, TOP) if free else (51, 76, 102, TOP)
        found = _conducts(crossbar(cell, _states(codes), name), len(codes))
        for code, g_uS in zip(codes, found, strict=True):
            target_uS = _target(cell, code)
            x = target_uS / (1e6 * cell.g_max_S)
            sigma = law(x, target_uS)
            tolerance = STANDARD_ERRORS * sigma / math.sqrt(2 * g_uS.size)
            yield Point("writes", name, x, sigma, float(g_uS.std()), tolerance, "uS")


def spreads() -> Iterator[Point]:
    """The spread about the target of memories that do not drift by a power, in uS, a time after the write."""
    laws: dict[tuple[str, float], Callable[[float, float], float]] = {
        ("rram_cmo", 1.0): lambda _, __: 0.4118 + 0.0420 * math.log(2),  # t counts from 1 s
        ("rram_cmo", DAY_S): lambda _, __: 0.4118 + 0.0420 * math.log(DAY_S + 1),
        ("rram_wan", DAY_S - 1): lambda x, _: 0.701 + 22.086 * x - 50.773 * x**2 + 47.095 * x**3 - 16.458 * x**4,
    }
    codes = (51, 76, 102, TOP)
    for (name, since_s), law in laws.items():
        cell = imcsim.load(name).cell
        found = _conducts(crossbar(cell, _states(codes), name), len(codes), since_s)
        for code, g_uS in zip(codes, found, strict=True):
            target_uS = _target(cell, code)
            sigma = law(target_uS / (1e6 * cell.g_max_S), target_uS)
            tolerance = STANDARD_ERRORS * sigma / math.sqrt(2 * g_uS.size)
            series = f"{name}, {'a second' if since_s == 1 else 'a day'} later"
            yield Point("spreads", series, code / TOP, sigma, float(g_uS.std()), tolerance, "uS")


def exponents() -> Iterator[Point]:
    """Mean and spread of the exponents of phase change, from what each cell lost in 5.5 hours."""
    cell = imcsim.load("pcm").cell.replace("programming", None)
    of = crossbar(cell, _states(CODES), "exponents")
    log_t = math.log(1000)
    nu = -np.log(_conducts(of, len(CODES), 20.0 * 999) / _conducts(of, len(CODES))) / log_t
    for code, found in zip(CODES, nu, strict=True):
        x = code / TOP
        mean = min(max(0.0244 - 0.0155 * math.log(x), 0.049), 0.1)
        sigma = min(max(-0.0059 - 0.0125 * math.log(x), 0.008), 0.045)
        law = foldnorm(mean / sigma, scale=sigma)  # |mean + sigma z|
        n = found.size
        yield Point("exponents", "mean", x, law.mean(), found.mean(), STANDARD_ERRORS * law.std() / math.sqrt(n), "1")
        yield Point(
            "exponents", "spread", x, law.std(), found.std(), STANDARD_ERRORS * law.std() / math.sqrt(2 * n), "1"
        )


def flicker() -> Iterator[Point]:
    """The 1/f noise of a read of phase change, relative to what the cell holds, at once and an hour after the write."""
    cell = imcsim.load("pcm").cell.replace("programming", None)
    of = crossbar(cell, _states(CODES), "flicker")
    for series, now_s in (("at once", 0.0), ("an hour later", 3600.0)):
        noise = _conducts(of, len(CODES), now_s, call=7) / _conducts(of, len(CODES), now_s) - 1
        grown = math.sqrt(math.log((now_s + 20 + 250e-9) / 500e-9))
        for code, found in zip(CODES, noise, strict=True):
            law = min(0.0088 / (code / TOP) ** 0.65, 0.2) * grown
            tolerance = STANDARD_ERRORS * law / math.sqrt(2 * found.size)
            yield Point("flicker", series, code / TOP, law, float(found.std()), tolerance, "1")


def telegraph() -> Iterator[Point]:
    """How many cells have a trap, and how many traps are in the upper level, over calls."""
    share, occupancy, apart = 0.1, 0.3, 0.05
    cell = imcsim.load("resistive_generic").cell
    for part, value in (("programming", None), ("stuck", None), ("current", None)):
        cell = cell.replace(part, value)
    cell = cell.replace("telegraph_noise.occupancy", occupancy)
    of = crossbar(cell, _states((100,)), "telegraph")
    quiet = _conducts(of, 1)
    for call in range(4):
        noise = _conducts(of, 1, call=call) / quiet - 1
        up, down = np.abs(noise - apart * (1 - occupancy)) < 1e-4, np.abs(noise + apart * occupancy) < 1e-4
        trapped = int((up | down).sum())
        error = math.sqrt(share * (1 - share) / noise.size)
        yield Point("telegraph", "cells with a trap", call, share, trapped / noise.size, STANDARD_ERRORS * error, "1")
        error = math.sqrt(occupancy * (1 - occupancy) / trapped)
        yield Point(
            "telegraph",
            "traps in the upper level",
            call,
            occupancy,
            int(up.sum()) / trapped,
            STANDARD_ERRORS * error,
            "1",
        )


def drift() -> Iterator[Point]:
    """What all reads of a crossbar give over time, of what they gave at once, and the exponent that fits it.

    E exp(-nu L) = exp(-m L + s^2 L^2 / 2), L = ln(t / t0): with a spread the mean falls less than by its exponent.
    """
    laws = {
        "pcm": (0.049, 0.008),
        "pcm_hermes_1": _hermes((0.0736, -0.0126, -0.0436), (0.0104, 0.0116, -0.0165)),
        "pcm_hermes_2": _hermes((0.0736, -0.0126, -0.0436), (0.0073, 0.0093, -0.0118)),
    }
    for place, (name, (mean, sigma)) in enumerate(laws.items()):
        cell = imcsim.load(name).cell.replace("programming", None)
        of = crossbar(cell, np.full((128, 256), 102), "drift")
        logs = np.linspace(0, math.log(200), 6)
        x = np.ones((8, 128))  # noise that stays within a call is averaged over the cells
        y = [of.mvm(x, imcsim.child(0, "drift", k), now_s=cell.t0_s * math.expm1(log)) for k, log in enumerate(logs)]
        left = np.array([one.mean() for one in y]) / y[0].mean()
        for log, seen in zip(logs[1:], left[1:], strict=True):
            law = math.exp(-mean * log + (sigma * log) ** 2 / 2)
            yield Point("drift", name, cell.t0_s * math.exp(log), law, float(seen), 0.01 * mean * log * law, "1")
        fitted = -np.polyfit(logs, np.log(left) - (sigma * logs) ** 2 / 2, 1)[0]
        yield Point("drift_exponent", name, place, mean, float(fitted), 0.01 * mean, "1")


def _hermes(mean: tuple[float, ...], sigma: tuple[float, ...]) -> tuple[float, float]:
    """Mean and spread of the exponents at x = 102 / 127, above the knees of the fits."""
    return tuple(sum(c * (102 / TOP) ** k for k, c in enumerate(curve)) for curve in (mean, sigma))  # type: ignore[return-value]
