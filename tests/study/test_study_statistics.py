"""The interval of a mean over trainings and dies holds what it promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from imcsim.rng import child
from imcsim.study.statistics import estimate_mean, mean_interval


def crossed(rng, trainings, dies, sigma_t, sigma_d, sigma_e):
    """A table (trainings, dies) of the model with mean 0."""
    return (
        sigma_t * rng.standard_normal((trainings, 1))
        + sigma_d * rng.standard_normal((1, dies))
        + sigma_e * rng.standard_normal((trainings, dies))
    )


def coverage(interval_of, tables):
    hits = 0
    for table in tables:
        low, high = interval_of(table)
        hits += low <= 0 <= high
    return hits / len(tables)


def ours(table):
    interval = mean_interval(table)
    return interval.low, interval.high


def all_independent(table):
    """The interval that takes each of the values for a draw of its own."""
    return scipy.stats.t.interval(0.95, table.size - 1, table.mean(), table.std(ddof=1) / math.sqrt(table.size))


@pytest.mark.parametrize("shape", [(5, 3), (5, 5), (10, 4)])
@pytest.mark.parametrize("sigmas", [(1, 1, 1), (1, 0, 0.3), (0, 1, 0.3), (1, 1, 0.1), (0, 0, 1)])
def test_the_interval_covers_the_mean_at_least_19_times_in_20(shape, sigmas):
    rng = child(1, "coverage", *shape, *map(str, sigmas))
    n = 2000
    five_sigma = 5 * math.sqrt(0.95 * 0.05 / n)
    assert coverage(ours, [crossed(rng, *shape, *sigmas) for _ in range(n)]) > 0.95 - five_sigma


@pytest.mark.parametrize("sigmas", [(1, 0, 0.3), (0, 1, 0.3), (1, 1, 0.1)])
def test_where_a_component_stands_out_the_interval_is_no_wider_than_it_must_be(sigmas):
    rng = child(2, "coverage", *map(str, sigmas))
    n = 2000
    assert coverage(ours, [crossed(rng, 10, 10, *sigmas) for _ in range(n)]) < 0.95 + 5 * math.sqrt(0.95 * 0.05 / n)


def test_taking_every_value_for_independent_covers_too_little():
    rng = child(3, "coverage")
    assert coverage(all_independent, [crossed(rng, 5, 3, 0, 1, 0.3) for _ in range(500)]) < 0.8


def test_one_die_gives_the_t_interval_over_trainings():
    values = np.array([0.91, 0.93, 0.9, 0.95])
    interval = mean_interval(values[:, np.newaxis])
    expected = scipy.stats.t.interval(0.95, 3, values.mean(), scipy.stats.sem(values))
    assert (interval.low, interval.high) == pytest.approx(expected, rel=1e-12)
    assert (interval.mean, interval.n_trainings, interval.n_dies) == (pytest.approx(values.mean()), 4, 1)
    assert interval.method == "t over trainings"


def test_one_training_gives_the_t_interval_over_dies():
    values = np.array([[0.91, 0.93, 0.9, 0.95]])
    assert mean_interval(values).method == "t over dies"
    assert ours(values) == pytest.approx(ours(values.T))


def test_identical_dies_add_nothing_to_the_interval_over_trainings():
    trainings = np.array([0.91, 0.93, 0.9, 0.95])
    repeated = np.repeat(trainings[:, np.newaxis], 6, axis=1)
    assert ours(repeated) == pytest.approx(ours(trainings[:, np.newaxis]), rel=1e-9)


def test_purely_additive_effects_add_their_variances():
    # MS_E = 0: Var(mean) = s_T^2 / a + s_D^2 / b, each with its own degrees of freedom (Welch and Satterthwaite)
    trainings, dies = np.array([0.0, 1.0, 2.0, 5.0]), np.array([0.0, 0.3, 1.2])
    parts = trainings.var(ddof=1) / 4, dies.var(ddof=1) / 3
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / 3 + parts[1] ** 2 / 2)
    half = scipy.stats.t.ppf(0.975, freedom) * math.sqrt(sum(parts))
    interval = mean_interval(trainings[:, np.newaxis] + dies)
    assert (interval.high - interval.low) / 2 == pytest.approx(half, rel=1e-12)


def test_exchanging_trainings_and_dies_changes_nothing():
    table = crossed(child(4, "table"), 4, 6, 1, 1, 1)
    assert ours(table) == pytest.approx(ours(table.T))


def test_one_value_has_no_interval():
    interval = mean_interval(np.array([[0.9]]))
    assert interval.mean == 0.9
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


def test_equal_values_have_an_interval_of_no_width_which_says_so_and_no_test():
    estimate_of_equal = estimate_mean(np.full((3, 4), 0.75))
    interval = estimate_of_equal.interval()
    assert (interval.low, interval.high, interval.method) == (0.75, 0.75, "no spread")
    assert math.isnan(interval.freedom)
    assert math.isnan(estimate_of_equal.p_of_zero())


def test_rounding_is_no_spread():
    # 1 - 0.9 and 0.4 - 0.3 are a tenth, and differ in the last place
    differences = np.array([[1 - 0.9], [0.4 - 0.3], [0.1]])
    assert np.ptp(differences) > 0
    assert estimate_mean(differences).method == "no spread"
    assert math.isnan(estimate_mean(differences).p_of_zero())


def test_two_values_give_the_interval_of_one_degree_of_freedom():
    # t with one degree of freedom is the Cauchy distribution: its 97.5 % quantile is tan(0.475 pi), 12.7
    interval = mean_interval(np.array([[0.8], [0.9]]))
    assert (interval.high - interval.low) / 2 == pytest.approx(math.tan(0.475 * math.pi) * 0.05, rel=1e-12)
    assert interval.freedom == 1


# The test of no difference


def share_of_false_positives(p_of, shape, sigmas, n=2000):
    rng = child(7, "level", *shape, *map(str, sigmas))
    return np.mean([p_of(crossed(rng, *shape, *sigmas)) < 0.05 for _ in range(n)])


def p_of_zero(table):
    return estimate_mean(table).p_of_zero()


LEVEL_SIGMA = math.sqrt(0.95 * 0.05 / 2000)


@pytest.mark.parametrize(
    ("shape", "sigmas"),
    [((5, 1), (1, 0, 1)), ((1, 8), (0, 1, 1)), ((5, 3), (1, 0, 0.3)), ((5, 3), (0, 1, 0.3)), ((10, 10), (1, 1, 0.1))],
)
def test_where_nothing_differs_one_test_in_twenty_says_it_does(shape, sigmas):
    assert share_of_false_positives(p_of_zero, shape, sigmas) == pytest.approx(0.05, abs=5 * LEVEL_SIGMA)


@pytest.mark.parametrize(("shape", "sigmas"), [((5, 5), (1, 1, 1)), ((5, 3), (0, 0, 1)), ((2, 2), (1, 0, 0.3))])
def test_where_no_component_stands_out_it_says_so_less_often(shape, sigmas):
    assert share_of_false_positives(p_of_zero, shape, sigmas) < 0.05 + 5 * LEVEL_SIGMA


@pytest.mark.parametrize("sigmas", [(1, 1, 0.1), (1, 1, 1)])
def test_three_trainings_on_many_dies_are_a_little_too_sure_and_no_more(sigmas):
    assert share_of_false_positives(p_of_zero, (3, 20), sigmas) < 0.1


@pytest.mark.parametrize("sigmas", [(1, 1, 1), (0.3, 1, 1)])
def test_two_trainings_that_agree_by_luck_prove_nothing(sigmas):
    assert share_of_false_positives(p_of_zero, (2, 50), sigmas) < 0.05 + 5 * LEVEL_SIGMA


def test_a_test_that_takes_every_value_for_independent_cries_wolf():
    def naive(table):
        return scipy.stats.ttest_1samp(table.ravel(), 0.0).pvalue

    assert share_of_false_positives(naive, (5, 3), (0, 1, 0.3), n=500) > 0.2


def test_with_one_die_the_p_is_that_of_the_t_test_over_trainings():
    values = np.array([0.01, -0.002, 0.015, 0.008])
    assert p_of_zero(values[:, np.newaxis]) == pytest.approx(scipy.stats.ttest_1samp(values, 0.0).pvalue, rel=1e-12)


def test_p_is_below_5_percent_exactly_where_the_interval_leaves_zero_out():
    rng = child(8, "both")
    tables = [0.7 + crossed(rng, 4, 3, 1, 0.5, 0.5) for _ in range(300)]
    significant = [p_of_zero(table) < 0.05 for table in tables]
    assert significant == [not ours(table)[0] <= 0 <= ours(table)[1] for table in tables]
    assert 10 < sum(significant) < 290


def test_a_training_that_failed_is_left_out():
    table = crossed(child(5, "table"), 5, 3, 1, 1, 1)
    gaps = table.copy()
    gaps[2] = np.nan
    assert mean_interval(gaps) == mean_interval(np.delete(table, 2, axis=0))
    assert mean_interval(gaps).n_trainings == 4


def test_a_single_gap_costs_the_row_or_column_with_the_larger_share_of_gaps():
    table = crossed(child(6, "table"), 5, 3, 1, 1, 1)
    table[1, 2] = np.nan  # a third of a training, a fifth of a die
    interval = mean_interval(table)
    assert (interval.n_trainings, interval.n_dies) == (4, 3)
    assert interval.mean == pytest.approx(np.delete(table, 1, axis=0).mean())


def test_where_all_failed_there_is_no_mean():
    interval = mean_interval(np.full((2, 3), np.nan))
    assert math.isnan(interval.mean)
    assert (interval.n_trainings, interval.n_dies) == (0, 0)
