"""What is wrong with a grid is told by block, path and index, all at once."""

from __future__ import annotations

import pytest

BITS, ROWS, NOISE = "chip.adc.bits", "chip.array.rows", "chip.cell.read_noise_rel"

AXIS = f'[grid]\n"{BITS}" = [4, 6]\n'
ZIP = f'[[grid.zip]]\n"{ROWS}" = [64, 128]\n'
WHEN = f'{AXIS}[[grid.when]]\nif = {{ "{BITS}" = 4 }}\n'
SAMPLE = '[[grid.sample]]\nmethod = "sobol"\npoints = 4\n'
SWEPT_TWICE = "sweeps it, too; sweep it once, or under conditions that exclude each other"


def told_of(wrong, grid):
    return [line.removeprefix("study.toml: ") for line in wrong(grid)]


@pytest.mark.parametrize(
    ("zipped", "told"),
    [
        (
            f'"{BITS}" = [5]',
            f'[grid] zip[0]: its paths advance together and must have as many values: "{ROWS}" 2, "{BITS}" 1',
        ),
        (f'"{BITS}" = [5, "x"]', f'[grid.zip[0]] "{BITS}"[1] = "x": must be an integer from 1 to 16'),
        (f'"{BITS}" = []', f"[grid.zip[0]] {BITS} = []: must be a list of at least one value"),
        (f'"{BITS}" = 5', f"[grid.zip[0]] {BITS} = 5: must be a list of at least one value"),
        ('"chip.adc.bts" = [5, 6]', f'[grid.zip[0]] chip.adc.bts: no such path to sweep; did you mean "{BITS}"?'),
        (
            '"chip.array" = [{ rows = 64 }, { rows = 32 }]',
            f'[grid.zip[0]] {ROWS}: lies inside "chip.array", which is swept, too; sweep one of them',
        ),
        (
            f'"{BITS}" = {{ linear = [4, 6], points = 3 }}',
            f'[grid] zip[0]: its paths advance together and must have as many values: "{ROWS}" 2, "{BITS}" 3',
        ),
    ],
)
def test_wrong_linked_axes(wrong, zipped, told):
    assert told_of(wrong, ZIP + zipped) == [told]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (f'{{ "{BITS}" = 40 }}', f"[grid.list[0].combinations[1]] {BITS} = 40: must be an integer from 1 to 16"),
        ('{ "chip.adc" = { bits = 99 } }', '[grid.list[0].combinations[1]] "chip.adc".bits = 99: must be an integer'),
        ("{ chip.adc.bits = 5 }", f"[grid.list[0].combinations[1]] {BITS}: a path is one key: put it in quotes"),
        ("{}", "[grid.list[0]] combinations = ["),
        ("5", "[grid.list[0]] combinations = ["),
        (f'{{ "{BITS}" = 4 }}', f'[grid] list[0]: has a combination twice: {{"{BITS}" = 4}}'),
        (f'{{ "{BITS}" = 4, "chip.adc" = {{ bits = 4 }} }}', f'[grid.list[0]] {BITS}: lies inside "chip.adc"'),
        (
            '{ "chip.cell.mismatch_sigma_rel" = 0.1, "chip.cell.sigma_vt_V" = 0.01 }',
            "[grid.list[0]] chip.cell.sigma_vt_V: cannot be swept together with a given chip.cell.mismatch_sigma_rel",
        ),
    ],
)
def test_a_wrong_combination_of_a_list(wrong, row, told):
    (line,) = told_of(wrong, f'[[grid.list]]\ncombinations = [{{ "{BITS}" = 4 }}, {row}]\n')
    assert line.startswith(told)


def test_combinations_that_exclude_each_other_may_sweep_alternatives(sweep):
    rows = '{ "chip.cell.mismatch_sigma_rel" = 0.1 }, { "chip.cell.sigma_vt_V" = 0.01 }'
    assert len(sweep(f"[[grid.list]]\ncombinations = [{rows}]\n").cells) == 2


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (f'"{BITS}" = [4, 5]', f"{BITS} = [4, 5]: must be drawn from {{ linear = [low, high] }}"),
        (f'"{NOISE}" = {{ linear = [0.1, 0.0] }}', f'"{NOISE}".linear = [0.1, 0.0]: must rise from low to high'),
        (f'"{NOISE}" = {{ linear = [0.1, 0.1] }}', f'"{NOISE}".linear = [0.1, 0.1]: must rise from low to high'),
        (f'"{NOISE}" = {{ log = [0, 0.1] }}', f'"{NOISE}".log = [0, 0.1]: must start above 0'),
        (f'"{NOISE}" = {{ linear = [0.1, inf] }}', f'"{NOISE}".linear = [0.1, inf]: must be two finite numbers'),
        (f'"{NOISE}" = {{ linear = [nan, 0.1] }}', f'"{NOISE}".linear = [nan, 0.1]: must be two finite numbers'),
        (f'"{NOISE}" = {{ linear = [0.1, 3] }}', f'"{NOISE}".linear[1] = 3: must be a finite number from 0 to 2'),
        (
            f'"{NOISE}" = {{ linear = [0.1, 0.2], points = 3 }}',
            f"{NOISE} = {{linear = [0.1, 0.2], points = 3}}: must h",
        ),
        (f'"{BITS}" = {{ linear = [4.5, 8] }}', f'"{BITS}".linear[0] = 4.5: must be an integer from 1 to 16'),
        (f'"{BITS}" = {{ choice = [4, 50] }}', f'"{BITS}".choice[1] = 50: must be an integer from 1 to 16'),
        (f'"{BITS}" = {{ choice = [] }}', f'"{BITS}".choice = []: must be a list of at least one value'),
        ('"chip.array.mapping" = { linear = [0, 1] }', "chip.array.mapping: takes no numbers, and so has no range"),
        ('"chip.dac.signed" = { linear = [0, 1] }', "chip.dac.signed: takes no numbers, and so has no range"),
        ('"network.hidden" = { linear = [1, 9] }', "network.hidden: takes no numbers, and so has no range"),
        ('methd = "sobol"', 'methd: no such path to sweep; did you mean "method"?'),
    ],
)
def test_a_wrong_source_of_a_sample(wrong, source, told):
    (line,) = [line for line in told_of(wrong, SAMPLE + source) if "draws nothing" not in line]
    assert line.startswith(f"[grid.sample[0]] {told}")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"sobol"', '"sobl"', '[grid.sample[0]] method = "sobl": must be one of "sobol", "random"'),
        ('method = "sobol"\n', "", '[grid.sample[0]] method: is missing; must be one of "sobol", "random"'),
        ("points = 4", "points = 0", "[grid.sample[0]] points = 0: must be an integer from 1 to 2000000"),
        ("points = 4", "points = 3_000_000", "[grid.sample[0]] points = 3000000: must be an integer from 1 to 2000000"),
        ("points = 4", "", "[grid.sample[0]] points: is missing; must be an integer from 1 to 2000000"),
    ],
)
def test_a_sample_without_a_known_method_or_a_number_of_points(wrong, old, new, told):
    assert told_of(wrong, SAMPLE.replace(old, new) + f'"{BITS}" = {{ choice = [4, 5] }}\n') == [told]


@pytest.mark.parametrize(
    ("spread", "told"),
    [
        ("linear = [4, 7], points = 3", f"{BITS} = {{linear = [4, 7], points = 3}}: gives 5.5, and {BITS} takes whole"),
        ("linear = [4, 8], points = 9", f"{BITS} = {{linear = [4, 8], points = 9}}: gives 4.5, and {BITS} takes whole"),
        ("linear = [8, 4], points = 3", f'"{BITS}".linear = [8, 4]: must rise from low to high; write [4, 8]'),
        ("linear = [4, 80], points = 3", f'"{BITS}".linear[1] = 80: must be an integer from 1 to 16'),
        ("linear = [4, 8]", f'"{BITS}".points: is missing; must be the number of values, ends included'),
        ("linear = [4, 8], points = 1", f'"{BITS}".points = 1: must be an integer from 2 to 2000000'),
        ("linear = [4, 8], points = true", f'"{BITS}".points = true: must be an integer from 2 to 2000000'),
        ("linear = [4, 8], points = 2_000_001", f'"{BITS}".points = 2000001: must be an integer from 2 to 2000000'),
        ("linear = [4, 8], log = [4, 8], points = 2", f"{BITS} = {{linear = [4, 8], log = [4, 8], points = 2}}: must"),
        ("points = 2", f"{BITS} = {{points = 2}}: must be a range: either linear = [low, high] or log = [low, high]"),
        ("linear = [4, 8, 12], points = 2", f'"{BITS}".linear = [4, 8, 12]: must be two finite numbers, [low, high]'),
        ("log = [0, 8], points = 2", f'"{BITS}".log = [0, 8]: must start above 0; give 0 in a list, or use linear'),
        ("log = [1, inf], points = 2", f'"{BITS}".log = [1, inf]: must be two finite numbers, [low, high]'),
        ("linear = [4, 8], point = 2, points = 2", f'"{BITS}".point: unknown key "point"; did you mean "points"?'),
    ],
)
def test_a_wrong_range(wrong, spread, told):
    (line,) = told_of(wrong, f'[grid]\n"{BITS}" = {{ {spread} }}\n')
    assert line.startswith(f"[grid] {told}")


def test_a_range_whose_values_are_one_to_twelve_digits(wrong):
    (line,) = told_of(wrong, f'[grid]\n"{NOISE}" = {{ linear = [0.1, 0.1000000000001], points = 9 }}\n')
    assert "has values that do not differ in 12 digits" in line


NO_AXIS = "names no axis that stands before this block"
NO_VALUE = "is no value of this axis, so that the condition never holds; known: 4, 6"
NO_TABLE = "must be a table of paths and the values they must have; as in if = { "


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ('if = { "chip.adc.bts" = 4 }', f'[grid.when[0].if] chip.adc.bts: {NO_AXIS}; did you mean "{BITS}"?'),
        ('if = { "chip.dac.bits" = 4 }', f'[grid.when[0].if] chip.dac.bits: {NO_AXIS}; did you mean "{BITS}"?'),
        ("if = { chip.adc.bits = 4 }", f'[grid.when[0].if] chip: {NO_AXIS}; write "{BITS}" in quotes'),
        (f'if = {{ "{BITS}" = 5 }}', f"[grid.when[0].if] {BITS} = 5: {NO_VALUE}"),
        (f'if = {{ "{BITS}" = [4, 5] }}', f"[grid.when[0].if] {BITS} = 5: {NO_VALUE}"),
        (f'if = {{ "{BITS}" = 40 }}', f"[grid.when[0].if] {BITS} = 40: must be an integer from 1 to 16"),
        (f'if = {{ "{BITS}" = [] }}', f"[grid.when[0].if] {BITS} = []: must be a value, or a list of at least one"),
        ("", f"[grid.when[0]] if: {NO_TABLE}"),
        ("if = 4", f"[grid.when[0]] if = 4: {NO_TABLE}"),
        ("if = {}", f"[grid.when[0]] if = {{}}: {NO_TABLE}"),
    ],
)
def test_a_wrong_condition(wrong, condition, told):
    (line,) = told_of(wrong, f'{AXIS}[[grid.when]]\n{condition}\n"{ROWS}" = [64]\n')
    assert line.startswith(told)


@pytest.mark.parametrize(
    ("block", "told"),
    [
        (f'"{BITS}" = [5]', f"[grid.when[0]] {BITS}: is swept by the block whose condition it is; drop one"),
        ("", "[grid] when[0]: sweeps nothing; give it a path of its own, or drop it"),
        (f'"{ROWS}" = [0]', f"[grid.when[0]] {ROWS} = 0: must be an integer from 1 to 1024"),
        ('"chip.adc" = [{ kind = "ideal" }]', f'[grid] {BITS}: lies inside "chip.adc", which is swept, too; sweep one'),
        (f'[[grid.when.when]]\n"{ROWS}" = [64]', "[grid.when[0]] when: no such path to sweep; did you mean"),
    ],
)
def test_a_wrong_block_under_a_condition(wrong, block, told):
    (line,) = told_of(wrong, f"{WHEN}{block}\n")
    assert line.startswith(told)


def test_a_condition_sees_only_what_stands_before_it(wrong):
    later = (
        f'if = {{ "{ROWS}" = 64 }}\n"chip.dac.bits" = [4]\n[[grid.when]]\nif = {{ "{BITS}" = 4 }}\n"{ROWS}" = [64]\n'
    )
    (line,) = told_of(wrong, f"{AXIS}[[grid.when]]\n{later}")
    assert line.startswith(f"[grid.when[0].if] {ROWS}: names no axis that stands before this block")


def test_a_condition_whose_values_never_come_together(wrong):
    never = f'[[grid.when]]\nif = {{ "{ROWS}" = 64, "{BITS}" = 6 }}\n"chip.dac.bits" = [4]\n'
    told = told_of(wrong, f'{ZIP}"{BITS}" = [4, 6]\n{never}')
    assert told == ["[grid.when[0]] if: never holds: no cell has all of these values"]


def test_a_path_is_swept_once_unless_conditions_exclude_each_other(wrong, sweep):
    twice = f"{BITS}: is swept twice: [grid] {SWEPT_TWICE}"
    assert told_of(wrong, f'{AXIS}{ZIP}"{BITS}" = [4, 5]\n') == [f"[grid.zip[0]] {twice}"]
    blocks = f'{WHEN}"{ROWS}" = [64]\n[[grid.when]]\nif = {{ "{BITS}" = OTHER }}\n"{ROWS}" = [128]\n'
    (line,) = told_of(wrong, blocks.replace("OTHER", "[4, 6]"))
    assert line == f"[grid.when[1]] {ROWS}: is swept twice: [grid.when[0]] {SWEPT_TWICE}"
    assert len(sweep(blocks.replace("OTHER", "6")).cells) == 2


@pytest.mark.parametrize("kind", ["zip", "list", "sample", "when"])
@pytest.mark.parametrize("wrongly", ["[grid.KIND]\nx = 1\n", "[grid]\nKIND = []\n", "[grid]\nKIND = 5\n"])
def test_a_block_that_is_no_table_of_its_own(wrong, kind, wrongly):
    (line,) = told_of(wrong, wrongly.replace("KIND", kind))
    assert line.startswith(f"[grid] {kind} = ")
    assert line.endswith(f"must be tables, each under [[grid.{kind}]]")


def test_an_empty_block(wrong):
    assert told_of(wrong, "[[grid.zip]]\n")[0].startswith("[grid] zip[0]: links nothing")
    assert told_of(wrong, "[[grid.list]]\n")[0].startswith("[grid.list[0]] combinations: must be a list of tables")
    assert told_of(wrong, SAMPLE)[0].startswith("[grid] sample[0]: draws nothing")


def test_a_misspelt_block_is_told_the_nearest(wrong):
    assert told_of(wrong, f'[[grid.zipp]]\n"{BITS}" = [4]\n') == [
        '[grid] zipp: no such path to sweep; did you mean "zip"?'
    ]


def test_problems_of_all_blocks_are_told_at_once(wrong):
    told = told_of(
        wrong,
        f'[grid]\n"chip.dac.bits" = [0, 99]\n{ZIP}"{BITS}" = [5]\n{SAMPLE}"{NOISE}" = {{ log = [0, 1] }}\n'
        '[[grid.when]]\nif = { "chip.dac.bit" = 4 }\n"training.epochs" = [0]\n',
    )
    assert len(told) == 6


def test_values_that_cannot_be_together_are_told_where_they_stand(wrong):
    pairs = '[[grid.zip]]\n"chip.cell.v_wl_V" = [0.7, 0.5]\n"chip.cell.v_t_V" = [0.3, 0.6]\n'
    (line,) = told_of(wrong, pairs)
    assert line.startswith('[grid.zip[0]] "chip.cell.v_wl_V"[1] = 0.5: must exceed v_t_V')


def test_values_that_only_together_can_be_are_welcome(sweep):
    """Neither the momentum without its optimizer nor the low threshold's word line could be alone."""
    grid = '[grid]\n"training.optimizer" = ["momentum"]\n"training.momentum" = [0.5, 0.9]\n'
    low = '[[grid.zip]]\n"chip.cell.v_t_V" = [0.2, 0.25]\n"chip.cell.v_wl_V" = [0.3, 0.35]\n'
    assert len(sweep(grid + low).cells) == 4


def test_a_grid_of_too_many_points_is_refused_before_it_is_built(wrong):
    many = "{ linear = [0, 1], points = 20_000 }"
    grid = f'[grid]\n"{NOISE}" = {many}\n"chip.cell.droop_per_V" = {many}\n"chip.adc.noise_lsb" = {many}\n'
    (line,) = told_of(wrong, grid)
    assert line.startswith("replicates = 16000000000000 points: at most 2000000 points a study")


PLOT = '[plot]\nkind = "accuracy_vs_bits"\nx = '


def test_a_plot_along_a_path_that_a_condition_leaves_out_of_some_cells(wrong):
    (line,) = told_of(wrong, f'{WHEN}"{ROWS}" = [64, 128]\n{PLOT}"{ROWS}"\n')
    assert line.startswith(f'[plot] x = "{ROWS}": must be swept in every cell of the grid')


def test_a_plot_in_which_every_cell_would_have_a_figure_to_itself(wrong, sweep):
    sampled = f'{SAMPLE}"{NOISE}" = {{ log = [1e-3, 1e-1] }}\n"{BITS}" = {{ choice = [4, 6] }}\n'
    (line,) = told_of(wrong, f'{sampled}{PLOT}"{BITS}"\n')
    assert line.startswith(f'[plot] x = "{BITS}": every cell would have a figure to itself')
    # the noise tells the points of the sample apart, and an axis beside it crosses them
    assert len(sweep(f'{sampled}{PLOT}"{NOISE}"\n').cells) == 4
    assert len(sweep(f'[grid]\n"{ROWS}" = [64, 128]\n{sampled}{PLOT}"{ROWS}"\n').cells) == 8
