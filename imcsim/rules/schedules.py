"""Learning rates that change: functions of the number of steps taken so far, 0 at the first."""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[int], float]


def constant(learning_rate: float) -> Schedule:
    """The same rate at every step."""
    return lambda _: learning_rate


def step_decay(learning_rate: float, factor: float, every: int) -> Schedule:
    """The rate times `factor` after every so many steps: eta_0 factor^floor(step / every)."""
    return lambda step: learning_rate * factor ** (step // every)


def cosine(learning_rate: float, steps: int) -> Schedule:
    """Half a cosine from the rate at step 0 to zero at step `steps`, and zero from there on.

    eta_0 (1 + cos(pi step / steps)) / 2: Loshchilov & Hutter 2017, eq. 5, without restarts.
    """
    return lambda step: learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(step / steps, 1.0)))


def inverse_time(learning_rate: float, decay: float, every: int = 1) -> Schedule:
    """eta_0 / (1 + decay floor(step / every)): constant for `every` steps, which may be those of an epoch."""
    return lambda step: learning_rate / (1.0 + decay * (step // every))
