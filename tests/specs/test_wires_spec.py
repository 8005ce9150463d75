"""Wires as data: what cannot be is refused, with what to do."""

from __future__ import annotations

import pytest

from imcsim.errors import SpecError
from imcsim.specs.wires import GatedWires, ResistiveWires


@pytest.mark.parametrize("name", ["r_row_ohm", "r_col_ohm", "row_terminal_ohm", "col_terminal_ohm"])
@pytest.mark.parametrize("value", [-1.0, float("inf"), float("nan")])
def test_a_resistance_that_cannot_be_is_refused_by_name(name, value):
    with pytest.raises(SpecError, match=f"{name} = .*must be a finite number from 0 to 1e\\+09 \\(ohm\\)"):
        ResistiveWires(**{"r_row_ohm": 1.0, "r_col_ohm": 1.0, name: value})


def test_all_that_is_negative_is_told_at_once():
    with pytest.raises(SpecError) as told:
        GatedWires(r_supply_ohm=-1.0, r_col_ohm=-2.0)
    assert [problem.path for problem in told.value.problems] == [("r_supply_ohm",), ("r_col_ohm",)]


def test_the_closed_form_of_mean_cells_knows_lines_with_one_end():
    with pytest.raises(SpecError, match='row_ends = "both": the closed form "dmr" knows one end; use solver = "nodal"'):
        ResistiveWires(r_row_ohm=1.0, r_col_ohm=1.0, row_ends="both", solver="dmr")


def test_the_closed_form_of_bit_lines_knows_no_other_resistance():
    with pytest.raises(SpecError) as told:
        GatedWires(r_supply_ohm=1.0, r_col_ohm=1.0, col_terminal_ohm=2.0, col_ends="both", solver="aihwkit")
    assert [p.path for p in told.value.problems] == [("r_supply_ohm",), ("col_terminal_ohm",), ("col_ends",)]


def test_one_supply_line_along_a_column_cannot_feed_both_signs():
    with pytest.raises(SpecError, match='pairs = "shared_bit_line": the cells on one supply line have one sign'):
        GatedWires(r_supply_ohm=1.0, r_col_ohm=1.0, supply="column", pairs="shared_bit_line")
