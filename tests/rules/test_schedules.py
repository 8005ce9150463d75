"""Schedules of the learning rate: published formulas at known steps."""

import math

import pytest

from imcsim.rules.schedules import constant, cosine, inverse_time, step_decay


def test_a_constant_rate_stays():
    assert {constant(0.1)(step) for step in (0, 1, 10**6)} == {0.1}


def test_steps_multiply_the_rate_when_they_are_over():
    schedule = step_decay(0.8, 0.5, every=10)
    assert [schedule(step) for step in (0, 9, 10, 19, 20, 39)] == [0.8, 0.8, 0.4, 0.4, 0.2, 0.1]


def test_the_cosine_starts_at_the_rate_is_half_of_it_midway_and_stays_at_zero():
    schedule = cosine(0.2, steps=100)
    assert [schedule(0), schedule(50), schedule(100), schedule(1000)] == pytest.approx([0.2, 0.1, 0.0, 0.0])
    assert schedule(25) == pytest.approx(0.1 * (1 + math.sqrt(0.5)))


def test_inverse_time_divides_by_what_grows_with_the_epochs():
    schedule = inverse_time(0.3, decay=0.5, every=10)
    assert [schedule(step) for step in (0, 9, 10, 20, 40)] == pytest.approx([0.3, 0.3, 0.2, 0.15, 0.1])
    assert inverse_time(0.3, decay=1.0)(2) == pytest.approx(0.1)
