"""Digital training: the loop against hand-written and scikit-learn's loops."""

import typing
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_info, threadpool_limits

from imcsim.datasets import DataSet, load
from imcsim.errors import SpecError
from imcsim.kernels.blas import single_threaded_blas
from imcsim.network.losses import LOSSES, cross_entropy
from imcsim.network.mlp import MLP, NetworkSpec, gradients, initial_mlp, logits
from imcsim.rng import child
from imcsim.training import StopSpec, TrainingSpec, accuracy, train


def untrained(data, hidden, *stream):
    return initial_mlp(NetworkSpec(hidden=hidden), data.x_train.shape[1], data.classes, child(0, "init", *stream))


def assert_same_bits(a, b):
    for left, right in zip((*a.mlp.weights, *a.mlp.biases), (*b.mlp.weights, *b.mlp.biases), strict=True):
        np.testing.assert_array_equal(left, right)


# ---- the loop


def test_training_walks_through_every_shuffled_batch_and_the_last_smaller_one():
    data = load("iris")
    assert len(data.x_train) % 50 > 0
    mlp = untrained(data, (), "walk")
    (W,), (b,) = mlp.weights, mlp.biases
    order = child(0, "order")
    for _ in range(3):
        rows = order.permutation(len(data.x_train))
        for batch in (rows[:50], rows[50:100], rows[100:]):
            (dW,), (db,) = gradients(MLP((W,), (b,), "relu"), data.x_train[batch], data.y_train[batch], cross_entropy)
            W, b = W - 0.5 * dW, b - 0.5 * db

    spec = TrainingSpec(epochs=3, batch_size=50, optimizer="sgd", learning_rate=0.5)
    trained = train(mlp, data, spec, child(0, "order"))
    np.testing.assert_allclose(trained.mlp.weights[0], W, rtol=1e-12)
    np.testing.assert_allclose(trained.mlp.biases[0], b, rtol=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_what_training_reports_is_what_the_trained_network_does(loss):
    data = load("iris")
    spec = TrainingSpec(epochs=4, loss=loss)
    trained = train(untrained(data, (8,), "report"), data, spec, child(0, "order"))
    z_train, z_test = logits(trained.mlp, data.x_train), logits(trained.mlp, data.x_test)
    assert trained.loss_per_epoch.shape == (4,)
    assert trained.loss_per_epoch[-1] == pytest.approx(LOSSES[loss].value(z_train, data.y_train).mean())
    assert trained.accuracy_train == np.mean(np.argmax(z_train, axis=1) == data.y_train)
    assert trained.accuracy_test == np.mean(np.argmax(z_test, axis=1) == data.y_test)


def test_accuracy_is_the_share_of_samples_whose_label_has_the_largest_output():
    z = np.array([[0.1, 0.9], [0.8, 0.2], [-3.0, -2.0], [5.0, 4.0]])
    assert accuracy(z, np.array([1, 0, 0, 0])) == 0.75


def test_the_same_stream_gives_the_same_bits_and_another_stream_others():
    data = load("iris")
    mlp, spec = untrained(data, (8,), "bits"), TrainingSpec(epochs=2)
    first, again, other = (train(mlp, data, spec, child(0, "order", k)) for k in (0, 0, 1))
    assert_same_bits(first, again)
    with pytest.raises(AssertionError):
        assert_same_bits(first, other)


def test_the_bits_do_not_depend_on_the_number_of_blas_threads():
    data = load("digits")
    mlp, spec = untrained(data, (128,), "threads"), TrainingSpec(epochs=2, batch_size=512)
    trained = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads, user_api="blas"):
            trained.append(train(mlp, data, spec, child(0, "order")))
    assert_same_bits(*trained)


def test_single_threaded_blas_lasts_as_long_as_its_block():
    def blas_threads():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    with threadpool_limits(limits=2, user_api="blas"):
        with single_threaded_blas():
            assert blas_threads() == {1}
        assert blas_threads() == {2}


def test_a_diverging_training_stops_and_says_what_to_do():
    x, labels = np.array([[0.0, 1.0], [1.0, 0.5]]), np.array([0, 1])
    data = DataSet("two samples", x, labels, x, labels, classes=2)
    spec = TrainingSpec(optimizer="sgd", loss="mse", learning_rate=10.0, epochs=1000)
    with pytest.raises(ArithmeticError, match=r"diverged: .* after epoch \d+ of 1000 .* learning_rate = 10.0; lower"):
        train(untrained(data, (), "diverge"), data, spec, child(0, "order"))


# ---- trainings that are hopeless


def after(epochs, stop=None, accuracy_below=0.0):
    """A training of 6 epochs at most on iris, or of `epochs` without a rule."""
    data = load("iris")
    rule = StopSpec(after_epochs=stop, accuracy_below=accuracy_below) if stop else None
    spec = TrainingSpec(epochs=epochs, learning_rate=0.03)
    return train(untrained(data, (), "stop"), data, spec, child(0, "order"), rule)


def test_a_hopeless_training_ends_with_the_weights_it_has():
    stopped, short = after(6, stop=3, accuracy_below=1.0), after(3)
    assert (stopped.stopped, short.stopped) == (True, False)
    assert_same_bits(stopped, short)
    np.testing.assert_array_equal(stopped.loss_per_epoch, short.loss_per_epoch)
    assert (stopped.accuracy_train, stopped.accuracy_test) == (short.accuracy_train, short.accuracy_test)


def test_a_training_is_hopeless_below_the_given_accuracy_and_not_at_it():
    reached = after(3).accuracy_train
    assert 0 < reached < 1
    assert not after(6, stop=3, accuracy_below=reached).stopped
    assert after(6, stop=3, accuracy_below=np.nextafter(reached, 1)).stopped


def test_a_training_is_asked_once_and_goes_on_unchanged():
    assert after(2).accuracy_train < after(4).accuracy_train  # asked at 2 it would be stopped
    kept = after(6, stop=4, accuracy_below=after(4).accuracy_train)
    assert_same_bits(kept, after(6))
    assert len(kept.loss_per_epoch) == 6


def test_after_its_last_epoch_a_training_is_finished_and_not_stopped():
    assert not after(3, stop=3, accuracy_below=1.0).stopped


# ---- scikit-learn, which descends the same cross entropy


def scikit_learn(data, batch_size, **options):
    # no regularisation, no early stop: n_iter_no_change beyond the last epoch
    return MLPClassifier(hidden_layer_sizes=(32,), alpha=0.0, batch_size=batch_size, n_iter_no_change=10**6, **options)


def fitted(classifier, data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it ran for as many epochs as it was told
        return classifier.fit(data.x_train, data.y_train)


@pytest.mark.parametrize(
    ("optimizer", "solver", "learning_rate", "tolerance"),
    [
        ("sgd", {"solver": "sgd", "momentum": 0.0}, 0.1, 1e-10),
        ("momentum", {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": False}, 0.1, 1e-10),
        # scikit-learn adds epsilon before the correction of the start, which tells on the all but dark pixels
        ("adam", {"solver": "adam"}, 0.003, 1e-4),
    ],
)
def test_the_loss_on_the_whole_batch_follows_scikit_learns_epoch_for_epoch(optimizer, solver, learning_rate, tolerance):
    data = load("digits")
    samples = len(data.x_train)
    mlp = untrained(data, (32,), "whole batch")
    spec = TrainingSpec(epochs=40, batch_size=samples, optimizer=optimizer, learning_rate=learning_rate)
    ours = train(mlp, data, spec, child(0, "order"))

    # a first fit makes the arrays, into which our start is put; the second starts from them with a new optimizer
    theirs = fitted(
        scikit_learn(data, samples, learning_rate_init=learning_rate, max_iter=1, warm_start=True, **solver), data
    )
    theirs.coefs_ = [weights.copy() for weights in mlp.weights]
    theirs.intercepts_ = [biases.copy() for biases in mlp.biases]
    theirs = fitted(theirs.set_params(max_iter=40), data)

    # theirs is the loss ahead of an epoch, ours the loss after it
    np.testing.assert_allclose(ours.loss_per_epoch[:-1], theirs.loss_curve_[-39:], rtol=tolerance)


def test_digits_are_classified_as_well_as_by_scikit_learn():
    data = load("digits")
    ours, theirs = [], []
    for seed in range(5):
        trained = train(untrained(data, (32,), seed), data, TrainingSpec(), child(0, "order", seed))
        ours.append(trained.accuracy_test)
        twin = scikit_learn(data, 32, learning_rate_init=0.003, max_iter=30, random_state=seed)
        theirs.append(fitted(twin, data).score(data.x_test, data.y_test))
    assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=0.005)


# ---- the spec


def test_a_spec_names_every_loss_and_no_other():
    assert set(typing.get_args(typing.get_type_hints(TrainingSpec)["loss"])) == set(LOSSES)


def test_momentum_that_is_not_given_is_nine_tenths():
    data = load("iris")
    mlp = untrained(data, (), "momentum")
    implied, given = (
        train(mlp, data, TrainingSpec(optimizer="momentum", momentum=m, epochs=2), child(0, "order"))
        for m in (None, 0.9)
    )
    assert_same_bits(implied, given)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"momentum": 0.9}, 'momentum = 0.9: has no meaning with optimizer = "adam"; leave it out, or set optimizer'),
        ({"optimizer": "momentum", "momentum": 1.0}, "momentum = 1.0: must be less than 1"),
        ({"learning_rate": 0}, "learning_rate = 0.0: must be greater than 0"),
        ({"learning_rate": 11}, "learning_rate = 11: must be a finite number from 0 to 10"),
        ({"epochs": 0}, "epochs = 0: must be an integer from 1 to 100000"),
        ({"batch_size": 0}, "batch_size = 0: must be an integer from 1 to 1000000"),
        ({"clip_norm": 0}, "clip_norm = 0.0: must be greater than 0: nothing would be learned"),
        ({"weight_decay": 2}, "weight_decay = 2: must be a finite number from 0 to 1"),
        (
            {"rounding": "nearest"},
            'rounding = "nearest": has no meaning with where = "digital": float weights have no write resolution',
        ),
    ],
)
def test_a_training_that_cannot_be_is_not_born(fields, message):
    with pytest.raises(SpecError, match=message):
        TrainingSpec(**fields)
