"""Pulsed devices as kernels see them: what is frozen in each, and what all share."""

from __future__ import annotations

from typing import Any, NamedTuple

# What the step of a device depends on.
CONSTANT = 0  # nothing
LINEAR = 1  # size + slope w
EXPONENTIAL = 2  # shape = A_up, A_down, gamma_up, gamma_down, a, b
POWER = 3  # shape = gamma
TABLE = 4  # table = steps up, steps down, from the lower to the upper bound

# Frozen normals: the upper half of the last word of the Philox counter, beside those of kernels/frozen.py.
DEVICE_HIGH = 32
DEVICE_LOW = 33
DEVICE_GAIN = 34
DEVICE_UP_DOWN = 35
DEVICE_SLOPE_UP = 36
DEVICE_SLOPE_DOWN = 37
WRITE_NOISE = 38  # what a read sees of a cell that was written: frozen until the next write

# Noise of pulses: the last word of the Philox counter, beside those of kernels/column.py, decide.py and trains.py.
CYCLE_NOISE = 66  # of the pulses of trains
COUNTED_NOISE = 67  # of pulses that are counted out
MOST_SIGMAS = 6.5  # no normal lies beyond: normal_of


class Devices(NamedTuple):
    """The devices of an array: frozen numbers of each, (members, rows, cols) float32, and what all share.

    `up` and `down` are sizes of steps, `low` and `high` bounds; slopes belong to LINEAR and have no entries elsewhere.
    `cycle_sigma` is relative to the step, or, if `additive`, to its size at w = 0. `dw_min` is the nominal size.
    """

    kind: int
    up: Any
    down: Any
    low: Any
    high: Any
    slope_up: Any
    slope_down: Any
    shape: Any
    table: Any
    cycle_sigma: float
    additive: bool
    dw_min: float
