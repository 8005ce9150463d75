"""Conductances: what resistive cells hold from a write to the next, and what a call of reads meets of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from imcsim.cells import resistive
from imcsim.cells.drift import draws_at_write
from imcsim.cells.resistive import Written
from imcsim.kernels import frozen
from imcsim.places import cell_normals
from imcsim.silicon import Silicon
from imcsim.specs.resistive import ResistiveCell

Array = np.ndarray[Any, Any]

_WHOLE = 1e-6  # of a digit: what float32 makes of a nominal one


@dataclass(frozen=True, eq=False)
class Conductances:
    """What the cells of a die were written to: `digits` (members, tiles, rows, polarities, slices, columns), and when.

    `written_s` is a time for all cells, or one a cell. `key` is that of the last write.
    """

    digits: Array
    written: Written
    written_s: Array
    key: int

    @classmethod
    def program(cls, silicon: Silicon, digits: Array, key: int, now_s: float) -> Conductances:
        """Write every cell, whatever it held; errors are drawn for `key` and the die."""
        return cls(digits, _write(silicon, digits, key), np.asarray(now_s, np.float64), key)

    def rewrite(self, silicon: Silicon, digits: Array, key: int, now_s: float) -> Conductances:
        """Write the cells whose digit changed, and no others; they alone forget when they were written."""
        changed = digits != self.digits
        if not changed.any():
            return self
        changed = np.broadcast_to(changed, self.written.target_S.shape)
        written = self.written.where(changed, _write(silicon, digits, key))
        return Conductances(digits, written, np.where(changed, now_s, self.written_s), key)

    def on_die(self, silicon: Silicon, now_s: float) -> Conductances:
        """The same digits, written on another die under the key of the last write."""
        return Conductances.program(silicon, self.digits, self.key, now_s)

    def read(self, silicon: Silicon, now_s: float, keys: Array | None) -> Array:
        """What every cell conducts at `now_s`, in digits; `keys` are those of a call, which its noise is drawn from.

        None: without the noise that is constant within a call. Raises SpecError where the cell cannot be read then.
        """
        cell, plan = _cell(silicon), silicon.plan
        since = now_s - self.written_s
        since_s: Any = float(since) if since.ndim == 0 else since
        g_S = resistive.held(cell, self.written, silicon.stuck, since_s)
        if keys is not None:
            flicker = telegraph = None
            if cell.flicker_noise is not None:
                flicker = cell_normals(plan, list(keys), frozen.READ_FLICKER)
            if silicon.trapped is not None:
                telegraph = cell_normals(plan, list(keys), frozen.READ_TELEGRAPH)
            g_S = resistive.in_call(
                cell,
                g_S,
                self.written,
                since_s,
                flicker_normals=flicker,
                trapped=silicon.trapped,
                telegraph_normals=telegraph,
            )
        found = g_S / cell.span * plan.layout.top.astype(g_S.dtype)[:, None]
        # a cell that holds just what it was told conducts a whole digit, so that sums stay exact
        whole = (self.digits + plan.off_digit[:, None]).astype(g_S.dtype)
        return np.asarray(np.where(np.abs(found - whole) <= _WHOLE * plan.layout.top[:, None], whole, found))


def _write(silicon: Silicon, digits: Array, key: int) -> Written:
    """Every cell written to its digit: on the nominal die to the point, else with the errors of key and die."""
    cell, plan = _cell(silicon), silicon.plan
    states = (digits / plan.layout.top[:, None]).astype(np.float32)
    target_S = np.broadcast_to(resistive.target(cell, states), silicon.currents.shape).astype(np.float32)
    zeros = np.zeros_like(target_S)
    if silicon.keys is None:
        exact = dataclasses.replace(cell, programming=None, drift=None)
        return resistive.write(exact, target_S, lambda _: zeros, zeros)
    keys = silicon.write_keys(key)

    def normals(attempt: int) -> Array:
        return cell_normals(plan, keys, frozen.WRITE + attempt)

    drift = cell_normals(plan, keys, frozen.WRITE_DRIFT) if draws_at_write(cell) else zeros
    return resistive.write(cell, target_S, normals, drift)


def _cell(silicon: Silicon) -> ResistiveCell:
    cell = silicon.spec.cell
    assert isinstance(cell, ResistiveCell)
    return cell
