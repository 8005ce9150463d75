"""Crossbar: a programmed die, or an ensemble of them, and how it is written, calibrated and read."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from imcsim.accepted import checked_dense, checked_matrix, checked_outer
from imcsim.calibration import chosen_ranges, needs_samples, nominal_values, ranges_by_design
from imcsim.cells.drift import compensation
from imcsim.conductances import Conductances
from imcsim.converters import dac as dacs
from imcsim.converters.diagnosis import Diagnosis, diagnose
from imcsim.converters.ranges import Ranges
from imcsim.errors import CapabilityError, SpecError
from imcsim.held import Held, can_hold
from imcsim.mapping import quantise_weights, weight_scale
from imcsim.noisy_reads import varies_by_call
from imcsim.programmed import Programmed, column_codes, stored_digits
from imcsim.pulses import PulsedStates, weight_unit
from imcsim.rng import Generators, draw_key, draw_keys
from imcsim.silicon import Silicon
from imcsim.specs.adc import ADC
from imcsim.specs.pulsed import PulsedCell
from imcsim.specs.resistive import ResistiveCell
from imcsim.transferred import Transferred
from imcsim.transposed import Transposed
from imcsim.trimming import fitted_lines
from imcsim.updates import Outer, Update
from imcsim.wear import Wear, WriteCounts, no_writes, write_digits

Array = np.ndarray[Any, Any]


class Die(Silicon):
    """A manufactured crossbar, or an ensemble of them, ready to be programmed."""

    def program(self, weights: Array, rng: np.random.Generator, *, now_s: float = 0.0) -> Crossbar:
        """Program weights (rows, cols): quantise to the codes of the array, in steps that are chosen here and kept.

        Pulsed devices are brought to the weights themselves, as near as the bounds of each let it. Inputs run from 0
        (-1 where signed) to 1 until the crossbar is calibrated. An ensemble takes weights (members, rows, cols) as
        well. `rng` is what programming errors are drawn from, for every die its own; an SRAM write has none. Raises
        SpecError for weights of another shape or not finite, or beyond what the cells can hold.
        """
        key = _write_key(self, rng)
        weights = checked_matrix(weights, self.shape, self.members, "weights")
        _refuse_not_a_time(now_s)
        array = self.spec.array
        scale = np.array([weight_scale(w, array) for w in weights])
        codes = quantise_weights(weights, scale[:, None, None], array.weight_bits)
        held: Conductances | PulsedStates | None = None
        if isinstance(self.spec.cell, ResistiveCell):
            held = Conductances.program(self, stored_digits(self, codes), key, now_s)
        elif isinstance(self.spec.cell, PulsedCell):
            if array.weight_scale != "given" and not weights.any(axis=(1, 2)).all():
                allowed = "of weights that are all zero no scale is told, and pulses need one"
                raise SpecError.of("array.weight_scale", allowed, f'"{array.weight_scale}"', 'set it to "given"')
            device = self.spec.cell.device
            asked = np.clip(weights / weight_unit(self, scale)[:, None, None], device.w_min, device.w_max)
            held = PulsedStates.program(self, asked, key)
            codes = held.codes(self)
        step = np.full(len(scale), 1.0 / dacs.largest_input(self.spec.dac))
        back = None
        if self.transposed is not None and self.spec.transpose is not None:
            back = Transposed.by_design(self.transposed, self.spec.transpose, len(scale))
        return Crossbar(self, codes, scale, now_s, step, ranges_by_design(self.plan, len(scale)), held=held, back=back)


@dataclass(frozen=True, eq=False, repr=False)
class Crossbar:
    """A programmed die: weight codes (1 or members, rows, cols) in steps of `scale`, and how it is read.

    An ensemble whose members hold the same weights keeps them once; so `scale`, `input_step` and `ranges`, one each.
    `ranges` is None where the ADC's ranges await a calibration; `trimmed` (2, members, tiles, columns) is what is taken
    off the codes, None where they are read as they are. `held` is what resistive or pulsed cells hold, None of other
    cells, which the codes tell; of pulsed ones the codes are those nearest to the states. `gain` (1 or members, 1 or
    cols) multiplies the outputs to undo drift, None where nothing is undone. `counts` are of writes, None before any.
    `back` holds the settings of the transposed read, None where there is none; `transferred` what arrived through the
    wires before the last write, None where nobody asked.
    """

    die: Die
    codes: Array
    scale: Array
    written_s: float
    input_step: Array
    ranges: tuple[Ranges, ...] | None
    trimmed: Array | None = None
    held: Conductances | PulsedStates | None = None
    gain: Array | None = None
    counts: WriteCounts | None = None
    back: Transposed | None = None
    transferred: Transferred | None = None

    def __repr__(self) -> str:
        return f"Crossbar({self.die!r}, {'not calibrated' if self.ranges is None else 'ready to be read'})"

    @property
    def written(self) -> Array:
        """The weights last written, (rows, cols): codes times scale, whatever the cells make of them.

        Of an ensemble whose members were written apart: (members, rows, cols). Raises CapabilityError for pulsed
        devices after a write: nobody knows how far pulses took them.
        """
        weights = self.codes * self.scale[:, None, None]
        if isinstance(self.held, PulsedStates):
            if self.held.asked is None:
                remedy = "read the array by mvm, or keep the weights in digital (mixed precision does)"
                raise CapabilityError.of("written", "nobody knows what pulses have written", remedy=remedy)
            weights = self.held.asked * weight_unit(self.die, self.scale)[:, None, None]
        return np.asarray(weights[0] if len(weights) == 1 else weights)

    @property
    def wear(self) -> Wear:
        """How often cells and weights were written since programming, and what pulses have cost."""
        counts = self.counts or no_writes(self.die.spec.array, self.codes, pulsed=isinstance(self.held, PulsedStates))
        return counts.wear(self.die.spec.cell, self.die.members)

    def write(self, update: Array | Update, rng: np.random.Generator, *, now_s: float = 0.0) -> Crossbar:
        """Add an update to the weights: a matrix (rows, cols), plain or Dense, or Outer(x, delta).

        The sums are rounded to the nearest code and clip at the largest. Pulsed devices take factors as stochastic
        pulse trains, which make their product on average, and a matrix as the nearest number of pulses to each device.
        Cells, scale, input step and ranges stay. An ensemble takes updates of every member as well. `rng` is what write
        errors are drawn from, of the cells whose digit changes, and pulses; an SRAM write has none. Raises SpecError
        for an update of another shape or not finite, or a time before the last write.
        """
        key, die = _write_key(self.die, rng), self.die
        self.check_time(now_s)
        of_die = die.shape, die.members
        added = checked_outer(update, *of_die) if isinstance(update, Outer) else checked_dense(update, *of_die)
        held: Conductances | PulsedStates | None
        if isinstance(self.held, PulsedStates):
            held, counts = self.held.write(die, added, weight_unit(die, self.scale), key)
            codes = held.codes(die)
            counts = counts if self.counts is None else self.counts.added(counts)
        else:
            codes, counts = write_digits(die.plan, self.codes, self.scale, added, self.counts)
            held = self.held and self.held.rewrite(die, stored_digits(die, codes), key, now_s)
        changed = dataclasses.replace(
            self, codes=codes, written_s=now_s, held=held, counts=counts, gain=None, transferred=self._transferred
        )
        if held is None:
            changed._keep(self)
        return changed

    def on_die(self, die: Die) -> Crossbar:
        """The same codes, input step and ranges on another die of the same design, or on an ensemble of them.

        Pulsed devices are programmed to the same states there.
        """
        if die.shape != self.die.shape or die.spec != self.die.spec:
            raise SpecError.of(
                "die",
                "must be of this crossbar's design and shape",
                given=f"a die of shape {die.shape}" + (", another design" if die.spec != self.die.spec else ""),
            )
        if len(self.codes) not in (1, len(die.currents)):
            raise SpecError.of("die", f"must be an ensemble of {len(self.codes)}", given=f"{len(die.currents)} members")
        codes, held = self.codes, self.held
        if isinstance(held, PulsedStates):
            held = held.on_die(die)
            codes = held.codes(die)
        elif held is not None:
            held = held.on_die(die, self.written_s)
        back = None if self.back is None or die.transposed is None else self.back.on(die.transposed)
        fresh = dataclasses.replace(self, trimmed=None, gain=None, counts=None, transferred=None)
        return dataclasses.replace(fresh, die=die, codes=codes, held=held, back=back)

    def calibrate(self, x: Array) -> Crossbar:
        """Choose the input step, and the ADC ranges where they are not fixed, on samples x (samples, rows).

        The ranges suit the sums of the design, without mismatch or noise: one a slice, shared by tiles and polarities.
        An ensemble takes (members, samples, rows) as well, and pools them where its members hold the same weights.
        Raises SpecError for samples that no read would take.
        """
        dac = self.die.spec.dac
        samples = self._pooled(self._samples(x), "x")
        dacs.refuse_not_finite(samples)  # ahead of the step that they would make
        steps = np.array([dacs.input_step(dac, one) for one in samples])
        crossbar = dataclasses.replace(self, input_step=steps, trimmed=None)
        inputs = [dacs.input_codes(dac, one, step) for one, step in zip(samples, steps, strict=True)]
        if self.ranges is None or needs_samples(self.die.spec.adc):
            ranges = chosen_ranges(self.die.plan, column_codes(self.die.plan.tiling, self.codes), inputs)
            crossbar = dataclasses.replace(crossbar, ranges=ranges)
        return crossbar

    def calibrate_t(self, e: Array) -> Crossbar:
        """Choose what the transposed read needs, on errors e (samples, cols): its ADC ranges, and its input step.

        As `calibrate` does for the read forward, which stays as it is. Where ranges are fixed and the step is that of
        each read there is nothing to choose. Raises CapabilityError where there is no transposed read.
        """
        back = self._transposed().calibrate(self.codes, self._pooled(self._errors(e), "e"))
        changed = dataclasses.replace(self, back=back)
        # the cells are as they were, and what was made of them
        kept = {"_cells", "_met", "_turned"} if back.ranges is self._transposed().ranges else {"_cells", "_met"}
        vars(changed).update({name: vars(self)[name] for name in kept & vars(self).keys()})
        return changed

    def diagnosis(self, x: Array) -> Diagnosis:
        """What the ADC ranges make of samples x (samples, rows) on the nominal die: clipping, codes used, bits.

        Raises CapabilityError where the members of an ensemble hold weights or ranges of their own.
        """
        if len(self.codes) > 1 or len(self.input_step) > 1:
            raise CapabilityError.of(
                "diagnosis", "is of one layer", "an ensemble of several", "diagnose each by itself"
            )
        samples = self._samples(x).reshape(-1, self.die.shape[0])
        inputs = dacs.input_codes(self.die.spec.dac, samples, self.input_step[0])
        columns = column_codes(self.die.plan.tiling, self.codes)
        return diagnose(self._programmed.ranges[0], *nominal_values(self.die.plan, columns[0], inputs))

    def mvm(self, x: Array, rng: Generators, *, now_s: float = 0.0) -> Array:
        """Read the array: x (..., rows) -> (..., cols) float64, in units of weight x input.

        An ensemble takes x (samples, rows), for all members, or (members, samples, rows), and a generator a member; it
        gives (members, samples, cols), of each member the bits that it has alone. Raises SpecError for inputs that are
        not finite, negative where the DAC is unsigned, or beyond the DAC's range unless it clips, and for a time before
        the last write; CapabilityError where the ranges await a calibration.
        """
        self.check_time(now_s)
        samples, keys = self._samples(x), self._keys(rng)
        _refuse_uncalibrated("adc", self.die.spec.adc, self.ranges)
        product = self._at(now_s, keys).mvm(samples, self.input_step, self.scale, keys)
        if self.gain is not None:
            product *= self.gain[:, None]
        outer = np.shape(x)[:-1] if self.die.members is None else product.shape[:2]
        return product.reshape(*outer, self.die.shape[1])

    @property
    def holds(self) -> bool:
        """Whether `hold` is possible: of one die, read alike in every pass but for noise, its cells told by codes."""
        return self.gain is None and can_hold(self._programmed)

    @property
    def draws(self) -> bool:
        """Whether a read draws noise, or converters decide at random."""
        return self.die.draws

    def hold(self, x: Array) -> Held:
        """Keep what columns sum up to of x (samples, rows) for many passes, or of (passes, samples, rows), one each.

        Refuses inputs as `mvm` does.
        """
        entering = np.asarray(x).reshape(-1, *np.shape(x)[-2:])
        samples = self._samples(entering)
        codes = dacs.codes_of_members(self.die.spec.dac, samples, self.input_step)
        return Held(self._programmed, codes.reshape(*entering.shape[:2], -1), self.scale * self.input_step)

    def changed_in(self, held: Held, rows: Array, columns: Array, rng: np.random.Generator) -> Array:
        """Read what is held of these cells in passes that find one weight each as it is here: Held.read_changed."""
        return held.read_changed(self._programmed, rows, columns, rng)

    def mvm_t(self, e: Array, rng: Generators, *, now_s: float = 0.0) -> Array:
        """Read the array the other way: e (..., cols) -> (..., rows) float64, in units of weight x error.

        Through the same cells and wires, and converters of its own. A gain that each column has for itself multiplies
        the errors ahead of the read. Ensembles and refusals as in `mvm`; CapabilityError where the design has no
        transposed read.
        """
        self.check_time(now_s)
        back, keys = self._transposed(), self._keys(rng)
        codes, steps = back.input_codes(self._errors(e))
        _refuse_uncalibrated("transpose.adc", back.silicon.spec.adc, back.ranges)
        product = self._met_by_errors(now_s, keys).read(codes, self.scale, keys)
        product *= steps[:, :, None]
        if self.gain is not None and self.gain.shape[1] == 1:
            product *= self.gain[:, None]
        outer = np.shape(e)[:-1] if self.die.members is None else product.shape[:2]
        return product.reshape(*outer, self.die.shape[0])

    def compensate(
        self, probes: Array, at_write: Array, rng: Generators, *, now_s: float, per_column: bool = False
    ) -> Crossbar:
        """Scale the outputs so that reads of `probes` (samples, rows) are as large as they were `at_write`.

        `at_write` is what `mvm` gave for the same probes after the write. One factor, or one a column:
        mean |y at the write| / mean |y now| (Joshi et al. 2020). A later write takes the factors back. Raises SpecError
        for `at_write` of another shape than the reads of the probes, or not finite, and as `mvm` does.
        """
        now = dataclasses.replace(self, gain=None).mvm(probes, rng, now_s=now_s)
        at_write = np.asarray(at_write, np.float64)
        if now.size == 0 or at_write.shape != now.shape or not np.isfinite(at_write).all():
            allowed = f"must be what mvm gave for at least one probe, finite, of shape {now.shape}"
            given = f"shape {at_write.shape}, {int(np.isfinite(at_write).sum())} of {at_write.size} finite"
            raise SpecError.of("at_write", allowed, given, "read the probes by mvm right after the write")
        shape = 1 if self.die.members is None else self.die.members, -1, self.die.shape[1]
        pairs = zip(np.reshape(at_write, shape), now.reshape(shape), strict=True)
        gain = np.stack([compensation(before, after, per_column=per_column) for before, after in pairs])
        return dataclasses.replace(self, gain=gain)

    def trim(self, rng: Generators, *, levels: int = 9, reads: int = 64) -> Crossbar:
        """Measure the gain and offset of every ADC as a chip does, and take them off its codes from now on.

        `levels` known values, from 5 to 95 % of the range, are put on each converter, each converted `reads` times; a
        line is fitted to the mean codes of every column. What averaging leaves of the noise, what bends the line, and
        codes that clip, stay; a converter whose codes do not follow the values is left as it is. Raises SpecError for
        fewer than 2 levels or 1 read, CapabilityError for ideal converters.
        """
        return dataclasses.replace(self, trimmed=fitted_lines(self._programmed, self._keys(rng), levels, reads))

    def trim_t(self, rng: Generators, *, levels: int = 9, reads: int = 64) -> Crossbar:
        """Trim the ADCs of the transposed read, as `trim` those of the read forward."""
        back = self._transposed()
        _refuse_uncalibrated("transpose.adc", back.silicon.spec.adc, back.ranges)
        return dataclasses.replace(self, back=back.trim(self.codes, self._keys(rng), levels, reads))

    def _at(self, now_s: float, keys: Array) -> Programmed:
        """The cells as a call at `now_s` meets them."""
        if not isinstance(self.held, Conductances):
            return self._cells
        if self.die.keys is not None and varies_by_call(self.die.spec.cell):
            return dataclasses.replace(self._cells, conducts=self.held.read(self.die, now_s, keys))
        if now_s not in self._met:
            conducts, before = self.held.read(self.die, now_s, None), self._transferred
            self._met.clear()  # of one time: a network is read many times at each
            self._met[now_s] = dataclasses.replace(self._cells, conducts=conducts, before=before)
        return self._met[now_s]

    @property
    def _transferred(self) -> Transferred | None:
        """What arrived through the wires at the last read: the next one may be little else."""
        return next(
            (vars(met)["transferred"] for met in self._met.values() if "transferred" in vars(met)), self.transferred
        )

    @cached_property
    def _met(self) -> dict[float, Programmed]:
        return {}

    def _met_by_errors(self, now_s: float, keys: Array) -> Programmed:
        """The cells as a transposed call at `now_s` meets them."""
        met = self._at(now_s, keys)
        turned = next((turned for forward, turned in self._turned if forward is met), None)
        if turned is None:
            turned = self._transposed().programmed(met)
            self._turned[:] = [(met, turned)]
        return turned

    @cached_property
    def _turned(self) -> list[tuple[Programmed, Programmed]]:
        """What the last transposed call met, as `_at` gives it and in the order of rows."""
        return []

    def _transposed(self) -> Transposed:
        if self.back is None:
            raise CapabilityError.of(
                "transpose",
                "the design has no transposed read",
                remedy="add [transpose.dac], with signed = true, and [transpose.adc] to the chip",
            )
        return self.back

    def _errors(self, e: Array) -> Array:
        """The errors (1 or members, samples, cols) of e (..., cols), times the gain where each column has its own."""
        errors = self._samples(e, "e", 1)
        dacs.refuse_not_finite(errors, "e")  # ahead of the steps that they would make
        return errors if self.gain is None or self.gain.shape[1] == 1 else errors * self.gain[:, None]

    def _pooled(self, samples: Array, name: str) -> Array:
        """Samples for a calibration, one set for each set of weights where there are several."""
        if samples.size == 0:
            raise SpecError.of(name, "a calibration needs at least one sample", given=f"shape {samples.shape}")
        return samples if len(samples) == 1 or len(self.codes) > 1 else samples.reshape(1, -1, samples.shape[-1])

    def _samples(self, x: Array, name: str = "x", axis: int = 0) -> Array:
        """The inputs (1 or members, samples, rows), float32 or float64, of x (..., rows); of axis 1: cols."""
        rows, members = self.die.shape[axis], self.die.members
        samples = np.asarray(x)
        samples = samples if samples.dtype == np.float32 else samples.astype(np.float64, copy=False)
        if samples.ndim == 0 or samples.shape[-1] != rows:
            raise SpecError.of(name, f"must have {rows} inputs on its last axis", given=f"shape {samples.shape}")
        if members is None:
            return samples.reshape(1, -1, rows)
        if samples.ndim == 2:
            return samples[None]
        if samples.ndim != 3 or len(samples) != members:
            allowed = f"an ensemble takes (samples, {rows}) or ({members}, samples, {rows})"
            raise SpecError.of(name, allowed, given=f"shape {samples.shape}")
        return samples

    def _keep(self, before: Crossbar) -> None:
        """What was made of the cells for reads before a write, as far as the codes do not tell it."""
        known = vars(before).get("_cells")
        if known is not None and known.told_by_codes:
            cells = vars(self)["_cells"] = known.rewritten(self.codes)
            turned = [one.rewritten(self.codes.swapaxes(1, 2)) for _, one in before._turned]
            vars(self)["_turned"] = [(cells, one) for one in turned]

    @property
    def _programmed(self) -> Programmed:
        _refuse_uncalibrated("adc", self.die.spec.adc, self.ranges)
        return self._cells

    @cached_property
    def _cells(self) -> Programmed:
        conducts = self.held.read(self.die) if isinstance(self.held, PulsedStates) else None
        return Programmed(self.die, self.codes, self.ranges or (), self.trimmed, conducts)

    def _keys(self, rng: Generators) -> Array:
        """A key a member."""
        members = self.die.members
        if members is None:
            if not isinstance(rng, np.random.Generator):
                raise SpecError.of("rng", "must be one numpy.random.Generator", given=type(rng).__name__)
            return np.array([draw_key(rng)], np.uint64)
        if isinstance(rng, np.random.Generator) or len(rng) != members:
            given = "one" if isinstance(rng, np.random.Generator) else str(len(rng))
            raise SpecError.of("rng", f"an ensemble of {members} reads with a generator a member", given=given)
        keys: Any = draw_keys(rng)
        return np.array(keys if isinstance(keys, tuple) else keys.keys, np.uint64)

    def check_time(self, now_s: float) -> None:
        """Raise SpecError for what is no time, or lies before the last write."""
        _refuse_not_a_time(now_s)
        if now_s < self.written_s:
            raise SpecError.of("now_s", f"must not lie before the last write, at {self.written_s} s", given=str(now_s))


def _refuse_not_a_time(now_s: float) -> None:
    if not isinstance(now_s, int | float | np.number) or not math.isfinite(now_s):
        raise SpecError.of("now_s", "must be a finite number of seconds", given=repr(now_s))


def _refuse_uncalibrated(name: str, adc: ADC, ranges: tuple[Ranges, ...] | None) -> None:
    if ranges is None:
        call = "calibrate" if name == "adc" else "calibrate_t"
        raise CapabilityError.of(
            f"{name}.range",
            "the ranges must be calibrated before the first read",
            given=f'"{getattr(adc, "range", "")}"',
            remedy=f'call {call} with samples (range = "full" or "given" needs none for its ADCs)',
        )


def _write_key(die: Die, rng: np.random.Generator) -> int:
    """The key of a write; nothing is drawn where writes have no error."""
    return draw_key(rng) if isinstance(die.spec.cell, ResistiveCell | PulsedCell) else 0
