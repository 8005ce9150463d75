"""Gradient alignment: signed angles, signal to noise, and references that agree where they must."""

import numpy as np
import pytest
import threadpoolctl
from rule_cases import MEMBERS, batch_of, ensemble, network_of

from imcsim.errors import SpecError
from imcsim.network.ideal import IdealNetwork
from imcsim.network.losses import cross_entropy
from imcsim.network.mlp import gradients
from imcsim.network.protocols import LayerUpdate
from imcsim.rng import child
from imcsim.rules.alignment import gradient_alignment
from imcsim.rules.backprop import hardware_in_the_loop
from imcsim.rules.library import learning_rule
from imcsim.rules.reference import averaged_backprop, exact_gradient, finite_differences
from imcsim.rules.rule import Batch, LearningRule
from imcsim.updates import Dense, dense


def changed(change):
    """Backprop whose estimates go through change(gradient, rng)."""
    exact = hardware_in_the_loop()

    def step(network, state, batch, rng):
        updates, state, info = exact.step(network, state, batch, rng)
        return tuple(LayerUpdate(Dense(change(dense(u.weights), rng)), u.biases) for u in updates), state, info

    return LearningRule(exact.init, step)


def align(rule, draws=16, **options):
    network = network_of()
    return gradient_alignment(rule, network, batch_of(network), child(0, "alignment"), draws=draws, **options)


def test_the_exact_gradient_is_the_slope_of_the_loss_and_that_of_digital_training():
    network = network_of()
    batch = batch_of(network)
    exact = exact_gradient(network, batch, child(0, "reference"))
    slopes = finite_differences(1e-5)(network, batch, child(0, "reference"))
    for found, slope, digital in zip(exact, slopes, gradients(network.mlp, *batch, cross_entropy)[0], strict=True):
        np.testing.assert_allclose(found, slope, atol=1e-9)
        np.testing.assert_allclose(found, digital, atol=1e-14)


def test_backprop_is_at_no_angle_and_without_noise():
    found = align(hardware_in_the_loop())
    np.testing.assert_allclose(found.cosine, 1.0)
    np.testing.assert_allclose(found.single_cosine, 1.0)
    np.testing.assert_array_equal(found.snr, np.inf)
    np.testing.assert_allclose(found.norm, found.reference_norm)


def test_angles_are_of_signed_vectors():
    np.testing.assert_allclose(align(changed(lambda g, rng: -g)).angle_deg, 180.0, atol=1e-4)
    # half the entries the wrong way round, by a checkerboard: an angle that a code which takes absolute values calls 0
    found = align(changed(lambda g, rng: g * (-1.0) ** np.add.outer(*map(np.arange, g.shape))))
    assert found.angle_deg.min() > 45.0


def test_the_ratio_of_signal_to_noise_is_that_of_the_squares():
    sigma, draws = 0.01, 2000
    found = align(changed(lambda g, rng: g + sigma * rng.normal(size=g.shape)), draws)
    sizes = np.array([np.prod(shape) for shape in network_of().shapes])
    expected = found.reference_norm**2 / (sizes * sigma**2)
    # the noise power has draws x size squares in it, the signal power the error of a mean
    relative = np.sqrt(2 / (draws * sizes) + 4 / (expected * sizes * draws))
    assert (np.abs(found.snr / expected - 1) < 5 * relative).all()
    assert (np.abs(found.snr / (1.5 * expected) - 1) > 5 * relative).all()
    # |estimate|^2 = |g|^2 (1 + 1 / SNR), and the noise is at a right angle in the mean
    np.testing.assert_allclose(found.single_cosine, 1 / np.sqrt(1 + 1 / expected), atol=0.02)
    assert found.cosine.min() > 0.999


def test_estimates_of_pure_noise_have_no_signal():
    found = align(changed(lambda g, rng: rng.normal(size=g.shape)), draws=500)
    assert found.snr.max() < 0.05
    assert np.abs(found.cosine).max() < 5 / np.sqrt(20)


def test_the_members_of_an_ensemble_are_aligned_each_with_its_own_gradient():
    networks = [network_of(seed=seed) for seed in range(MEMBERS)]
    batches = [batch_of(network, seed=seed) for seed, network in enumerate(networks)]
    together = Batch(*(np.stack(parts) for parts in zip(*batches, strict=True)))
    rule = learning_rule("efficientgrad")
    streams = [child(seed, "alignment") for seed in range(MEMBERS)]
    found = gradient_alignment(rule, ensemble(networks), together, streams)
    assert found.cosine.shape == found.snr.shape == (3, MEMBERS)
    for member in range(MEMBERS):
        alone = gradient_alignment(rule, networks[member], batches[member], child(member, "alignment"))
        np.testing.assert_allclose(found.cosine[:, member], alone.cosine)
        np.testing.assert_allclose(found.snr[:, member], alone.snr)


class Noisy(IdealNetwork):
    """Gaussian noise on every sum, drawn at every read."""

    def forward(self, x, rng, *, nodes=None, now_s=0.0):
        noise = tuple(rng.normal(size=(len(x), outputs)) for _, outputs in self.shapes)
        return super().forward(x, rng, nodes=noise, now_s=now_s)


def test_averaged_backprop_is_the_slope_of_the_expected_loss_of_a_noisy_network_and_the_exact_gradient_is_not():
    quiet = network_of(((4, 5), (5, 3)), scale=2.0)
    network = Noisy(quiet.mlp, quiet.loss_name)
    # each sample a few hundred times: the mean over them is one over the noise
    batch = Batch(*(np.repeat(part, 500, axis=0) for part in batch_of(network)))
    references = finite_differences(1e-4, 3), averaged_backprop(3), exact_gradient
    slopes, averaged, exact = (
        np.concatenate([layer.ravel() for layer in reference(network, batch, child(0, "reference", i))])
        for i, reference in enumerate(references)
    )
    scale = np.linalg.norm(slopes)
    assert np.linalg.norm(averaged - slopes) < 0.05 * scale
    assert np.linalg.norm(exact - slopes) > 0.2 * scale


def test_a_layer_without_any_gradient_has_no_angle_and_that_is_no_warning():
    found = align(changed(lambda g, rng: 0.0 * g))
    assert np.isnan(found.cosine).all()
    assert np.isnan(found.snr).all()


@pytest.mark.parametrize("draws", [1, 0, -3])
def test_a_single_draw_tells_no_noise_and_is_refused(draws):
    with pytest.raises(SpecError, match=r"draws = .*at least 2"):
        align(hardware_in_the_loop(), draws)


def test_products_of_estimates_and_references_run_on_one_thread_whatever_the_caller_allows():
    seen = []

    def counting(network, batch, rng):
        pools = threadpoolctl.threadpool_info()
        seen.extend(pool["num_threads"] for pool in pools if pool["user_api"] == "blas")
        return exact_gradient(network, batch, rng)

    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        align(hardware_in_the_loop(), reference=counting)
    assert seen
    assert set(seen) == {1}
