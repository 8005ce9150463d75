"""Wear: what the writes of a crossbar have cost since it was programmed."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from imcsim.floorplan import Floorplan
from imcsim.kernels.codes import rewrite, rewrite_outer
from imcsim.mapping import cell_digits
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import Cell
from imcsim.specs.pulsed import PulsedCell
from imcsim.updates import Outer

Array = np.ndarray[Any, Any]

NONE = np.zeros((0,) * 4, np.uint8)
MOST_RECENT = 255  # writes: what a byte counts
LARGEST = float(np.finfo(np.float32).max)


class Wear(NamedTuple):
    """What was written since programming, which itself does not count; an ensemble has an axis of members ahead.

    `cell_writes` (rows, cols) are pulses of pulsed devices; of other cells, (rows, cols, polarities, slices), they are
    writes, of those whose digit changed. `word_writes` are weights whose code changed, of pulsed devices the nearest.
    `line_pulses` is how often lines of the arrays were driven for pulses, `clipped` how many probabilities or counts of
    pulses were cut: where it is not 0, updates fell short. `energy_J` is that of pulses, None where none is known.
    """

    cell_writes: Array
    word_writes: Any
    line_pulses: Any
    clipped: Any
    energy_J: Any

    @property
    def total(self) -> int:
        """The writes (or pulses) of all cells together."""
        return int(self.cell_writes.sum())

    @property
    def most(self) -> int:
        """The writes (or pulses) of the cell that took the most: its endurance is used up first."""
        return int(self.cell_writes.max())


class WriteCounts(NamedTuple):
    """What Wear is made of, integers (1 or members, ...): of pulses, or of writes.

    Every write copies counts of cells: of the last `writes` they stand apart in `recent`, a byte each, beside `cells`.
    """

    cells: Array
    words: Array
    lines: Array
    clipped: Array
    recent: Array = NONE
    writes: int = 0

    @property
    def of_cells(self) -> Array:
        """How often each cell was written or pulsed."""
        if not self.writes:
            return self.cells
        return np.asarray(self.cells + self.recent.reshape(*self.recent.shape[:3], *self.cells.shape[3:]))

    def added(self, more: WriteCounts) -> WriteCounts:
        """The counts of both, of pulses."""
        return WriteCounts(
            self.cells + more.cells, self.words + more.words, self.lines + more.lines, self.clipped + more.clipped
        )

    def wear(self, cell: Cell, members: int | None) -> Wear:
        """The counts as they are told, of a die (None) or of so many."""
        cells = self.of_cells
        pulses = cells.sum(axis=tuple(range(1, cells.ndim)), dtype=np.int64)
        energy_J = None
        if isinstance(cell, PulsedCell) and (cell.pulse_energy_J, cell.line_pulse_energy_J) != (None, None):
            energy_J = (cell.pulse_energy_J or 0) * pulses + (cell.line_pulse_energy_J or 0) * self.lines
        counts = self.words, self.lines, self.clipped
        if members is None:
            words, lines, clipped = (int(v[0]) for v in counts)
            return Wear(cells[0], words, lines, clipped, None if energy_J is None else float(energy_J[0]))
        each = [np.broadcast_to(v, members) for v in counts]
        return Wear(np.broadcast_to(cells, (members, *cells.shape[1:])), each[0], each[1], each[2], energy_J)


def no_writes(array: ArraySpec, codes: Array, *, pulsed: bool) -> WriteCounts:
    """The counts of cells that hold codes (1 or members, rows, cols) and were never written again."""
    a_weight = () if pulsed else cell_digits(codes[:1, :1, :1], array).shape[2:4]
    nothing = np.zeros(len(codes), np.int64)
    return WriteCounts(np.zeros((*codes.shape, *a_weight), np.int32), nothing, nothing, nothing)


def write_digits(
    plan: Floorplan, codes: Array, scale: Array, update: Array | Outer, before: WriteCounts | None
) -> tuple[Array, WriteCounts]:
    """Add an update to weights of codes (1 or members, rows, cols) in steps of scale: codes, and counts of all writes.

    A write rounds to the nearest code, clips at the largest, and writes the cells whose digit changes.
    """
    digits, binary = plan.digits_of_codes, plan.spec.array.weight_bits == 1
    if before is None:
        nothing = np.zeros(1, np.int64)
        before = WriteCounts(np.zeros((1, 1, 1, *digits.shape[1:]), np.int32), nothing, nothing, nothing)
    elif before.writes == MOST_RECENT:
        before = before._replace(cells=before.of_cells, recent=NONE, writes=0)
    of_cells = digits.reshape(len(digits), -1), before.recent
    if isinstance(update, Outer):
        x, delta = _in_codes(update, scale)
        after, recent, changed = rewrite_outer(codes, x, delta, binary, *of_cells)
    else:
        after, recent, changed = rewrite(codes, scale, update, binary, *of_cells)
    words = before.words + changed.sum(axis=1)
    return after, before._replace(words=words, recent=recent, writes=before.writes + 1)


def _in_codes(update: Outer, scale: Array) -> Outer:
    """Factors of a change in codes: float32, whose 24 bits are ample for codes; float64 where products would overflow.

    An element of the change is then at fault by less than samples x 2^-23 of the sum of sizes of its terms.
    """
    x, delta = update.x, update.delta / scale[:, None, None]
    # no sum of products is larger than the product of the norms (Cauchy and Schwarz)
    norms = (math.sqrt(float(np.vdot(factor, factor))) for factor in (x, delta))
    dtype = np.float32 if math.prod(max(norm, 1.0) for norm in norms) < LARGEST else np.float64
    return Outer(*(np.ascontiguousarray(factor, dtype) for factor in (x, delta)))


def code_changes(before: Array, after: Array) -> Array:
    """How many weights of each member have another code: int64 (members,)."""
    return np.asarray((before != after).sum(axis=(1, 2), dtype=np.int64))
