"""The wires of an array, as data: what a segment of each line resists; imcsim.wires has the behaviour."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

from imcsim.errors import Problem
from imcsim.specs.fields import Spec, limited

MOST_OHM = 1e9  # of a segment or a terminal: an open line, for any cell


@dataclass(frozen=True, kw_only=True)
class IdealWires(Spec):
    """Wires without resistance: every cell sees the whole voltage."""

    kind: ClassVar[str] = "ideal"


@dataclass(frozen=True, kw_only=True)
class ResistiveWires(Spec):
    """Word lines that carry the input voltages to the cells, and bit lines that carry their currents to ground.

    A segment joins neighbouring cells, and the outermost cell to the terminal of its line, which resists besides. Word
    lines are driven ahead of column 0, bit lines are grounded behind the last row of the array, used or not; both, by
    `row_ends` and `col_ends`, at either end.

    The columns of a differential pair lie in arrays of their own ("separate"), side by side on common word lines
    ("interleaved"), or they are one bit line, to which a row driven by +V and one by -V lead ("shared_bit_line").

    `solver`: the exact nodal analysis, or the closed form "dmr" for lines with one end, which replaces the cells that a
    line passes by their mean (`imcsim.wires` states its error).
    """

    kind: ClassVar[str] = "resistive"
    r_row_ohm: float = limited(low=0, high=MOST_OHM, unit="ohm")
    r_col_ohm: float = limited(low=0, high=MOST_OHM, unit="ohm")
    row_terminal_ohm: float = limited(0.0, low=0, high=MOST_OHM, unit="ohm")
    col_terminal_ohm: float = limited(0.0, low=0, high=MOST_OHM, unit="ohm")
    row_ends: Literal["one", "both"] = "one"
    col_ends: Literal["one", "both"] = "one"
    pairs: Literal["separate", "interleaved", "shared_bit_line"] = "separate"
    solver: Literal["nodal", "dmr"] = "nodal"

    def problems(self) -> Iterable[Problem]:
        if self.solver == "dmr":
            for name in ("row_ends", "col_ends"):
                if getattr(self, name) == "both":
                    yield Problem((name,), 'the closed form "dmr" knows one end', '"both"', 'use solver = "nodal"')


@dataclass(frozen=True, kw_only=True)
class GatedWires(Spec):
    """Cells that the input switches on and off: their current comes from a supply line and goes to a bit line.

    Word lines lead to gates and carry no current; the cells of a row with input 0 are off, so that the network differs
    from input to input, and inputs are single bits; each read is solved for. The supply line runs along the row, fed
    ahead of column 0, or along the column, fed at the end across from the bit line's ground; both, by `supply_ends` and
    `col_ends`, at either end.

    `pairs` as in ResistiveWires; with a shared bit line the rows of a pair have supplies +V and -V.

    `solver`: the exact nodal analysis, or aihwkit's closed form, which knows the even segments of a bit line with one
    end and no other resistance (`imcsim.wires` states its error).
    """

    kind: ClassVar[str] = "gated"
    supply: Literal["row", "column"] = "row"
    r_supply_ohm: float = limited(low=0, high=MOST_OHM, unit="ohm")
    r_col_ohm: float = limited(low=0, high=MOST_OHM, unit="ohm")
    supply_terminal_ohm: float = limited(0.0, low=0, high=MOST_OHM, unit="ohm")
    col_terminal_ohm: float = limited(0.0, low=0, high=MOST_OHM, unit="ohm")
    supply_ends: Literal["one", "both"] = "one"
    col_ends: Literal["one", "both"] = "one"
    pairs: Literal["separate", "interleaved", "shared_bit_line"] = "separate"
    solver: Literal["nodal", "aihwkit"] = "nodal"

    def problems(self) -> Iterable[Problem]:
        if self.pairs == "shared_bit_line" and self.supply == "column":
            yield Problem(
                ("pairs",),
                "the cells on one supply line have one sign",
                '"shared_bit_line"',
                'set supply = "row", or keep the columns of a pair apart',
            )
        if self.solver == "nodal":
            return
        known = 'the closed form "aihwkit" knows the segments of bit lines with one end'
        for name in ("r_supply_ohm", "supply_terminal_ohm", "col_terminal_ohm"):
            if getattr(self, name) > 0:
                yield Problem((name,), known, f"{getattr(self, name):g}", 'set it to 0, or solver = "nodal"')
        if self.col_ends == "both":
            yield Problem(("col_ends",), known, '"both"', 'use solver = "nodal"')


Wires = IdealWires | ResistiveWires | GatedWires
