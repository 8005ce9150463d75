"""The loops of fits against what they stand for: all paths of a chain, an optimiser, joint normal laws."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_ndtr
from scipy.stats import norm

from imcsim.kernels import chains, responses, transitions

LEVELS = np.array([0.0, 1.0, 0.4])
MOVES = np.array([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.25, 0.25, 0.5]])
SHARES = np.array([0.5, 0.3, 0.2])
SIGMA = 0.3


@pytest.fixture
def y():
    return np.random.default_rng(1).normal(0.5, 0.5, 6)


def all_paths(y):
    """Every path of states, and its probability together with y."""
    for path in itertools.product(range(3), repeat=y.size):
        chance = SHARES[path[0]] * np.prod([MOVES[a, b] for a, b in itertools.pairwise(path)])
        yield path, chance * np.prod(norm.pdf(y, LEVELS[list(path)], SIGMA))


def test_the_likelihood_of_a_chain_is_the_sum_over_all_paths(y):
    expected = np.log(sum(chance for _, chance in all_paths(y)))
    assert chains.forward(y, LEVELS, SIGMA, MOVES, SHARES) == pytest.approx(expected, rel=1e-12)
    assert chains.smoothed(y, LEVELS, SIGMA, MOVES, SHARES)[-1] == pytest.approx(expected, rel=1e-12)


def test_smoothed_counts_are_those_of_all_paths(y):
    sums, first, second, begun = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    pairs = np.zeros((3, 3))
    total = sum(chance for _, chance in all_paths(y))
    for path, chance in all_paths(y):
        begun[path[0]] += chance / total
        for t, state in enumerate(path):
            sums[state] += chance / total
            first[state] += chance / total * y[t]
            second[state] += chance / total * y[t] ** 2
        for a, b in itertools.pairwise(path):
            pairs[a, b] += chance / total
    found = chains.smoothed(y, LEVELS, SIGMA, MOVES, SHARES)
    for mine, expected in zip(found[:5], (sums, first, second, pairs, begun), strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-10)


def test_the_decoded_path_is_the_most_probable_one(y):
    best = max(all_paths(y), key=lambda one: one[1])[0]
    found = chains.viterbi(y, LEVELS, SIGMA, np.log(MOVES), np.log(SHARES))
    assert tuple(found) == best


def test_a_probit_is_where_scipy_finds_it():
    rng = np.random.default_rng(2)
    inputs = np.linspace(-3, 3, 25)
    total = np.full(25, 20.0)
    below = rng.binomial(20, norm.cdf((0.4 - inputs) / 0.7)).astype(float)

    def cost(v):
        z = (v[0] - inputs) / np.exp(v[1])
        return -np.sum(below * log_ndtr(z) + (total - below) * log_ndtr(-z))

    expected = minimize(cost, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12})
    at, logs, values, information = transitions.probit(
        below[None], total[None], inputs[None], np.array([0.0]), np.array([0.0]), True
    )
    np.testing.assert_allclose([at[0], logs[0]], expected.x, atol=1e-4)
    assert values[0] == pytest.approx(-expected.fun, rel=1e-9)
    h = 1e-4
    curvature = (cost([at[0] + h, logs[0]]) - 2 * cost([at[0], logs[0]]) + cost([at[0] - h, logs[0]])) / h**2
    assert information[0, 0, 0] == pytest.approx(curvature, rel=1e-3)


def test_conversions_at_or_below_a_code_are_counted():
    code = np.array([[0, 0], [0, 1], [1, 2], [2, 2]])
    found = transitions.counted_below(code, np.array([0, 1]), 3)
    np.testing.assert_array_equal(found, [[2, 1, 0], [2, 1, 0]])


def test_the_likelihood_of_steps_is_that_of_joint_normals():
    """Of steps that do not depend on the state, the reads of a train are normal with a covariance in closed form."""
    rng = np.random.default_rng(3)
    y = np.cumsum(np.r_[0.2, 0.05 + 0.01 * rng.standard_normal(6)])
    step, cycle, write = 0.05, 0.3, 0.02
    n = y.size - 1
    # given the first read: w_0 ~ N(y_0, write^2), w_p = w_0 + p step + sum of errors; y_p = w_p + error
    steps = (cycle * step) ** 2 * np.minimum.outer(np.arange(1, n + 1), np.arange(1, n + 1))
    covariance = steps + write**2 * (np.eye(n) + np.ones((n, n)))
    left = y[1:] - y[0] - step * np.arange(1, n + 1)
    expected = -0.5 * (left @ np.linalg.solve(covariance, left) + np.linalg.slogdet(2 * np.pi * covariance)[1])
    found = responses.step_likelihood(
        y[None], np.array([True]), responses.CONSTANT, np.array([[step, step]]), np.array([[-9.0, 9.0]]),
        np.zeros(1), cycle, write,
    )  # fmt: skip
    assert found[0] == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (responses.CONSTANT, [0.0]),
        (responses.LINEAR, [0.4, 0.7]),
        (responses.SOFT_BOUNDS, [0.0]),
        (responses.EXPONENTIAL, [0.1, 1.5, 0.2, 1.2]),
        (responses.POWER, [1.7]),
        (responses.TABLE, [0.5, 1.0, 0.7, 0.9, 1.0, 0.3]),
    ],
)
def test_expected_courses_stay_between_the_bounds_and_go_their_way(kind, shape):
    for up in (True, False):
        course = responses.expected_response(0.5, 400, up, kind, 0.01, 0.0, 1.0, np.array(shape))
        assert ((course >= 0) & (course <= 1)).all()
        assert (np.diff(course) * (1 if up else -1) >= 0).all()
        assert abs(course[-1] - 0.5) > 0.2


def test_soft_bounds_are_approached_exponentially():
    course = responses.expected_response(0.0, 100, True, responses.SOFT_BOUNDS, 0.02, 0.0, 1.0, np.zeros(1))
    np.testing.assert_allclose(course, 1 - 0.98 ** np.arange(101), rtol=1e-12)
