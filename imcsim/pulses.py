"""Pulses: what pulsed devices hold from a write to the next, what reads see of it, and how updates change it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from imcsim.accepted import doubled
from imcsim.cells import pulsed
from imcsim.cells.pulsed import Written
from imcsim.floorplan import Floorplan
from imcsim.kernels.pulsed_devices import WRITE_NOISE, Devices
from imcsim.mapping import quantise_weights
from imcsim.places import place_normals
from imcsim.silicon import Silicon
from imcsim.specs.pulsed import PulsedCell
from imcsim.updates import Outer
from imcsim.wear import WriteCounts, code_changes

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class PulsedStates:
    """What the devices of a die hold, (members, rows, cols) float32, in the unit of the device.

    Reads see `seen`, the states with their write noise, less those of the `reference` devices (1 or members, rows,
    cols). `asked` (1 or members, rows, cols) is what was programmed; None after pulses, when nobody knows. `key` is
    that of the last write.
    """

    states: Array
    seen: Array
    reference: Array
    asked: Array | None
    key: int

    @classmethod
    def program(cls, silicon: Silicon, asked: Array, key: int) -> PulsedStates:
        """Bring every device to its state as a slow closed loop does: as near as its own bounds let it.

        No pulse is counted. Reads see the write noise of the last one.
        """
        devices = devices_of(silicon)
        states = np.clip(asked, devices.low, devices.high).astype(np.float32)
        once, nothing = np.ones(states.shape, np.int32), np.zeros(len(states), np.int64)
        programmed = Written(states, once, once, nothing, nothing, nothing)
        blank = cls(states, states, np.zeros((1, *silicon.shape), np.float32), None, key)
        return dataclasses.replace(blank._after(silicon, programmed, key), asked=asked)

    def on_die(self, silicon: Silicon) -> PulsedStates:
        """The same states, programmed on another die under the key of the last write: known if they were known."""
        asked = self.states - self.reference if self.asked is None else self.asked
        return dataclasses.replace(PulsedStates.program(silicon, asked, self.key), asked=self.asked)

    def write(self, silicon: Silicon, update: Array | Outer, unit: Array, key: int) -> tuple[PulsedStates, WriteCounts]:
        """Add a checked update (1 or members, ...); `unit` (1 or members,) is the weight that a unit of the state is.

        Factors go as stochastic pulse trains, whose rows and columns run through all arrays; a matrix as the nearest
        number of pulses to each device, no more than take a nominal one through its range. Counts are since before.
        """
        cell, devices, tiling = cell_of(silicon), devices_of(silicon), silicon.plan.tiling
        keys = np.array(silicon.write_keys(key), np.uint64)
        if isinstance(update, Outer):
            rate = np.broadcast_to(1 / unit, len(keys))
            written = pulsed.write_outer(devices, cell.update, self.states, *doubled(update), rate, keys)
            lines, clipped = written.row_pulses * tiling.arrays + written.column_pulses * tiling.tiles, written.clipped
        else:
            most = math.ceil((cell.device.w_max - cell.device.w_min) / devices.dw_min)
            asked = pulsed.pulse_counts(update / unit[:, None, None], devices.dw_min)
            counts = np.broadcast_to(np.clip(asked, -most, most), self.states.shape)
            written = pulsed.write_counts(devices, self.states, counts, keys)
            lines = written.row_pulses + written.column_pulses
            clipped = np.broadcast_to((np.abs(asked) > most).sum(axis=(1, 2), dtype=np.int64), len(keys))
        after = self._after(silicon, written, key)
        words = code_changes(self.codes(silicon), after.codes(silicon))
        return after, WriteCounts(written.pulses, words, lines, clipped)

    def write_in_turns(
        self, silicon: Silicon, factors: Outer, unit: Array, until: Array, keys: tuple[int, int]
    ) -> tuple[PulsedStates, PulsedStates, WriteCounts]:
        """Add checked factors, as `write` does: what each row held after its first `until` (rows,) samples, and all.

        `keys` are those of what comes before and of what comes after.
        """
        cell, devices, tiling = cell_of(silicon), devices_of(silicon), silicon.plan.tiling
        rate = np.broadcast_to(1 / unit, len(self.states))
        streams = [np.array(silicon.write_keys(key), np.uint64) for key in keys]
        drawn = pulsed.driven(cell.update, devices.dw_min, *factors, rate, streams[0])
        held, pulses = [self], np.zeros(self.states.shape, np.int64)
        words = np.zeros(len(self.states), np.int64)
        for part, stream, key in zip(drawn.cut(until), streams, keys, strict=True):
            written = pulsed.pulsed_by(devices, held[-1].states, part, stream)
            held.append(held[-1]._after(silicon, written, key))
            pulses += written.pulses
            words += code_changes(held[-2].codes(silicon), held[-1].codes(silicon))
        lines = drawn.row_pulses * tiling.arrays + drawn.column_pulses * tiling.tiles
        return held[1], held[2], WriteCounts(pulses, words, lines, drawn.clipped)

    def zeroed(self, silicon: Silicon, pairs: int | None, key: int) -> tuple[PulsedStates, WriteCounts]:
        """Every device at its symmetric point, and the reference devices made equal to it: all weights are zero.

        So many pairs of pulses, up and down in turn, lead there; None: the points as they are, seen without write noise
        until the first pulse, for nothing. CapabilityError for devices that have none.
        """
        devices = devices_of(silicon)
        points = pulsed.symmetric_point(devices).astype(np.float32)  # the error of those that have none
        nothing = np.zeros(len(points), np.int64)
        if pairs is None:
            after = PulsedStates(points, points, points, None, key)
            return after, WriteCounts(np.zeros(points.shape, np.int64), nothing, nothing, nothing)
        written = pulsed.alternate(devices, self.states, pairs, np.array(silicon.write_keys(key), np.uint64))
        after = self._after(silicon, written, key)
        after = dataclasses.replace(after, reference=after.seen)
        return after, WriteCounts(written.pulses, nothing, written.row_pulses + written.column_pulses, nothing)

    def with_added(self, other: PulsedStates, share: float) -> PulsedStates:
        """What devices would hold, and show, where those of another array of the same design add `share` of theirs."""
        states, seen = (
            (own + np.float32(share) * (added - other.reference)).astype(np.float32)
            for own, added in ((self.states, other.states), (self.seen, other.seen))
        )
        return dataclasses.replace(self, states=states, seen=seen)

    def codes(self, silicon: Silicon) -> Array:
        """The weight codes nearest to the states: int32 (members, rows, cols), clipped at the largest."""
        return quantise_weights(self._digits(silicon), 1.0, silicon.spec.array.weight_bits)

    def fitted_codes(self, silicon: Silicon) -> tuple[Array, Array]:
        """The codes, halved until none clips, and how large a step then is: powers of two, (members,)."""
        digits = self._digits(silicon)
        most = np.abs(np.rint(digits)).max(axis=(1, 2)) / float(silicon.plan.layout.top[0])
        times = 2.0 ** np.ceil(np.log2(np.maximum(most, 1.0)))
        return quantise_weights(digits, times[:, None, None], silicon.spec.array.weight_bits), times

    def _digits(self, silicon: Silicon) -> Array:
        return np.asarray((self.states - self.reference) * _digits_a_unit(silicon))

    def read(self, silicon: Silicon) -> Array:
        """What the devices and their references conduct, in digits as Programmed has them."""
        plan = silicon.plan
        digits = np.zeros((len(self.seen), plan.tiling.tiles * plan.tiling.used, 2, *silicon.currents.shape[4:]))
        for polarity, of_devices in enumerate((self.seen, self.reference)):
            digits[:, : plan.shape[0], polarity, 0] = of_devices * _digits_a_unit(silicon)
        return digits.reshape(-1, *silicon.currents.shape[1:]).astype(np.float32)

    def _after(self, silicon: Silicon, written: Written, key: int) -> PulsedStates:
        device = cell_of(silicon).device
        seen = written.states
        if device.write_noise_rel and silicon.keys is not None:
            normals = weight_normals(silicon.plan, silicon.write_keys(key), WRITE_NOISE)
            seen = pulsed.seen(devices_of(silicon), written, self.seen, device.write_noise_rel, normals)
        return dataclasses.replace(self, states=written.states, seen=seen, asked=None, key=key)


def weight_normals(plan: Floorplan, keys: Any, source: int) -> Array:
    """Normals of the device of every weight: (members, rows, cols) float32."""
    drawn = place_normals(plan, keys, source, plan.tiling.used, 1)
    return np.ascontiguousarray(drawn.reshape(len(drawn), -1, plan.tiling.columns)[:, : plan.shape[0]])


def weight_unit(silicon: Silicon, scale: Array) -> Array:
    """The weight that a unit of the state is, of codes in steps of `scale` (1 or members,)."""
    return scale * _digits_a_unit(silicon)


def cell_of(silicon: Silicon) -> PulsedCell:
    cell = silicon.spec.cell
    assert isinstance(cell, PulsedCell)
    return cell


def devices_of(silicon: Silicon) -> Devices:
    assert silicon.devices is not None
    return silicon.devices


def _digits_a_unit(silicon: Silicon) -> float:
    """A device at the nominal w_max conducts a whole digit."""
    return float(silicon.plan.layout.top[0]) / cell_of(silicon).device.w_max
