"""Pulsed devices: what is frozen of them, and what writes do: outer products as pulse trains, counted pulses.

Arrays are (members, rows, cols); weights, steps and bounds share the unit of the spec. Like the other cells, a pulsed
one also answers what an array of nominal cells asks, in units of a full digit; its errors are those of its weight.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np

from imcsim.cells.sram import column, digit_variances, frozen_currents, mismatch_sigma_rel
from imcsim.errors import CapabilityError, Problem, SpecError
from imcsim.kernels import pulse, pulsed_devices
from imcsim.kernels.column import Column
from imcsim.kernels.pulsed_devices import Devices
from imcsim.kernels.trains import COLUMN_TRAIN, ROW_TRAIN, pulse_trains
from imcsim.specs.array import ArraySpec
from imcsim.specs.pulsed import (
    ConstantStepDevice,
    ExponentialStepDevice,
    LinearStepDevice,
    PowerStepDevice,
    Pulsed,
    PulsedCell,
    PulsedDevice,
    SlopedDevice,
    SoftBoundsDevice,
    TableStepDevice,
    UpdateSpec,
)

Array = np.ndarray[Any, Any]
Normals = Callable[[int], Array]

# Bounds spread, and those of a device may come to lie at 0 or beyond; steps are relative to them, so they keep away.
NEAREST_BOUND_REL = 0.01

_NONE = np.zeros((0, 0, 0), np.float32)
_MOST_PULSES = 2**31 - 1  # that a count holds


# Manufacture


def manufactured(device: Pulsed, normals: Normals) -> Devices:
    """The devices of a die; `normals(source)` are the frozen normals (members, rows, cols) of a source."""
    # gain and bounds: equations of references A.8, after the pulsed devices of aihwkit (its documentation, "Analog
    # Update"); u there weakens or strengthens each direction: s+ = |gain + u| dw_min, s- = |gain - u| dw_min
    gain = _gain(device, normals(pulsed_devices.DEVICE_GAIN))
    u = device.up_down + device.up_down_dtod * np.asarray(normals(pulsed_devices.DEVICE_UP_DOWN), np.float64)
    devices = Devices(
        kind=_KINDS[type(device)],
        up=_single(device.dw_min * np.abs(gain + u)),
        down=_single(device.dw_min * np.abs(gain - u)),
        low=_single(device.w_min * _bound(device.w_min_dtod_rel, normals(pulsed_devices.DEVICE_LOW))),
        high=_single(device.w_max * _bound(device.w_max_dtod_rel, normals(pulsed_devices.DEVICE_HIGH))),
        slope_up=_NONE,
        slope_down=_NONE,
        shape=np.zeros(0),
        table=np.zeros((2, 0)),
        cycle_sigma=device.cycle_sigma_rel,
        additive=isinstance(device, SlopedDevice) and device.cycle_noise == "additive",
        dw_min=device.dw_min,
    )
    return _shaped(device, devices, normals)


_KINDS: dict[type[PulsedDevice], int] = {
    ConstantStepDevice: pulsed_devices.CONSTANT,
    LinearStepDevice: pulsed_devices.LINEAR,
    SoftBoundsDevice: pulsed_devices.LINEAR,
    ExponentialStepDevice: pulsed_devices.EXPONENTIAL,
    PowerStepDevice: pulsed_devices.POWER,
    TableStepDevice: pulsed_devices.TABLE,
}


@singledispatch
def _shaped(device: PulsedDevice, devices: Devices, normals: Normals) -> Devices:
    """The devices with what only their kind has."""
    del device, normals
    return devices


@_shaped.register
def _(device: LinearStepDevice, devices: Devices, normals: Normals) -> Devices:
    gamma_up, gamma_down = (
        np.abs(mean + sigma * np.asarray(normals(source), np.float64))
        for mean, sigma, source in (
            (device.gamma_up, device.gamma_up_dtod, pulsed_devices.DEVICE_SLOPE_UP),
            (device.gamma_down, device.gamma_down_dtod, pulsed_devices.DEVICE_SLOPE_DOWN),
        )
    )
    # up: s+ (1 - |gamma+| w / w_max), down: s- (1 - |gamma-| w / w_min), relative to the nominal bounds (A.8)
    slope_up, slope_down = -gamma_up * devices.up / device.w_max, -gamma_down * devices.down / device.w_min
    return devices._replace(slope_up=_single(slope_up), slope_down=_single(slope_down))


@_shaped.register
def _(device: SoftBoundsDevice, devices: Devices, normals: Normals) -> Devices:
    del device, normals
    # up: s+ (1 - w / b+), down: s- (1 - w / b-), relative to the device's own bounds (A.8)
    return devices._replace(slope_up=-devices.up / devices.high, slope_down=-devices.down / devices.low)


@_shaped.register
def _(device: ExponentialStepDevice, devices: Devices, normals: Normals) -> Devices:
    del normals
    shape = (device.A_up, device.A_down, device.gamma_up, device.gamma_down, device.a, device.b)
    return devices._replace(shape=np.array(shape))


@_shaped.register
def _(device: PowerStepDevice, devices: Devices, normals: Normals) -> Devices:
    del normals
    return devices._replace(shape=np.array([device.gamma]))


@_shaped.register
def _(device: TableStepDevice, devices: Devices, normals: Normals) -> Devices:
    del normals
    return devices._replace(table=np.array([device.up, device.down]))


def _gain(device: PulsedDevice, normals: Array) -> Array:
    sigma, normals = device.dw_min_dtod_rel, np.asarray(normals, np.float64)
    if device.dw_min_dtod_law == "lognormal":
        s2 = np.log1p(sigma**2)  # mean 1, so that the mean step is dw_min
        return np.asarray(np.exp(np.sqrt(s2) * normals - s2 / 2))
    return np.asarray(1 + sigma * normals)


def _bound(sigma: float, normals: Array) -> Array:
    return np.maximum(1 + sigma * np.asarray(normals, np.float64), NEAREST_BOUND_REL)


def _single(values: Array) -> Array:
    return np.ascontiguousarray(values, np.float32)


# Outer products


class Trains(NamedTuple):
    """An outer product as probabilities of pulses, (members, samples, rows) and (members, samples, cols), signed.

    `lengths` (members, samples) are slots; `clipped` (members,) is how many probabilities were above 1 and are not.
    """

    rows: Array
    columns: Array
    lengths: Array
    clipped: Array


class Written(NamedTuple):
    """What a write left behind: states float32, pulses up and down of each cell int32, all (members, rows, cols).

    The pulses of a cell are its wear. Energy goes by the pulses of all cells and by how often rows and columns were
    driven, int64 (members,). `clipped` (members,) is how many probabilities were cut at 1: where it is not 0, the
    update falls short.
    """

    states: Array
    up: Array
    down: Array
    row_pulses: Array
    column_pulses: Array
    clipped: Array

    @property
    def pulses(self) -> Array:
        """How many pulses each cell took: int64 (members, rows, cols)."""
        return self.up.astype(np.int64) + self.down


def trains(update: UpdateSpec, dw_min: float, x: Array, delta: Array, learning_rate: float | Array) -> Trains:
    """Plan learning_rate * sum over samples of x^T delta: x (1 or members, samples, rows), delta likewise with cols.

    The learning rate is one for all members, or one each.

    A row pulses in a slot with probability B |x|, a column with A |delta|, and a cell where both do. With
    A B = learning_rate / (dw_min BL), the BL slots of a sample move a cell by learning_rate x delta in the mean: by no
    more than BL dw_min, as a probability above 1 counts as 1, which makes the mean too small.
    """
    _check_factors(x, delta, learning_rate)
    rate = np.reshape(np.asarray(learning_rate, np.float64), (-1, 1))
    most_x, most_delta = (np.abs(v).max(axis=2, initial=0).astype(np.float64) for v in (x, delta))
    some = (most_x > 0) & (most_delta > 0)
    # update management of the train length: BL = min(ceil(lr x_max d_max / dw_min), BL_max) (A.8)
    lengths = np.full(some.shape, update.train_length)
    if update.length_management:
        needed = np.ceil(rate * most_x * most_delta / dw_min)
        lengths = np.clip(needed, 1, update.train_length).astype(np.int64)
    # A = B = sqrt(lr / (dw_min BL)); update management: A sqrt(x_max / d_max), B sqrt(d_max / x_max) (A.8)
    amplitude = np.sqrt(rate / (dw_min * lengths))
    balance = np.ones(some.shape)
    if update.update_management:
        np.divide(np.sqrt(most_delta), np.sqrt(most_x), out=balance, where=some)
    p_rows = np.where(some, amplitude * balance, 0)[..., None] * x
    p_columns = np.where(some, amplitude / balance, 0)[..., None] * delta
    # a little more than 1 is rounding: with both managements the largest probability may be 1 exactly
    clipped = sum((np.abs(p) > 1 + 1e-9).sum(axis=(1, 2)) for p in (p_rows, p_columns))
    return Trains(np.clip(p_rows, -1, 1), np.clip(p_columns, -1, 1), np.where(some, lengths, 0), clipped)


def write_outer(
    devices: Devices,
    update: UpdateSpec,
    states: Array,
    x: Array,
    delta: Array,
    learning_rate: float | Array,
    keys: Array,
) -> Written:
    """Add learning_rate * sum over samples of x^T delta, by stochastic pulses: states (members, rows, cols) float32.

    x is (1 or members, samples, rows), delta (1 or members, samples, cols), keys (members,) uint64. Samples follow one
    another, with trains of their own. Of a cell with constant step s inside its bounds, a sample with BL slots and
    probabilities p and q makes n pulses, n ~ Binomial(BL, p q) as the slots are independent, and moves it by
    s sum_{i <= n} (1 + sigma xi_i): the mean is s BL p q. The variance, that of the mean given n and the mean of that
    given n, is s^2 BL p q (1 - p q) + s^2 sigma^2 BL p q. Samples add up. Cells of a row share its bits, so that their
    counts covary by BL p (1 - p) q q'.
    """
    drawn = driven(update, devices.dw_min, x, delta, learning_rate, keys)
    members, rows, columns = len(keys), drawn.rows.shape[2], drawn.columns.shape[2]
    if states.shape != (members, rows, columns):
        given = f"{states.shape} for {members} keys, {rows} rows and {columns} columns"
        raise SpecError.of("states", "must be (members, rows, cols) of the keys, x and delta", given=given)
    return pulsed_by(devices, states, drawn, keys)


class Driven(NamedTuple):
    """Trains as words of bits, (members, samples, rows) and (members, samples, cols) uint32, as pulse_trains has them.

    `row_pulses` and `column_pulses` (members,) are how often lines are driven; `clipped` (members,) as in Trains.
    """

    rows: Array
    columns: Array
    row_pulses: Array
    column_pulses: Array
    clipped: Array

    def cut(self, until: Array) -> tuple[Driven, Driven]:
        """What drives the cells of each row in its first `until` (rows,) samples, and in those after them.

        All lines are driven in all samples, whatever their cells have seen: they are counted with the first.
        """
        early = np.arange(self.rows.shape[1])[:, None] < until
        nothing = np.zeros_like(self.clipped)
        first = self._replace(rows=np.where(early, self.rows, np.uint32(0)))
        return first, Driven(np.where(early, np.uint32(0), self.rows), self.columns, nothing, nothing, nothing)


def driven(
    update: UpdateSpec, dw_min: float, x: Array, delta: Array, learning_rate: float | Array, keys: Array
) -> Driven:
    """Draw the trains that make learning_rate * sum over samples of x^T delta, as planned by `trains`."""
    planned, members = trains(update, dw_min, x, delta, learning_rate), len(keys)
    lengths = _of_members(planned.lengths, members)
    rows, row_pulses = pulse_trains(_of_members(planned.rows, members), lengths, keys, ROW_TRAIN)
    columns, column_pulses = pulse_trains(_of_members(planned.columns, members), lengths, keys, COLUMN_TRAIN)
    clipped = np.broadcast_to(planned.clipped, members).astype(np.int64)
    return Driven(rows, columns, row_pulses.sum(axis=1), column_pulses.sum(axis=1), clipped)


def pulsed_by(devices: Devices, states: Array, drawn: Driven, keys: Array) -> Written:
    """Pulse the cells where their row and column do: states (members, rows, cols) float32, keys (members,) uint64."""
    written, up, down = pulse.apply_trains(_single(states), drawn.rows, drawn.columns, devices, keys)
    return Written(written, up, down, *drawn[2:])


def _of_members(values: Array, members: int) -> Array:
    return np.ascontiguousarray(np.broadcast_to(values, (members, *values.shape[1:])))


def _check_factors(x: Array, delta: Array, learning_rate: float | Array) -> None:
    found = []
    for name, values in (("x", x), ("delta", delta)):
        if values.ndim != 3:
            found.append(Problem((name,), "must be (members, samples, lines)", given=f"shape {values.shape}"))
        elif not np.isfinite(values).all():
            wrong = f"{np.size(values) - np.isfinite(values).sum()} values that are not"
            found.append(Problem((name,), "must be finite", given=wrong, remedy="lower the learning rate"))
    if not found:
        if x.shape[1] != delta.shape[1]:
            given = f"{x.shape[1]} and {delta.shape[1]}"
            found.append(Problem(("x", "delta"), "must have the same number of samples", given=given))
        if len(x) != len(delta) and 1 not in (len(x), len(delta)):
            given = f"{len(x)} and {len(delta)}"
            found.append(Problem(("x", "delta"), "must have the same members, or one", given=given))
    if not (np.isfinite(learning_rate) & (np.asarray(learning_rate) > 0)).all():
        remedy = "the sign of an update is that of x delta"
        found.append(Problem(("learning_rate",), "must be a finite number above 0", str(learning_rate), remedy))
    if found:
        raise SpecError(found)


# Counted pulses


def pulse_counts(change: Array, dw_min: float) -> Array:
    """How many pulses of nominal size come nearest to a change of the weights: int32, negative for pulses down."""
    return np.clip(np.rint(np.asarray(change, np.float64) / dw_min), -_MOST_PULSES, _MOST_PULSES).astype(np.int32)


def write_counts(devices: Devices, states: Array, counts: Array, keys: Array) -> Written:
    """Pulse each cell so many times, up where the count is positive: states, counts (members, rows, cols).

    Cells are written one by one, so lines are driven once a pulse of a cell, its row and its column. Nothing is cut.
    """
    counts = np.ascontiguousarray(counts, np.int32)
    if counts.shape != states.shape:
        raise SpecError.of("counts", f"must be as the states, {states.shape}", given=f"shape {counts.shape}")
    written = pulse.apply_counts(_single(states), counts, devices, keys)
    up, down = np.maximum(counts, 0), np.maximum(-counts, 0)
    each = np.abs(counts.astype(np.int64)).sum(axis=(1, 2))
    return Written(written, up, down, each, each, np.zeros_like(each))


def seen(devices: Devices, written: Written, before: Array, write_noise_rel: float, normals: Array) -> Array:
    """What reads see of the states: with the write noise of each cell since its last pulse; (members, rows, cols).

    `before` is what they saw before the write, `normals` are those of WRITE_NOISE under the key of the write.
    """
    # w + sigma dw_min xi, redrawn where the cell was pulsed (A.8)
    fresh = written.states + write_noise_rel * devices.dw_min * normals
    return np.where(written.up + written.down > 0, fresh, before).astype(np.float32)


# Symmetric points


def symmetric_point(devices: Devices) -> Array:
    """The weight at which a pulse up and a pulse down are of the same size: (members, rows, cols) float64.

    CapabilityError where a device has none between its bounds: for constant steps, and steps that do not cross.
    """
    from imcsim.kernels.pulse_reference import steps

    if devices.kind == pulsed_devices.CONSTANT:
        remedy = "only steps that fall towards the bounds are equal somewhere"
        raise CapabilityError.of((), "devices of constant step have no symmetric point", remedy=remedy)
    up, down, low, high = (v.astype(np.float64) for v in (devices.up, devices.down, devices.low, devices.high))
    at_low, at_high = (steps(devices, bound, True) - steps(devices, bound, False) for bound in (low, high))
    never = ~((at_low >= 0) & (at_high <= 0) & (at_low > at_high))
    if never.any():
        allowed = "a symmetric point needs steps up that are the larger at the lower bound and the smaller at the upper"
        given = f"{never.sum()} of {never.size} without"
        remedy = "give steps that fall towards the bounds more than they differ from up to down"
        raise CapabilityError.of("devices", allowed, given, remedy)
    if devices.kind == pulsed_devices.LINEAR:
        # s+ + k+ w = s- + k- w
        fall = devices.slope_down.astype(np.float64) - devices.slope_up
        return np.asarray((up - down) / fall)
    if devices.kind == pulsed_devices.POWER:
        # s+^(1/g) (b+ - w) = s-^(1/g) (w - b-)
        root_up, root_down = up ** (1 / devices.shape[0]), down ** (1 / devices.shape[0])
        return np.asarray((root_up * high + root_down * low) / (root_up + root_down))
    # no closed form for all: the difference falls from the lower bound to the upper one
    for _ in range(53):
        w = (low + high) / 2
        above = steps(devices, w, True) > steps(devices, w, False)
        low, high = np.where(above, w, low), np.where(above, high, w)
    return np.asarray((low + high) / 2)


def alternate(devices: Devices, states: Array, pairs: int, keys: Array) -> Written:
    """Drive cells to their symmetric points by pulses up and down in turn: states (members, rows, cols).

    What is left of the distance falls by (1 - |d step up / dw|) (1 - |d step down / dw|) a pair.
    """
    if pairs < 1:
        raise SpecError.of("pairs", "must be an integer of at least 1", given=str(pairs))
    written = pulse.apply_pairs(_single(states), pairs, devices, keys)
    each = np.full(states.shape, pairs, np.int32)
    lines = np.full(len(states), 2 * pairs * states[0].size, np.int64)
    return Written(written, each, each, lines, lines, np.zeros_like(lines))


# What an array of nominal cells asks, in units of a full digit


@mismatch_sigma_rel.register
def _(cell: PulsedCell) -> float:
    del cell
    return 0.0  # what differs from device to device is how pulses change it


@frozen_currents.register
def _(cell: PulsedCell, array: ArraySpec, normals: Array) -> Array:
    del cell, array
    return np.ones(normals.shape, np.float32)


@digit_variances.register
def _(cell: PulsedCell, digits: Array, currents: Array, top: Array) -> Array:
    del cell, currents
    # half of the pair's from each of its two devices, whatever they hold
    return np.asarray(np.broadcast_to(np.square(top) / 2, digits.shape), np.float32)


@column.register
def _(cell: PulsedCell, array: ArraySpec) -> Column:
    del array
    return Column(cell_variance=cell.read_noise_rel**2)
