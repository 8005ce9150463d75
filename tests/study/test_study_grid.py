"""The combinatorics of a grid: factors multiply, each where its condition holds."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imcsim.errors import SpecError
from imcsim.study.axes import Axis
from imcsim.study.grid import Factor, axes_of, between, distinct, multiplied, spread, whole_between

MANY = 10_000


def axis(path, *values, **condition):
    return Factor(tuple({path: value} for value in values), condition)


def cells_of(*factors, most=MANY):
    return multiplied(factors, most).cells


def test_plain_axes_give_their_product_with_the_last_varying_fastest():
    cells = cells_of(axis("a", 1, 2), axis("b", "x", "y", "z"))
    assert cells == [{"a": a, "b": b} for a, b in itertools.product((1, 2), "xyz")]


def test_linked_axes_advance_together_as_one_factor():
    linked = Factor(({"rows": 64, "bits": 5}, {"rows": 128, "bits": 6}))
    assert cells_of(axis("a", 1, 2), linked) == [
        {"a": 1, "rows": 64, "bits": 5},
        {"a": 1, "rows": 128, "bits": 6},
        {"a": 2, "rows": 64, "bits": 5},
        {"a": 2, "rows": 128, "bits": 6},
    ]


def test_a_condition_multiplies_the_cells_that_fulfil_it_and_leaves_the_others_alone():
    cells = cells_of(axis("rule", "sgd", "momentum"), axis("m", 0.5, 0.9, rule=["momentum"]))
    assert cells == [{"rule": "sgd"}, {"rule": "momentum", "m": 0.5}, {"rule": "momentum", "m": 0.9}]


def test_a_condition_on_a_path_that_a_cell_lacks_does_not_hold():
    cells = cells_of(axis("a", 1, 2), axis("b", 3, a=[1]), axis("c", 4, 5, b=[3]))
    assert cells == [{"a": 1, "b": 3, "c": 4}, {"a": 1, "b": 3, "c": 5}, {"a": 2}]


def test_a_condition_of_several_paths_asks_for_all_of_them():
    cells = cells_of(axis("a", 1, 2), axis("b", 1, 2), axis("c", 0, 9, a=[1], b=[1, 2]), axis("d", 7, 8, a=[2], b=[2]))
    assert [tuple(cell.values()) for cell in cells] == [
        (1, 1, 0),
        (1, 1, 9),
        (1, 2, 0),
        (1, 2, 9),
        (2, 1),
        (2, 2, 7),
        (2, 2, 8),
    ]


def test_a_factor_that_applies_to_no_cell_is_idle():
    product = multiplied([axis("a", 1, 2), axis("b", 3, 4, a=[5]), axis("c", 6, a=[2])], MANY)
    assert product.idle == [1]
    assert product.cells == [{"a": 1}, {"a": 2, "c": 6}]


@pytest.mark.parametrize(("most", "whole"), [(12, True), (11, False), (1, False)])
def test_a_product_beyond_what_is_allowed_is_not_built(most, whole):
    product = multiplied([axis("a", *range(3)), axis("b", *range(4))], most)
    assert product.whole is whole
    assert len(product.cells) <= most


def test_axes_are_the_paths_with_their_different_values_in_the_order_in_which_they_come():
    factors = [
        Factor(({"rows": 64, "bits": 5}, {"rows": 64, "bits": 6}, {"bits": 4})),
        axis("rate", 0.1, 0.2, rows=[64]),
        axis("rate", 0.2, 0.3, bits=[4]),
    ]
    assert axes_of(factors) == (Axis("rows", (64,)), Axis("bits", (5, 6, 4)), Axis("rate", (0.1, 0.2, 0.3)))


def test_axes_of_tables_and_lists_have_different_values():
    (found,) = axes_of([Factor(({"hidden": [4]}, {"hidden": [4, 4]}, {"hidden": [4]}))])
    assert found.values == ([4], [4, 4])


def test_an_axis_of_many_values_still_tells_which_is_there_twice():
    values = [*range(50_000), 7]
    with pytest.raises(SpecError, match="has a value twice: 7"):
        Axis("x", tuple(values))


def test_factors_exclude_each_other_where_their_conditions_ask_different_values_of_a_path():
    sgd, adam, either = (axis("rate", 1, rule=rules) for rules in (["sgd"], ["adam"], ["sgd", "adam"]))
    assert sgd.excludes(adam)
    assert not sgd.excludes(either)
    assert not sgd.excludes(axis("rate", 1))
    assert not sgd.excludes(axis("rate", 1, bits=[4]))


def test_every_cell_has_the_paths_of_a_factor_without_a_condition_that_all_its_combinations_have():
    assert Factor(({"a": 1, "b": 2}, {"b": 3, "c": 4})).everywhere == {"b"}
    assert axis("a", 1, rule=["sgd"]).everywhere == set()


def test_distinct_keeps_the_first_of_equal_combinations():
    assert distinct([{"a": [1], "b": 2}, {"a": [2]}, {"b": 2, "a": [1]}]) == ({"a": [1], "b": 2}, {"a": [2]})


# ---- ranges


def test_a_linear_range_has_equal_steps_and_both_ends():
    assert spread("linear", 0.0, 1.0, 5) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert spread("linear", 0.1, 0.7, 2) == [0.1, 0.7]


def test_a_log_range_has_equal_ratios_and_both_ends():
    assert spread("log", 1e-3, 1e-1, 5) == [1e-3, 0.00316227766017, 1e-2, 0.0316227766017, 1e-1]


def test_whole_numbers_between_integers_are_integers():
    assert spread("linear", 4, 8, 5) == [4, 5, 6, 7, 8]
    assert spread("log", 8, 1024, 8) == [8, 16, 32, 64, 128, 256, 512, 1024]
    assert {type(value) for value in spread("log", 8, 1024, 8)} == {int}
    assert {type(value) for value in spread("linear", 4.0, 8.0, 5)} == {float}
    assert spread("linear", 4, 7, 3) == [4, 5.5, 7]


@given(
    st.sampled_from(["linear", "log"]),
    st.floats(1e-12, 1e6),
    st.floats(1.0001, 1e6),
    st.floats(0, 1),
)
def test_what_lies_between_two_ends_stays_between_them_and_has_twelve_digits(scale, low, ratio, share):
    value = between(scale, low, low * ratio, share)
    assert low <= value <= low * ratio
    expected = low * ratio**share if scale == "log" else low + share * low * (ratio - 1)
    assert math.isclose(value, expected, rel_tol=1e-11)
    assert value in (low, low * ratio, float(f"{value:.12g}"))


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_integers_of_a_range_have_the_shares_of_the_intervals_up_to_the_next(scale):
    shares = (np.arange(100_000) + 0.5) / 100_000
    counts = np.bincount([whole_between(scale, 4, 8, share) for share in shares], minlength=9)
    edges = np.arange(4, 10) if scale == "linear" else np.log(np.arange(4, 10))
    assert counts[:4].sum() == 0
    # a share at an edge may fall to either side
    np.testing.assert_allclose(counts[4:], 100_000 * np.diff(edges) / (edges[-1] - edges[0]), atol=1)
