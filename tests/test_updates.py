"""Updates: the change itself and the factors of it are one thing told in two ways."""

import numpy as np
import pytest

from imcsim.rng import child
from imcsim.updates import Dense, Outer, dense, finite, scaled, weighted_sum


def outer(*stream, samples=5, members=()):
    rng = child(0, "outer", *stream)
    return Outer(rng.normal(size=(*members, samples, 3)), rng.normal(size=(*members, samples, 2)))


def test_the_change_is_the_sum_of_the_outer_products_of_the_samples():
    update = outer()
    np.testing.assert_allclose(dense(update), sum(np.outer(x, d) for x, d in zip(*update, strict=True)))


@pytest.mark.parametrize("members", [(), (4,)])
def test_a_weighted_sum_of_factors_is_factors_of_the_weighted_sum(members):
    updates, shares = [outer(k, samples=k + 1, members=members) for k in range(3)], [0.5, 0.3, 0.2]
    total = weighted_sum(updates, shares)
    expected = sum(share * dense(update) for share, update in zip(shares, updates, strict=True))
    assert isinstance(total, Outer)
    np.testing.assert_allclose(dense(total), expected)
    mixed = weighted_sum([Dense(dense(updates[0])), *updates[1:]], shares)
    assert isinstance(mixed, Dense)
    np.testing.assert_allclose(mixed.delta, expected)


def test_a_sum_of_one_is_it_to_the_bit():
    update = outer()
    assert weighted_sum([update], [1.0]) is update
    np.testing.assert_array_equal(dense(weighted_sum([update], [0.5])), dense(scaled(update, 0.5)))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_change_is_finite_where_all_that_it_consists_of_is(wrong):
    update = outer()
    assert finite(update)
    assert finite(Dense(dense(update)))
    update.x[2, 1] = wrong
    assert not finite(update)
    assert not finite(Dense(dense(update)))


def test_values_whose_sum_overflows_are_finite():
    large = np.full(1000, np.finfo(np.float32).max)
    assert large.dtype == np.float32
    assert finite(Dense(large))
    assert not finite(Dense(np.append(large, np.float32(np.nan))))
