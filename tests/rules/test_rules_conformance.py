"""One battery for every registered rule, on the ideal network: a new rule is tested by being registered."""

import itertools

import numpy as np
import pytest
from rule_cases import (
    LAYERS,
    MEMBERS,
    ON_CHIP,
    SAMPLES,
    SHAPES,
    batch_of,
    changes,
    ensemble,
    network_of,
    one_step,
)

from imcsim.errors import CapabilityError
from imcsim.network.protocols import Counts
from imcsim.rng import child
from imcsim.rules.alignment import gradient_alignment
from imcsim.rules.library import FEEDBACK, PERTURBATION, RULES, learning_rule, rule_options
from imcsim.rules.reference import finite_differences
from imcsim.rules.rule import Batch

PRUNED = {"pruning": {"rate": 0.5}}
CASES = [
    *((name, {}) for name in RULES),
    *((name, {"feedback_on": "chip"}) for name in ON_CHIP),
    *((name, PRUNED) for name in ("hardware_in_the_loop", "on_chip_backprop", "frsf")),
]
EVERY_CASE = pytest.mark.parametrize(
    ("name", "options"), CASES, ids=["-".join([name, *map(str, options)]) for name, options in CASES]
)
# rules that draw need as many draws as leave their mean a thousandth of the gradient's length beside it
DRAWS = {
    "hardware_in_the_loop-pruning": 3000,
    "on_chip_backprop-pruning": 3000,
    "np": 6000,
    "inp": 1000,
    "dnp": 6000,
    "dinp": 1000,
    "zeroth_order": 1500,
    "wp": 20_000,
    "swnp": 1000,
}
# so many perturbations in a step as there would be draws
STEPS = {"mgd": {"tau_x": 5000, "tau_theta": 5000}, "spsa": {"draws": 5000}}
# what perturbs at random has an error left of its mean, 1 - cos = (degrees of freedom) / (2 draws)
COSINE = {
    "np": 0.99,
    "inp": 0.99,
    "dnp": 0.98,
    "dinp": 0.99,
    "wp": 0.9,
    "swnp": 0.99,
    "mgd": 0.99,
    "spsa": 0.99,
    "zeroth_order": 0.99,
}


def alignment_of(name, options):
    network = network_of()
    draws = DRAWS.get("-".join([name, *options]), 16)
    return gradient_alignment(
        learning_rule(name, {**STEPS.get(name, {}), **options}),
        network,
        batch_of(network),
        child(0, "alignment", name),
        draws=draws,
        reference=finite_differences(1e-5),
    )


@pytest.mark.parametrize(("name", "options"), [case for case in CASES if RULES[case[0]].unbiased], ids=str)
def test_the_mean_estimate_of_an_unbiased_rule_is_the_slope_of_the_loss(name, options):
    found = alignment_of(name, options)
    assert found.cosine.min() >= COSINE.get(name, 0.999)
    np.testing.assert_allclose(
        found.norm, found.reference_norm, rtol=0.5 * (1 / COSINE[name] - 1) ** 0.5 if name in COSINE else 0.03
    )


@pytest.mark.parametrize("name", [name for name, entry in FEEDBACK.items() if not entry.unbiased])
def test_the_mean_estimate_of_a_biased_rule_is_not_but_for_the_layer_that_knows_its_own_error(name):
    found = alignment_of(name, {})
    assert found.cosine[:-1].max() < 0.99
    assert found.cosine[-1] >= 0.999


@EVERY_CASE
def test_the_same_generator_gives_the_same_bits(name, options):
    network, rule = network_of(), learning_rule(name, options)
    runs = [changes(one_step(rule, network, batch_of(network), child(0, "run"))[0]) for _ in range(2)]
    for first, second in zip(*runs, strict=True):
        np.testing.assert_array_equal(first, second)


IN_TURN = {"wp_sequential", "np_sequential"}
DRAWING = [
    *(name for name, entry in FEEDBACK.items() if not entry.unbiased and name != "usf"),
    *(name for name in PERTURBATION if name not in IN_TURN),
]


@pytest.mark.parametrize("name", DRAWING)
def test_another_generator_gives_other_bits(name):
    network, rule = network_of(), learning_rule(name)
    first, second = (changes(one_step(rule, network, batch_of(network), child(0, "run", i))[0]) for i in range(2))
    assert not np.array_equal(first[0], second[0])


@EVERY_CASE
def test_updates_have_the_shapes_of_weights_and_biases_and_a_write_takes_them(name, options):
    network = network_of()
    updates, _, _ = one_step(learning_rule(name, options), network, batch_of(network), child(0, "run"))
    assert [array.shape for array in changes(updates)] == [*SHAPES, *((outputs,) for _, outputs in SHAPES)]
    assert network.write(updates, child(0, "write")).shapes == SHAPES


@EVERY_CASE
def test_a_member_of_an_ensemble_has_the_bits_it_has_alone(name, options):
    rule, networks = learning_rule(name, options), [network_of(seed=seed) for seed in range(MEMBERS)]
    batches = [batch_of(network, seed=seed) for seed, network in enumerate(networks)]
    together = Batch(*(np.stack(parts) for parts in zip(*batches, strict=True)))
    streams = [child(seed, "run") for seed in range(MEMBERS)]
    updates, _, info = one_step(rule, ensemble(networks), together, streams)
    for member, (network, batch) in enumerate(zip(networks, batches, strict=True)):
        alone, _, of_one = one_step(rule, network, batch, child(member, "run"))
        assert (info.counts, info.stored) == (of_one.counts, of_one.stored), "they are those of one member"
        for every, one in zip(changes(updates), changes(alone), strict=True):
            np.testing.assert_array_equal(every[member], one)


@EVERY_CASE
def test_members_may_share_a_batch_and_a_generator(name, options):
    network = network_of()
    rule, batch = learning_rule(name, options), batch_of(network)
    updates, _, _ = one_step(rule, ensemble([network] * MEMBERS), batch, child(0, "run"))
    alone, _, _ = one_step(rule, network, batch, child(0, "run"))
    for every, one in zip(changes(updates), changes(alone), strict=True):
        np.testing.assert_array_equal(every, np.broadcast_to(one, every.shape))


class Without:
    """A network that lacks one thing."""

    def __init__(self, network, missing):
        self.network, self.missing = network, missing

    def __getattr__(self, name):
        if name == self.missing:
            raise AttributeError(name)
        return getattr(self.network, name)


WORDS = {
    "each_loss": "the loss of each sample",
    "decorrelate": "decorrelation matrices",
    "written": "the weights as last written|the signs of the weights as last written",
    "backward": "a transpose read",
    "auxiliary": "auxiliary crossbars, .*feedback_on",
}


@pytest.mark.parametrize("missing", WORDS)
@EVERY_CASE
def test_what_a_rule_needs_and_the_network_lacks_is_said_in_init_and_nothing_else_is_asked_for(name, options, missing):
    network, rule = network_of(), learning_rule(name, options)
    lacking = Without(network, missing)
    if missing in RULES[name].requires(rule_options(name, options)):
        with pytest.raises(CapabilityError, match=f"needs ({WORDS[missing]})"):
            rule.init(lacking, child(0, "init"))
    else:
        one_step(rule, lacking, batch_of(network), child(0, "run"))


@EVERY_CASE
def test_counts_and_stored_scalars_are_those_of_the_closed_form(name, options):
    network = network_of()
    _, _, info = one_step(learning_rule(name, options), network, batch_of(network), child(0, "run"))
    told = RULES[name].asks(rule_options(name, options), SHAPES, SAMPLES)
    # on the ideal network a layer or matrix is one array read a sample, and a weight is a cell
    expected = Counts(
        forward_passes=told.forward_passes,
        backward_reads=(LAYERS - 1) * told.backward_samples,
        array_reads=LAYERS * told.forward_passes
        + (LAYERS - 1) * told.backward_samples
        + sum(samples for _, samples in told.auxiliary),
        cell_writes=told.words,
        word_writes=told.words,
        random_numbers=told.random_numbers,
    )
    assert info.counts == expected
    assert info.stored == told.stored


@pytest.mark.parametrize("name", ON_CHIP)
def test_feedback_on_a_crossbar_of_the_ideal_chip_is_the_digital_feedback(name):
    network = network_of()
    digital, chip = (
        changes(one_step(learning_rule(name, options), network, batch_of(network), child(0, "run"))[0])
        for options in ({}, {"feedback_on": "chip"})
    )
    for one, other in zip(digital, chip, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("name", "options"), [case for case in CASES if case[0] in FEEDBACK], ids=str)
def test_a_network_without_hidden_layers_is_sent_nothing_and_learns_its_gradient(name, options):
    network = network_of(SHAPES[:1])
    batch = batch_of(network)
    (update, *rest), _, _ = one_step(learning_rule(name, options), network, batch, child(0, "run"))
    z = batch.x @ network.written[0] + network.biases[0]
    error = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) - np.eye(8)[batch.y]
    np.testing.assert_allclose(changes([update])[0], batch.x.T @ error / SAMPLES, atol=1e-12)
    assert rest == []


def test_every_case_of_the_battery_is_another():
    assert all(one != other for one, other in itertools.combinations(CASES, 2))
    assert len(CASES) > len(RULES)
