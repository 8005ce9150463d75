"""Studies of resistive memories: what lies deep in a component is swept, and wires that were not there."""

from __future__ import annotations

import pytest

from imcsim.experiment.study_file import read_study

STUDY = """
name = "resistive"
dataset = "iris"
[network]
hidden = [4]
[chip]
device = "pcm"
[grid]
"""


@pytest.fixture
def plan_of(tmp_path):
    def read(grid):
        (tmp_path / "study.toml").write_text(STUDY + grid)
        return read_study(tmp_path / "study.toml")

    return read


def test_what_lies_deep_in_a_cell_is_swept(plan_of):
    plan = plan_of('"chip.cell.drift.nu_mean.offset" = [0.0, 0.05]\n"chip.cell.t0_s" = [20.0, 40.0]')
    cells = [cell.config["chip"]["cell"] for cell in plan.cells]
    assert [(cell["drift"]["nu_mean"]["offset"], cell["t0_s"]) for cell in cells] == [
        (0.0, 20.0),
        (0.0, 40.0),
        (0.05, 20.0),
        (0.05, 40.0),
    ]
    assert all(cell["drift"]["nu_sigma"] == cells[0]["drift"]["nu_sigma"] for cell in cells)


def test_the_converters_of_a_transposed_read_are_swept(plan_of):
    table = "\n[chip.transpose.dac]\nbits = 6\nsigned = true\n"
    plan = plan_of('"chip.transpose.adc.bits" = [4, 8]\n"chip.transpose.dac.bits" = [5]' + table)
    read = [cell.config["chip"]["transpose"] for cell in plan.cells]
    assert [(one["adc"]["bits"], one["dac"]["bits"], one["dac"]["signed"]) for one in read] == [
        (4, 5, True),
        (8, 5, True),
    ]


def test_wires_are_swept_where_a_chip_had_none(plan_of):
    assert "wires" not in plan_of('"chip.adc.bits" = [6]').cells[0].config["chip"]
    lines = "{r_row_ohm = 1.0, r_col_ohm = 1.0}, {r_row_ohm = 5.0, r_col_ohm = 5.0}"
    plan = plan_of(f'"chip.wires" = [{lines}]')
    assert [cell.config["chip"]["wires"]["r_row_ohm"] for cell in plan.cells] == [1.0, 5.0]
