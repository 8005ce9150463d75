"""Pulsed devices against closed forms: responses to pulses one way, and the moments of a pulse-train update."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from docs.validation.points import Point
from imcsim.cells.pulsed import manufactured, trains, write_counts, write_outer
from imcsim.specs.pulsed import (
    ConstantStepDevice,
    ExponentialStepDevice,
    LinearStepDevice,
    PowerStepDevice,
    Pulsed,
    SoftBoundsDevice,
    UpdateSpec,
)

Array = np.ndarray[Any, Any]
Law = Callable[[Array], Array]

STANDARD_ERRORS = 5  # that a statistic may be off
STEP, LOW, HIGH = 0.001, -0.4, 0.6
RANGE: dict[str, Any] = {"dw_min": STEP, "w_min": LOW, "w_max": HIGH}
PULSES = np.arange(0, 1201, 60)
ROUNDED = 1e-4  # that sums of float32 may be off, after so many pulses
OF_A_STEP = 1.0  # that a recursion and its differential equation may differ, in steps


def responses() -> Iterator[Point]:
    """The weight over pulses up from the lower bound, and down from the upper one."""
    exponential = {"A_up": 0.3, "A_down": 0.2, "gamma_up": 1.5, "gamma_down": 1.0, "a": 1.0, "b": 0.0}
    devices: dict[str, tuple[Pulsed, Law, Law, float]] = {
        "constant": (
            ConstantStepDevice(**RANGE),
            lambda n: np.minimum(LOW + STEP * n, HIGH),
            lambda n: np.maximum(HIGH - STEP * n, LOW),
            ROUNDED,
        ),
        "linear": (
            # w' = w +- s (1 - g w / bound): geometric about bound / g, as far as the bound
            LinearStepDevice(**RANGE, gamma_up=0.5, gamma_down=0.8),
            lambda n: np.minimum(HIGH / 0.5 + (LOW - HIGH / 0.5) * (1 - 0.5 * STEP / HIGH) ** n, HIGH),
            lambda n: np.maximum(LOW / 0.8 + (HIGH - LOW / 0.8) * (1 + 0.8 * STEP / LOW) ** n, LOW),
            ROUNDED,
        ),
        "soft bounds": (
            SoftBoundsDevice(**RANGE),
            lambda n: HIGH - (HIGH - LOW) * (1 - STEP / HIGH) ** n,
            lambda n: LOW + (HIGH - LOW) * (1 + STEP / LOW) ** n,
            ROUNDED,
        ),
        "power, gamma 2": (
            # du/dn = -(s / R) u^2 of what is left of the range R = 1
            PowerStepDevice(**RANGE, gamma=2.0),
            lambda n: HIGH - 1 / (1 + STEP * n),
            lambda n: LOW + 1 / (1 + STEP * n),
            OF_A_STEP * STEP,
        ),
        "exponential": (
            # y = exp(-g c w): dy/dn = -g c s (y - A), so y - A falls exponentially; c = 2 a / R
            ExponentialStepDevice(**RANGE, **exponential),
            lambda n: np.minimum(-np.log(0.3 + (math.exp(1.2) - 0.3) * np.exp(-3 * STEP * n)) / 3, HIGH),
            lambda n: np.maximum(np.log(0.2 + (math.exp(1.2) - 0.2) * np.exp(-2 * STEP * n)) / 2, LOW),
            OF_A_STEP * STEP,
        ),
    }
    for name, (device, up, down, tolerance) in devices.items():
        for way, law, start, sign in (("up", up, LOW, 1), ("down", down, HIGH, -1)):
            for n, expected in zip(PULSES, law(PULSES.astype(float)), strict=True):
                seen = _pulsed(device, start, sign * int(n))
                yield Point("pulse_response", f"{name}, {way}", n, expected, seen, tolerance, "weight")


def _pulsed(device: Pulsed, start: float, pulses: int) -> float:
    """The weight of a device as designed, after so many pulses."""
    of = manufactured(device, lambda _: np.zeros((1, 1, 1)))
    key, state = np.array([1], np.uint64), np.full((1, 1, 1), start, np.float32)
    return float(write_counts(of, state, np.full((1, 1, 1), pulses), key).states[0, 0, 0])


UPDATES, RATE, CYCLE_SIGMA = 50_000, 0.02, 0.3


def updates() -> Iterator[Point]:
    """Mean and variance of the update of each cell by a pulse train, over independent updates."""
    x, delta = np.array([0.9, -0.5, 0.2]), np.array([0.4, -1.0, 0.1])
    shape = (UPDATES, len(x), len(delta))
    of = manufactured(ConstantStepDevice(**RANGE, cycle_sigma_rel=CYCLE_SIGMA), lambda _: np.zeros(shape, np.float32))
    keys = np.arange(UPDATES, dtype=np.uint64)
    factors = x[None, None], delta[None, None]
    change = write_outer(of, UpdateSpec(), np.zeros(shape, np.float32), *factors, RATE, keys).states.astype(np.float64)
    length = trains(UpdateSpec(), STEP, *factors, RATE).lengths.item()
    for i, j in np.ndindex(len(x), len(delta)):
        product = RATE * x[i] * delta[j]
        pq = abs(product) / (STEP * length)
        # n ~ Binomial(BL, p q) pulses of s (1 + sigma xi) each: s^2 BL p q (1 - p q + sigma^2)
        variance = STEP**2 * length * pq * (1 - pq + CYCLE_SIGMA**2)
        error = STANDARD_ERRORS * math.sqrt(variance / UPDATES)
        yield Point("update_mean", "mean", product, product, float(change[:, i, j].mean()), error, "weight")
        # the excess kurtosis of a count is at most 1 / (BL p q)
        error = STANDARD_ERRORS * variance * math.sqrt((2 + 1 / (length * pq)) / UPDATES)
        seen = float(change[:, i, j].var()) / STEP**2
        yield Point("update_variance", "variance", abs(product), variance / STEP**2, seen, error / STEP**2, "dw_min^2")
