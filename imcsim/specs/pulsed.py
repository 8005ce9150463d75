"""Devices that change by pulses, and the pulse trains that update them, as data; their physics is in imcsim.cells.

A device holds a weight w, in any unit: `dw_min`, the bounds and the state share it. Spreads "dtod" are from device to
device, frozen at manufacture.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from imcsim.errors import Problem
from imcsim.specs.fields import Spec, limited

MOST_SLOTS = 31  # of a train: with its sign it fits a word of 32 bits


@dataclass(frozen=True, kw_only=True)
class PulsedDevice(Spec):
    """What devices that change by pulses share: the step of a pulse, its spreads, and the bounds of the weight.

    A pulse moves the weight by `dw_min` times what its kind makes of it. The frozen size of a device is
    dw_min (gain + u) upward and dw_min (gain - u) downward: `gain` about 1 with the spread `dw_min_dtod_rel` (normal,
    or the log-normal of the same mean and sigma), `u` about `up_down` with the spread `up_down_dtod`, so that a
    positive `up_down` strengthens pulses up and weakens those down. `cycle_sigma_rel` is drawn at every pulse. Bounds
    spread relative to themselves. `write_noise_rel`, in units of dw_min, is the error of what reads see of a cell since
    its last pulse.
    """

    dw_min: float = limited(low=1e-12, high=1e12)
    w_min: float = limited(low=-1e12, high=0)
    w_max: float = limited(low=1e-12, high=1e12)
    dw_min_dtod_rel: float = limited(0.0, low=0, high=2, unit="1")
    dw_min_dtod_law: Literal["normal", "lognormal"] = "normal"
    w_min_dtod_rel: float = limited(0.0, low=0, high=1, unit="1")
    w_max_dtod_rel: float = limited(0.0, low=0, high=1, unit="1")
    up_down: float = limited(0.0, low=-0.99, high=0.99, unit="1")
    up_down_dtod: float = limited(0.0, low=0, high=1, unit="1")
    cycle_sigma_rel: float = limited(0.0, low=0, high=10, unit="1")
    write_noise_rel: float = limited(0.0, low=0, high=1000, unit="1")

    def problems(self) -> Iterable[Problem]:
        if self.dw_min > self.w_max - self.w_min:
            allowed = f"must be at most the range w_max - w_min = {self.w_max - self.w_min:g}: one pulse would cross it"
            yield Problem(("dw_min",), allowed, given=str(self.dw_min))
        if self.w_min == 0 and self.w_min_dtod_rel > 0:
            allowed = "spreads relative to w_min, which is 0, so it would change nothing"
            yield Problem(("w_min_dtod_rel",), allowed, str(self.w_min_dtod_rel), "drop it, or give w_min below 0")


@dataclass(frozen=True, kw_only=True)
class ConstantStepDevice(PulsedDevice):
    """A device whose step does not depend on its weight, up to the bounds, where it stops."""

    kind: ClassVar[str] = "constant"


@dataclass(frozen=True, kw_only=True)
class SlopedDevice(PulsedDevice):
    """What devices share whose step falls linearly with the weight towards a bound on the other side of zero.

    `cycle_noise`: the cycle-to-cycle spread is relative to the step as it is ("multiplicative") or as it is at w = 0
    ("additive").
    """

    cycle_noise: Literal["multiplicative", "additive"] = "multiplicative"

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.w_min == 0:
            remedy = 'for weights of one sign use kind = "power" with gamma = 1'
            yield Problem(("w_min",), "must lie below 0: steps fall relative to it", given="0", remedy=remedy)


@dataclass(frozen=True, kw_only=True)
class LinearStepDevice(SlopedDevice):
    """A device whose step falls linearly: to (1 - gamma_up) of itself at w_max going up, (1 - gamma_down) at w_min."""

    kind: ClassVar[str] = "linear"
    gamma_up: float = limited(low=0, high=10, unit="1")
    gamma_down: float = limited(low=0, high=10, unit="1")
    gamma_up_dtod: float = limited(0.0, low=0, high=10, unit="1")
    gamma_down_dtod: float = limited(0.0, low=0, high=10, unit="1")


@dataclass(frozen=True, kw_only=True)
class SoftBoundsDevice(SlopedDevice):
    """A device whose step falls linearly to nothing at its own bounds."""

    kind: ClassVar[str] = "soft_bounds"


@dataclass(frozen=True, kw_only=True)
class ExponentialStepDevice(PulsedDevice):
    """A device whose step is 1 - A_up exp(gamma_up z) of itself up, 1 - A_down exp(-gamma_down z) down, at least 0.

    z = 2 a w / (range between its bounds) + b.
    """

    kind: ClassVar[str] = "exponential"
    A_up: float = limited(low=0, high=1e3, unit="1")
    A_down: float = limited(low=0, high=1e3, unit="1")
    gamma_up: float = limited(low=0, high=100, unit="1")
    gamma_down: float = limited(low=0, high=100, unit="1")
    a: float = limited(1.0, low=0, high=100, unit="1")
    b: float = limited(0.0, low=-100, high=100, unit="1")


@dataclass(frozen=True, kw_only=True)
class PowerStepDevice(PulsedDevice):
    """A device whose step is a power of what is left of its range: full at one bound, nothing at the other."""

    kind: ClassVar[str] = "power"
    gamma: float = limited(low=0.01, high=100, unit="1")


@dataclass(frozen=True, kw_only=True)
class TableStepDevice(PulsedDevice):
    """A device whose steps, in units of dw_min, are given at equal distances from its lower to its upper bound.

    Linear between them.
    """

    kind: ClassVar[str] = "table"
    up: tuple[float, ...] = limited(low=0, high=1e6, unit="1")
    down: tuple[float, ...] = limited(low=0, high=1e6, unit="1")

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if len(self.up) < 2:
            yield Problem(("up",), "needs at least two entries, at the two bounds", given=f"{len(self.up)} entries")
        if len(self.down) != len(self.up):
            given = f"{len(self.down)} entries"
            yield Problem(("down",), f"must have as many entries as up, {len(self.up)}", given=given)


Pulsed = (
    ConstantStepDevice | LinearStepDevice | SoftBoundsDevice | ExponentialStepDevice | PowerStepDevice | TableStepDevice
)


@dataclass(frozen=True, kw_only=True)
class UpdateSpec(Spec):
    """How an outer product becomes stochastic pulse trains on rows and columns.

    `train_length` is the number of slots of a train. With `length_management` a sample takes fewer where fewer are
    enough for its largest product; with `update_management` rows and columns share the probability evenly.
    """

    train_length: int = limited(MOST_SLOTS, low=1, high=MOST_SLOTS)
    update_management: bool = True
    length_management: bool = True


@dataclass(frozen=True, kw_only=True)
class PulsedCell(Spec):
    """A pulsed device beside a fixed reference device, the two subtracted ahead of the converter: a signed weight.

    A device at the nominal w_max adds a full digit. `read_noise_rel`, in units of w_max, is the error of a read of the
    pair, drawn at every read; between pulses a device keeps its weight. Energies are those of a pulse on a device, and
    of driving a line of an array for one pulse; None: not known.
    """

    kind: ClassVar[str] = "pulsed"
    device: Pulsed
    update: UpdateSpec = field(default_factory=UpdateSpec)
    read_noise_rel: float = limited(0.0, low=0, high=2, unit="1")
    pulse_energy_J: float | None = limited(None, low=0, high=1, unit="J")
    line_pulse_energy_J: float | None = limited(None, low=0, high=1, unit="J")

    def problems(self) -> Iterable[Problem]:
        if self.device.w_min == 0:
            remedy = "give weights as differences from the reference device"
            yield Problem(("device", "w_min"), "must lie below 0: a weight is signed", given="0", remedy=remedy)
