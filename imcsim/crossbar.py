"""Crossbar: a programmed die, or an ensemble of them, and how it is written, calibrated and read."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from imcsim.calibration import choose_ranges, nominal_values
from imcsim.cells.drift import compensation
from imcsim.conductances import Conductances, varies_by_call
from imcsim.converters import dac as dacs
from imcsim.converters.diagnosis import Diagnosis, diagnose
from imcsim.converters.ranges import Ranges, fixed_ranges
from imcsim.errors import CapabilityError, SpecError
from imcsim.kernels.trim import mean_codes
from imcsim.mapping import quantise_weights, weight_scale
from imcsim.programmed import Programmed, column_codes, stored_digits
from imcsim.rng import draw_key
from imcsim.silicon import Silicon
from imcsim.specs.resistive import ResistiveCell
from imcsim.transferred import Transferred

Array = np.ndarray[Any, Any]
_LEAST_GAIN = 0.1  # of a converter that can be trimmed

Generators = np.random.Generator | Sequence[np.random.Generator]


class Die(Silicon):
    """A manufactured crossbar, or an ensemble of them, ready to be programmed."""

    def program(self, weights: Array, rng: np.random.Generator, *, now_s: float = 0.0) -> Crossbar:
        """Program weights (rows, cols): quantise to the codes of the array, in steps that are chosen here and kept.

        Inputs run from 0 (-1 where signed) to 1 until the crossbar is calibrated. An ensemble takes weights (members,
        rows, cols) as well. `rng` is what programming errors are drawn from, for every die its own; an SRAM write has
        none. Raises SpecError for weights of another shape or not finite, or beyond what the cells can hold.
        """
        key = _write_key(self, rng)
        weights = _finite(weights, _weight_shapes(self), "weights").reshape(-1, *self.shape)
        if not math.isfinite(now_s):
            raise SpecError.of("now_s", "must be a finite time", given=str(now_s))
        array, plan = self.spec.array, self.plan
        scale = np.array([weight_scale(w, array) for w in weights])
        codes = quantise_weights(weights, scale[:, None, None], array.weight_bits)
        ranges = fixed_ranges(self.spec.adc, plan.largest_values.tolist(), plan.signed_values)
        step = np.full(len(codes), 1.0 / dacs.largest_input(self.spec.dac))
        held = Conductances.program(self, stored_digits(self, codes), key, now_s) if _resistive(self) else None
        ranges_of = None if ranges is None else (ranges,) * len(codes)
        return Crossbar(self, codes, scale, now_s, step, ranges_of, held=held)


@dataclass(frozen=True, eq=False, repr=False)
class Crossbar:
    """A programmed die: weight codes (1 or members, rows, cols) in steps of `scale`, and how it is read.

    An ensemble whose members hold the same weights keeps them once; so `scale`, `input_step` and `ranges`, one each.
    `ranges` is None where the ADC's ranges await a calibration; `trimmed` (2, members, tiles, columns) is what is taken
    off the codes, None where they are read as they are. `held` is what resistive cells hold, None of other cells, which
    the codes tell. `gain` (1 or members, 1 or cols) multiplies the outputs to undo drift, None where nothing is undone.
    `transferred` is what arrived through the wires before the last write, None where nobody asked.
    """

    die: Die
    codes: Array
    scale: Array
    written_s: float
    input_step: Array
    ranges: tuple[Ranges, ...] | None
    trimmed: Array | None = None
    held: Conductances | None = None
    gain: Array | None = None
    transferred: Transferred | None = None

    def __repr__(self) -> str:
        return f"Crossbar({self.die!r}, {'not calibrated' if self.ranges is None else 'ready to be read'})"

    @property
    def written(self) -> Array:
        """The weights last written, (rows, cols): codes times scale, whatever the cells make of them.

        Of an ensemble whose members were written apart: (members, rows, cols).
        """
        weights = self.codes * self.scale[:, None, None]
        return np.asarray(weights[0] if len(weights) == 1 else weights)

    def write(self, delta: Array, rng: np.random.Generator, *, now_s: float = 0.0) -> Crossbar:
        """Add delta (rows, cols) to the weights: the sums are rounded to the nearest code and clip at the largest.

        Cells, scale, input step and ranges stay. An ensemble takes (members, rows, cols) as well. `rng` is what write
        errors are drawn from, of the cells whose digit changes; an SRAM write has none. Raises SpecError for a delta of
        another shape or not finite, or a time before the last write.
        """
        key = _write_key(self.die, rng)
        self._check_time(now_s)
        delta = _finite(delta, _weight_shapes(self.die), "delta").reshape(-1, *self.die.shape)
        scale = self.scale[:, None, None]
        codes = quantise_weights(self.codes * scale + delta, scale, self.die.spec.array.weight_bits)
        held = self.held and self.held.rewrite(self.die, stored_digits(self.die, codes), key, now_s)
        return dataclasses.replace(
            self, codes=codes, written_s=now_s, held=held, gain=None, transferred=self._transferred
        )

    def on_die(self, die: Die) -> Crossbar:
        """The same codes, input step and ranges on another die of the same design, or on an ensemble of them."""
        if die.shape != self.die.shape or die.spec != self.die.spec:
            raise SpecError.of(
                "die",
                "must be of this crossbar's design and shape",
                given=f"a die of shape {die.shape}" + (", another design" if die.spec != self.die.spec else ""),
            )
        if len(self.codes) not in (1, len(die.currents)):
            raise SpecError.of("die", f"must be an ensemble of {len(self.codes)}", given=f"{len(die.currents)} members")
        held = self.held and self.held.on_die(die, self.written_s)
        return dataclasses.replace(self, die=die, trimmed=None, held=held, gain=None, transferred=None)

    def calibrate(self, x: Array) -> Crossbar:
        """Choose the input step, and the ADC ranges where they are not fixed, on samples x (samples, rows).

        The ranges suit the sums of the design, without mismatch or noise: one a slice, shared by tiles and polarities.
        An ensemble takes (members, samples, rows) as well, and pools them where its members hold the same weights.
        Raises SpecError for samples that no read would take.
        """
        dac = self.die.spec.dac
        x = self._samples(x)
        if x.size == 0:
            raise SpecError.of("x", "a calibration needs at least one sample", given=f"shape {x.shape}")
        dacs.refuse_not_finite(x)  # ahead of the step that they would make
        samples = x if len(x) == 1 or len(self.codes) > 1 else x.reshape(1, -1, x.shape[-1])
        steps = np.array([dacs.input_step(dac, one) for one in samples])
        crossbar = dataclasses.replace(self, input_step=steps, trimmed=None)
        inputs = [dacs.input_codes(dac, one, step) for one, step in zip(samples, steps, strict=True)]
        if self.ranges is None or getattr(self.die.spec.adc, "range", "given") not in ("full", "given"):
            columns = column_codes(self.die.plan.tiling, self.codes)
            count = max(len(columns), len(inputs))
            ranges = [
                choose_ranges(self.die.plan, columns[m % len(columns)], inputs[m % len(inputs)]) for m in range(count)
            ]
            crossbar = dataclasses.replace(crossbar, ranges=tuple(ranges))
        return crossbar

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
        self._check_time(now_s)
        samples, keys = self._samples(x), self._keys(rng)
        codes = self._input_codes(samples)
        product = self._at(now_s, keys).read(codes, self.scale * self.input_step, keys)
        if self.gain is not None:
            product *= self.gain[:, None]
        outer = np.shape(x)[:-1] if self.die.members is None else product.shape[:2]
        return product.reshape(*outer, self.die.shape[1])

    def compensate(
        self, probes: Array, at_write: Array, rng: Generators, *, now_s: float, per_column: bool = False
    ) -> Crossbar:
        """Scale the outputs so that reads of `probes` (samples, rows) are as large as they were `at_write`.

        `at_write` is what `mvm` gave for the same probes after the write. One factor, or one a column:
        mean |y at the write| / mean |y now| (Joshi et al. 2020). A later write takes the factors back.
        """
        now = dataclasses.replace(self, gain=None).mvm(probes, rng, now_s=now_s)
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
        if levels < 2 or reads < 1:
            raise SpecError.of("levels", "a line needs at least 2 levels and 1 read", given=f"{levels}, {reads} reads")
        keys, untrimmed = self._keys(rng), dataclasses.replace(self, trimmed=None)._programmed
        adc = untrimmed.converters
        if adc.max_code == 0:
            raise CapabilityError.of("adc", "ideal converters have nothing to trim")
        known = np.linspace(0.05, 0.95, levels) * adc.max_code
        codes = mean_codes(known, untrimmed.of_columns("lo"), untrimmed.of_columns("lsb"), reads, adc, keys)
        centred = known - known.mean()
        gain = np.einsum("l,ltc->tc", centred, codes) / np.square(centred).sum()
        offset = codes.mean(axis=0) - gain * known.mean()
        still = gain < _LEAST_GAIN  # its codes do not follow the values: there is nothing to take off
        gain[still], offset[still] = 1.0, 0.0
        fitted = np.stack([gain, offset]).reshape(2, len(keys), -1, codes.shape[-1])
        return dataclasses.replace(self, trimmed=fitted[:, :, :: self.die.plan.tiling.groups])

    def _at(self, now_s: float, keys: Array) -> Programmed:
        """The cells as a call at `now_s` meets them."""
        if self.held is None:
            return self._programmed
        if varies_by_call(self.die):
            return dataclasses.replace(self._programmed, conducts=self.held.read(self.die, now_s, keys))
        if now_s not in self._met:
            conducts, before = self.held.read(self.die, now_s, None), self._transferred
            self._met.clear()  # of one time: a network is read many times at each
            self._met[now_s] = dataclasses.replace(self._programmed, conducts=conducts, before=before)
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

    def _samples(self, x: Array) -> Array:
        """The inputs (1 or members, samples, rows), float32 or float64, of x (..., rows)."""
        rows, members = self.die.shape[0], self.die.members
        samples = np.asarray(x)
        samples = samples if samples.dtype == np.float32 else samples.astype(np.float64)
        if samples.ndim == 0 or samples.shape[-1] != rows:
            raise SpecError.of("x", f"must have {rows} inputs on its last axis", given=f"shape {samples.shape}")
        if members is None:
            return samples.reshape(1, -1, rows)
        if samples.ndim == 2:
            return samples[None]
        if samples.ndim != 3 or len(samples) != members:
            allowed = f"an ensemble takes (samples, {rows}) or ({members}, samples, {rows})"
            raise SpecError.of("x", allowed, given=f"shape {samples.shape}")
        return samples

    def _input_codes(self, samples: Array) -> Array:
        """Codes (1 or members, samples, rows) of inputs."""
        dac, steps = self.die.spec.dac, self.input_step
        count = max(len(samples), len(steps))
        found = [dacs.input_codes(dac, samples[m % len(samples)], steps[m % len(steps)]) for m in range(count)]
        return found[0][None] if count == 1 else np.stack(found)

    @cached_property
    def _programmed(self) -> Programmed:
        if self.ranges is None:
            raise CapabilityError.of(
                "adc.range",
                "the ranges must be calibrated before the first read",
                given=f'"{getattr(self.die.spec.adc, "range", "")}"',
                remedy='call calibrate with samples (range = "full" or "given" needs none for its ADCs)',
            )
        return Programmed(self.die, self.codes, self.ranges, self.trimmed)

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
        return np.array([draw_key(one) for one in rng], np.uint64)

    def _check_time(self, now_s: float) -> None:
        if not self.written_s <= now_s < math.inf:
            raise SpecError.of("now_s", f"must not lie before the last write, at {self.written_s} s", given=str(now_s))


def _resistive(die: Die) -> bool:
    return isinstance(die.spec.cell, ResistiveCell)


def _write_key(die: Die, rng: np.random.Generator) -> int:
    """The key of a write; nothing is drawn where writes have no error."""
    return draw_key(rng) if _resistive(die) else 0


def _weight_shapes(die: Die) -> tuple[tuple[int, ...], ...]:
    return (die.shape,) if die.members is None else (die.shape, (die.members, *die.shape))


def _finite(values: Array, shapes: Sequence[tuple[int, ...]], name: str) -> Array:
    values = np.asarray(values, dtype=np.float64)
    if values.shape not in shapes:
        allowed = "must have shape " + " or ".join(str(shape) for shape in shapes)
        raise SpecError.of(name, allowed, given=f"shape {values.shape}")
    if not np.isfinite(values).all():
        raise SpecError.of(
            name, "must be finite", given=f"{int((~np.isfinite(values)).sum())} of {values.size} values infinite or nan"
        )
    return values
