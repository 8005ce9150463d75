"""perturbed_nodes: planted nodes of known graphs, a stuck ADC column of a network on digits, and what it refuses."""

import dataclasses

import numpy as np
import pytest

from imcsim import NetworkSpec, SpecError, TrainingSpec, calibrate, child, datasets, initial_mlp, load, overlay, train
from imcsim.diagnose import perturbed_nodes
from imcsim.diagnose.perturbed import default_penalties
from imcsim.faults import stuck_adc
from imcsim.network.on_chip import manufactured_network


def graphs(p, planted, rng):
    """Two precision matrices and the nodes in which they differ, after Mohan et al. 2012 (in detail unverified).

    A sparse graph common to both, entries +-[0.3, 0.6]; rows and columns of the planted nodes are drawn anew, and
    denser, in the second; as much is added to both diagonals as makes the least eigenvalue 0.1.
    """

    def drawn(shape, share):
        signs = rng.choice([-1.0, 1.0], shape)
        return (rng.random(shape) < share) * rng.uniform(0.3, 0.6, shape) * signs

    common = np.triu(drawn((p, p), 0.02), 1)
    first = common + common.T
    second, nodes = first.copy(), rng.choice(p, planted, replace=False)
    for node in nodes:
        second[node] = second[:, node] = drawn(p, 0.3)
        second[node, node] = 0.0
    lift = 0.1 - min(np.linalg.eigvalsh(one)[0] for one in (first, second))
    return first + lift * np.eye(p), second + lift * np.eye(p), sorted(nodes.tolist())


def samples_of(precision, n, rng):
    return rng.multivariate_normal(np.zeros(len(precision)), np.linalg.inv(precision), n)


def draws(n, p=60, planted=2):
    for seed in range(10):
        rng = child(seed, "graphs")
        a, b, nodes = graphs(p, planted, rng)
        yield samples_of(a, n, rng), samples_of(b, n, rng), samples_of(a, n, rng), nodes


def test_of_sixty_nodes_the_two_planted_ones_are_found_in_nine_of_ten_draws_of_200_samples():
    found = none = 0
    for a, b, again, nodes in draws(200):
        differ = perturbed_nodes(a, b)
        assert differ.converged
        found += sorted(differ.ranking[:2]) == nodes and set(nodes) <= set(differ.found)
        none += perturbed_nodes(a, again).found == ()
    assert found >= 9
    assert none >= 9, "nothing differs in two samples of one graph"


def test_where_variances_tell_nothing_and_graphs_are_sparse_it_ranks_better_than_correlations_do():
    by_lasso = by_correlations = 0
    for a, b, _, nodes in draws(200):
        moved = np.linalg.norm(np.corrcoef(a.T) - np.corrcoef(b.T), axis=0)
        by_correlations += sorted(np.argsort(-moved)[:2].tolist()) == nodes
        by_lasso += sorted(perturbed_nodes(a / a.std(axis=0), b / b.std(axis=0)).ranking[:2]) == nodes
    assert by_lasso >= 9
    assert by_correlations <= 7


def test_fewer_samples_find_fewer():
    assert sum(sorted(perturbed_nodes(a, b).found) == nodes for a, b, _, nodes in draws(12)) < 5


def test_the_second_chip_may_have_fewer_samples():
    hits = sum(sorted(perturbed_nodes(a, b[:120]).ranking[:2]) == nodes for a, b, _, nodes in draws(300))
    assert hits >= 9


@pytest.fixture(scope="module")
def digits():
    """Hidden activations of a 64-32-10 network on a die, and on it with an ADC column stuck, of other samples."""
    data = datasets.load("digits")
    start = initial_mlp(NetworkSpec(hidden=(32,), activation="tanh"), 64, 10, child(0, "start"))
    spec = TrainingSpec(epochs=20, batch_size=50, learning_rate=3e-3, optimizer="adam")
    mlp = train(start, data, spec, child(0, "train")).mlp
    design = overlay(load("sram8t_65nm"), {"array": {"weight_bits": 6}, "dac": {"signed": True}})
    chip = manufactured_network(mlp, design, 7, child(0, "program"))
    chip = calibrate(chip, data.x_train[:256], child(0, "calibrate"))

    def activations(network, x, key):
        return network.outputs(0, network.sums(0, x, key, 0.0))

    def of(column, slices):
        faulty = stuck_adc(chip.layers[0], column, 0, polarities=[0], slices=slices)
        broken = chip.with_layer(0, faulty)
        return activations(chip, data.x_train[:400], 1), activations(broken, data.x_train[400:800], 2)

    return of


@pytest.mark.parametrize("column", [0, 11, 31])
def test_a_stuck_adc_column_of_a_network_on_digits_is_found(digits, column):
    a, b = digits(column, [3, 4])  # the two most significant slices of one polarity
    differ = perturbed_nodes(a, b)
    assert differ.ranking[0] == column
    assert column in differ.found


def test_a_column_that_does_not_vary_at_all_is_found_and_one_that_never_did_is_left_out():
    rng = child(3, "columns")
    a = rng.standard_normal((300, 12)) @ (np.eye(12) + 0.3 * rng.standard_normal((12, 12)))
    b = a[150:].copy()
    a = a[:150]
    b[:, 4] = 0.1  # stuck: a tenth has a mean of its own rounding
    a[:, 9] = b[:, 9] = 0.7
    differ = perturbed_nodes(a, b)
    assert differ.ranking[0] == 4
    assert differ.norms[4] > 5 * np.delete(differ.norms, 4).max()
    assert differ.constant == (9,)
    assert differ.norms[9] == 0
    assert np.isnan(differ.precision_a[9]).all()
    assert "left out, as they vary on neither chip: 9" in str(differ)
    swapped = perturbed_nodes(b, a)  # stuck on the healthy chip: measured in the other's deviations
    assert swapped.ranking[0] == 4
    assert swapped.scale[4] == pytest.approx(a[:, 4].std())


def test_units_and_offsets_of_the_activations_do_not_matter():
    a, b, _, nodes = next(draws(200))
    rng = child(4, "units")
    unit, offset = rng.uniform(0.01, 100, 60), rng.normal(size=60)
    moved = perturbed_nodes(a * unit + offset, b * unit - offset)
    np.testing.assert_allclose(moved.norms, perturbed_nodes(a, b).norms, atol=1e-6)
    assert sorted(moved.found) == nodes


def test_default_penalties_are_those_of_the_reference_at_its_size_within_an_eighth():
    l1, l2 = default_penalties(200, 200, 60)
    assert l1 / 200 == pytest.approx(0.15, rel=1 / 8)  # learning_rules.md, section 9
    assert l2 / 200 == pytest.approx(1.2, rel=1 / 8)


def test_what_was_not_finished_says_so():
    a, b, _, _ = next(draws(200))
    early = perturbed_nodes(a, b, most_iterations=3)
    assert (early.converged, early.iterations) == (False, 3)
    assert early.gap > 1e-5
    assert "not converged after 3 iterations" in str(early)
    with pytest.raises(dataclasses.FrozenInstanceError):
        early.gap = 0.0


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(SpecError) as error:
        perturbed_nodes(np.zeros((1, 3)), np.full((5, 4), np.nan), l1=-1.0, l2=0.0, tolerance=0.0, most_iterations=0)
    told = [problem.path[0] for problem in error.value.problems]
    wrong = ["activations_a", "activations_b", "activations_b", "l1", "l2", "tolerance", "most_iterations"]
    assert told == wrong
    with pytest.raises(SpecError, match="must vary from sample to sample"):
        perturbed_nodes(np.ones((5, 3)), np.zeros((5, 3)))
