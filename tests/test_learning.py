"""The loop that learns on a network: by hand, cut and resumed, on several dies, and when it diverges."""

import dataclasses

import numpy as np
import pytest

from imcsim.datasets import DataSet, load
from imcsim.descent import DescentSpec, StepSchedule
from imcsim.errors import CapabilityError, SpecError
from imcsim.learning import Learned, begin, learn, one_epoch
from imcsim.network.ideal import IdealNetwork
from imcsim.network.losses import cross_entropy
from imcsim.network.mlp import NetworkSpec, gradients, initial_mlp, logits
from imcsim.network.protocols import Counts
from imcsim.rng import child, draw_key
from imcsim.rules.backprop import hardware_in_the_loop, on_chip_backprop
from imcsim.rules.rule import Info, LearningRule
from imcsim.training import StopSpec, accuracy, batches

BACKPROP = hardware_in_the_loop()


def ideal(data, hidden=(8,), loss="cross_entropy"):
    mlp = initial_mlp(NetworkSpec(hidden=hidden), data.x_train.shape[1], data.classes, child(0, "start", data.name))
    return IdealNetwork(mlp, loss)


def iris(epochs=3, dies=1, rule=BACKPROP, stream="run", stop=None, **fields) -> Learned:
    data = load("iris")
    spec = DescentSpec(**{"epochs": epochs, "batch_size": 16, "learning_rate": 0.02, **fields})
    network = ideal(data)
    return learn(network if dies == 1 else [network] * dies, rule, data, spec, child(0, stream), stop)


def parameters(network):
    return np.concatenate([part.ravel() for part in (*network.mlp.weights, *network.mlp.biases)])


def assert_same_run(one, other):
    np.testing.assert_array_equal(parameters(one.network), parameters(other.network))
    assert one.history.loss == other.history.loss
    assert one.history.counts == other.history.counts


# ---- one die


def test_learning_walks_through_every_shuffled_batch_of_every_epoch():
    data = load("iris")
    mlp, key = ideal(data).mlp, draw_key(child(0, "run"))
    for epoch in range(2):
        for rows in batches(len(data.x_train), 50, child(key, "order", epoch)):
            dW, db = gradients(mlp, data.x_train[rows], data.y_train[rows], cross_entropy)
            mlp = dataclasses.replace(
                mlp,
                weights=tuple(w - 0.5 * g for w, g in zip(mlp.weights, dW, strict=True)),
                biases=tuple(b - 0.5 * g for b, g in zip(mlp.biases, db, strict=True)),
            )
    learned = iris(epochs=2, batch_size=50, optimizer="sgd", learning_rate=0.5)
    np.testing.assert_allclose(parameters(learned.network), parameters(IdealNetwork(mlp, "cross_entropy")), rtol=1e-10)


def test_what_the_rule_held_at_most_is_what_the_largest_batch_asked_for():
    learned = iris(epochs=1, batch_size=50, optimizer="sgd", learning_rate=0.5)
    assert learned.stored == 50 * sum(inputs + outputs for inputs, outputs in learned.network.shapes)


def test_on_the_ideal_chip_two_ways_back_are_one():
    there, through = iris(rule=BACKPROP), iris(rule=on_chip_backprop())
    np.testing.assert_allclose(parameters(there.network), parameters(through.network), rtol=1e-10)


@pytest.mark.parametrize("together", [10_000, 7])
def test_the_history_is_what_the_network_reads_after_each_epoch(together, monkeypatch):
    monkeypatch.setattr("imcsim.learning.READ_TOGETHER", together)
    data, learned = load("iris"), iris(epochs=3)
    z = logits(learned.network.mlp, data.x_train)
    assert [len(part) for part in (learned.history.loss, learned.history.accuracy, learned.history.counts)] == [3] * 3
    assert learned.history.loss[-1] == pytest.approx(cross_entropy.value(z, data.y_train).mean())
    assert learned.history.accuracy[-1] == pytest.approx(accuracy(z, data.y_train))
    assert learned.accuracy_test == accuracy(logits(learned.network.mlp, data.x_test), data.y_test)
    assert iris(epochs=2).history.loss == learned.history.loss[:2]


def test_counts_are_those_of_the_rule_and_of_the_writes_and_not_of_assessing():
    data, learned = load("iris"), iris(epochs=2, rule=on_chip_backprop(), optimizer="sgd")
    samples, weights = 2 * len(data.x_train), 4 * 8 + 8 * 3
    steps = 2 * -(-len(data.x_train) // 16)
    assert learned.counts.forward_passes == learned.passes_in_turn == samples
    assert learned.counts.backward_reads == samples  # through the second layer alone
    assert learned.counts.array_reads == 3 * samples
    # a hidden unit that no sample of a batch turns on leaves its weights as they were
    assert 0.8 * steps * weights < learned.counts.word_writes <= steps * weights
    assert learned.history.counts[-1] == learned.counts
    assert learned.history.counts[0].forward_passes == len(data.x_train)


def test_what_was_written_before_a_run_is_not_of_the_run():
    data = load("iris")
    spec = DescentSpec(epochs=1, batch_size=16, optimizer="sgd")
    first = learn(ideal(data), BACKPROP, data, spec, child(0, "first"))
    second = learn(first.network, BACKPROP, data, spec, child(0, "second"))
    both = second.network.counts().word_writes
    assert both == first.counts.word_writes + second.counts.word_writes


def test_the_same_stream_gives_the_same_bits_and_another_stream_others():
    assert_same_run(iris(stream="a"), iris(stream="a"))
    with pytest.raises(AssertionError):
        assert_same_run(iris(stream="a"), iris(stream="b"))


def test_a_run_that_is_cut_goes_on_as_if_it_had_not_been():
    data, network = load("iris"), ideal(load("iris"))
    spec = DescentSpec(epochs=4, batch_size=16, learning_rate=0.02, schedule=StepSchedule(every_epochs=2))
    whole = learn(network, BACKPROP, data, spec, child(0, "run"))
    course = begin(network, BACKPROP, data, spec, child(0, "run"))
    for _ in range(4):
        kept = dataclasses.replace(course)  # all that there is to keep
        course = one_epoch(kept, hardware_in_the_loop(), data, spec)
    np.testing.assert_array_equal(parameters(course.networks[0]), parameters(whole.network))
    assert course.history.loss == whole.history.loss
    assert course.counts == whole.counts


def spying(draws):
    """Backprop that draws so many random numbers a step, and the samples that it was shown."""
    seen = []

    def step(network, state, batch, rng):
        rng.random(draws)
        seen.append(batch.x)
        return BACKPROP.step(network, state, batch, rng)

    return LearningRule(BACKPROP.init, step), seen


def test_rules_share_the_batches_however_much_they_draw():
    (quiet, one), (noisy, other) = spying(0), spying(17)
    iris(rule=quiet)
    iris(rule=noisy)
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)
    assert any(not np.array_equal(one[0], batch) for batch in one[1:])


def test_a_rule_whose_capability_is_missing_is_refused_before_the_first_epoch():
    def init(network, rng):
        raise CapabilityError.of("rule", "needs what is not there")

    with pytest.raises(CapabilityError, match="needs what is not there"):
        begin(ideal(load("iris")), LearningRule(init, None), load("iris"), DescentSpec(), child(0))


def test_a_hopeless_run_ends_where_it_is_asked_with_the_weights_it_has():
    stopped = iris(epochs=6, stop=StopSpec(after_epochs=3, accuracy_below=1.0))
    short = iris(epochs=3)
    assert (stopped.stopped, short.stopped) == (True, False)
    assert_same_run(stopped, short)
    kept = iris(epochs=6, stop=StopSpec(after_epochs=3, accuracy_below=short.history.accuracy[-1]))
    assert (kept.stopped, len(kept.history.loss)) == (False, 6)


# ---- divergence


def diverging(**fields):
    x, labels = np.array([[0.0, 1.0], [1.0, 0.5]]), np.array([0, 1])
    data = DataSet("two samples", x, labels, x, labels, classes=2)
    spec = DescentSpec(**{"optimizer": "sgd", "learning_rate": 10.0, "epochs": 1000, **fields})
    return learn(ideal(data, (), "mse"), BACKPROP, data, spec, child(0, "diverge"))


def test_a_run_that_diverges_ends_and_says_in_which_epoch():
    learned = diverging()
    assert 1 < learned.diverged_at < 1000
    assert len(learned.history.loss) in {learned.diverged_at, learned.diverged_at - 1}
    assert np.isfinite(parameters(learned.network)).all()
    assert np.isfinite(learned.history.loss[:-1]).all()
    assert diverging(learning_rate=0.1).diverged_at is None  # negative control


def test_an_update_that_is_no_number_is_not_written():
    def step(network, state, batch, rng):
        updates, state, info = BACKPROP.step(network, state, batch, rng)
        first = updates[0]._replace(biases=np.full(8, np.nan if len(broken) == 9 else 0.0))
        broken.append(network)
        return (first, *updates[1:]), state, info

    broken = []
    learned = iris(epochs=5, rule=LearningRule(BACKPROP.init, step))
    assert learned.diverged_at == 2  # eight batches an epoch
    assert learned.network is broken[-1]
    assert len(learned.history.loss) == 1


def test_a_loss_that_a_converter_clips_does_not_hide_that_the_outputs_are_no_numbers():
    class Clipping(IdealNetwork):
        def loss(self, reads, target, rng):
            return np.zeros(len(target))

    data = load("iris")
    network = Clipping(ideal(data).mlp, "cross_entropy")
    network.mlp.weights[0][0, 0] = np.inf
    idle = LearningRule(lambda network, rng: None, no_change)
    assert learn(network, idle, data, DescentSpec(epochs=3), child(0)).diverged_at == 1


def no_change(network, state, batch, rng):
    updates, _, info = BACKPROP.step(ideal(load("iris")), None, batch, rng)
    return tuple(u._replace(weights=u.weights._replace(delta=0 * u.weights.delta)) for u in updates), state, info


# ---- several dies


@pytest.mark.parametrize("dies", [2, 3, 5, 16])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_ideal_dies_together_are_one_die(dies, optimizer):
    one, many = iris(optimizer=optimizer), iris(optimizer=optimizer, dies=dies)
    for die in many.networks:
        np.testing.assert_allclose(parameters(die), parameters(one.network), rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(many.history.loss, one.history.loss, rtol=1e-8)
    assert many.accuracy_test == one.accuracy_test


def test_dies_share_the_reads_and_all_are_written():
    one, four = iris(), iris(dies=4)
    assert four.counts.forward_passes == one.counts.forward_passes
    assert four.counts.word_writes == pytest.approx(4 * one.counts.word_writes, rel=1e-2)  # rounding may cancel


def test_dies_are_faster_by_their_number_where_it_divides_the_batch_and_by_the_batch_at_most():
    samples = len(load("iris").x_train)
    assert samples % 16 == 8
    for dies in (1, 2, 4, 8):
        learned = iris(dies=dies)
        assert learned.counts.forward_passes / learned.passes_in_turn == dies
    full, rest = 3 * (samples // 16), 3  # one pass each, and one of half the dies for the smaller batch
    assert iris(dies=16).passes_in_turn == full + rest
    assert iris(dies=3).passes_in_turn == 6 * full + 3 * rest  # ceil(16 / 3), ceil(8 / 3)


def test_the_estimates_of_dies_are_weighted_with_the_samples_they_saw():
    """Dies that give the same estimate whatever they see: the weighted sum is that estimate, and shares add up to 1."""

    def step(network, state, batch, rng):
        updates, _, _ = BACKPROP.step(network, None, batch, rng)
        ones = tuple(
            u._replace(weights=u.weights._replace(x=np.ones((1, r)), delta=np.ones((1, c))), biases=np.ones(c))
            for u, (r, c) in zip(updates, network.shapes, strict=True)
        )
        return ones, state, Info(Counts(forward_passes=len(batch.x)), 0)

    rule = LearningRule(lambda network, rng: None, step)
    one, many = (iris(epochs=1, rule=rule, dies=dies, optimizer="sgd") for dies in (1, 7))
    np.testing.assert_allclose(parameters(many.network), parameters(one.network), rtol=1e-12)


def test_dies_that_differ_split_the_batch_in_order_and_give_the_sum_of_their_own():
    data = load("iris")
    spec = DescentSpec(epochs=1, batch_size=len(data.x_train), optimizer="sgd", learning_rate=0.1)

    class Half(IdealNetwork):
        """A die whose sums come out at half of what they should be."""

        def forward(self, x, rng, *, nodes=None, now_s=0.0):
            reads = super().forward(x, rng, nodes=nodes, now_s=now_s)
            return reads._replace(z=tuple(z / 2 for z in reads.z))

    start = ideal(data, ())
    good, bad = start, Half(start.mlp, "cross_entropy")
    learned = learn([good, bad], BACKPROP, data, spec, child(0, "dies"))
    order = child(draw_key(child(0, "dies")), "order", 0).permutation(len(data.x_train))
    n, (W,), (b,) = len(order) // 2, start.mlp.weights, start.mlp.biases
    expected = W.copy()
    for rows, gain in ((order[:n], 1.0), (order[n:], 0.5)):
        z = gain * (data.x_train[rows] @ W + b)
        softmax = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        expected -= 0.1 * data.x_train[rows].T @ (softmax - np.eye(3)[data.y_train[rows]]) / len(order)
    for die in learned.networks:
        np.testing.assert_allclose(die.mlp.weights[0], expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda start: [], "network: must be a network, or dies of one; none is given"),
        (lambda start: [start] * 17, r"network = 17 dies: must be at most batch_size = 16: a die without a sample"),
        (lambda start: ideal(load("digits")), "network = 64 inputs and 10 outputs: must have 4 inputs and 3 outputs"),
        (lambda start: [start, rewritten(start)], "network: must be dies that hold the same written weights; program"),
        (lambda start: [start, ideal(load("iris"), (9,))], "network: must be dies that hold the same written weights"),
    ],
)
def test_networks_that_cannot_learn_together_are_refused(network, message):
    with pytest.raises(SpecError, match=message):
        learn(network(ideal(load("iris"))), BACKPROP, load("iris"), DescentSpec(batch_size=16), child(0))


def rewritten(network):
    """The network with one weight that differs."""
    weights = tuple(w.copy() for w in network.mlp.weights)
    weights[1][2, 1] += 1e-9
    return dataclasses.replace(network, mlp=dataclasses.replace(network.mlp, weights=weights))
