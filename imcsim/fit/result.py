"""What a fit gives back: parameters with intervals, how well they fit, what to beware of, and what to draw."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import ExtrapolationWarning
from imcsim.specs.fields import Spec

if TYPE_CHECKING:
    from imcsim.measurements.files import Measurements
    from imcsim.specs.library import DeviceModel

Array = NDArray[Any]

FEW_DEVICES = 30  # with fewer, no interval speaks of other devices


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A fitted number: value, standard error, the ends of its 95 % interval, and how that was found.

    All three are NaN where the data cannot tell them; `unit` is SI or a prefix of it, "1" for a ratio.
    """

    name: str
    value: float
    unit: str
    what: str
    se: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    interval: str = ""

    def within(self, value: float, standard_errors: float = 5.0) -> bool:
        """Whether `value` lies within so many standard errors of the fitted one."""
        return abs(value - self.value) <= standard_errors * self.se


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One thing that a panel shows: points, a line, a band from y to y2, bars, steps, an image of y (rows, columns)."""

    kind: Literal["points", "line", "band", "bars", "steps", "image"]
    x: Array
    y: Array
    y2: Array | None = None
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A picture as numbers; imcsim.fit_figures draws it."""

    title: str
    x_label: str
    y_label: str
    marks: tuple[Mark, ...]
    x_scale: Literal["linear", "log"] = "linear"
    y_scale: Literal["linear", "log"] = "linear"


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """What one estimator found in one group of measurements; `kind` is what `imcsim fit --only` calls the estimator.

    `goodness` says how well it fits, by name; `components` are the specs that come of it, by their place in a chip
    ("cell.programming"), and `tells_most` whether they stand for most of what was measured; `valid` where the
    measurements end, of the fields of cell.valid; `predict` takes what the estimator says it does; `residuals` are in
    standard deviations of the fitted law, as far as there is one.
    """

    kind: str
    estimator: str
    group: str
    parameters: tuple[Parameter, ...]
    goodness: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    warnings: tuple[str, ...] = ()
    components: Mapping[str, Spec | float] = field(default_factory=lambda: MappingProxyType({}))
    tells_most: bool = True
    valid: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    panels: tuple[Panel, ...] = ()
    predict: Callable[..., Any] | None = field(default=None, compare=False, repr=False)
    residuals: Array | None = field(default=None, compare=False, repr=False)

    def __getitem__(self, name: str) -> Parameter:
        """The parameter called `name`; KeyError where there is none."""
        for one in self.parameters:
            if one.name == name:
                return one
        raise KeyError(f"{name}: has {', '.join(one.name for one in self.parameters)}")

    def to_model(self, measurements: Measurements, name: str, base: str | None = None) -> DeviceModel:
        """The device model of this fit alone, laid on the device `base`: see imcsim.fit.model.device_model."""
        from imcsim.fit.model import device_model

        return device_model({self.kind: self}, measurements, name, base)

    @property
    def values(self) -> dict[str, float]:
        """The fitted values by name."""
        return {one.name: one.value for one in self.parameters}


def warn_beyond(valid: Mapping[str, float], g_S: Any, t_s: Any = 0.0) -> None:
    """Warn where a prediction is asked for states or times that were not measured."""
    low, high = valid.get("g_low_S", -np.inf), valid.get("g_high_S", np.inf)
    if np.min(g_S) < low * (1 - 1e-9) or np.max(g_S) > high * (1 + 1e-9):
        told = f"extrapolated: states were measured from {low:.4g} to {high:.4g} S"
        warnings.warn(told, ExtrapolationWarning, stacklevel=3)
    latest = valid.get("t_max_s", np.inf)
    if np.max(t_s) > latest * (1 + 1e-9):
        warnings.warn(f"extrapolated: times were measured up to {latest:.4g} s", ExtrapolationWarning, stacklevel=3)


def few_devices(count: int, noun: str = "devices") -> list[str]:
    """The warning that intervals are of the devices measured alone, where they are."""
    if count >= FEW_DEVICES:
        return []
    if count == 1:
        return [f"one {noun[:-1]} only: the intervals hold within it, and tell nothing of others"]
    return [f"{count} {noun}: fewer than {FEW_DEVICES}, the intervals hold within these {noun}, not for others"]


def bins(values: Array, count: int = 60) -> Array:
    """The edges of a histogram of all but the outermost thousandths of values."""
    there = values[np.isfinite(values)]
    low, high = np.quantile(there, [0.001, 0.999])
    return np.linspace(low, high, count) if high > low else np.array([low - 0.5, low + 0.5])


def unit_of(unit_S: float) -> str:
    """The name of a unit of conductance."""
    return {1e-3: "mS", 1e-6: "uS", 1e-9: "nS", 1.0: "S"}.get(unit_S, f"{unit_S:g} S")


def quantiles_against(residuals: Array, law: str, quantile: Callable[[Array], Array], most: int = 2000) -> Panel:
    """The panel that sets quantiles of standardised residuals against those of the fitted law."""
    there = np.sort(residuals[np.isfinite(residuals)])
    at = np.unique(np.linspace(0, there.size - 1, min(most, there.size)).astype(int))
    expected = quantile((at + 0.5) / there.size)
    line = np.array([expected[0], expected[-1]])
    marks = (
        Mark(kind="line", x=line, y=line, label="as the law has it"),
        Mark(kind="points", x=expected, y=there[at], label="measured"),
    )
    return Panel(
        title="Quantiles",
        x_label=f"quantile of the {law} law, in its standard deviations",
        y_label="quantile of the residuals",
        marks=marks,
    )
