"""Wear: what the writes of a crossbar have cost since it was programmed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from imcsim.floorplan import Floorplan
from imcsim.kernels.codes import rewrite
from imcsim.mapping import cell_digits
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import Cell
from imcsim.specs.pulsed import PulsedCell

Array = np.ndarray[Any, Any]


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


class Counts(NamedTuple):
    """What Wear is made of, integers (1 or members, ...)."""

    cells: Array
    words: Array
    lines: Array
    clipped: Array

    def added(self, more: Counts) -> Counts:
        """The counts of both."""
        return Counts(*(mine + others for mine, others in zip(self, more, strict=True)))

    def wear(self, cell: Cell, members: int | None) -> Wear:
        """The counts as they are told, of a die (None) or of so many."""
        pulses = self.cells.sum(axis=tuple(range(1, self.cells.ndim)), dtype=np.int64)
        energy_J = None
        if isinstance(cell, PulsedCell) and (cell.pulse_energy_J, cell.line_pulse_energy_J) != (None, None):
            energy_J = (cell.pulse_energy_J or 0) * pulses + (cell.line_pulse_energy_J or 0) * self.lines
        if members is None:
            words, lines, clipped = (int(v[0]) for v in self[1:])
            return Wear(self.cells[0], words, lines, clipped, None if energy_J is None else float(energy_J[0]))
        each = Counts(*(np.broadcast_to(v, (members, *v.shape[1:])) for v in self))
        return Wear(each.cells, each.words, each.lines, each.clipped, energy_J)


def no_writes(array: ArraySpec, codes: Array, *, pulsed: bool) -> Counts:
    """The counts of cells that hold codes (1 or members, rows, cols) and were never written again."""
    a_weight = () if pulsed else cell_digits(codes[:1, :1, :1], array).shape[2:4]
    nothing = np.zeros(len(codes), np.int64)
    return Counts(np.zeros((*codes.shape, *a_weight), np.int32), nothing, nothing, nothing)


def write_digits(
    plan: Floorplan, codes: Array, scale: Array, delta: Array, before: Counts | None
) -> tuple[Array, Counts]:
    """Add delta to weights of codes (1 or members, rows, cols) in steps of scale: codes, and the counts of all writes.

    A write rounds to the nearest code, clips at the largest, and writes the cells whose digit changes.
    """
    digits = plan.digits_of_codes
    earlier = np.zeros((0,) * 4, np.int32) if before is None else before.cells.reshape(*before.cells.shape[:3], -1)
    binary = plan.spec.array.weight_bits == 1
    after, cells, changed = rewrite(codes, scale, delta, binary, digits.reshape(len(digits), -1), earlier)
    words = changed.sum(axis=1)
    nothing = np.zeros_like(words)
    counts = Counts(cells.reshape(*cells.shape[:3], *digits.shape[1:]), words, nothing, nothing)
    return after, counts if before is None else counts._replace(words=words + before.words)


def code_changes(before: Array, after: Array) -> Array:
    """How many weights of each member have another code: int64 (members,)."""
    return np.asarray((before != after).sum(axis=(1, 2), dtype=np.int64))
