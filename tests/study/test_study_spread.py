"""The spread of an accuracy by what was drawn, and what the dies give."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from imcsim.rng import child
from imcsim.study.spread import format_spread, plain_spread, spread
from imcsim.study.statistics import mean_interval
from imcsim.study.summary import Row, Summary

COMPONENTS = ("training", "die", "training_x_die", "read")


def drawn(rng, shape, training, die, training_x_die, read):
    """A table (trainings, dies, reads) of the model, with these standard deviations."""
    a, b, r = shape
    return (
        training * rng.standard_normal((a, 1, 1))
        + die * rng.standard_normal((1, b, 1))
        + training_x_die * rng.standard_normal((a, b, 1))
        + read * rng.standard_normal((a, b, r))
    )


def mean_variances(shape, sigmas, n=500):
    """The mean over n tables of each estimated variance, and its standard error."""
    rng = child(1, "variances", *map(str, sigmas))
    found = [spread(drawn(rng, shape, **sigmas)) for _ in range(n)]
    squares = np.array([[getattr(one, name) ** 2 for name in COMPONENTS] for one in found])
    return squares.mean(axis=0), squares.std(axis=0, ddof=1) / math.sqrt(n)


def text_of(values):
    interval = mean_interval(values.mean(axis=2))
    row = Row({"chip.adc.bits": 4}, interval, interval, values, ok=values.size, failed=0, missing=0)
    summary = Summary("study", ("chip.adc.bits",), (row,), 0.1, None)
    return format_spread(summary), plain_spread(summary)


SIGMAS = {"training": 1.0, "die": 0.8, "training_x_die": 0.6, "read": 0.5}


def test_each_variance_is_found_without_bias():
    mean, error = mean_variances((8, 8, 4), SIGMAS)
    off = (mean - np.square(list(SIGMAS.values()))) / error
    assert np.abs(off).max() < 5


def test_the_variance_of_the_means_over_dies_would_blame_the_dies_for_the_reads():
    rng = child(2, "naive")
    tables = [drawn(rng, (4, 6, 2), training=1, die=0.2, training_x_die=0, read=1) for _ in range(500)]
    naive = np.array([table.mean(axis=(0, 2)).var(ddof=1) for table in tables])
    assert (naive.mean() - 0.2**2) / (naive.std(ddof=1) / math.sqrt(500)) > 5


@pytest.mark.parametrize("only", COMPONENTS)
def test_a_single_source_is_found_alone(only):
    sigmas = {**dict.fromkeys(COMPONENTS, 0.0), only: 1.0}
    mean, _ = mean_variances((6, 6, 3), sigmas, n=200)
    others = [value for name, value in zip(COMPONENTS, mean, strict=True) if name != only]
    assert mean[COMPONENTS.index(only)] == pytest.approx(1.0, abs=0.25)
    assert max(others) < 0.1


def test_additive_trainings_and_dies_give_their_own_standard_deviations():
    trainings, dies = np.array([0.0, 1.0, 2.0, 5.0]), np.array([0.0, 0.3, 1.2])
    found = spread((trainings[:, np.newaxis] + dies)[:, :, np.newaxis].repeat(2, axis=2))
    assert found.training == pytest.approx(trainings.std(ddof=1))
    assert found.die == pytest.approx(dies.std(ddof=1))
    assert (found.training_x_die, found.read) == pytest.approx((0, 0), abs=1e-9)


def test_a_negative_estimate_is_zero():
    # rows and columns have equal means, so that the mean squares of trainings and dies lie below that of the rest
    found = spread(np.array([[0.0, 1.0], [1.0, 0.0]])[:, :, np.newaxis])
    assert (found.training, found.die) == (0, 0)
    assert found.training_x_die == pytest.approx(1.0)  # 4 x 0.25 over one degree of freedom


def test_what_has_one_level_has_no_spread_of_its_own():
    values = drawn(child(3, "levels"), (4, 5, 3), 1, 1, 1, 1)

    def known(part):
        return [name for name in COMPONENTS if not math.isnan(getattr(spread(part), name))]

    assert known(values) == list(COMPONENTS)
    assert known(values[:, :, :1]) == ["training", "die", "training_x_die"]
    assert known(values[:, :1]) == ["training", "read"]
    assert known(values[:1]) == ["die", "read"]
    assert known(values[:1, :1]) == ["read"]
    assert known(values[:1, :1, :1]) == []


def test_with_one_training_the_dies_are_freed_from_the_noise_of_their_reads():
    rng = child(4, "one training")
    found = [spread(drawn(rng, (1, 10, 3), 0, 0.5, 0, 1.0)).die ** 2 for _ in range(400)]
    assert np.mean(found) == pytest.approx(0.25, abs=5 * np.std(found) / 20 + 0.02)  # cut at zero: a little above
    naive = [drawn(rng, (1, 10, 3), 0, 0.5, 0, 1.0).mean(axis=2).var(ddof=1) for _ in range(400)]
    assert np.mean(naive) == pytest.approx(0.25 + 1 / 3, abs=5 * np.std(naive) / 20)


def test_a_die_is_averaged_over_trainings_and_reads_and_the_worst_is_the_lowest():
    values = np.array([[[0.9, 0.8], [0.5, 0.7]], [[0.7, 0.8], [0.6, 0.6]], [[0.8, 0.8], [0.7, 0.5]]])
    found = spread(values)
    assert found.die_worst == pytest.approx(0.6)
    assert found.die_median == pytest.approx(0.7)
    assert math.isnan(found.die_quantile_5)


def test_the_quantile_over_dies_needs_20_of_them():
    dies = np.linspace(0.5, 1.0, 21)
    assert spread(dies[np.newaxis, :, np.newaxis]).die_quantile_5 == pytest.approx(dies[1])  # 5 % of 20 steps: one
    assert math.isnan(spread(dies[np.newaxis, :19, np.newaxis]).die_quantile_5)


def test_one_die_has_no_worst():
    assert math.isnan(spread(np.full((3, 1, 2), 0.5)).die_worst)


def test_a_training_with_a_gap_is_left_out():
    values = drawn(child(5, "gaps"), (5, 4, 2), 1, 1, 1, 1)
    gaps = values.copy()
    gaps[2, :, 1] = np.nan
    assert spread(gaps) == spread(np.delete(values, 2, axis=0))


def test_where_all_failed_nothing_is_known():
    found = spread(np.full((2, 3, 2), np.nan))
    assert math.isnan(found.training)
    assert (found.n_trainings, found.n_dies, found.n_reads) == (0, 0, 0)


def test_the_table_is_in_percentage_points():
    values = 0.8 + 0.01 * drawn(child(6, "text"), (4, 5, 2), 1, 1, 1, 1)
    text, (plain,) = text_of(values)
    found = spread(values)
    numbers = [found.training, found.die, found.training_x_die, found.read, found.die_worst]
    assert text.splitlines()[2].split()[:6] == ["4", *(f"{100 * number:.2f}" for number in numbers)]
    assert text.splitlines()[2].split()[6] == "-"
    assert text.splitlines()[2].endswith("4 x 5 x 2")
    assert plain["training"] == found.training
    assert plain["die_quantile_5"] is None
    json.dumps(plain, allow_nan=False)


def test_the_table_says_what_the_replicates_cannot_tell_apart():
    values = drawn(child(7, "text"), (4, 5, 2), 1, 1, 1, 1)
    assert "too" not in text_of(values)[0]
    assert "one read each: trainings x dies holds the read noise, too" in text_of(values[:, :, :1])[0]
    assert "one training: dies hold what differs between trainings x dies, too" in text_of(values[:1])[0]
    single = text_of(values[:, :1, :1])[0]
    assert "one die: trainings hold what differs between trainings x dies and the read noise, too" in single
