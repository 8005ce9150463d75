"""Successive halving by hand: how many candidates for how long, and which of them go on."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imcsim.study.halving import best, rungs


@pytest.mark.parametrize(
    ("candidates", "epochs", "reduction", "min_epochs", "expected"),
    [
        (16, 80, 2, 1, [(16, 10), (8, 20), (4, 40), (2, 80)]),  # log2(16) rungs, as in the paper
        (27, 90, 3, 1, [(27, 10), (9, 30), (3, 90)]),
        (9, 30, 3, 1, [(9, 10), (3, 30)]),
        (10, 30, 3, 1, [(10, 10), (3, 30)]),  # what is left over stays behind
        (5, 30, 3, 1, [(5, 30)]),  # a second rung would hold one candidate: there is nothing to choose
        (2, 30, 2, 1, [(2, 30)]),
        (27, 10, 3, 1, [(27, 1), (9, 3), (3, 10)]),  # whole epochs, rounded down
        (27, 90, 3, 10, [(27, 10), (9, 30), (3, 90)]),
        (27, 90, 3, 11, [(27, 30), (9, 90)]),  # the first rung would be too short
        (27, 90, 3, 90, [(27, 90)]),
        (1000, 4, 2, 1, [(1000, 1), (500, 2), (250, 4)]),  # no rung of half an epoch
    ],
)
def test_the_rungs_are_those_of_the_rule(candidates, epochs, reduction, min_epochs, expected):
    assert list(rungs(candidates, epochs, reduction, min_epochs)) == expected


@given(st.integers(2, 1000), st.integers(1, 1000), st.integers(2, 5), st.integers(1, 1000))
def test_every_rung_has_a_choice_lasts_long_enough_and_costs_no_more_than_all_candidates_do(
    n, epochs, reduction, least
):
    least = min(least, epochs)
    ladder = rungs(n, epochs, reduction, least)
    assert ladder[0].candidates == n
    assert ladder[-1].epochs == epochs
    assert all(rung.candidates >= 2 and rung.epochs >= least for rung in ladder)
    assert all(rung.candidates * rung.epochs <= n * epochs / reduction ** (len(ladder) - 1) for rung in ladder)
    for lower, upper in itertools.pairwise(ladder):
        assert upper.candidates == lower.candidates // reduction
        assert lower.epochs == upper.epochs // reduction


def test_the_best_go_on_in_the_order_of_the_candidates():
    assert best([0.1, 0.9, 0.3, 0.8], 2) == (1, 3)
    assert best([0.9, 0.1, 0.8, 0.3], 3) == (0, 2, 3)


def test_of_equals_the_earlier_goes_on():
    assert best([0.5, 0.7, 0.7, 0.7], 2) == (1, 2)
    assert best([0.5, 0.5], 1) == (0,)


def test_what_diverged_is_worse_than_an_accuracy_of_zero():
    assert best([None, 0.0, None, 0.2], 2) == (1, 3)
    assert best([None, 0.0, None], 2) == (0, 1)
