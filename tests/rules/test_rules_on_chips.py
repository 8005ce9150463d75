"""The battery of every registered rule on chips that learn: estimates, bits, counts, and what a chip must have."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rule_cases import LAYERS, SAMPLES, SHAPES, changes, one_step
from rule_chips import DESIGNS, EXACT, batch_for, on_chip, rule_for
from test_rules_conformance import CASES, EVERY_CASE

from imcsim.crossbar import Crossbar
from imcsim.datasets import DataSet
from imcsim.descent import DescentSpec
from imcsim.errors import CapabilityError
from imcsim.learning import learn
from imcsim.network.ideal import IdealNetwork
from imcsim.network.losses import cross_entropy
from imcsim.network.mlp import MLP, gradients
from imcsim.network.protocols import Counts
from imcsim.rng import child
from imcsim.rules.library import FEEDBACK, RULES, learning_rule, rule_options
from imcsim.specs.decorrelation import DigitalDecorrelation
from imcsim.specs.library import load

EVERY_DESIGN = pytest.mark.parametrize("design", DESIGNS)
EVERY_FEEDBACK = pytest.mark.parametrize(("name", "options"), [case for case in CASES if case[0] in FEEDBACK], ids=str)
UNBIASED = pytest.mark.parametrize("name", [name for name, entry in FEEDBACK.items() if entry.unbiased])
BATCH = batch_for(SAMPLES)


def cosine(a, b):
    return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())


# ---- estimates


@UNBIASED
def test_on_a_chip_without_errors_the_estimate_of_an_unbiased_rule_is_the_gradient_at_the_written_weights(name):
    network = on_chip(EXACT)
    found, _, _ = one_step(learning_rule(name), network, BATCH, child(0, "run"))
    mlp = MLP(network.written, network.biases, network.activation)
    weights, biases = gradients(mlp, BATCH.x, BATCH.y, cross_entropy)
    for one, exact in zip(changes(found), [*weights, *biases], strict=True):
        assert cosine(one, exact) >= 0.999
        np.testing.assert_allclose(one, exact, atol=1e-3 * np.abs(exact).max())


@EVERY_FEEDBACK
def test_on_a_chip_without_errors_every_rule_does_what_it_does_on_the_ideal_network(name, options):
    network, rule = on_chip(EXACT), learning_rule(name, options)
    ideal = IdealNetwork(MLP(network.written, network.biases, network.activation), "cross_entropy")
    ours, theirs = (changes(one_step(rule, one, BATCH, child(0, "run"))[0]) for one in (network, ideal))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3 * np.abs(other).max())


@UNBIASED
def test_mismatch_and_noise_take_an_unbiased_rule_off_the_gradient(name):
    network = on_chip(DESIGNS["with mismatch and read noise"])
    found, _, _ = one_step(learning_rule(name), network, BATCH, child(0, "run"))
    mlp = MLP(network.written, network.biases, network.activation)
    weights, _ = gradients(mlp, BATCH.x, BATCH.y, cross_entropy)
    assert 0.5 < min(cosine(one, exact) for one, exact in zip(changes(found)[:LAYERS], weights, strict=True)) < 0.999


# ---- learning


DATA = DataSet("made", *batch_for(90), *batch_for(30, seed=1), SHAPES[-1][1])


@EVERY_DESIGN
@EVERY_CASE
def test_every_rule_learns_a_little_on_every_design(name, options, design):
    spec = DescentSpec(epochs=2, batch_size=30, optimizer="sgd", learning_rate=0.05, calibrate_every_epochs=1)
    network, (rule, told) = on_chip(DESIGNS[design]), rule_for(name, options, SHAPES, 30)
    learned = learn(network, rule, DATA, spec, child(0, "run"))
    assert learned.diverged_at is None
    assert np.isfinite(learned.history.loss).all()
    before, after = network.written, learned.network.written
    assert all((one != other).any() for one, other in zip(before, after, strict=True))
    # 2 epochs of 90 samples, and a calibration ahead of each, of 90 samples in two passes
    assert learned.counts.forward_passes == 2 * 3 * told.forward_passes + 2 * 2 * 90
    changed = sum(int((one != other).sum()) for one, other in zip(before, after, strict=True))
    assert learned.counts.word_writes >= changed


# ---- bits


PROGRAM = """
import hashlib
from rule_chips import digest_of_steps
print(hashlib.sha256(digest_of_steps({cases!r})).hexdigest())
"""


def test_a_step_of_every_rule_has_the_same_bits_on_one_thread_and_on_two():
    printed = []
    for threads in ("1", "2"):
        path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        told = {"NUMBA_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PYTHONPATH": path}
        program = [sys.executable, "-c", PROGRAM.format(cases=CASES)]
        printed.append(subprocess.run(program, env={**os.environ, **told}, capture_output=True, text=True, check=True))
    one, two = (run.stdout.strip() for run in printed)
    assert one == two
    assert len(one) == hashlib.sha256().digest_size * 2


@EVERY_DESIGN
@EVERY_CASE
def test_the_same_generator_gives_the_same_bits(name, options, design):
    network, (rule, _) = on_chip(DESIGNS[design]), rule_for(name, options)
    first, second = (changes(one_step(rule, network, BATCH, child(0, "run"))[0]) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


# ---- counts


# Arrays of 4 x 6 cells; a sample enters in one cycle. Weights of 8 bits are pairs of one cell of 7 bits, so that every
# array of a polarity is read at once, and every column of both is converted.
# (6, 8): 2 tiles of rows x 2 of columns; (8, 5): 2 x 1; (5, 4): 2 x 1
FORWARD = Counts(
    forward_passes=SAMPLES,
    array_reads=SAMPLES * (4 + 2 + 2),
    conversions=SAMPLES * 2 * (2 * 8 + 2 * 5 + 2 * 4),
)
# the same arrays from their columns, 6 in one: (8, 5): the 5 errors enter one tile, the 8 units leave two; (5, 4): 1, 2
BACKWARD = Counts(
    backward_reads=SAMPLES * 2,
    array_reads=SAMPLES * (2 + 2),
    conversions=SAMPLES * 2 * (8 + 5),
)
OF_LAYERS = BACKWARD._replace(backward_reads=0)  # matrices (5, 8) and (4, 5), held as the layers are
OF_OUTPUTS = Counts(array_reads=SAMPLES * (2 + 2), conversions=SAMPLES * 2 * (8 + 5))  # (4, 8) and (4, 5)


@EVERY_CASE
def test_counts_and_stored_scalars_are_those_counted_by_hand(name, options):
    network, (rule, told) = on_chip(DESIGNS["without errors"]), rule_for(name, options)
    _, _, info = one_step(rule, network, BATCH, child(0, "run"))
    passes = told.forward_passes // SAMPLES
    counts = Counts(*(passes * one for one in FORWARD))._replace(random_numbers=told.random_numbers)
    counts = counts.plus(BACKWARD) if told.backward_samples else counts
    if told.auxiliary:
        counts = counts.plus(OF_LAYERS if name == "fa" else OF_OUTPUTS)
    written = info.counts.word_writes  # of weights that have room to move
    assert info.counts == counts._replace(cell_writes=info.counts.cell_writes, word_writes=written)
    assert written <= told.words <= 1.1 * written
    assert written <= info.counts.cell_writes <= 2 * written, "a weight is a pair of cells"
    assert info.stored == told.stored


@EVERY_FEEDBACK
def test_what_is_counted_is_what_was_read(name, options, monkeypatch):
    seen, original = [], {read: getattr(Crossbar, read) for read in ("mvm", "mvm_t")}
    for read in original:

        def call(self, x, *args, _read=read, **kwargs):
            seen.append((_read, self.die.shape, len(x)))
            return original[_read](self, x, *args, **kwargs)

        monkeypatch.setattr(Crossbar, read, call)
    network, rule = on_chip(DESIGNS["without errors"]), learning_rule(name, options)
    state = rule.init(network, child(0, "init"))
    seen.clear()
    rule.step(network, state, BATCH, child(0, "step"))
    forward = [("mvm", shape, SAMPLES) for shape in SHAPES]
    back = []
    if name == "on_chip_backprop" or ("feedback_on" in options and name == "fa"):
        back = [("mvm_t", shape, SAMPLES) for shape in reversed(SHAPES[1:])]
    elif "feedback_on" in options:
        back = [("mvm_t", (units, SHAPES[-1][1]), SAMPLES) for units, _ in reversed(SHAPES[1:])]
    assert seen == forward + back


# ---- what a chip lacks


@EVERY_CASE
def test_a_chip_that_lacks_converters_is_refused_in_init_and_the_remedy_names_their_tables(name, options):
    bare, (rule, _) = on_chip(EXACT.replace("transpose", None).replace("feedback", None)), rule_for(name, options)
    if name == "on_chip_backprop":
        told = (
            r"needs a transpose read.*no transposed read.*; add \[transpose\.dac\].*and \[transpose\.adc\] to the chip"
        )
        with pytest.raises(CapabilityError, match=told):
            rule.init(bare, child(0, "init"))
    elif "feedback_on" in options:
        told = r'auxiliary.*; add \[feedback\.dac\].*\[feedback\.adc\] to the chip, or set feedback_on = "digital"'
        with pytest.raises(CapabilityError, match=told):
            rule.init(bare, child(0, "init"))
    else:
        one_step(rule, bare, BATCH, child(0, "run"))


PULSED = load("pulsed_generic").replace("dac.signed", True).replace("decorrelation", DigitalDecorrelation())


@pytest.mark.parametrize("name", RULES)
def test_pulsed_devices_are_refused_in_init_by_rules_that_need_the_weights_as_written_even_ahead_of_any_write(name):
    pulsed = on_chip(PULSED.replace("transpose", EXACT.transpose))
    rule, _ = rule_for(name, {})
    if "written" in RULES[name].requires(rule_options(name)):
        with pytest.raises(CapabilityError, match=r"as last written.*nobody knows what pulses have written"):
            rule.init(pulsed, child(0, "init"))
    else:
        updates, _, _ = one_step(rule, pulsed, BATCH, child(0, "run"))
        assert pulsed.write(updates, child(0, "write")).counts().cell_writes > 0
