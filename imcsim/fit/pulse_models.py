"""Models of a cell that steps by pulses: their parameters, the likelihood of a train, the device that comes of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imcsim.fit.likelihood import Free, Likelihood
from imcsim.kernels.responses import (
    CONSTANT,
    EXPONENTIAL,
    LINEAR,
    POWER,
    SOFT_BOUNDS,
    TABLE,
    expected_response,
    step_likelihood,
)
from imcsim.specs.fields import Spec
from imcsim.specs.pulsed import (
    ConstantStepDevice,
    ExponentialStepDevice,
    LinearStepDevice,
    PowerStepDevice,
    SoftBoundsDevice,
    TableStepDevice,
)

Array = NDArray[Any]

KINDS = {
    "constant": CONSTANT,
    "linear": LINEAR,
    "soft_bounds": SOFT_BOUNDS,
    "exponential": EXPONENTIAL,
    "power": POWER,
    "table": TABLE,
}
_SHAPES: dict[str, tuple[Free, ...]] = {
    "constant": (),
    "linear": (
        Free(name="gamma_up", unit="1", what="fall of the step up over the range", start=0.5, low=0.0, high=1.0),
        Free(name="gamma_down", unit="1", what="fall of the step down over the range", start=0.5, low=0.0, high=1.0),
    ),
    "soft_bounds": (),
    "exponential": (
        Free(name="A_up", unit="1", what="of 1 - A exp(gamma z)", start=0.2, log=True, low=1e-4, high=50),
        Free(name="gamma_up", unit="1", what="of 1 - A exp(gamma z)", start=1.5, log=True, low=0.05, high=30),
        Free(name="A_down", unit="1", what="of 1 - A exp(-gamma z)", start=0.2, log=True, low=1e-4, high=50),
        Free(name="gamma_down", unit="1", what="of 1 - A exp(-gamma z)", start=1.5, log=True, low=0.05, high=30),
    ),
    "power": (
        Free(name="gamma", unit="1", what="power of what is left of the range", start=1.0, log=True, low=0.05, high=20),
    ),
}
_NODES = 5  # of a table, from the lower bound to the upper
_SHAPES["table"] = tuple(
    Free(
        name=f"{way}[{k}]",
        unit="1",
        what=f"step at {k} of 4 of the range, of that in its middle",
        start=1.0,
        log=True,
        low=0.01,
        high=100,
    )
    for way in ("up", "down")
    for k in range(_NODES)
    if k != _NODES // 2
)
_OWN_BOUNDS = ("soft_bounds", "power")  # whose bounds the steps tell; those of others are the ends of what was measured


@dataclass(frozen=True)
class Trains:
    """Trains (trains, pulses) in units of the range measured, from 0 to 1; up or down; the device of each."""

    values: Array
    up: Array
    device: Array
    low: float
    size: float

    def of(self, device: int) -> Trains:
        """Those of one device."""
        mine = self.device == device
        return dataclasses.replace(
            self, values=self.values[mine], up=self.up[mine], device=np.zeros(int(mine.sum()), int)
        )


def free_of(kind: str, trains: Trains) -> tuple[Free, ...]:
    def first_step(up: bool) -> float:
        steps = np.diff(trains.values[trains.up == up], axis=1)
        return max(float(np.nanmean(np.abs(np.nanmean(steps, axis=0)[:5]))), 1e-4)

    noise = float(np.sqrt(np.nanmedian(np.diff(trains.values, n=2, axis=1) ** 2) / 3)) + 1e-6
    free = [
        Free(
            name="step_up",
            unit="",
            what="a pulse up, at the middle of the range",
            start=first_step(True),
            log=True,
            low=1e-7,
            high=2,
        ),
        Free(
            name="step_down",
            unit="",
            what="a pulse down, at the middle of the range",
            start=first_step(False),
            log=True,
            low=1e-7,
            high=2,
        ),
        Free(
            name="cycle_sigma_rel",
            unit="1",
            what="of a step, from pulse to pulse",
            start=0.3,
            log=True,
            low=1e-3,
            high=10,
        ),
        Free(
            name="write_noise", unit="", what="of a read since the last pulse", start=noise, log=True, low=1e-7, high=1
        ),
    ]
    if kind in _OWN_BOUNDS:
        free += [
            Free(name="low", unit="", what="lower bound", start=-0.05, size=0.1, low=-3.0, high=0.4),
            Free(name="high", unit="", what="upper bound", start=1.05, size=0.1, low=0.6, high=4.0),
        ]
    return (*free, *_SHAPES[kind])


def split_of(kind: str, values: Array) -> tuple[Array, Array, float, float, Array]:
    """Full steps up and down, bounds, the two noises, the shape; of the values that are fitted."""
    bounds = values[4:6] if kind in _OWN_BOUNDS else np.array([0.0, 1.0])
    shape = np.asarray(values[6 if kind in _OWN_BOUNDS else 4 :], float)
    middle = _middle(kind, shape)
    if kind == "table":
        shape = np.concatenate([np.insert(part, _NODES // 2, 1.0) for part in np.split(shape, 2)])
    return (
        values[:2] / np.maximum(middle, 1e-6),
        bounds,
        float(values[2]),
        float(values[3]),
        shape if shape.size else np.zeros(1),
    )


def _middle(kind: str, shape: Array) -> Array:
    """The steps in the middle of the range, relative to full ones: up and down."""
    if kind == "linear":
        return 1 - shape / 2
    if kind == "soft_bounds":
        return np.array([0.5, 0.5])
    if kind == "exponential":
        return np.asarray(np.maximum(1 - shape[[0, 2]], 1e-3))
    if kind == "power":
        return np.full(2, 0.5 ** shape[0])
    return np.ones(2)


def likelihood_of(kind: str, trains: Trains) -> Likelihood:
    """The log-likelihood of each train of a device."""
    rows = len(trains.values)

    def of(values: Array) -> Array:
        steps, bounds, cycle, write, shape = split_of(kind, values)
        if bounds[1] <= bounds[0]:
            return np.full(rows, -np.inf)
        return np.asarray(
            step_likelihood(
                trains.values,
                trains.up,
                KINDS[kind],
                np.tile(steps, (rows, 1)),
                np.tile(bounds, (rows, 1)),
                shape,
                cycle,
                write,
            )
        )

    return of


def steps_at(kind: str, values: Array, place: float) -> Array:
    """The sizes of a step up and of one down at a place."""
    steps, bounds, _, _, shape = split_of(kind, values)
    low, high = bounds
    ends = [
        expected_response(place, 1, up, KINDS[kind], float(steps[k]), float(low), float(high), shape)[1]
        for k, up in enumerate((True, False))
    ]
    return np.abs(np.array(ends) - place)


def slopes_at(kind: str, values: Array, place: float) -> Array:
    """The derivatives of these sizes by the values: (2, values)."""
    columns = []
    for k, value in enumerate(values):
        by = np.zeros(values.size)
        by[k] = 1e-5 * max(abs(value), 1e-3)
        columns.append((steps_at(kind, values + by, place) - steps_at(kind, values - by, place)) / (2 * by[k]))
    return np.stack(columns, axis=1)


def device_of(kind: str, values: Array, spread: dict[str, float]) -> Spec:
    """The device as a spec: weights in half the range between the bounds, 0 in its middle."""
    steps, bounds, cycle, write, shape = split_of(kind, values)
    half = float(bounds[1] - bounds[0]) / 2
    up, down = values[:2] / half
    dw_min = float(up + down) / 2
    common: dict[str, Any] = {
        "dw_min": dw_min,
        "w_min": -1.0,
        "w_max": 1.0,
        "up_down": float(np.clip((up - down) / (up + down), -0.99, 0.99)),
        "cycle_sigma_rel": min(cycle, 10.0),
        "write_noise_rel": min(float(write / half / dw_min), 1000.0),
        **{name: min(value, 1.0) for name, value in spread.items() if name != "up_down"},
    }
    del steps
    if kind == "soft_bounds":
        return SoftBoundsDevice(**common)
    if kind == "linear":
        # 1 - g z, z from 0 to 1, is (1 - g / 2) (1 - g / (2 - g) w), w from -1 to 1
        return LinearStepDevice(
            **common, gamma_up=float(shape[0] / (2 - shape[0])), gamma_down=float(shape[1] / (2 - shape[1]))
        )
    if kind == "exponential":
        # the step of a full pulse: what is told is that at w = 0, 1 - A of it
        full_up, full_down = up / max(1 - shape[0], 1e-3), down / max(1 - shape[2], 1e-3)
        common |= {
            "dw_min": float(full_up + full_down) / 2,
            "up_down": float(np.clip((full_up - full_down) / (full_up + full_down), -0.99, 0.99)),
        }
        common["write_noise_rel"] = float(write / half / common["dw_min"])
        return ExponentialStepDevice(
            **common, A_up=float(shape[0]), gamma_up=float(shape[1]), A_down=float(shape[2]), gamma_down=float(shape[3])
        )
    if kind == "power":
        full = 2.0 ** shape[0]
        common |= {"dw_min": dw_min * float(full), "write_noise_rel": float(write / half / (dw_min * full))}
        return PowerStepDevice(**common, gamma=float(shape[0]))
    if kind == "table":
        return TableStepDevice(**common, up=tuple(map(float, shape[:_NODES])), down=tuple(map(float, shape[_NODES:])))
    return ConstantStepDevice(**common)


def expected_course(kind: str, values: Array, trains: Trains, start: float, pulses: int, up: bool) -> Array:
    steps, bounds, _, _, shape = split_of(kind, values)
    z = expected_response(
        (start - trains.low) / trains.size,
        pulses,
        up,
        KINDS[kind],
        float(steps[0 if up else 1]),
        float(bounds[0]),
        float(bounds[1]),
        shape,
    )
    return np.asarray(trains.low + trains.size * z)
