"""A chip that learns: reads as ChipNetwork gives them, updates through its write path, counts in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from imcsim.datasets import DataSet
from imcsim.datasets import load as load_data
from imcsim.descent import DescentSpec
from imcsim.errors import CapabilityError, SpecError
from imcsim.learning import learn
from imcsim.network.learning_chip import learning_chip
from imcsim.network.losses import cross_entropy
from imcsim.network.mlp import NetworkSpec, initial_mlp
from imcsim.network.on_chip import calibrate
from imcsim.network.protocols import LayerUpdate
from imcsim.rng import child
from imcsim.rules.backprop import hardware_in_the_loop
from imcsim.specs.codec import overlay
from imcsim.specs.compound import TikiTakaV2
from imcsim.specs.dac import OneShotDAC
from imcsim.specs.learning import WritePath
from imcsim.specs.library import load
from imcsim.specs.loss_adc import LossADC
from imcsim.specs.transpose import TransposeRead
from imcsim.updates import Dense, Outer

IDEAL = load("sram_ideal").replace("dac", OneShotDAC(bits=8, out_of_range="clip"))
X = child(0, "samples").uniform(size=(30, 12))
Y = child(0, "labels").integers(0, 4, 30)


def chip(spec=IDEAL, hidden=(9,), key=7):
    start = initial_mlp(NetworkSpec(hidden=hidden, activation="tanh"), 12, 4, child(0, "weights"))
    return learning_chip(start, spec, "cross_entropy", key, child(0, "program")).calibrated(X, Y, child(0, "calibrate"))


def ups(network, size):
    """An update of every weight by `size` steps of the write path, and of no bias."""
    steps = zip(network.shapes, network.write_resolution, strict=True)
    return tuple(LayerUpdate(Dense(np.full(shape, size * step)), np.zeros(shape[1])) for shape, step in steps)


def test_what_is_written_is_what_was_there_and_the_update_in_whole_codes():
    network = chip()
    steps = tuple(3 * step for step in network.write_resolution)
    updates = tuple(
        LayerUpdate(Dense(np.full(s, step)), np.ones(s[1])) for s, step in zip(network.shapes, steps, strict=True)
    )
    after = network.write(updates, child(0, "write"))
    for before, now, step in zip(network.written, after.written, network.write_resolution, strict=True):
        np.testing.assert_allclose(now, np.clip(before + 3 * step, -127 * step, 127 * step), rtol=1e-12)
    assert after.counts().word_writes == sum(
        int((b != n).sum()) for b, n in zip(network.written, after.written, strict=True)
    )


def test_what_the_design_lacks_is_told():
    network = chip()
    with pytest.raises(CapabilityError, match="no transposed read"):
        network.backward(1, Y, child(0, "back"))
    with pytest.raises(CapabilityError, match="no converters for arrays of feedback"):
        network.auxiliary("feedback 1", np.ones((4, 9)), child(0, "auxiliary"))
    with pytest.raises(SpecError, match=r'dac.out_of_range = "error": inputs outgrow'):
        chip(IDEAL.replace("dac.out_of_range", "error"))
    calibrated = TransposeRead(dac=OneShotDAC(bits=8, signed=True), input_step="calibrated")
    for name in ("transpose", "feedback"):
        with pytest.raises(SpecError, match=rf'{name}\.dac\.out_of_range = "error": inputs outgrow'):
            chip(IDEAL.replace(name, calibrated))


def test_an_ensemble_of_dies_is_refused_for_a_list_of_chips():
    with pytest.raises(SpecError, match=r"key = \[7, 8\]: must be the key of one die.*give learn the list"):
        chip(key=[7, 8])


def test_what_pulses_have_written_is_not_told_even_ahead_of_the_first():
    network = chip(load("pulsed_generic").replace("dac", OneShotDAC(bits=8, signed=True, out_of_range="clip")))
    with pytest.raises(CapabilityError, match="nobody knows what pulses have written"):
        _ = network.written
    with pytest.raises(CapabilityError, match="pulses are no steps of one size; leave rounding out"):
        _ = network.write_resolution


def test_the_accumulators_of_a_chip_add_up_what_codes_cannot_hold():
    network = chip(IDEAL.replace("write", WritePath(accumulator_bits=12)).replace("array.weight_headroom", 2.0))
    held = [(layer.codes + kept)[0] for layer, kept in zip(network.chip.layers, network.kept, strict=True)]
    for write in range(40):
        network = network.write(ups(network, 1), child(0, "write", write))
    for layer, kept, before in zip(network.chip.layers, network.kept, held, strict=True):
        np.testing.assert_allclose((layer.codes + kept)[0], before + 40 / 16, atol=1e-9)
        assert np.abs(kept).max() <= 0.5


def test_reads_of_transfers_are_counted_with_the_pulses_of_both_arrays():
    scheme = TikiTakaV2(transfer_rate=0.1, transfer_every=4, reference="exact")
    spec = load("pulsed_generic").replace("dac", OneShotDAC(bits=8, signed=True, out_of_range="clip"))
    network = chip(spec.replace("compound", scheme))
    before, rng = network.counts(), child(0, "factors")
    updates = tuple(
        LayerUpdate(Outer(rng.uniform(0, 1, (10, i)), 0.1 * rng.normal(size=(10, o))), np.zeros(o))
        for i, o in network.shapes
    )
    found = network.write(updates, child(0, "write")).counts().less(before)
    # 10 samples, a transfer every 4: two rows of each fast array, each read at once and converted column by column
    assert (found.array_reads, found.conversions) == (2 * 2, 2 * (9 + 4))
    assert found.cell_writes > 0


# ---- the loss ADC


LOSS_ADC = LossADC(bits=5, full_scale=3.1)


def test_losses_are_read_in_the_levels_of_the_adc_a_sample_or_their_mean():
    exact = chip()
    reads = exact.forward(X, child(0, "read"))
    losses = cross_entropy.value(reads.z[-1], Y)
    np.testing.assert_array_equal(exact.loss(reads, Y, child(0)), losses)
    each = chip(IDEAL.replace("loss_adc", LOSS_ADC)).loss(reads, Y, child(0))
    np.testing.assert_allclose(each, 0.1 * np.clip(np.rint(losses / 0.1), 0, 31), atol=1e-12)
    mean = chip(IDEAL.replace("loss_adc", LOSS_ADC.replace("per_sample", False))).loss(reads, Y, child(0))
    np.testing.assert_allclose(mean, [0.1 * np.rint(losses.mean() / 0.1)], atol=1e-12)


def test_the_noise_of_the_loss_adc_is_drawn_from_the_generator_of_the_read():
    network = chip(IDEAL.replace("loss_adc", LOSS_ADC.replace("noise_lsb", 2.0)))
    reads = network.forward(X, child(0, "read"))
    first, again, other = (network.loss(reads, Y, child(0, stream)) for stream in ("a", "a", "b"))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("per_sample", [True, False])
def test_learning_sees_losses_through_the_adc_and_weights_do_not_depend_on_it(per_sample):
    with_adc = chip(IDEAL.replace("loss_adc", LOSS_ADC.replace("per_sample", per_sample)))
    data = DataSet("made", X, Y, X, Y, 4)
    spec = DescentSpec(epochs=2, batch_size=10, learning_rate=0.05)
    seen, exact = (learn(one, hardware_in_the_loop(), data, spec, child(0, "run")) for one in (with_adc, chip()))
    for one, other in zip(seen.network.written, exact.network.written, strict=True):
        np.testing.assert_array_equal(one, other)  # backprop reads no loss
    for one, other in zip(seen.history.loss, exact.history.loss, strict=True):
        assert one != other
        assert abs(one - other) <= LOSS_ADC.lsb / 2
        assert per_sample or one / LOSS_ADC.lsb == pytest.approx(round(one / LOSS_ADC.lsb))


# ---- several dies


MISMATCHED = IDEAL.replace("cell.mismatch_sigma_rel", 0.3).replace("array.weight_headroom", 2.0)


def several(spec, dies, epochs=2, batch_size=12):
    data = DataSet("made", X, Y, X, Y, 4)
    descent = DescentSpec(epochs=epochs, batch_size=batch_size, learning_rate=0.05, calibrate_every_epochs=1)
    networks = [chip(spec, key=key) for key in range(dies)]
    return learn(networks, hardware_in_the_loop(), data, descent, child(0, "run"))


@pytest.mark.parametrize(
    "path",
    [WritePath(), WritePath(rounding="stochastic"), WritePath(accumulator_bits=12, rounding="stochastic")],
    ids=str,
)
def test_dies_that_learn_together_hold_the_same_weights_and_read_them_differently(path):
    learned = several(MISMATCHED.replace("write", path), 3)
    first, *others = learned.networks
    for other in others:
        for one, same in zip(first.written, other.written, strict=True):
            np.testing.assert_array_equal(one, same)
        assert not np.array_equal(first.forward(X, child(0)).z[-1], other.forward(X, child(0)).z[-1])


def test_resistive_dies_that_learn_together_have_write_errors_of_their_own():
    spec = load("resistive_generic").replace("dac", IDEAL.dac)
    first, second = several(spec, 2).networks
    for one, other in zip(first.chip.layers, second.chip.layers, strict=True):
        np.testing.assert_array_equal(one.codes, other.codes)
        same = one.held.written.target_S == other.held.written.target_S
        assert same.all()
        errors = [(layer.held.written.programmed_S - layer.held.written.target_S).ravel() for layer in (one, other)]
        assert abs(np.corrcoef(errors)[0, 1]) < 5 / np.sqrt(len(errors[0]))


def test_dies_share_the_passes_of_a_batch_and_each_is_calibrated_by_itself():
    learned = several(MISMATCHED, 3)
    # 2 epochs of batches of 12, 12 and 6 samples, a third of each a die; a calibration ahead of each epoch, of all 30
    assert learned.counts.forward_passes == 2 * 30 + 2 * 3 * 30
    assert learned.passes_in_turn == 2 * (4 + 4 + 2) + 2 * 30
    ranges = [[layer.ranges[0].lsb for layer in one.chip.layers] for one in learned.networks]
    assert all(np.shape(lsb) == np.shape(ranges[0]) for lsb in ranges)
    steps = {float(one.chip.layers[1].input_step[0]) for one in learned.networks}
    assert len(steps) == 3, "what arrives at the second layer differs from die to die"


def test_dies_that_were_written_apart_do_not_learn_together():
    one, other = chip(key=0), chip(key=1)
    other = other.write(ups(other, 5), child(0, "write"))
    data = DataSet("made", X, Y, X, Y, 4)
    with pytest.raises(SpecError, match="must be dies that hold the same written weights; program them alike"):
        learn([one, other], hardware_in_the_loop(), data, DescentSpec(epochs=1, batch_size=10), child(0))


@pytest.mark.parametrize(
    "array",
    [{}, {"weight_scale": "given", "weight_limit": 0.5}, {"weight_scale": "given", "weight_limit": 60.0}],
    ids=["of the weights", "a limit that would clip it", "a limit that would leave it a few codes"],
)
def test_a_feedback_array_reads_the_matrix_that_it_was_given(array):
    back = TransposeRead(dac=OneShotDAC(bits=8, signed=True))
    network = chip(overlay(IDEAL, {"array": array}).replace("feedback", back))
    matrix, errors = child(0, "matrix").normal(size=(4, 9)), child(0, "errors").normal(size=(50, 4))
    read = network.auxiliary("feedback 1", matrix, child(0, "auxiliary")).mvm(errors, child(0, "read"))
    exact = errors @ matrix
    assert np.abs(read - exact).max() < 0.05 * np.abs(exact).max()


def losses_of(dies, seed):
    """What so many strongly mismatched dies learn of iris together: the loss on themselves, and on dies never seen."""
    data, start = load_data("iris"), initial_mlp(NetworkSpec(hidden=(8,)), 4, 3, child(seed, "weights"))
    strong = {"cell.mismatch_sigma_rel": 0.6, "array.weight_headroom": 4.0, "write": WritePath(accumulator_bits=16)}
    spec = MISMATCHED
    for path, value in strong.items():
        spec = spec.replace(path, value)
    networks = [
        learning_chip(start, spec, "cross_entropy", 100 * seed + die, child(seed, "program")) for die in range(dies)
    ]
    descent = DescentSpec(epochs=20, batch_size=16, learning_rate=0.02, calibrate_every_epochs=1)
    learned = learn(networks, hardware_in_the_loop(), data, descent, child(seed, "run"))
    unseen = []
    for die in range(16):
        other = calibrate(learned.network.chip.on_die(50_000 + die), data.x_train, child(seed, "calibrate", die))
        z = other.logits(data.x_train, child(seed, "unseen", die))
        unseen.append(cross_entropy.value(z, data.y_train).mean())
    return learned.history.loss[-1], np.mean(unseen)


def test_one_die_learns_its_own_mismatch_and_several_learn_what_dies_have_in_common():
    alone, together = (np.mean([losses_of(dies, seed) for seed in range(3)], axis=0) for dies in (1, 4))
    own, unseen = 0, 1
    assert alone[own] < 0.8 * together[own]
    assert together[unseen] < 0.8 * alone[unseen]
