"""Settings and the quick form reach every kind of block, and hide nothing that is wrong."""

from __future__ import annotations

import pytest
from sweeping import cells, ids, value_of
from test_grid_blocks import EVERY_GRID, LIST, RANGES, SAMPLE, VARIANTS, WHEN, ZIP

from imcsim.experiment.settings import QUICK_EPOCHS

BITS, ROWS, NOISE = "chip.adc.bits", "chip.array.rows", "chip.cell.read_noise_rel"


def values(plan, path):
    return list(dict.fromkeys(cell.get(path) for cell in cells(plan)))


# ---- one value in place of what is swept


@pytest.mark.parametrize(("grid", "cells_left"), [(RANGES, 3), (ZIP, 4), (SAMPLE, 16)])
def test_a_setting_of_a_swept_path_puts_its_value_in_place_of_all_others(sweep, grid, cells_left):
    plan = sweep(grid, f"{BITS}=9")
    assert values(plan, BITS) == [9]
    assert {value_of(cell, BITS) for cell in plan.cells} == {9}
    assert len(plan.cells) == cells_left


def test_a_setting_of_a_path_in_a_list_is_for_the_combinations_that_have_it(sweep):
    plan = sweep(LIST, f"{BITS}=9")
    assert [cell.get(BITS) for cell in cells(plan)] == [9, 9, None]


def test_a_setting_of_one_path_of_a_sample_leaves_the_others_where_they_are(sweep):
    assert [cell[NOISE] for cell in cells(sweep(SAMPLE, f"{BITS}=9"))] == [cell[NOISE] for cell in cells(sweep(SAMPLE))]


def test_what_a_setting_makes_equal_is_there_once(sweep):
    grid = f'[[grid.zip]]\n"{ROWS}" = [64, 64, 128]\n"{BITS}" = [4, 5, 6]\n'
    assert cells(sweep(grid, f"{BITS}=9")) == [{ROWS: 64, BITS: 9}, {ROWS: 128, BITS: 9}]
    rows = f'[[grid.list]]\ncombinations = [{{ "{BITS}" = 4 }}, {{ "{BITS}" = 5 }}]\n'
    assert cells(sweep(rows, f"{BITS}=9")) == [{BITS: 9}]


def test_a_setting_leaves_out_the_blocks_whose_condition_it_settles(sweep, again):
    plan = sweep(WHEN, "training.optimizer=adam")
    assert cells(plan) == [{"training.optimizer": "adam", "training.learning_rate": 0.003}]
    assert ids(again(plan)) == ids(plan)
    assert len(sweep(WHEN, "training.optimizer=momentum").cells) == 4


def test_blocks_that_hang_on_one_that_is_left_out_are_left_out(sweep, again):
    hanging = f'{WHEN}[[grid.when]]\nif = {{ "training.momentum" = 0.9 }}\n"{BITS}" = [4, 6]\n'
    assert len(sweep(hanging).cells) == 9
    plan = sweep(hanging, "training.optimizer=sgd")
    assert cells(plan) == [{"training.optimizer": "sgd", "training.learning_rate": rate} for rate in (0.01, 0.1)]
    assert ids(again(plan)) == ids(plan)


def test_a_setting_does_not_excuse_a_condition_that_never_held(wrong):
    never = f'{RANGES}[[grid.when]]\nif = {{ "{BITS}" = 5 }}\n"{ROWS}" = [64]\n'
    for settings in ((), (f"{BITS}=8",), (f"{NOISE}=0.1",)):
        (line,) = wrong(never, *settings)
        assert line.startswith(f"study.toml: [grid.when[0].if] {BITS} = 5: is no value of this axis")


def test_a_wrong_setting_of_a_path_in_a_block_is_told_as_such(wrong):
    for grid in (ZIP, LIST, SAMPLE, RANGES):
        assert all(line.startswith("--set: ") for line in wrong(grid, f"{BITS}=99"))


def test_a_setting_inside_or_around_a_path_in_a_block_is_refused(wrong):
    for setting in ("chip.adc={bits=4}", "chip.adc.bits.x=3"):
        (line,) = wrong(ZIP, setting)
        assert f'cannot be set: the study sweeps "{BITS}"' in line


def test_a_list_set_on_a_path_in_a_block_is_told_how_to_sweep_it(wrong):
    for grid in (ZIP, LIST, SAMPLE, RANGES):
        (line,) = wrong(grid, f"{BITS}=[7, 8]")
        assert line.endswith(f"must be one value; to sweep other values, set grid.{BITS}=[7, 8]")


# ---- other values


def test_a_setting_of_the_grid_gives_other_values_where_the_path_stands(sweep):
    assert [(cell[ROWS], cell[BITS]) for cell in cells(sweep(ZIP, f"grid.{BITS}=[7, 8]"))] == [(64, 7), (128, 8)] * 2
    assert values(sweep(RANGES, f"grid.{NOISE}={{log=[1e-2, 1], points=2}}"), NOISE) == [0.01, 1.0]
    assert set(values(sweep(SAMPLE, f"grid.{BITS}=[7, 8]"), BITS)) == {7, 8}
    assert values(sweep(WHEN, "grid.training.momentum=[0.1]"), "training.momentum") == [None, 0.1]
    assert values(sweep(ZIP, "grid.chip.dac.bits=[4, 6]"), "chip.dac.bits") == [4, 6]


def test_a_setting_of_the_grid_cannot_reach_into_a_list_of_combinations(wrong):
    (line,) = wrong(LIST, f"grid.{BITS}=[7, 8]")
    assert "is swept by a list of combinations" in line


# ---- two settings at odds


@pytest.mark.parametrize(
    "settings",
    [
        ("chip.cell.mismatch_sigma_rel=0.1", "chip.cell.sigma_vt_V=0.02"),
        ("chip.cell.sigma_vt_V=0.02", "chip.cell.mismatch_sigma_rel=0.1"),
        ("chip.cell.sigma_vt_V=0.02", "grid.chip.cell.mismatch_sigma_rel=[0.1, 0.2]"),
        ("chip.cell.swing_V=0.5", "chip.cell.v_bl_min_V=0.2"),
    ],
)
def test_settings_of_which_the_last_would_undo_the_first_are_refused(wrong, settings):
    (line,) = wrong(RANGES, *settings)
    assert line.startswith("--set: ")
    assert "cannot be set together with" in line
    assert "a cell has one of the two" in line


# ---- quick


def test_quick_leaves_three_values_combinations_or_points(sweep):
    ranged = f'[grid]\n"{BITS}" = {{ linear = [4, 7], points = 4 }}\n"{NOISE}" = {{ log = [1e-4, 1], points = 5 }}\n'
    plan = sweep(ranged, quick=True)
    assert values(plan, BITS) == [4, 6, 7]
    assert values(plan, NOISE) == [1e-4, 1e-2, 1.0]
    zipped = f'[[grid.zip]]\n"{ROWS}" = [1, 2, 3, 4, 5]\n"{BITS}" = {{ linear = [4, 8], points = 5 }}\n'
    assert [tuple(cell.values()) for cell in cells(sweep(zipped, quick=True))] == [(1, 4), (3, 6), (5, 8)]
    rows = ", ".join(f'{{ "{BITS}" = {bits} }}' for bits in range(1, 8))
    assert values(sweep(f"[[grid.list]]\ncombinations = [{rows}]\n", quick=True), BITS) == [1, 4, 7]
    sampled = [cell[NOISE] for cell in cells(sweep(SAMPLE))][:3]
    assert [cell[NOISE] for cell in cells(sweep(SAMPLE, quick=True))] == sampled * 2


def test_quick_thins_blocks_under_conditions_and_leaves_out_those_that_never_apply(sweep, again):
    grid = f"""
    [grid]
    "{BITS}" = [4, 5, 6, 7, 8]
    [[grid.when]]
    if = {{ "{BITS}" = 5 }}
    "{NOISE}" = [0.1, 0.2]
    [[grid.when]]
    if = {{ "{BITS}" = [6, 7] }}
    "{ROWS}" = [1, 2, 3, 4, 5]
    """
    plan = sweep(grid, quick=True)
    assert cells(plan) == [{BITS: 4}, *({BITS: 6, ROWS: rows} for rows in (1, 3, 5)), {BITS: 8}]
    assert ids(again(plan)) == ids(plan)


def test_quick_shortens_trainings_that_are_swept(sweep):
    epochs = "training.epochs"
    assert values(sweep(f'[grid]\n"{epochs}" = [5, 20, 50]\n', quick=True), epochs) == [5, QUICK_EPOCHS]
    zipped = f'[[grid.zip]]\n"{epochs}" = [20, 50]\n"{BITS}" = [4, 6]\n'
    assert cells(sweep(zipped, quick=True)) == [{epochs: QUICK_EPOCHS, BITS: bits} for bits in (4, 6)]
    rows = f'[[grid.list]]\ncombinations = [{{ "{epochs}" = 20 }}, {{ "{epochs}" = 50 }}]\n'
    assert cells(sweep(rows, quick=True)) == [{epochs: QUICK_EPOCHS}]
    sample = f'[[grid.sample]]\nmethod = "random"\npoints = 9\n"{epochs}" = {{ log = [1, 1000] }}\n'
    assert all(epoch <= QUICK_EPOCHS for epoch in values(sweep(sample, quick=True), epochs))
    varied = '[variants."long"]\ntraining.epochs = 100\n[variants."short"]\ntraining.epochs = 3\n'
    assert [value_of(cell, epochs) for cell in sweep(varied, quick=True).cells] == [QUICK_EPOCHS, 3]


@EVERY_GRID
def test_the_quick_form_of_every_grid_is_a_smaller_study(sweep, again, grid):
    quick, whole = sweep(grid, quick=True), sweep(grid)
    assert len(quick.cells) <= len(whole.cells)
    assert {axis.path for axis in quick.axes} <= {axis.path for axis in whole.axes}
    assert ids(again(quick)) == ids(quick)


@pytest.mark.parametrize(
    "grid",
    [
        f'[[grid.zip]]\n"{ROWS}" = [1, 2, 3, 4, 5]\n"{BITS}" = [1, 2, 3, 4]\n',
        f'[[grid.sample]]\nmethod = "x"\npoints = 9\n"{BITS}" = {{ choice = [4] }}\n',
        f'[grid]\n"{BITS}" = {{ linear = [8, 4], points = 5 }}\n',
        '[grid]\n"training.epochs" = 50\n',
        f'[[grid.when]]\nif = {{ "{BITS}" = 4 }}\n"{ROWS}" = [1, 2, 3, 4]\n',
        "[[grid.list]]\ncombinations = [1, 2, 3, 4]\n",
    ],
)
def test_quick_hides_nothing_that_is_wrong(wrong, grid):
    assert len(wrong(grid, quick=True)) == len(wrong(grid))


def test_variants_are_no_part_of_what_quick_thins(sweep):
    assert len(sweep(VARIANTS, quick=True).cells) == len(sweep(VARIANTS).cells)
