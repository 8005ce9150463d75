"""Noise-based learning: the equation, sources that the rule knows nothing of, and digits under read noise."""

import dataclasses

import numpy as np
import pytest
from rule_cases import SAMPLES, SHAPES, batch_of, changes, network_of, one_step
from rule_chips import DESIGNS, batch_for, on_chip

from imcsim.datasets import load
from imcsim.descent import DescentSpec
from imcsim.errors import CapabilityError, SpecError
from imcsim.experiment.learnable import learning_problems
from imcsim.learning import learn
from imcsim.network.mlp import NetworkSpec, initial_mlp
from imcsim.network.noisy import InjectionSpec, NoisyNetwork
from imcsim.rng import child
from imcsim.rules.library import RULES, learning_rule, rule_options
from imcsim.rules.seen import MOST_UNSEEN
from imcsim.rules.tunnel_junctions import TunnelJunctions, first_states
from imcsim.specs.library import load as load_chip
from imcsim.specs.loss_adc import LossADC
from imcsim.training import TrainingSpec

READ_NOISE = {"source": {"kind": "read_noise"}}


class Watched:
    """A network that remembers what its passes showed, and their losses."""

    def __init__(self, network):
        self.network, self.reads, self.losses, self.nodes = network, [], [], []

    def __getattr__(self, name):
        return getattr(self.network, name)

    def forward(self, x, rng, *, nodes=None, now_s=0.0):
        self.nodes.append(nodes)
        self.reads.append(self.network.forward(x, rng, nodes=nodes, now_s=now_s))
        return self.reads[-1]

    def loss(self, reads, target, rng):
        self.losses.append(self.network.loss(reads, target, rng))
        return self.losses[-1]


def noisy(network, sigma=0.05):
    return NoisyNetwork(network.mlp, network.loss_name, injected=InjectionSpec(output_noise=sigma))


@pytest.mark.parametrize("options", [{}, READ_NOISE], ids=["junctions", "read noise"])
def test_a_step_is_that_of_the_equation_between_its_two_passes(options):
    watched = Watched(noisy(network_of()))
    found = changes(one_step(learning_rule("nbl", options), watched, batch_of(watched), child(0, "run"))[0])
    (first, second), (before, after) = watched.reads, watched.losses
    dz = [b - a for a, b in zip(first.z, second.z, strict=True)]
    nodes = sum(z.shape[1] for z in dz)
    for layer, change in enumerate(dz):
        expected = np.zeros(SHAPES[layer])
        for b in range(SAMPLES):
            size = sum((one[b] ** 2).sum() for one in dz)
            delta = nodes * (after[b] - before[b]) / size * change[b]
            expected += np.outer(first.a_in[layer][b], delta) / SAMPLES
        np.testing.assert_allclose(found[layer], expected, rtol=1e-9, atol=1e-12)


def test_junctions_are_added_to_the_sums_of_both_passes_and_read_noise_is_added_by_nobody():
    watched = Watched(noisy(network_of()))
    one_step(learning_rule("nbl", READ_NOISE), watched, batch_of(watched), child(0, "run"))
    assert watched.nodes == [None, None]
    watched = Watched(network_of())
    quiet = {"source": {"kind": "tunnel_junctions", "white_noise_V": 0.0, "gain": 2.0}}
    one_step(learning_rule("nbl", quiet), watched, batch_of(watched), child(0, "run"))
    levels = np.unique(np.concatenate([one.ravel() for nodes in watched.nodes for one in nodes]).round(9))
    np.testing.assert_allclose(levels, [2 * (0.0421 - 0.00593), 2 * (0.0421 + 0.00593)])


def test_the_state_of_junctions_goes_on_from_pass_to_pass_and_from_step_to_step():
    still = {"source": {"kind": "tunnel_junctions", "white_noise_V": 0.0, "flip_probability": 1e-12}}
    watched, rule = Watched(network_of()), learning_rule("nbl", still)
    state = rule.init(watched, child(0, "init"))
    for step in range(2):
        _, state, _ = rule.step(watched, state, batch_of(watched), child(0, "step", step))
    expected = first_states(TunnelJunctions(), tuple(units for _, units in SHAPES), child(0, "init")).states
    for nodes in watched.nodes:  # four passes of junctions that never flip
        for added, states in zip(nodes, expected, strict=True):
            np.testing.assert_allclose(added, np.broadcast_to(0.0421 + 0.00593 * states, added.shape))


def test_sums_that_did_not_move_tell_nothing():
    still = {"source": {"kind": "tunnel_junctions", "white_noise_V": 0.0, "flip_probability": 1e-12}}
    network = network_of()
    updates, _, _ = one_step(learning_rule("nbl", still), network, batch_of(network), child(0, "run"))
    assert not any(change.any() for change in changes(updates))


def test_the_mean_over_pairs_of_passes_is_the_mean_of_estimates():
    network, rule = noisy(network_of()), learning_rule("nbl", {**READ_NOISE, "draws": 2})
    watched = Watched(network)
    found = changes(one_step(rule, watched, batch_of(network), child(0, "run"))[0])[0]
    parts = []
    for pair in (0, 2):
        dz = [b - a for a, b in zip(watched.reads[pair].z, watched.reads[pair + 1].z, strict=True)]
        size = sum((one**2).sum(axis=1) for one in dz)
        slope = sum(n for _, n in SHAPES) * (watched.losses[pair + 1] - watched.losses[pair]) / size
        parts.append(watched.reads[pair].a_in[0].T @ (slope[:, None] * dz[0]) / SAMPLES)
    np.testing.assert_allclose(found, (parts[0] + parts[1]) / 2, rtol=1e-9, atol=1e-12)


# ---- where reads draw nothing


@pytest.mark.parametrize(
    "silent", [network_of(), noisy(network_of(), sigma=0.0), on_chip(DESIGNS["without errors"])], ids=str
)
def test_read_noise_of_a_network_that_draws_none_is_refused_in_init(silent):
    rule = learning_rule("nbl", READ_NOISE)
    with pytest.raises(CapabilityError, match=r"learning from read noise needs noise at its reads.*tunnel_junctions"):
        rule.init(silent, child(0, "init"))


def test_a_chip_with_read_noise_is_its_own_teacher_and_its_noise_costs_no_random_numbers():
    network, batch = on_chip(DESIGNS["with mismatch and read noise"]), batch_for(SAMPLES)
    updates, _, info = one_step(learning_rule("nbl", READ_NOISE), network, batch, child(0, "run"))
    assert all(change.any() for change in changes(updates))
    assert info.counts == network.cost(2 * SAMPLES)
    assert info.counts.random_numbers == 0


def test_noise_at_reads_is_required_of_read_noise_alone():
    requires = RULES["nbl"].requires
    assert set(requires(rule_options("nbl", READ_NOISE))) == {"each_loss", "noisy_reads"}
    assert set(requires(rule_options("nbl"))) == {"each_loss"}


def test_a_study_is_told_before_it_runs_that_its_chip_draws_nothing():
    options = rule_options("nbl", READ_NOISE)
    training = TrainingSpec(where="chip", rule="nbl", rule_options=options, epochs=1)
    clipping = load_chip("sram_ideal").replace("dac.out_of_range", "clip")
    (problem,) = learning_problems(training, clipping, 10)
    assert problem.path == ("training", "rule")
    assert "noise at its reads: the design draws nothing" in problem.allowed
    assert not list(learning_problems(training, clipping.replace("cell.read_noise_rel", 0.01), 10))


@pytest.mark.parametrize("source", ["tunnel_junctions", "read_noise"])
def test_noise_of_which_the_loss_adc_shows_nothing_in_a_hundred_steps_is_refused(source):
    rule = learning_rule("nbl", {"source": {"kind": source}})

    def after(steps, adc):
        network = dataclasses.replace(noisy(network_of()), loss_adc=adc)
        state, batch = rule.init(network, child(0, "init")), batch_of(network)
        for number in range(steps):
            _, state, _ = rule.step(network, state, batch, child(0, "step", number))

    blind = LossADC(bits=2, full_scale=1e4)
    after(MOST_UNSEEN - 1, blind)
    told = r"rule_options.source: is a perturbation that the loss ADC cannot see: none of 100 .*; enlarge it"
    with pytest.raises(SpecError, match=told):
        after(MOST_UNSEEN, blind)
    after(MOST_UNSEEN, LossADC(bits=16, full_scale=8.0))
    after(MOST_UNSEEN, None)


# ---- digits, 64-32-10 tanh, Adam 3e-3, batches of 50; sums with read noise of standard deviation 0.1


def accuracy(rule, sigma, seed, epochs):
    start = initial_mlp(NetworkSpec(hidden=(32,), activation="tanh"), 64, 10, child(seed, "weights"))
    network = NoisyNetwork(start, "cross_entropy", injected=InjectionSpec(output_noise=sigma))
    spec = DescentSpec(epochs=epochs, batch_size=50, learning_rate=3e-3)
    return learn(network, rule, load("digits"), spec, child(seed, "learning")).accuracy_test


def under_noise(sigma, seeds, epochs):
    rules = {
        "nbl, read noise": learning_rule("nbl", READ_NOISE),
        "nbl, junctions": learning_rule("nbl"),
        "anp, sigma 0.001": learning_rule("anp", {"sigma": 1e-3}),
        "np, sigma 0.001": learning_rule("np", {"sigma": 1e-3}),
    }
    return {name: np.array([accuracy(rule, sigma, seed, epochs) for seed in seeds]) for name, rule in rules.items()}


def test_in_read_noise_what_is_told_by_sums_learns_and_what_trusts_its_own_small_noise_does_not():
    found = under_noise(0.1, [0], epochs=10)
    assert found["nbl, read noise"] > 0.8
    assert found["nbl, junctions"] > 0.8
    assert found["np, sigma 0.001"] < 0.5


@pytest.mark.slow
def test_in_read_noise_of_a_tenth_noise_based_learning_stays_above_92_percent_where_np_falls_below_half(capsys):
    found = under_noise(0.1, range(5), epochs=40)
    with capsys.disabled():
        print("\ndigits 64-32-10, sums with noise of 0.1 (reference: anp .935 to .941, np .09 to .19):")
        for name, values in found.items():
            print(f"  {name:18} {values.mean():.4f} +- {values.std(ddof=1):.4f} a seed")
    for name in ("nbl, read noise", "nbl, junctions", "anp, sigma 0.001"):
        assert found[name].mean() > 0.92, name
    assert found["np, sigma 0.001"].max() < 0.5
