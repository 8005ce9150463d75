"""What columns give on the die as designed, for input samples: what ADC ranges are chosen from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from imcsim.cells.resistive import driving
from imcsim.converters import dac as dacs
from imcsim.converters.ranges import Ranges, calibrated_ranges, fixed_ranges, least_output_error_ranges
from imcsim.floorplan import Floorplan
from imcsim.kernels.column import Column, static_transfer
from imcsim.kernels.inputs import BINARY, EXACT, NEGATIVE, POSITIVE, SIGNED
from imcsim.mapping import cell_digits
from imcsim.solved import solves
from imcsim.specs.adc import IdealADC, RangedADC
from imcsim.specs.resistive import ResistiveCell

Array = np.ndarray[Any, Any]

# What the search for the least output error looks at: it costs as many conversions as these have, some hundred times.
OUTPUT_SAMPLES, OUTPUT_COLUMNS = 64, 32


def ranges_by_design(plan: Floorplan, count: int) -> tuple[Ranges, ...] | None:
    """The ranges of `count` sets of weights that need no samples; None where they are to be chosen."""
    ranges = fixed_ranges(plan.spec.adc, plan.largest_values.tolist(), plan.signed_values)
    return None if ranges is None else (ranges,) * count


def needs_samples(adc: IdealADC | RangedADC) -> bool:
    """Whether ranges are chosen from samples."""
    return isinstance(adc, RangedADC) and adc.range not in ("full", "given")


def chosen_ranges(plan: Floorplan, codes: Array, inputs: Array | Sequence[Array]) -> tuple[Ranges, ...]:
    """The ranges for each set of weight codes (1 or members, rows, columns) and inputs (samples, rows) beside it."""
    count = max(len(codes), len(inputs))
    return tuple(choose_ranges(plan, codes[m % len(codes)], inputs[m % len(inputs)]) for m in range(count))


def choose_ranges(plan: Floorplan, codes: Array, inputs: Array) -> Ranges:
    """The ranges that suit weight codes (rows, columns) and input codes (samples, rows), on the nominal plan."""
    adc = plan.spec.adc
    assert isinstance(adc, RangedADC)  # others have no ranges to choose
    signed, worth = plan.signed_values, np.abs(plan.layout.worth[0])
    if adc.range == "output":
        samples = inputs[np.linspace(0, len(inputs) - 1, min(OUTPUT_SAMPLES, len(inputs))).astype(int)]
        chosen = np.linspace(0, codes.shape[1] - 1, min(OUTPUT_COLUMNS, codes.shape[1])).astype(int)
        columns = np.stack(
            [np.concatenate(list(_values(plan, codes[:, chosen], samples, s)), axis=1) for s in _slices(plan)], axis=3
        )
        weights = np.tile(dacs.conversion_weights(plan.spec.dac), plan.tiling.tiles * plan.tiling.groups)
        return least_output_error_ranges(adc, columns, weights, plan.layout.worth[: plan.converted], signed)
    values, counts = nominal_values(plan, codes, inputs)
    return calibrated_ranges(adc, values, counts, worth, signed)


def nominal_values(plan: Floorplan, codes: Array, inputs: Array) -> tuple[Sequence[Array], Sequence[Array]]:
    """What is converted of each slice on the nominal die: distinct values, and how often each."""
    found = [_distinct(_values(plan, codes, inputs, s)) for s in _slices(plan)]
    return [values for values, _ in found], [counts for _, counts in found]


def _column(plan: Floorplan, s: int) -> Column:
    """The analog column of slice s, in MAC units."""
    return plan.column.noiseless().scaled(dacs.unit_input(plan.spec.dac) * plan.layout.top[s])


def _slices(plan: Floorplan) -> range:
    return range(plan.layout.slices)


def _values(plan: Floorplan, codes: Array, inputs: Array, s: int) -> Iterator[Array]:
    """What is converted of slice s, read by read: (samples, conversions, polarities, columns), in MAC units."""
    dac, tiling, column = plan.spec.dac, plan.tiling, _column(plan, s)
    digits = np.zeros((tiling.tiles * tiling.used, plan.layout.polarities, codes.shape[1]))
    digits[: len(codes)] = cell_digits(codes, plan.spec.array)[:, :, s]
    states = digits + np.where(np.arange(len(digits)) < len(codes), 1, 0)[:, None, None] * plan.off_digit[s]
    states = tiling.read_rows(states.reshape(tiling.tiles, tiling.used, *states.shape[1:]), 0)
    entering = tiling.read_inputs(inputs)
    padded = np.zeros((len(inputs), len(states) * tiling.parallel), entering.dtype)
    padded[:, : entering.shape[1]] = entering[:, : padded.shape[1]]
    driven = dacs.cycles(dac)
    exact = not solves(plan.spec) and tiling.parallel * float(states.max(initial=1.0)) * dacs.unit_input(dac) < EXACT
    for read, cells_of_read in enumerate(states):
        x = planes(driven, padded[:, read * tiling.parallel : (read + 1) * tiling.parallel])
        if solves(plan.spec):  # cells answer to levels by a law of their own
            assert isinstance(plan.spec.cell, ResistiveCell)
            x = driving(plan.spec.cell, x / dacs.unit_input(dac)) * dacs.unit_input(dac)
        dtype = np.float32 if exact else np.float64
        flat = x.astype(dtype).reshape(-1, tiling.parallel) @ cells_of_read.astype(dtype).reshape(tiling.parallel, -1)
        sums = flat.astype(np.float64).reshape(len(inputs), len(driven.weights), *cells_of_read.shape[1:])
        if plan.shares_bit_lines:
            sums = sums[:, :, :1] - sums[:, :, 1:]
        v = static_transfer(sums + column.pedestal, column)
        if dacs.accumulates(dac):
            v = (driven.weights[:, None, None] * v).sum(axis=1, keepdims=True)
        yield v[:, :, :1] - v[:, :, 1:] if plan.converted < v.shape[2] else v


def planes(driven: Any, codes: Array) -> Array:
    """What drives the rows, cycle by cycle: codes (samples, rows) -> (samples, cycles, rows)."""
    if not driven.mask.any():
        return np.asarray(codes[:, None])
    whole = codes.astype(np.int64)
    parts = {
        POSITIVE: np.maximum(whole, 0),
        NEGATIVE: np.maximum(-whole, 0),
        SIGNED: np.abs(whole),
        BINARY: (whole + 1) >> 1,
    }
    digits = [(parts.get(p, whole) >> s) & m for s, m, p in zip(driven.shift, driven.mask, driven.part, strict=True)]
    signs = [np.sign(whole) if p == SIGNED else 1 for p in driven.part]
    return np.stack([digit * sign for digit, sign in zip(digits, signs, strict=True)], axis=1)


def _distinct(parts: Iterator[Array]) -> tuple[Array, Array]:
    """The distinct values of arrays, sorted, and how often each occurs."""
    found = [np.unique(part, return_counts=True) for part in parts]
    values, where = np.unique(np.concatenate([v for v, _ in found]), return_inverse=True)
    return values, np.bincount(where, np.concatenate([n for _, n in found]))
