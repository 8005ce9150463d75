"""Compound arrays behind the interface of a crossbar: Tiki-Taka and mixed precision on pulsed devices.

A fast array A takes the updates and is read a row at a time; what is read goes to a slow array C, at once or through a
digital buffer H. Each is a Crossbar: reads of A pass its own converters, transfers are pulses of C. Equations:
aihwkit's documentation of its compounds (Tiki-Taka: Gokmen & Haensch 2020, unverified).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np

from imcsim.accepted import checked_dense, checked_outer, doubled
from imcsim.cells.compound import chopped, one_hot, released, transfers
from imcsim.converters.ranges import widened
from imcsim.crossbar import Crossbar, Die
from imcsim.errors import CapabilityError, SpecError
from imcsim.manufacturing import manufacture
from imcsim.pulses import PulsedStates, cell_of, weight_unit
from imcsim.rng import Generators, child, draw_key
from imcsim.silicon import Silicon
from imcsim.specs.chip import ChipSpec
from imcsim.specs.compound import ChoppedTikiTaka, Compound, MixedPrecision, TikiTakaV2, Transferring
from imcsim.specs.pulsed import PulsedCell
from imcsim.updates import Outer, Update
from imcsim.wear import Wear, WriteCounts

Array = np.ndarray[Any, Any]
OfSilicon = TypeVar("OfSilicon", bound=Silicon)


class CompoundWear(NamedTuple):
    """What the writes of each array have cost: of the fast one with its symmetric points; None where there is none."""

    fast: Wear | None
    slow: Wear


def compound(spec: ChipSpec, scheme: Compound, shape: tuple[int, int], key: int | Sequence[int]) -> CompoundDie:
    """The arrays of a scheme that the die of `key` has for weights of `shape` (rows, cols); of many keys, an ensemble.

    Raises SpecError for a chip whose cells are not pulsed.
    """
    if not isinstance(spec.cell, PulsedCell):
        allowed = "compound arrays are made of pulsed devices"
        raise SpecError.of("cell.kind", allowed, f'"{spec.cell.kind}"', 'set cell.kind = "pulsed"')
    if not isinstance(scheme, Compound):
        remedy = "give one of imcsim.specs.compound, as TikiTakaV2(...)"  # type: ignore[unreachable]  # not all type
        raise SpecError.of("scheme", "must be a compound scheme", repr(scheme), remedy)
    of_keys = list(key) if isinstance(key, Sequence | np.ndarray) else [key]

    def made(array: str) -> Die:
        keys = [draw_key(child(int(one), "compound", array)) for one in of_keys]
        return manufacture(spec, shape, keys if isinstance(key, Sequence | np.ndarray) else keys[0])

    fast = made("fast") if isinstance(scheme, Transferring) else None
    return CompoundDie(scheme, fast, made("slow"))


@dataclass(frozen=True, eq=False)
class CompoundDie:
    """The manufactured arrays of a scheme, ready to be programmed."""

    scheme: Compound
    fast: Die | None
    slow: Die

    def program(self, weights: Array, rng: np.random.Generator, *, now_s: float = 0.0) -> CompoundArray:
        """Program weights (rows, cols) into the slow array, and bring the fast one to its symmetric points.

        Raises as Die.program does, and CapabilityError for devices without symmetric points, where they are asked for.
        """
        slow = self.slow.program(weights, rng, now_s=now_s)
        members, (rows, cols) = len(self.slow.currents), self.slow.shape
        fast = None if self.fast is None else self._zeroed(self.fast, slow, rng)
        return CompoundArray(
            self.scheme, fast, slow, np.zeros((members, rows, cols)), np.ones((members, rows)), samples=0
        )

    def _zeroed(self, die: Die, slow: Crossbar, rng: np.random.Generator) -> Crossbar:
        """The fast array in the scale of the slow one, its weights zero, calibrated to be read a row at a time."""
        scheme = self.scheme
        assert isinstance(scheme, Transferring)
        held = PulsedStates.program(die, np.zeros((1, *die.shape)), draw_key(rng))
        fast = dataclasses.replace(slow.on_die(die), held=held, codes=held.codes(die))
        # a row may hold anything that a device can: weights all over the range, for the converters
        device, unit = cell_of(die).device, weight_unit(die, np.ones(1))[0]
        spread = np.linspace(device.w_min, device.w_max, die.shape[0] * die.shape[1]).reshape(die.shape) * unit
        codes = np.rint(spread).astype(np.int32)[None]
        calibrated = dataclasses.replace(fast, codes=codes).calibrate(np.eye(die.shape[0]))
        fast = dataclasses.replace(fast, input_step=calibrated.input_step, ranges=calibrated.ranges)
        if scheme.reference == "none":
            return fast
        assert isinstance(fast.held, PulsedStates)
        pairs = scheme.reference_pairs if scheme.reference == "measured" else None
        held, counts = fast.held.zeroed(die, pairs, draw_key(rng))
        return dataclasses.replace(fast, held=held, codes=held.codes(die), counts=counts)


@dataclass(frozen=True, eq=False)
class CompoundArray:
    """A fast and a slow array with what is digital between them, read and written as one crossbar.

    `buffer` (members, rows, cols) is in units of weight, `chopper` (members, rows) are signs; `samples` were written.
    """

    scheme: Compound
    fast: Crossbar | None
    slow: Crossbar
    buffer: Array
    chopper: Array
    samples: int

    @property
    def die(self) -> Die:
        """The slow array's: of the shape and the members of the weights."""
        return self.slow.die

    @property
    def written_s(self) -> float:
        """When it was last written."""
        return self.slow.written_s

    @property
    def scale(self) -> Array:
        """The step of a weight code, (1 or members,)."""
        return self.slow.scale

    @property
    def transfers(self) -> int:
        """How many rows of the fast array were read and passed on since programming."""
        return self.samples // self.scheme.transfer_every if isinstance(self.scheme, Transferring) else 0

    @property
    def draws(self) -> bool:
        """Whether a read draws noise, or converters decide at random."""
        return self.slow.draws

    @property
    def written(self) -> Array:
        """Raises CapabilityError: the weights go by pulses, and nobody knows how far."""
        remedy = "read the array by mvm"
        raise CapabilityError.of("written", "nobody knows what pulses have written", remedy=remedy)

    @property
    def wear(self) -> CompoundWear:
        """What the writes of each array have cost."""
        return CompoundWear(None if self.fast is None else self.fast.wear, self.slow.wear)

    def calibrate(self, x: Array) -> CompoundArray:
        """Choose input step and ranges for gamma A + C as they are, on x (samples, rows), as Crossbar.calibrate does.

        The fast array keeps those with which its rows are read.
        """
        joined, times = self._within_codes
        found = joined.calibrate(x)
        ranges = found.ranges if found.ranges is joined.ranges else widened(found.ranges, times)
        slow = dataclasses.replace(self.slow, input_step=found.input_step, ranges=ranges, trimmed=None)
        return dataclasses.replace(self, slow=slow)

    def calibrate_t(self, e: Array) -> CompoundArray:
        """Choose what the transposed read of gamma A + C needs, on e (samples, cols), as Crossbar.calibrate_t does."""
        joined, times = self._within_codes
        found = joined.calibrate_t(e).back
        assert self.slow.back is not None
        assert joined.back is not None
        assert found is not None
        ranges = found.ranges if found.ranges is joined.back.ranges else widened(found.ranges, times)
        back = dataclasses.replace(found, silicon=self.slow.back.silicon, ranges=ranges)
        return dataclasses.replace(self, slow=dataclasses.replace(self.slow, back=back))

    def mvm(self, x: Array, rng: Generators, *, now_s: float = 0.0) -> Array:
        """Read gamma A + C, summed on the columns: x (..., rows) -> (..., cols), as Crossbar.mvm does."""
        return self._joined.mvm(x, rng, now_s=now_s)

    def mvm_t(self, e: Array, rng: Generators, *, now_s: float = 0.0) -> Array:
        """Read gamma A + C the other way, summed on the rows: e (..., cols) -> (..., rows), as Crossbar.mvm_t does."""
        return self._joined.mvm_t(e, rng, now_s=now_s)

    def trim(self, rng: Generators, *, levels: int = 9, reads: int = 64) -> CompoundArray:
        """Trim the ADCs of both arrays, as Crossbar.trim does: those of the weights, and those that transfers pass."""
        fast = None if self.fast is None else self.fast.trim(rng, levels=levels, reads=reads)
        return dataclasses.replace(self, fast=fast, slow=self.slow.trim(rng, levels=levels, reads=reads))

    def trim_t(self, rng: Generators, *, levels: int = 9, reads: int = 64) -> CompoundArray:
        """Trim the ADCs of the transposed read, as Crossbar.trim_t does."""
        return dataclasses.replace(self, slow=self.slow.trim_t(rng, levels=levels, reads=reads))

    def on_die(self, die: CompoundDie) -> CompoundArray:
        """Raises CapabilityError: what the fast array holds is told from the symmetric points of its own devices."""
        del die
        allowed = "what the arrays hold is told from the symmetric points and the pulses of their own devices"
        raise CapabilityError.of("on_die", allowed, remedy="program the other die by CompoundDie.program")

    def write(self, update: Array | Update, rng: np.random.Generator, *, now_s: float = 0.0) -> CompoundArray:
        """Add an update, through the scheme: Outer(x, delta), or, of mixed precision, a matrix as well.

        The samples of factors follow one another, and transfers come in their turn between them. Raises as
        Crossbar.write does, and CapabilityError for a matrix where the fast array needs factors.
        """
        die = self.slow.die
        if isinstance(self.scheme, MixedPrecision):
            return self._accumulated(self.scheme, checked_dense(update, die.shape, die.members), rng, now_s)
        if not isinstance(update, Outer):
            remedy = (
                'give Outer(x, delta), as optimizer = "sgd" without decay or rounding does; mixed_precision takes all'
            )
            raise CapabilityError.of("update", "the fast array is written by pulse trains", "a matrix", remedy)
        self.slow.check_time(now_s)
        array, every = self, self.scheme.transfer_every
        # reads do not change the fast array, and rows do not meet in it: as many transfers as there are rows are one
        # read of the rows as each was in its turn, and one write of the slow array. Wires join rows
        together = 1 if die.spec.wires is not None else die.shape[0]
        first = together * every - self.samples % every
        for part in _parts(doubled(checked_outer(update, die.shape, die.members)), first, together * every):
            array = array._learnt(part, rng, now_s)
        return array

    @cached_property
    def _joined(self) -> Crossbar:
        """The slow array with the fast one's share on its columns."""
        slow, scheme = self.slow, self.scheme
        if not isinstance(scheme, Transferring) or scheme.gamma == 0:
            return slow
        assert self.fast is not None
        assert isinstance(slow.held, PulsedStates)
        assert isinstance(self.fast.held, PulsedStates)
        die, back = slow.die, slow.back
        turned = None if die.transposed is None else _noisier(die.transposed, scheme.gamma)
        if back is not None and turned is not None:
            back = dataclasses.replace(back, silicon=turned)
        die = dataclasses.replace(_noisier(die, scheme.gamma), transposed=turned)
        held = slow.held.with_added(self.fast.held, scheme.gamma)
        return dataclasses.replace(slow, die=die, codes=held.codes(die), held=held, back=back)

    @property
    def _within_codes(self) -> tuple[Crossbar, Array]:
        """The joined arrays with weights that codes can hold, and the powers of two (members,) that they were larger.

        Two arrays may sum to more than the largest code: a calibration on clipped codes would choose ranges that clip.
        """
        joined = self._joined
        assert isinstance(joined.held, PulsedStates)
        codes, times = joined.held.fitted_codes(joined.die)
        return dataclasses.replace(joined, codes=codes), times

    def _learnt(self, part: Outer, rng: np.random.Generator, now_s: float) -> CompoundArray:
        """The arrays after samples in which no row is transferred twice."""
        scheme, fast, die = self.scheme, self.fast, self.slow.die
        assert isinstance(scheme, Transferring)
        assert fast is not None
        assert isinstance(fast.held, PulsedStates)
        streams = [child(int(key), "transfer") for key in die.write_keys(draw_key(rng))]
        samples = part.x.shape[1]
        when, rows = transfers(self.samples, samples, scheme.transfer_every, die.shape[0])
        until = np.full(die.shape[0], samples)
        until[rows] = when
        chopper = self.chopper
        if isinstance(scheme, ChoppedTikiTaka):
            chopper = np.stack(
                [chopped(own, rows, scheme.chopper_probability, one) for own, one in zip(chopper, streams, strict=True)]
            )
            early = np.arange(samples)[:, None] < until
            part = part._replace(x=part.x * np.where(early, self.chopper[:, None], chopper[:, None]))
        unit, keys = weight_unit(fast.die, fast.scale), (draw_key(rng), draw_key(rng))
        met, held, counts = fast.held.write_in_turns(fast.die, part, unit, until, keys)
        array = dataclasses.replace(
            self, fast=_holding(fast, held, counts, now_s), chopper=chopper, samples=self.samples + samples
        )
        if not len(rows):
            return array
        x = one_hot(rows, die.shape[0])
        read = _holding(fast, met, counts, now_s).mvm(
            x, streams if die.members is not None else streams[0], now_s=now_s
        )
        passed = scheme.transfer_rate * np.reshape(read, (-1, len(rows), die.shape[1]))
        return array._transferred(rows, passed, self.chopper, rng, now_s)

    def _transferred(
        self, rows: Array, passed: Array, chopper: Array, rng: np.random.Generator, now_s: float
    ) -> CompoundArray:
        """The arrays after `passed` (members, rows, cols) of rows that were written and read under `chopper`."""
        scheme, slow, die = self.scheme, self.slow, self.slow.die
        if not isinstance(scheme, TikiTakaV2):
            x = np.broadcast_to(one_hot(rows, die.shape[0]), (len(passed), len(rows), die.shape[0]))
            return dataclasses.replace(self, slow=slow.write(_of_die(Outer(x, passed), die), rng, now_s=now_s))
        buffer, step, pulses = self.buffer.copy(), self._step[:, None, None], np.zeros(self.buffer.shape)
        held = buffer[:, rows] + chopper[:, rows, None] * passed
        left, counts = released(held / step, scheme.threshold, scheme.most_pulses, scheme.kept)
        buffer[:, rows], pulses[:, rows] = left * step, counts * step
        slow = slow.write(pulses if die.members is not None else pulses[0], rng, now_s=now_s)
        return dataclasses.replace(self, slow=slow, buffer=buffer)

    def _accumulated(
        self, scheme: MixedPrecision, delta: Array, rng: np.random.Generator, now_s: float
    ) -> CompoundArray:
        step = self._step[:, None, None]
        left, counts = released((self.buffer + delta) / step, scheme.threshold, scheme.most_pulses)
        pulses = counts * step
        slow = self.slow.write(pulses if self.slow.die.members is not None else pulses[0], rng, now_s=now_s)
        return dataclasses.replace(self, slow=slow, buffer=left * step)

    @property
    def _step(self) -> Array:
        """The nominal step of the slow array as a weight: (1 or members,)."""
        die = self.slow.die
        return weight_unit(die, self.slow.scale) * cell_of(die).device.dw_min


def _noisier(silicon: OfSilicon, gamma: float) -> OfSilicon:
    """The same silicon where the pairs of both arrays are noisy."""
    column = silicon.column
    return dataclasses.replace(silicon, column=column._replace(cell_variance=column.cell_variance * (1 + gamma**2)))


def _holding(fast: Crossbar, held: PulsedStates, counts: WriteCounts, now_s: float) -> Crossbar:
    """The array with other states, after writes of these counts."""
    counts = counts if fast.counts is None else fast.counts.added(counts)
    return dataclasses.replace(fast, held=held, codes=held.codes(fast.die), written_s=now_s, counts=counts)


def _parts(factors: Outer, first: int, every: int) -> Iterator[Outer]:
    """The samples in parts that end after `first` of them, and after each `every` more."""
    count = factors.x.shape[1]
    cuts = [0, *range(first, count, every), count]
    for begin, end in itertools.pairwise(cuts):
        if end > begin:
            yield Outer(factors.x[:, begin:end], factors.delta[:, begin:end])


def _of_die(factors: Outer, die: Die) -> Outer:
    """Factors (1 or members, samples, ...) as a crossbar takes them."""
    return Outer(*(values if len(values) > 1 or die.members == 1 else values[0] for values in factors))
