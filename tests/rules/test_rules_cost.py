"""What the closed forms say that a step of every rule asks for, against what is counted as it runs."""

import pytest
from rule_cases import ON_CHIP, SAMPLES, SHAPES, batch_of, network_of, one_step
from rule_chips import DESIGNS, PERTURBED, batch_for, on_chip

from imcsim.cost import Chip, cost_of, growth_of
from imcsim.cost.growth import powers_of
from imcsim.rng import child
from imcsim.rules.entry import units_of, weights_of
from imcsim.rules.library import IN_FLOAT, RULES, learning_rule, rule_entry, rule_options
from imcsim.specs.array import ArraySpec
from imcsim.specs.dac import BitSerialDAC
from imcsim.specs.decorrelation import DecorrelationArrays
from imcsim.specs.transpose import TransposeRead

CASES = [*((name, {}) for name in RULES), *((name, {"feedback_on": "chip"}) for name in ON_CHIP)]
EVERY_CASE = pytest.mark.parametrize(("name", "options"), CASES, ids=["-".join([n, *o.values()]) for n, o in CASES])

IDEAL = Chip(SHAPES, None, "tanh")
WHOLE = DESIGNS["with mismatch and read noise"]
# slices, cycles, row groups and several arrays a layer, forward and backward
CUT = (
    WHOLE.replace("array", ArraySpec(rows=4, cols=3, rows_parallel=3, weight_bits=8, cell_bits=3, weight_headroom=2.0))
    .replace("dac", BitSerialDAC(bits=4, signed=True, out_of_range="clip"))
    .replace("transpose", TransposeRead(dac=BitSerialDAC(bits=3, signed=True, out_of_range="clip"), adc=WHOLE.adc))
    .replace(
        "decorrelation", DecorrelationArrays(dac=BitSerialDAC(bits=5, out_of_range="clip", signed=True), adc=WHOLE.adc)
    )
)


def told_of(name, options, chip, samples=SAMPLES):
    return cost_of(rule_entry(name), rule_options(name, options), chip, samples)


def assert_counted(told, info):
    counts = info.counts
    assert (told.forward_passes, told.backward_reads) == (counts.forward_passes, counts.backward_reads)
    assert (told.array_reads, told.conversions) == (counts.array_reads, counts.conversions)
    assert (told.stored, told.random_numbers) == (info.stored, counts.random_numbers)


@EVERY_CASE
def test_on_the_ideal_chip_the_cost_is_what_a_step_counts(name, options):
    network = network_of()
    _, _, info = one_step(learning_rule(name, options), network, batch_of(network), child(0, "run"))
    told = told_of(name, options, IDEAL)
    assert_counted(told, info)
    # every weight moves: perturbations there and back, and the update is the rest
    assert told.word_writes == told.cell_writes == info.counts.word_writes + weights_of(SHAPES)


@pytest.mark.parametrize("spec", [WHOLE, CUT], ids=["whole", "cut"])
@EVERY_CASE
def test_on_an_sram_chip_the_cost_is_what_a_step_counts(name, options, spec):
    network, options = on_chip(spec), {**PERTURBED.get(name, {}), **options}
    _, _, info = one_step(learning_rule(name, options), network, batch_for(SAMPLES), child(0, "run"))
    told = told_of(name, options, Chip(SHAPES, spec, "tanh"))
    assert_counted(told, info)
    assert info.counts.word_writes <= told.word_writes - weights_of(SHAPES)
    assert info.counts.cell_writes <= told.cell_writes - weights_of(SHAPES) * Chip(SHAPES, spec, "tanh").cells_a_weight


def test_a_write_of_every_weight_writes_no_more_cells_than_told():
    from imcsim.network.protocols import LayerUpdate
    from imcsim.updates import Dense

    network, rng = on_chip(CUT), child(0, "update")
    far = tuple(LayerUpdate(Dense(rng.choice([-9.0, 9.0], shape)), 0.0) for shape in SHAPES)
    wrote = network.write(far, child(0, "write")).counts()
    told = told_of("np", {}, Chip(SHAPES, CUT, "tanh"))
    assert wrote.word_writes == told.word_writes
    # 7 bits of magnitude in slices of 3, 3 and 1, of both signs: most of them move
    assert 0.5 * told.cell_writes < wrote.cell_writes <= told.cell_writes == 6 * told.word_writes


def test_writes_of_decorrelation_matrices_are_told_where_they_are_on_arrays():
    options, entries = {"decorrelation": {"rate": 1.0}}, sum(inputs**2 for inputs, _ in SHAPES)
    for spec, most in ((WHOLE, 0), (CUT, entries)):
        told = told_of("dnp", options, Chip(SHAPES, spec, "tanh"))
        assert told.word_writes - weights_of(SHAPES) == most
        rule = learning_rule("dnp", options)
        _, _, info = one_step(rule, on_chip(spec), batch_for(SAMPLES), child(0, "run"))
        assert 0.3 * most <= info.counts.word_writes <= most, "all but small ones reach a code"
        assert info.counts.cell_writes <= most * Chip(SHAPES, spec, "tanh").cells_a_weight


@pytest.mark.parametrize("name", IN_FLOAT)
def test_a_rule_in_float_asks_nothing_of_the_chip(name):
    told = told_of(name, {}, Chip(SHAPES, WHOLE, "tanh"))
    assert (told.array_reads, told.conversions, told.word_writes, told.cell_writes) == (0, 0, 0, 0)
    assert told.multiplications > 0


def test_what_a_chip_lacks_is_told_in_place_of_its_reads():
    bare = WHOLE.replace("transpose", None).replace("feedback", None)
    for name, options, lacks in (
        ("on_chip_backprop", {}, "the design has no transposed read"),
        ("dfa", {"feedback_on": "chip"}, "the design has no converters for arrays of feedback"),
    ):
        told = told_of(name, options, Chip(SHAPES, bare, "tanh"))
        assert told.lacks == (lacks,)
        assert (told.array_reads, told.conversions) == (None, None)
    assert told_of("np", {}, Chip(SHAPES, bare, "tanh")).lacks == ()


# The table of the SRC report (learning_rules.md, section 1.4): one sample, no biases, N weights and n nodes.


N, NODES = weights_of(SHAPES), units_of(SHAPES)
FIRST = SHAPES[0][0] * SHAPES[0][1]  # nothing is sent back to the inputs, which the report's 3 N does not take off


@pytest.mark.parametrize("name", ["hardware_in_the_loop", "on_chip_backprop"])
def test_backprop_takes_three_multiplications_a_weight_and_holds_two_scalars_a_node(name):
    told = told_of(name, {}, IDEAL, samples=1)
    assert told.forward_passes == 1
    assert told.multiplications == 3 * N - FIRST
    # 2 n + N with the update; the report counts outputs where the first layer holds inputs
    assert told.stored + told.weights == 2 * NODES + N + (SHAPES[0][0] - SHAPES[-1][1])


def test_perturbing_nodes_in_turn_takes_a_pass_a_node_and_n_plus_2_multiplications_a_weight():
    told = told_of("np_sequential", {}, IDEAL, samples=1)
    assert told.forward_passes == NODES + 1
    assert told.multiplications == N * (NODES + 2)
    # the report updates after each node, and holds n + N; here the slopes of all nodes and a loss wait for the update
    ends = SHAPES[0][0] - SHAPES[-1][1]
    assert told.stored + told.weights == (NODES + N + ends) + (NODES + 1)


def test_perturbing_weights_in_turn_takes_a_pass_a_weight_and_n_plus_2_multiplications_a_weight():
    told = told_of("wp_sequential", {}, IDEAL, samples=1)
    biases = NODES  # which the report has not: a pass each, and a slope
    assert told.forward_passes - biases == N + 1
    assert told.multiplications - biases * N == N * (N + 2)
    # the slopes that it holds are the update, and a loss to compare with
    assert told.stored - biases == N + 1


@pytest.mark.parametrize(
    ("name", "multiplications", "order"),
    [("hardware_in_the_loop", "N", 2), ("np_sequential", "N n", 3), ("wp_sequential", "N^2", 4)],
)
def test_multiplications_are_of_the_second_third_and_fourth_order_in_the_nodes(name, multiplications, order):
    entry = rule_entry(name)
    assert growth_of(entry, entry.options(), IDEAL)["multiplications"] == multiplications
    wider, _ = powers_of(entry, entry.options(), IDEAL)["multiplications"]
    assert round(wider) == order


@pytest.mark.parametrize(("name", "options"), [*CASES, *((name, {}) for name in IN_FLOAT)], ids=str)
def test_every_cost_grows_by_whole_powers_of_width_and_depth(name, options):
    powers = powers_of(rule_entry(name), rule_options(name, options), Chip(SHAPES, None, "tanh"))
    for quantity, found in powers.items():
        assert found is None or all(abs(power - round(power)) < 0.1 for power in found), (quantity, found)
