"""Streams of the members of an ensemble, drawn from together."""

import numpy as np
import pytest

from imcsim.member_rng import MemberKeys, member_generator
from imcsim.rng import children, draw_keys, drawn

MANY = 200_000


def test_a_member_has_the_same_bits_in_any_company():
    few, many = (member_generator(0, members, "runs") for members in (3, 50))
    for draw in ("standard_normal", "random"):
        np.testing.assert_array_equal(getattr(few, draw)((4, 2)), getattr(many, draw)((4, 2))[:3])
    np.testing.assert_array_equal(few.integers(0, 5, (7,)), many.integers(0, 5, (7,))[:3])


def test_a_short_draw_is_the_beginning_of_a_long_one_of_that_member():
    short, long = (member_generator(0, 2, "runs").standard_normal((n,)) for n in (5, 300))
    np.testing.assert_array_equal(short, long[:, :5])


@pytest.mark.parametrize(
    "other",
    [
        lambda: member_generator(1, 4, "runs"),
        lambda: member_generator(0, 4, "other"),
        lambda: member_generator(0, 4, "runs", 1),
        lambda: member_generator(0, 4, "ru", "ns"),
    ],
)
def test_another_address_gives_other_numbers(other):
    assert not np.any(other().random((6,)) == member_generator(0, 4, "runs").random((6,)))


def test_draws_members_and_keys_are_independent():
    rng = member_generator(0, 2, "runs")
    first, second = rng.standard_normal((MANY,)), rng.standard_normal((MANY,))
    under = draw_keys(rng).child("a").standard_normal((MANY,))
    streams = np.concatenate([first, second, under])
    correlations = np.corrcoef(streams) - np.eye(len(streams))
    assert np.abs(correlations).max() < 5 / np.sqrt(MANY)
    assert np.abs(np.corrcoef(streams[0], streams[0] + 0.05 * streams[1])[0, 1]) > 5 / np.sqrt(MANY), "would be seen"


def test_normals_and_uniforms_have_their_moments():
    rng = member_generator(0, 3, "runs")
    normals, uniforms = rng.standard_normal((MANY,)), rng.uniform(-2.0, 4.0, (MANY,))
    assert np.abs(normals.mean(axis=1)).max() < 5 / np.sqrt(MANY)
    assert np.abs(normals.var(axis=1) - 1).max() < 5 * np.sqrt(2 / MANY)
    assert np.abs(uniforms.mean(axis=1) - 1.0).max() < 5 * np.sqrt(3 / MANY)
    assert uniforms.min() >= -2.0
    assert uniforms.max() < 4.0


def test_integers_are_each_as_likely():
    values = member_generator(0, 1, "runs").integers(-1, 4, (MANY,))
    numbers, counts = np.unique(values, return_counts=True)
    np.testing.assert_array_equal(numbers, np.arange(-1, 4))
    assert np.abs(counts - MANY / 5).max() < 5 * np.sqrt(MANY * 0.2 * 0.8)


def test_it_stands_where_generators_do():
    keys = draw_keys(member_generator(0, 3, "runs"))
    assert isinstance(keys, MemberKeys)
    assert drawn(children(keys, "noise", 2), lambda one: one.standard_normal((4, 5))).shape == (3, 4, 5)
    np.testing.assert_array_equal(
        drawn(children(keys, "noise"), lambda one: one.random((2,))), keys.child("noise").random((2,))
    )
