"""Tables of a device's figure: panels of curves, and the function that gives those of a cell by its type."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Any, Literal

import numpy as np

from imcsim.specs.array import ArraySpec

Array = np.ndarray[Any, Any]
Scale = Literal["linear", "log", "time"]  # time: in s, on a log axis

MICRO = "\N{MICRO SIGN}"


@dataclass(frozen=True, eq=False)
class Curve:
    """y (n,) over x (n,), or, as "steps", a density over the n + 1 edges x of its bins.

    `band` is what it spreads between, `known` (n,) where it is more than an extrapolation; None: everywhere.
    """

    label: str
    x: Array
    y: Array
    form: Literal["line", "points", "steps"] = "line"
    band: tuple[Array, Array] | None = None
    known: Array | None = None


@dataclass(frozen=True, eq=False)
class Panel:
    """Curves over a common axis; labels state the units."""

    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    x_scale: Scale = "linear"
    y_scale: Scale = "linear"


@dataclass(frozen=True, eq=False)
class Tables:
    """What is to be seen of a device, and in words what is not there to be seen."""

    panels: tuple[Panel, ...]
    notes: tuple[str, ...]

    @property
    def extrapolated(self) -> bool:
        """Whether any curve reaches beyond what is known."""
        return any(not c.known.all() for panel in self.panels for c in panel.curves if c.known is not None)


@singledispatch
def tables(cell: object, array: ArraySpec) -> Tables:
    """The tables of a cell on its array. What is drawn at random has a fixed seed: the same cell, the same tables."""
    del array
    raise TypeError(f"no tables of {type(cell).__name__}")


SPREAD = "median, 5 to 95 %"
_PERCENT = (5, 50, 95)


def spread(label: str, x: Array, drawn: Array, known: Array | None = None) -> Curve:
    """The median of what was drawn, (n, devices), over x (n,), in a band from 5 to 95 %."""
    low, middle, high = np.percentile(drawn, _PERCENT, axis=1)
    return Curve(label, x, middle, band=(low, high), known=known)


def densities(drawn: dict[str, Array], bins: int) -> tuple[Curve, ...]:
    """Densities of numbers (any shape), by label, over common bins: each integrates to 1."""
    low, high = min(float(v.min()) for v in drawn.values()), max(float(v.max()) for v in drawn.values())
    edges = np.linspace(low, high, bins + 1)
    return tuple(
        Curve(label, edges, np.histogram(values, edges)[0] / (values.size * np.diff(edges)), "steps")
        for label, values in drawn.items()
    )
