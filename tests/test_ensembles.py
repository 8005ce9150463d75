"""Ensembles that learn together: each member as it would alone, and what a run tells."""

import numpy as np
import pytest

from imcsim.datasets import parity
from imcsim.descent import DescentSpec
from imcsim.ensembles import learn_together
from imcsim.errors import CapabilityError, SpecError
from imcsim.learning import learn
from imcsim.member_rng import member_generator
from imcsim.network.ideal import IdealNetwork
from imcsim.network.mlp import MLP
from imcsim.network.neurons import manufactured_layers
from imcsim.rng import child
from imcsim.rules.backprop import on_chip_backprop
from imcsim.rules.library import learning_rule
from imcsim.specs.learning import AnalogNeurons

DATA = parity(2)
SPEC = DescentSpec(epochs=6, batch_size=1, optimizer="momentum", learning_rate=0.5)


def network_of(members, seed=0, outputs=1, **fields):
    rng = child(seed, "xor")
    shapes = ((2, 3), (3, outputs))
    weights = tuple(rng.uniform(-1, 1, (members, *shape)) for shape in shapes)
    return IdealNetwork(MLP(weights, tuple(rng.uniform(-1, 1, (members, n)) for _, n in shapes), "sigmoid"), **fields)


def some_of(network, members):
    mlp = network.mlp
    cut = MLP(tuple(w[:members] for w in mlp.weights), tuple(b[:members] for b in mlp.biases), mlp.activation)
    return IdealNetwork(cut, network.loss_name)


def run(network, rule="mgd", spec=SPEC, members=5, **options):
    rng = member_generator(0, members, "run")
    return learn_together(network, learning_rule(rule), DATA, spec, rng, child(0, "order"), **options)


@pytest.mark.parametrize("rule", ["mgd", "np", "spsa", "mgd_analog"])
def test_a_member_learns_what_it_learns_in_other_company(rule):
    network = network_of(5, loss_name="sigmoid_mse")
    many, few = run(network, rule), run(some_of(network, 2), rule, members=2)
    np.testing.assert_array_equal(many.losses[:, :2], few.losses)
    for one, other in zip(many.network.written, few.network.written, strict=True):
        np.testing.assert_array_equal(one[:2], other)
    assert len(np.unique(many.losses[-1])) == 5
    assert many.counts == few.counts, "they are those of a member"


def test_without_anything_drawn_a_member_is_a_network_that_learns_alone():
    network = network_of(3, outputs=2, loss_name="cross_entropy")
    together = learn_together(network, on_chip_backprop(), DATA, SPEC, child(0, "run"), child(0, "order"))
    for member in range(3):
        mlp = MLP(
            tuple(w[member] for w in network.mlp.weights), tuple(b[member] for b in network.mlp.biases), "sigmoid"
        )
        alone = learn(
            IdealNetwork(mlp, "cross_entropy"),
            on_chip_backprop(),
            DATA,
            SPEC,
            child(0, "run"),
            shared=child(0, "order"),
        )
        np.testing.assert_allclose(together.losses[:, member], alone.history.loss, rtol=1e-12)
        assert together.counts == alone.counts


def test_losses_are_told_as_often_as_asked_for_and_at_the_end():
    network = network_of(5, loss_name="sigmoid_mse")
    every, some = run(network), run(network, assess_every_epochs=4)
    np.testing.assert_array_equal(every.epochs, range(1, 7))
    np.testing.assert_array_equal(some.epochs, [4, 6])
    np.testing.assert_array_equal(some.losses, every.losses[[3, 5]])
    final = every.network
    expected = final.loss(final.forward(DATA.x_train, child(0)), DATA.y_train, child(0)).mean(axis=-1)
    np.testing.assert_array_equal(every.losses[-1], expected)


def test_a_member_that_diverges_leaves_the_others_alone():
    network = network_of(5, loss_name="mse")
    healthy = run(network)
    network.mlp.weights[0][3] = np.inf
    ill = run(network)
    others = [0, 1, 2, 4]
    assert np.isnan(ill.losses[:, 3]).all()
    np.testing.assert_array_equal(ill.losses[:, others], healthy.losses[:, others])


def test_neurons_of_members_are_their_own_and_their_outputs_are_what_the_loss_sees():
    spread = AnalogNeurons(offset_in_sigma=0.3, offset_out_sigma=0.3, slope_sigma_rel=0.3, gain_sigma_rel=0.3)
    many, few = (manufactured_layers(spread, (3, 1), member_generator(0, n, "neurons")) for n in (5, 2))
    for layer in range(2):
        for one, other in zip(many[layer], few[layer], strict=True):
            np.testing.assert_array_equal(one[:2], other)
    network = network_of(5, loss_name="sigmoid_mse", neurons=many)
    reads = network.forward(DATA.x_train, child(0))
    hidden, out = many
    z = DATA.x_train @ network.mlp.weights[0] + network.mlp.biases[0][:, None]
    a = np.maximum(hidden.gain / (1 + np.exp(-hidden.slope * (z - hidden.offset_in))) + hidden.offset_out, 0)
    z = a @ network.mlp.weights[1] + network.mlp.biases[1][:, None]
    y = np.maximum(out.gain / (1 + np.exp(-out.slope * (z - out.offset_in))) + out.offset_out, 0)
    expected = 0.5 * (y[..., 0] - DATA.y_train) ** 2
    np.testing.assert_allclose(network.loss(reads, DATA.y_train, child(0)), expected, rtol=1e-12)


def test_what_does_not_fit_is_refused():
    rng = member_generator(0, 5, "run")
    with pytest.raises(SpecError, match="network = 2 inputs: must have 3 inputs, as parity of 3 bits does"):
        learn_together(network_of(5, loss_name="mse"), learning_rule("mgd"), parity(3), SPEC, rng, child(0))
    with pytest.raises(CapabilityError, match=r"ranges to calibrate.*leave it out"):
        run(network_of(5, loss_name="mse"), spec=SPEC.replace("calibrate_every_epochs", 1))
