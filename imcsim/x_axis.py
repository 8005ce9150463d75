"""The axis of a swept path in a figure: where its values stand, linear or logarithmic, and how they read."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DECADES = 2  # spanned by more than so many, positive values stand on a logarithmic axis
ZERO_BELOW = 0.6  # decades from the smallest of them down to the place of a zero
APART = 1.6  # times the next smaller value: each value has its own tick

TIME = "read.now_s"
DEVICE = "chip.device"  # a name, or the path of a file
UNITS_S = {"s": 1.0, "min": 60.0, "h": 3600.0, "day": 86400.0, "year": 365 * 86400.0}


def is_ordered(values: Sequence[Any]) -> bool:
    """Whether the values of a path are numbers and not texts."""
    return not isinstance(values[0], str)


def is_logarithmic(values: Sequence[Any]) -> bool:
    """Whether values are drawn on a logarithmic axis; a zero among them then stands to the left, by itself."""
    if not is_ordered(values) or min(values) < 0:
        return False
    positive = [value for value in values if value > 0]
    return len(positive) > 1 and max(positive) > 10**DECADES * min(positive)


def positions(values: Sequence[Any]) -> Floats:
    """Where the values stand on the axis: numbers at themselves, texts side by side."""
    found = np.array(values if is_ordered(values) else range(len(values)), dtype=np.float64)
    if is_logarithmic(values):
        found[found == 0] = found[found > 0].min() / 10**ZERO_BELOW
    return found


def stands_apart(values: Sequence[Any]) -> NDArray[np.bool_]:
    """Which values no line may lead to: the zero of a logarithmic axis."""
    return np.array([value == 0 and is_logarithmic(values) for value in values])


def sidesteps(lines: int, values: Sequence[Any]) -> list[tuple[float, float]]:
    """How each line is shifted along the axis, so that bars of the same value stand side by side.

    A position p goes to factor * p + step, of (factor, step) each.
    """
    logarithmic, at = is_logarithmic(values), positions(values)
    at = np.log(at) if logarithmic else at
    gap = float(np.diff(np.sort(at)).min()) if len(at) > 1 else 1.0
    # the narrowest gap of a logarithmic axis is a small part of its length
    steps = gap * min(0.18 if logarithmic else 0.09, 0.6 / lines) * (np.arange(lines) - (lines - 1) / 2)
    return [(float(np.exp(step)), 0.0) if logarithmic else (1.0, float(step)) for step in steps]


def scale(ax: Axes, path: str, values: Sequence[Any]) -> None:
    """Scale the x axis of `ax` for the values of a path, and give it ticks to be read."""
    if is_logarithmic(values):
        ax.set_xscale("log")
        _logarithmic_ticks(ax, path, values)
    elif not isinstance(values[0], float) or path == TIME:
        ax.set_xticks(positions(values), [textwrap.fill(text(value, path), 18) for value in values])


def text(value: Any, path: str = "") -> str:
    """A value of a path as it is read: numbers in their shortest form, times in their unit, devices by name."""
    if path == TIME and value:
        return duration(value)
    if path == DEVICE and str(value).endswith(".toml"):
        return str(value).rpartition("/")[2].removesuffix(".toml")
    return f"{value:g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """A time in its largest unit: "2 days"; a year has 365 days."""
    name, unit = next(((n, u) for n, u in reversed(UNITS_S.items()) if seconds >= u), ("s", 1.0))
    count = f"{seconds / unit:.3g}"
    return f"{count} {name}{'s' if name in ('day', 'year') and count != '1' else ''}"


def _logarithmic_ticks(ax: Axes, path: str, values: Sequence[Any]) -> None:
    positive = sorted(value for value in values if value > 0)
    low, high = positive[0], positive[-1]
    minor: Any = NullLocator()
    if path == TIME:
        ticks = [unit for unit in UNITS_S.values() if 0.9 * low <= unit <= 1.1 * high]
    elif len(positive) <= 10 and all(b >= APART * a for a, b in itertools.pairwise(positive)):
        ticks = positive
    else:
        exponents = np.arange(np.ceil(np.log10(low) - 1e-9), np.floor(np.log10(high) + 1e-9) + 1)
        ticks, minor = [float(tick) for tick in 10.0**exponents], LogLocator(subs=range(2, 10))
    labels = [text(tick, path) for tick in ticks]
    if 0 in values:
        zero = float(positions(values).min())
        ticks, labels = [zero, *ticks], ["0", *labels]
        # the axis is broken between zero and the rest
        ax.text((zero * low) ** 0.5, 0, "//", transform=ax.get_xaxis_transform(), ha="center", va="center")
    ax.set_xticks(ticks, labels)
    ax.xaxis.set_minor_locator(minor)
    ax.xaxis.set_minor_formatter(NullFormatter())
