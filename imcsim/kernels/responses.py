"""Trains of pulses: the likelihood of what a cell conducts after each, by an extended Kalman filter."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imcsim.kernels.jit import inline, kernel

Array = NDArray[Any]

CONSTANT, LINEAR, SOFT_BOUNDS, EXPONENTIAL, POWER, TABLE = range(6)


@inline
def _shape(kind, z, up, shape):
    """The step at z, from 0 at the lower bound to 1 at the upper, relative to a full one; and its slope by z."""
    if kind == CONSTANT:
        return 1.0, 0.0
    if kind == LINEAR:
        if up:
            return 1.0 - shape[0] * z, -shape[0]
        return 1.0 - shape[1] * (1.0 - z), shape[1]
    if kind == SOFT_BOUNDS:
        return (1.0 - z, -1.0) if up else (z, 1.0)
    if kind == EXPONENTIAL:
        bent = 2.0 * z - 1.0
        if up:
            fall = shape[0] * math.exp(shape[1] * bent)
            return (1.0 - fall, -2.0 * shape[1] * fall) if fall < 1.0 else (0.0, 0.0)
        fall = shape[2] * math.exp(-shape[3] * bent)
        return (1.0 - fall, 2.0 * shape[3] * fall) if fall < 1.0 else (0.0, 0.0)
    if kind == TABLE:  # first those up, then those down, at equal distances
        nodes = shape.size // 2
        place = min(max(z, 0.0), 1.0) * (nodes - 1)
        below = min(int(place), nodes - 2)
        at = below if up else nodes + below
        slope = shape[at + 1] - shape[at]
        return shape[at] + (place - below) * slope, slope * (nodes - 1)
    left = min(max(1.0 - z if up else z, 1e-9), 1.0)
    slope = shape[0] * left ** (shape[0] - 1.0)
    return left ** shape[0], -slope if up else slope


@kernel
def step_likelihood(
    trains: Array, up: Array, kind: int, steps: Array, bounds: Array, shape: Array, cycle: float, write: float
) -> Array:
    """The log-likelihood of each train (trains, pulses), NaN after its end, of pulses `up` (trains,) or down.

    steps (trains, 2) are full steps up and down, bounds (trains, 2) the lower and the upper. A step varies by `cycle`
    of itself; what is read after a pulse errs by `write`.
    """
    out = np.zeros(trains.shape[0])
    for r in range(trains.shape[0]):
        low, high = bounds[r, 0], bounds[r, 1]
        width = high - low
        size = steps[r, 0] if up[r] else -steps[r, 1]
        mean, variance, total = trains[r, 0], write * write, 0.0
        for p in range(1, trains.shape[1]):
            y = trains[r, p]
            if np.isnan(y):
                break
            relative, slope = _shape(kind, (mean - low) / width, up[r], shape)
            step = size * relative
            forward = 1.0 + size * slope / width
            mean += step
            variance = forward * forward * variance + (cycle * step) ** 2
            if mean > high or mean < low:
                mean = min(max(mean, low), high)
            spread = variance + write * write
            error = y - mean
            total -= 0.5 * (error * error / spread + math.log(6.283185307179586 * spread))
            gain = variance / spread
            mean += gain * error
            variance *= 1.0 - gain
        out[r] = total
    return out


@kernel
def expected_response(
    start: float, pulses: int, up: bool, kind: int, step: float, low: float, high: float, shape: Array
) -> Array:
    """What a cell conducts after each of `pulses` that nothing varies: (pulses + 1,), `start` first."""
    out = np.empty(pulses + 1)
    out[0] = start
    for p in range(pulses):
        relative, _ = _shape(kind, (out[p] - low) / (high - low), up, shape)
        out[p + 1] = min(max(out[p] + (step if up else -step) * relative, low), high)
    return out
