"""What [grid] can hold: each kind of block gives the cells that it says, and every value reaches its cell."""

from __future__ import annotations

import itertools
import tomllib

import pytest
from sweeping import cells, ids, value_of

from imcsim.experiment.cells import Resolver
from imcsim.experiment.design import cell_config
from imcsim.study.canonical import canonical_json

BITS, ROWS, NOISE = "chip.adc.bits", "chip.array.rows", "chip.cell.read_noise_rel"

RANGES = f"""
[grid]
"{BITS}" = {{ linear = [4, 8], points = 3 }}
"{NOISE}" = {{ log = [1e-3, 1e-1], points = 3 }}
"""
ZIP = f"""
[grid]
"chip.array.mapping" = ["offset", "differential"]
[[grid.zip]]
"{ROWS}" = [64, 128]
"{BITS}" = {{ linear = [5, 6], points = 2 }}
"""
LIST = f"""
[[grid.list]]
combinations = [
    {{ "{ROWS}" = 64, "{BITS}" = 5 }},
    {{ "{ROWS}" = 128, "{BITS}" = 6, "{NOISE}" = 0 }},
    {{ "chip.adc" = {{ kind = "ideal" }} }},
]
"""
SAMPLE = f"""
[grid]
"chip.array.weight_bits" = [2, 4]
[[grid.sample]]
method = "sobol"
points = 8
"{NOISE}" = {{ log = [1e-3, 1e-1] }}
"chip.adc.noise_lsb" = {{ linear = [0, 1] }}
"{BITS}" = {{ choice = [4, 5, 6] }}
"{ROWS}" = {{ linear = [32, 128] }}
"""
WHEN = """
[grid]
"training.optimizer" = ["sgd", "momentum", "adam"]
[[grid.when]]
if = { "training.optimizer" = "momentum" }
"training.momentum" = [0.5, 0.9]
[[grid.when]]
if = { "training.optimizer" = ["sgd", "momentum"] }
"training.learning_rate" = { log = [0.01, 0.1], points = 2 }
[[grid.when]]
if = { "training.optimizer" = "adam" }
"training.learning_rate" = [0.003]
"""
DEEP = f"""
[grid]
"training.optimizer" = ["sgd", "adam"]
[[grid.when]]
if = {{ "training.optimizer" = "sgd" }}
"training.batch_size" = [16, 32]
[[grid.when.zip]]
"{ROWS}" = [64, 128]
"{BITS}" = [5, 6]
[[grid.when.sample]]
method = "random"
points = 2
"{NOISE}" = {{ linear = [0, 0.1] }}
[[grid.when.list]]
combinations = [{{ "chip.dac.bits" = 4 }}, {{ "chip.dac.bits" = 6, "chip.dac.signed" = true }}]
"""
PARTIAL = """
[grid]
"chip.adc.bits" = [4, 6]
[[grid.when]]
if = { "chip.adc.bits" = 4 }
"chip.cell.mismatch_sigma_rel" = [0.0, 0.1]
"""
VARIANTS = """
[variants."as it is"]
[variants."SAR"]
chip.adc = { kind = "sar", bits = 6 }
[grid]
"chip.array.weight_bits" = [2, 4]
[[grid.when]]
if = { variant = "SAR" }
"chip.array.rows" = [64, 128]
"""
GRIDS = {
    "ranges": RANGES,
    "zip": ZIP,
    "list": LIST,
    "sample": SAMPLE,
    "when": WHEN,
    "deep": DEEP,
    "partial": PARTIAL,
    "variants": VARIANTS,
    "all": RANGES.replace(BITS, "chip.dac.bits").replace(NOISE, "chip.adc.noise_lsb")
    + ZIP.partition("[[")[1]
    + ZIP.partition("[[")[2]
    + WHEN.replace("[grid]", "[[grid.list]]").replace(
        '"training.optimizer" = ["sgd", "momentum", "adam"]',
        'combinations = [{ "training.optimizer" = "sgd" }, { "training.optimizer" = "momentum" }, '
        '{ "training.optimizer" = "adam", "training.epochs" = 3 }]',
    ),
}
EVERY_GRID = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)


def test_ranges_are_axes_of_equal_steps_or_ratios(sweep):
    assert cells(sweep(RANGES)) == [
        {BITS: bits, NOISE: noise} for bits, noise in itertools.product((4, 6, 8), (1e-3, 1e-2, 1e-1))
    ]


def test_linked_axes_advance_together_and_are_one_factor_of_the_product(sweep):
    assert cells(sweep(ZIP)) == [
        {"chip.array.mapping": mapping, ROWS: rows, BITS: bits}
        for mapping, (rows, bits) in itertools.product(("offset", "differential"), ((64, 5), (128, 6)))
    ]


def test_a_list_has_its_combinations_and_no_others(sweep):
    plan = sweep(LIST)
    assert cells(plan) == [
        {ROWS: 64, BITS: 5},
        {ROWS: 128, BITS: 6, NOISE: 0.0},
        {"chip.adc": {"kind": "ideal"}},
    ]
    assert [value_of(cell, "chip.adc.kind") for cell in plan.cells] == ["uniform", "uniform", "ideal"]
    assert [value_of(cell, ROWS) for cell in plan.cells][:2] == [64, 128]
    assert not plan.is_product


def test_a_block_under_a_condition_multiplies_the_cells_that_fulfil_it(sweep):
    optimizer, momentum, rate = "training.optimizer", "training.momentum", "training.learning_rate"
    plan = sweep(WHEN)
    assert cells(plan) == [
        {optimizer: "sgd", rate: 0.01},
        {optimizer: "sgd", rate: 0.1},
        {optimizer: "momentum", momentum: 0.5, rate: 0.01},
        {optimizer: "momentum", momentum: 0.5, rate: 0.1},
        {optimizer: "momentum", momentum: 0.9, rate: 0.01},
        {optimizer: "momentum", momentum: 0.9, rate: 0.1},
        {optimizer: "adam", rate: 0.003},
    ]
    assert [value_of(cell, momentum) for cell in plan.cells] == [None, None, 0.5, 0.5, 0.9, 0.9, None]
    assert [axis.path for axis in plan.axes] == [optimizer, momentum, rate]
    assert plan.axes[2].values == (0.01, 0.1, 0.003)


def test_a_block_under_a_condition_can_hold_the_other_blocks(sweep):
    found = cells(sweep(DEEP))
    assert len(found) == 2 * 2 * 2 * 2 + 1
    assert found[-1] == {"training.optimizer": "adam"}
    own = [(one["training.batch_size"], one[ROWS], one[BITS], one["chip.dac.bits"]) for one in found[:-1]]
    linked = ((64, 5), (128, 6))
    # the two points of the sample follow the list, which stands before it
    assert own == [
        (size, *both, dac) for size, both, dac in itertools.product((16, 32), linked, (4, 6)) for _ in range(2)
    ]


def test_a_condition_can_name_a_variant(sweep):
    bits = "chip.array.weight_bits"
    assert cells(sweep(VARIANTS)) == [
        {"variant": "as it is", bits: 2},
        {"variant": "as it is", bits: 4},
        {"variant": "SAR", bits: 2, ROWS: 64},
        {"variant": "SAR", bits: 2, ROWS: 128},
        {"variant": "SAR", bits: 4, ROWS: 64},
        {"variant": "SAR", bits: 4, ROWS: 128},
    ]


def test_a_condition_can_ask_for_a_list_where_a_value_is_one(sweep):
    grid = """
    [grid]
    "network.hidden" = [[], [4], [4, 4]]
    [[grid.when]]
    if = { "network.hidden" = CONDITION }
    "training.epochs" = [1, 2]
    """
    assert len(sweep(grid.replace("CONDITION", "[4, 4]")).cells) == 4
    assert len(sweep(grid.replace("CONDITION", "[[4], [4, 4]]")).cells) == 5
    assert len(sweep(grid.replace("CONDITION", "[]")).cells) == 4


def test_a_condition_can_ask_for_a_component(sweep):
    grid = """
    [grid]
    "chip.adc" = [{ kind = "ideal" }, { bits = 6 }]
    [[grid.when]]
    if = { "chip.adc" = { bits = 6 } }
    "chip.array.rows" = [64, 128]
    """
    assert [len(cell.coordinates) for cell in sweep(grid).cells] == [1, 2, 2]


def test_where_a_mismatch_is_swept_in_some_cells_the_others_keep_the_derived_one(sweep, again):
    plan = sweep(PARTIAL)
    assert [value_of(cell, "chip.cell.mismatch_sigma_rel") for cell in plan.cells] == [0.0, 0.1, None]
    assert [value_of(cell, "chip.cell.sigma_vt_V") for cell in plan.cells] == [None, None, 0.0238]
    assert ids(again(plan)) == ids(plan)


@EVERY_GRID
def test_every_value_reaches_its_cell_and_cells_differ(sweep, grid):
    plan = sweep(grid)
    for cell in plan.cells:
        for path, value in cell.coordinates.items():
            found = value_of(cell, path) if path != "variant" else value
            assert (found.items() >= value.items()) if isinstance(value, dict) else found == value
    assert len({cell.text for cell in plan.cells}) == len(plan.cells)


@EVERY_GRID
def test_the_fast_way_to_a_cell_gives_the_text_of_the_design_built_whole(sweep, grid, monkeypatch):
    made = []
    monkeypatch.setattr(Resolver, "__init__", lambda self, *given: (made.append(self), INIT(self, *given))[1])
    plan = sweep(grid)
    problems = []
    for cell in plan.cells:
        design = made[-1].resolved(cell.coordinates, problems)
        assert cell.text == canonical_json(cell_config(design))
    assert problems == []


INIT = Resolver.__init__


@EVERY_GRID
def test_the_text_that_a_plan_keeps_gives_the_same_plan(sweep, again, grid):
    plan = sweep(grid)
    assert ids(again(plan)) == ids(plan)
    assert cells(again(plan)) == cells(plan)
    assert again(plan).config == plan.config
    assert again(plan).toml == plan.toml
    tomllib.loads(plan.toml)


@EVERY_GRID
def test_a_cell_has_no_place_in_its_configuration_so_that_other_grids_reuse_it(sweep, grid):
    plan = sweep(grid)
    if "sample" in grid or "variant" in grid:
        return
    first = plan.cells[0].coordinates
    alone = sweep("\n[grid]\n" + "\n".join(f'"{path}" = [{_toml(value)}]' for path, value in first.items()))
    assert ids(alone) == ids(plan)[: len(alone.points)]


def _toml(value):
    return f'"{value}"' if isinstance(value, str) else value


def test_the_blocks_come_after_the_plain_paths_whatever_their_place_in_the_file(sweep, again):
    turned = f"""
    [grid]
    sample = [{{ method = "random", points = 2, "{NOISE}" = {{ linear = [0, 0.1] }} }}]
    list = [{{ combinations = [{{ "{ROWS}" = 64 }}, {{ "{ROWS}" = 128 }}] }}]
    "{BITS}" = [4, 6]
    """
    plan = sweep(turned)
    assert [axis.path for axis in plan.axes] == [BITS, ROWS, NOISE]
    assert ids(again(plan)) == ids(plan)


def test_replicates_multiply_every_cell_whatever_its_blocks(sweep):
    plan = sweep(WHEN, "replicates.dies=3", "replicates.reads=2")
    assert len(plan.points) == len(plan.cells) * 2 * 3 * 2
    assert set(ids(sweep(WHEN))) < set(ids(plan))
