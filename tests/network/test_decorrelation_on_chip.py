"""Decorrelation matrices of a chip: in digital or on arrays, read, written, counted, calibrated and kept with it."""

import dataclasses
import itertools

import numpy as np
import pytest

from imcsim.errors import CapabilityError, SpecError
from imcsim.experiment.kept import held_by, state_of
from imcsim.network.effective import effective_weights, write_slopes
from imcsim.network.ideal import IdealNetwork
from imcsim.network.learning_chip import learning_chip
from imcsim.network.mlp import MLP, NetworkSpec, initial_mlp
from imcsim.network.on_chip import calibrate, program
from imcsim.network.probing import in_turn
from imcsim.network.protocols import Counts, NodesInTurn, WeightsInTurn
from imcsim.rng import child
from imcsim.rules.library import learning_rule
from imcsim.rules.reference import die_gradient, exact_gradient
from imcsim.rules.rule import Batch
from imcsim.specs.adc import IdealADC, UniformADC
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramCell
from imcsim.specs.chip import ChipSpec
from imcsim.specs.codec import overlay, to_table
from imcsim.specs.dac import OneShotDAC
from imcsim.specs.decorrelation import DecorrelationArrays, DigitalDecorrelation
from imcsim.specs.learning import WritePath
from imcsim.specs.library import load

SHAPES = ((6, 8), (8, 5), (5, 4))
SIGNED = OneShotDAC(bits=16, signed=True, out_of_range="clip")


def design(kind, bits=16, adc=None, mismatch=0.0, read_noise=0.0):
    """SRAM without errors but those told; matrices in digital, on arrays (4 x 6 cells, as those of layers), or none."""
    adc, write = adc or IdealADC(), WritePath(accumulator_bits=24)
    dac = dataclasses.replace(SIGNED, bits=bits)
    kinds = {"digital": DigitalDecorrelation(), "arrays": DecorrelationArrays(dac=dac, adc=adc, write=write)}
    return ChipSpec(
        cell=SramCell(mismatch_sigma_rel=mismatch, read_noise_rel=read_noise),
        array=ArraySpec(rows=4, cols=6, weight_bits=bits, cell_bits=8, weight_scale="max", weight_headroom=2.0),
        dac=dac,
        adc=adc,
        write=write,
        decorrelation=kinds.get(kind),
    )


BOTH = pytest.mark.parametrize("kind", ["digital", "arrays"])


def samples(n=40, inputs=6):
    rng = child(0, "samples")
    return Batch(rng.uniform(-1, 1, (n, inputs)), rng.integers(0, 2, n))


def on_chip(spec, activation="tanh", key=7, shapes=SHAPES):
    rng = child(0, "network")
    weights = tuple(rng.uniform(-1, 1, shape) for shape in shapes)
    mlp = MLP(weights, tuple(rng.normal(size=n) for _, n in shapes), activation)
    network = learning_chip(mlp, spec, "cross_entropy", key, child(0, "program"))
    return network.calibrated(*samples(inputs=shapes[0][0]), child(0, "calibrate"))


def some_changes(size=0.2, shapes=SHAPES):
    rng = child(0, "changes")
    return tuple(rng.uniform(-size, size, (n, n)) for n, _ in shapes)


def twin(network):
    """The ideal network that holds what the chip's controller wrote."""
    mlp = MLP(network.written, network.biases, network.activation)
    return IdealNetwork(mlp, network.loss_name, decorrelation=network.decorrelation)


def z_of(network, batch=None):
    return network.forward((batch or samples()).x, child(0, "read")).z[-1]


# ---- reads and writes


@BOTH
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_chip_without_errors_reads_through_its_matrices_what_the_ideal_network_does(kind, activation):
    network = on_chip(design(kind), activation).decorrelate(some_changes(), child(0, "write"))
    network = network.calibrated(*samples(), child(0, "again"))
    np.testing.assert_allclose(z_of(network), z_of(twin(network)), atol=1e-2 * np.abs(z_of(network)).max())
    for held, change in zip(network.decorrelation, some_changes(), strict=True):
        np.testing.assert_allclose(held, np.eye(len(change)) + change, atol=1e-4)
    assert any((entered < 0).any() for entered in network.forward(samples().x, child(0, "read")).a_in[1:])


def test_ahead_of_any_change_digital_matrices_change_no_bit():
    bare, with_them = (
        on_chip(design(None, 8, UniformADC(bits=6, noise_lsb=1.0), 0.1, 0.1)),
        on_chip(design("digital", 8, UniformADC(bits=6, noise_lsb=1.0), 0.1, 0.1)),
    )
    np.testing.assert_array_equal(z_of(bare), z_of(with_them))
    assert bare.cost(10) == with_them.cost(10)
    rule = learning_rule("np")
    for one, other in zip(
        *(
            rule.step(net, rule.init(net, child(0, "init")), samples(), child(0, "step"))[0]
            for net in (bare, with_them)
        ),
        strict=True,
    ):
        np.testing.assert_array_equal(one.weights.delta, other.weights.delta)


@BOTH
def test_what_is_evaluated_of_a_chip_goes_through_its_matrices(kind):
    network = on_chip(design(kind)).decorrelate(some_changes(), child(0, "write"))
    network = network.calibrated(*samples(), child(0, "again"))
    np.testing.assert_allclose(network.chip.logits(samples().x, child(0, "test")), z_of(network), atol=1e-9)


def test_a_matrix_on_arrays_is_read_with_the_mismatch_of_the_die():
    exact, die, other = (
        on_chip(design("arrays", mismatch=sigma), key=key) for sigma, key in ((0, 7), (0.2, 7), (0.2, 8))
    )
    x, keys = samples().x, 5
    ideal, found, elsewhere = (one.chip.entering(0, x, keys, 0.0) for one in (exact, die, other))
    np.testing.assert_allclose(ideal, x, atol=1e-2)  # the identity
    sigma = np.sqrt(np.mean((found / ideal - 1)[np.abs(ideal) > 0.1] ** 2))
    assert 0.1 < sigma < 0.3
    assert np.abs(found - elsewhere).max() > 0.05


def test_changes_below_half_a_code_wait_in_the_accumulators_of_the_matrices():
    network = on_chip(design("arrays", bits=4))
    code = 2.0 / 7  # of the identity with a headroom of 2: +-7 codes
    held = network.decorrelation[0]
    for count in range(1, 6):
        change = tuple(np.full((n, n), 0.11 * code) for n, _ in SHAPES)
        network = network.decorrelate(change, child(0, "write", count))
        off = network.decorrelation[0][0, 1] - held[0, 1]
        assert off == pytest.approx(code * (count * 0.11 > 0.5))


# ---- counts


# Arrays of 4 x 6 cells, one cycle, a pair of two slices (8 + 7 bits): reads are of tiles x 2 slices
def tiles(rows, cols):
    return -(-rows // 4) * -(-cols // 6)


def test_reads_and_writes_of_matrices_on_arrays_are_counted_and_digital_ones_ask_the_chip_nothing():
    of_layers = 10 * 2 * sum(itertools.starmap(tiles, SHAPES))
    of_matrices = 10 * 2 * sum(tiles(n, n) for n, _ in SHAPES)
    digital, arrays = on_chip(design("digital")), on_chip(design("arrays"))
    assert digital.cost(10) == Counts(forward_passes=10, array_reads=of_layers)
    assert arrays.cost(10) == Counts(forward_passes=10, array_reads=of_layers + of_matrices)
    # a calibration reads each matrix once and each layer but the last
    assert digital.calibration_cost(10) == Counts(
        forward_passes=10, array_reads=10 * 2 * sum(itertools.starmap(tiles, SHAPES[:-1]))
    )
    more = arrays.calibration_cost(10).less(digital.calibration_cost(10))
    assert more == Counts(array_reads=of_matrices)
    change = tuple(np.where(np.eye(n, k=1), 0.5, 0.0) for n, _ in SHAPES)
    written = arrays.decorrelate(change, child(0, "write")).counts().less(arrays.counts())
    assert written.word_writes == sum(n - 1 for n, _ in SHAPES)
    assert written.cell_writes >= written.word_writes
    assert digital.decorrelate(change, child(0, "write")).counts() == Counts()


def test_a_step_counts_what_it_read_and_wrote():
    network, rule = on_chip(design("arrays")), learning_rule("dnp", {"decorrelation": {"rate": 0.1}})
    _, _, info = rule.step(network, rule.init(network, child(0, "init")), samples(), child(0, "step"))
    asked, written = network.cost(2 * 40), info.network.counts()
    assert written.word_writes > 0
    drawn = Counts(random_numbers=40 * sum(n for _, n in SHAPES))
    assert info.counts == asked.plus(written).plus(drawn)


# ---- gradients of a die


@BOTH
def test_the_gradient_of_a_die_is_that_of_what_its_matrices_and_its_cells_make(kind):
    network = on_chip(design(kind, mismatch=0.2)).decorrelate(some_changes(), child(0, "write"))
    network, batch = network.calibrated(*samples(), child(0, "again")), samples()
    cells = tuple(effective_weights(layer) for layer in network.chip.layers)
    matrices = network.decorrelation
    if kind == "arrays":
        matrices = tuple(effective_weights(matrix.crossbar) for matrix in network.chip.decorrelation)
        assert max(np.abs(m - w).max() for m, w in zip(matrices, network.decorrelation, strict=True)) > 0.1
    made = IdealNetwork(MLP(cells, network.biases, network.activation), network.loss_name, decorrelation=matrices)
    expected = exact_gradient(made, batch, child(0, "exact"))
    found = die_gradient(1)(network, batch, child(0, "die"))
    for layer, one, slope in zip(network.chip.layers, found, expected, strict=True):
        # 16 bits enter, and what they leave is seen in the fourth digit
        np.testing.assert_allclose(one, slope * write_slopes(layer), atol=1e-3 * np.abs(one).max())


# ---- states, dies, drift


@BOTH
def test_what_is_kept_of_a_chip_has_its_matrices(kind):
    network = on_chip(design(kind, mismatch=0.1)).decorrelate(some_changes(), child(0, "write"))
    again = held_by(state_of(network), on_chip(design(kind, mismatch=0.1)))
    np.testing.assert_array_equal(z_of(again), z_of(network))
    for one, other in zip(again.decorrelation, network.decorrelation, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_programmed_network_takes_its_matrices_to_other_dies():
    mlp = initial_mlp(NetworkSpec(hidden=(8,), activation="tanh"), 6, 4, child(0, "weights"))
    nominal = calibrate(program(mlp, design("arrays", mismatch=0.1), child(0, "program")), samples().x, child(0, "x"))
    one, same, many = (nominal.on_die(key) for key in (3, 3, [3, 4]))
    x = samples().x
    reads = [network.logits(x, child(0, "read")) for network in (one, same)]
    np.testing.assert_array_equal(*reads)
    together = many.logits(x, [child(0, "read"), child(1, "read")])
    np.testing.assert_array_equal(together[0], reads[0])
    assert not np.array_equal(together[1], reads[0])


def test_compensation_undoes_the_drift_of_matrices_too():
    dac = {"signed": True, "out_of_range": "clip"}
    spec = overlay(
        load("pcm"),
        {
            "dac": dac,
            "adc": {"bits": 10},
            "decorrelation": {"kind": "arrays", "dac": dac, "adc": {"bits": 10}},
        },
    )
    network = on_chip(spec).chip
    x, day = samples(200).x, 86400.0
    drifted = network.entering(0, x, 5, day)
    compensated = network.compensate(x, child(0, "probes"), now_s=day)
    restored = compensated.entering(0, x, 5, day)
    gains = [np.sum(one * x) / np.sum(x * x) for one in (drifted, restored)]
    assert gains[0] < 0.8
    assert abs(gains[1] - 1) < 0.1


# ---- specs


def test_a_design_says_its_matrices_in_its_table():
    spec = design("arrays")
    assert to_table(spec)["decorrelation"]["kind"] == "arrays"
    assert overlay(design(None), {"decorrelation": {"kind": "digital"}}).decorrelation == DigitalDecorrelation()


def test_inputs_without_a_sign_cannot_be_decorrelated_ones():
    with pytest.raises(SpecError, match=r"dac.signed = false: decorrelated inputs have signs.*set dac.signed = true"):
        overlay(load("sram_ideal"), {"dac": {"signed": False}, "decorrelation": {"kind": "digital"}})


def test_pulsed_devices_hold_no_matrix_that_anybody_knows():
    pulsed = load("pulsed_generic").replace("dac.signed", True)
    with pytest.raises(SpecError, match=r'decorrelation.kind = "arrays": .*pulses.*set kind = "digital"'):
        overlay(pulsed, {"decorrelation": {"kind": "arrays"}})
    overlay(pulsed, {"decorrelation": {"kind": "digital"}})


def test_what_is_wrong_with_the_converters_of_matrices_is_told_where_they_stand():
    cell = load("sram8t_65nm")
    with pytest.raises(SpecError, match=r"decorrelation.dac.*"):
        overlay(
            cell,
            {"dac": {"signed": True}, "decorrelation": {"kind": "arrays", "dac": {"kind": "one_shot", "signed": True}}},
        )


def test_inputs_of_matrices_that_would_be_refused_while_they_grow_are_refused_at_once():
    spec = design("arrays")
    strict = spec.replace("decorrelation.dac.out_of_range", "error")
    with pytest.raises(SpecError, match=r'decorrelation.dac.out_of_range = "error"'):
        on_chip(strict)


def test_a_chip_without_matrices_says_how_to_have_them():
    told = r"needs decorrelation matrices.*add dac.signed = true and \[decorrelation\] with kind.*, or choose the rule"
    with pytest.raises(CapabilityError, match=told):
        learning_rule("danp").init(on_chip(design(None)), child(0, "init"))


@BOTH
def test_perturbations_one_by_one_are_of_inputs_that_are_decorrelated(kind):
    network = on_chip(design(kind))
    x, y = samples()
    one = NodesInTurn(0.1)
    before = network.probe(x, y, one, child(0, "probe")).losses
    network = network.decorrelate(some_changes(), child(0, "decorrelate"))
    for probes in (one, WeightsInTurn(network.weight_lsb)):
        found = network.probe(x, y, probes, child(0, "probe")).losses
        each = in_turn(network, x, y, probes, child(0, "in turn"), 0.0, network._written_back).losses
        np.testing.assert_allclose(found, each, rtol=1e-9)
    assert np.abs(network.probe(x, y, one, child(0, "probe")).losses - before).max() > 0.02, "another R would be seen"
