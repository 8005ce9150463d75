"""Where lines and cells lie: the physical arrays of conductances, their lines, and what neither can be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from imcsim.errors import SpecError
from imcsim.specs.wires import GatedWires, IdealWires, ResistiveWires, Wires

if TYPE_CHECKING:
    from imcsim.kernels.nodal import Line  # numba is loaded where it is used

Array = np.ndarray[Any, Any]
Unused = tuple[int, int]  # rows and columns behind the last that are used

# Of the voltage that is applied, what the cells must see on average, each weighed by its conductance: below it the
# wires, not the cells, decide on the currents. For linear cells it is the share of the ideal current that arrives.
LEAST_ARRIVAL = 1e-3


def lines_of(wires: ResistiveWires | GatedWires, unused: Unused) -> tuple[Line, Line]:
    """The line ahead of the cells, word line or supply, and the bit line."""
    from imcsim.kernels.nodal import Line

    rows, cols = unused
    if wires.pairs == "shared_bit_line":
        rows *= 2
    if wires.pairs == "interleaved":
        cols *= 2
    if isinstance(wires, GatedWires):
        segment, terminal, ends = wires.r_supply_ohm, wires.supply_terminal_ohm, wires.supply_ends
    else:
        segment, terminal, ends = wires.r_row_ohm, wires.row_terminal_ohm, wires.row_ends
    source, ground = segment + terminal, wires.r_col_ohm + wires.col_terminal_ohm
    behind = source + segment * (rows if along_columns(wires) else cols)
    return (
        Line(segment, source, behind if ends == "both" else math.inf),
        Line(wires.r_col_ohm, ground if wires.col_ends == "both" else math.inf, ground + wires.r_col_ohm * rows),
    )


def along_columns(wires: ResistiveWires | GatedWires) -> bool:
    """Whether the line ahead of the cells runs beside their bit line."""
    return isinstance(wires, GatedWires) and wires.supply == "column"


def laid(wires: ResistiveWires | GatedWires, g: Array) -> Array:
    """The physical arrays (arrays, rows, cols) on which cells g (..., polarities, rows, cols) lie."""
    *_, polarities, rows, cols = g.shape
    if wires.pairs == "separate":
        return np.ascontiguousarray(g.reshape(-1, rows, cols))
    pairs = g.reshape(-1, polarities, rows, cols)
    if wires.pairs == "interleaved":
        return np.moveaxis(pairs, 1, 3).reshape(-1, rows, polarities * cols)
    return np.moveaxis(pairs, 1, 2).reshape(-1, polarities * rows, cols)


def picked_up(wires: ResistiveWires | GatedWires, of_arrays: Array, shape: tuple[int, ...]) -> Array:
    """The inverse of `laid`: (arrays, rows, cols) -> the shape (..., polarities, rows, cols)."""
    *_, polarities, rows, cols = shape
    if wires.pairs == "interleaved":
        of_arrays = np.moveaxis(of_arrays.reshape(-1, rows, cols, polarities), 3, 1)
    elif wires.pairs == "shared_bit_line":
        of_arrays = np.moveaxis(of_arrays.reshape(-1, rows, polarities, cols), 2, 1)
    return np.ascontiguousarray(of_arrays.reshape(shape))


def conductances(wires: Wires, g: Array) -> Array:
    """Conductances as float64, refused where they cannot be."""
    g = np.asarray(g, np.float64)
    paired = not isinstance(wires, IdealWires) and wires.pairs != "separate"
    if g.ndim < 3 or g.shape[-3] not in ((2,) if paired else (1, 2)):
        needed = f'2, as pairs are "{wires.pairs}"' if paired else "1 or 2"  # type: ignore[union-attr]
        raise SpecError.of("g", f"must be (..., polarities, rows, cols), polarities {needed}", f"shape {g.shape}")
    wrong = int((~np.isfinite(g) | (g < 0)).sum())
    if wrong:
        allowed = "conductances must be finite and not negative"
        raise SpecError.of("g", allowed, f"{wrong} of {g.size} are not", "a signed weight is a pair of polarities")
    return g


def check_arrival(arrived: float, ideal: float) -> None:
    """Refuse wires through which next to nothing arrives of what ideal ones would carry."""
    if ideal > 0 and not arrived >= LEAST_ARRIVAL * ideal:
        raise SpecError.of(
            "wires",
            f"next to nothing arrives: of what ideal wires would carry, at least {LEAST_ARRIVAL:g} must",
            given=f"{arrived / ideal:.2g}",
            remedy="lower the resistances, or take smaller arrays or cells that conduct less",
        )
