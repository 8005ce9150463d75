"""Yield: good dies counted, their exact binomial interval, and how far along an axis the target holds."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest
from scipy.special import comb

from imcsim.errors import SpecError
from imcsim.study.axes import Replicates
from imcsim.study.questions import PlotSpec, YieldSpec
from imcsim.study.run import run
from imcsim.study.statistics import mean_interval
from imcsim.study.summary import Row, Summary
from imcsim.study.table import read_table
from imcsim.study.yields import binomial_interval, format_yields, yields

SIGMA, BITS = "chip.cell.mismatch_sigma_rel", "chip.array.weight_bits"
ASKED = YieldSpec(accuracy=0.95, target=0.9)


def row(coordinates, values, **more):
    """A cell of these accuracies (trainings, dies, reads)."""
    values = np.asarray(values, float)
    mean = mean_interval(values.mean(axis=2))
    return Row(coordinates, mean, mean, values, ok=values.size, failed=0, missing=0, **more)


def cell(sigma, good, dies=100, **coordinates):
    """A cell at `sigma` of which so many of `dies` reach 95 %."""
    values = np.where(np.arange(dies) < good, 0.96, 0.9)[None, :, None]
    return row({SIGMA: sigma, **coordinates}, values)


def study(*rows, axes=(SIGMA,), **more):
    return Summary("study", axes, rows, 0.1, None, **more)


def limit_of(*rows, **more):
    (limit,) = yields(study(*rows, **more), ASKED).limits
    return limit


# The interval


@pytest.mark.parametrize("n", [1, 2, 10, 1000])
def test_none_or_all_good_have_the_closed_form(n):
    # the share p of which none of n is found with 2.5 % probability: (1 - p)^n = 0.025
    edge = 1 - 0.025 ** (1 / n)
    assert binomial_interval(0, n) == pytest.approx((0.0, edge), rel=1e-10)
    assert binomial_interval(n, n) == pytest.approx((1 - edge, 1.0), rel=1e-10)


def probability(k, n, p):
    return comb(n, k, exact=True) * p**k * (1 - p) ** (n - k)


@pytest.mark.parametrize(("k", "n"), [(1, 10), (7, 10), (29, 30), (490, 500)])
def test_at_each_end_so_few_or_so_many_have_a_probability_of_2_5_percent(k, n):
    low, high = binomial_interval(k, n)
    assert sum(probability(i, n, low) for i in range(k, n + 1)) == pytest.approx(0.025, rel=1e-6)
    assert sum(probability(i, n, high) for i in range(k + 1)) == pytest.approx(0.025, rel=1e-6)


@pytest.mark.parametrize("n", [5, 20, 60])
@pytest.mark.parametrize("p", [0.02, 0.3, 0.5, 0.95, 0.99])
def test_it_holds_the_true_share_at_least_95_percent_of_the_time_by_enumeration(n, p):
    bounds = [binomial_interval(k, n) for k in range(n + 1)]
    covered = sum(probability(k, n, p) for k, (low, high) in enumerate(bounds) if low <= p <= high)
    assert covered >= 0.95
    # a control that must fail: the normal interval has no width at k = n, and misses
    if p == 0.99:
        naive = [(k / n, 1.96 * math.sqrt(k / n * (1 - k / n) / n)) for k in range(n + 1)]
        assert sum(probability(k, n, p) for k, (share, half) in enumerate(naive) if abs(share - p) <= half) < 0.95


def test_without_a_die_there_is_no_interval():
    assert all(math.isnan(end) for end in binomial_interval(0, 0))


# Counting


def test_a_die_is_good_whose_mean_over_reads_reaches_the_accuracy():
    # 0.96 and 0.95 on average, and just below
    values = [[[0.97, 0.95], [0.90, 1.00], [0.94, 0.95]]]
    (found,) = yields(study(row({SIGMA: 0.1}, values)), YieldSpec(accuracy=0.95)).rows
    assert (found.good, found.dies, found.left_out) == (2, 3, 0)
    assert found.share == pytest.approx(2 / 3)
    assert (found.low, found.high) == binomial_interval(2, 3)


def test_dies_with_a_gap_are_left_out_and_those_that_could_not_begin_are_bad():
    values = [[[0.97], [math.nan], [math.nan], [0.99]]]
    refusals = np.array([[False, False, True, False]])
    summary = study(row({SIGMA: 0.1}, values, refusals=refusals))
    found = yields(summary, YieldSpec(accuracy=0.95))
    assert (found.rows[0].good, found.rows[0].dies) == (2, 3)
    assert (found.rows[0].refused, found.rows[0].left_out) == (1, 1)
    told = format_yields(found)
    assert "1 dies on which the rule could not begin count as bad" in told
    assert "incomplete: 1 dies with points that failed or are missing are left out" in told


def test_failed_missing_and_refused_points_of_a_run_are_told_apart(make_plan, evaluator, tmp_path):
    evaluator.fails = lambda place: place[2] == 1 and place[0] == (0, 0)
    plan = make_plan(replicates=Replicates(trainings=1, dies=4), yields=YieldSpec(accuracy=0.50015))
    run(plan, tmp_path, evaluator.work, lambda progress: None)
    table = read_table(tmp_path / "study.h5")
    assert table.yields == plan.yields
    summary = table.summary()
    found = yields(summary, summary.yields)
    # the accuracy of the first cell is 0.5 + 0.0001 die: dies 2 and 3 of 0, 2, 3 are good, and all of the others
    assert [(one.good, one.dies, one.left_out) for one in found.rows] == [(2, 3, 1)] + [(4, 4, 0)] * 5


def test_a_file_without_yield_has_none(make_plan, evaluator, tmp_path):
    run(make_plan(), tmp_path, evaluator.work, lambda progress: None)
    assert read_table(tmp_path / "study.h5").summary().yields is None


def test_trainings_that_share_their_dies_are_refused_and_those_with_their_own_are_counted():
    crossed = row({SIGMA: 0.1}, np.full((2, 3, 1), 0.96))
    with pytest.raises(SpecError, match="2 on the same dies") as told:
        yields(study(crossed), ASKED)
    assert "replicates.own_dies = true" in str(told.value)
    apart = row({SIGMA: 0.1}, [[[0.96]], [[0.94]], [[0.97]]])
    found = yields(study(apart, own_dies=True), ASKED)
    assert (found.rows[0].good, found.rows[0].dies) == (2, 3)
    assert "dies, each with a training of its own" in format_yields(found)


def test_a_cell_that_cannot_be_has_no_yield():
    gap = row({SIGMA: 0.1}, [[[math.nan]]], gap="the rule needs a transposed read")
    found = yields(study(gap, cell(0.2, 90)), YieldSpec(accuracy=0.95))
    assert (found.rows[0].dies, found.rows[0].left_out) == (0, 0)
    assert math.isnan(found.rows[0].share)
    assert "gap, in 1 of 2 rows: the rule needs a transposed read" in format_yields(found)
    assert found.plain()["rows"][0]["share"] is None


# Where the target is lost


def test_the_target_holds_as_far_as_every_smaller_value_reaches_it():
    limit = limit_of(cell(0.1, 99), cell(0.3, 91), cell(0.2, 95), cell(0.4, 80), cell(0.5, 95))
    assert (limit.holds, limit.text) == (0.3, "up to 0.3")
    assert limit.between == pytest.approx(0.3 + 0.1 * (0.91 - 0.90) / (0.91 - 0.80))


def test_it_is_assured_as_far_as_lower_bounds_reach_it_and_excluded_where_upper_ones_do_not():
    # 97 of 100: from 91.5 %; 91 of 100: 83.6 to 95.8 %; 80 of 100: to 87.4 %
    assert binomial_interval(97, 100)[0] > 0.9 > binomial_interval(91, 100)[0]
    assert binomial_interval(80, 100)[1] < 0.9 < binomial_interval(88, 100)[1]
    limit = limit_of(cell(0.1, 97), cell(0.2, 91), cell(0.3, 88), cell(0.4, 80), cell(0.5, 10))
    assert (limit.assured, limit.holds, limit.excluded) == (0.1, 0.2, 0.4)


@pytest.mark.parametrize(
    ("goods", "text", "holds"),
    [((99, 98, 97), "beyond 0.3", 0.3), ((50, 20, 10), "not reached", None), ((80, 95, 20), "further on", None)],
)
def test_beyond_the_largest_value_and_not_reached_are_said(goods, text, holds):
    limit = limit_of(*(cell(sigma, good) for sigma, good in zip((0.1, 0.2, 0.3), goods, strict=True)))
    assert text in limit.text
    assert limit.holds == holds
    assert limit.between is None


def test_where_more_is_better_the_target_holds_from_a_value_on():
    rows = [row({BITS: bits}, cell(0.1, good).values) for bits, good in ((3, 0), (4, 60), (6, 95), (8, 99))]
    limit = limit_of(*rows, axes=(BITS,))
    assert (limit.rising, limit.holds, limit.text) == (True, 6, "from 6 on")
    assert (limit.assured, limit.excluded) == (8, 4)
    assert "down from 4" in format_yields(yields(study(*rows, axes=(BITS,)), ASKED))


def test_each_slice_has_its_own_limit_and_cells_without_a_die_are_passed_over():
    nothing = row({BITS: 4, SIGMA: 0.2}, [[[math.nan]]])
    rows = [cell(0.1, 99, **{BITS: 4}), nothing, cell(0.3, 95, **{BITS: 4}), cell(0.1, 20, **{BITS: 6})]
    found = yields(study(*rows, axes=(BITS, SIGMA)), ASKED)
    assert [(dict(one.coordinates), one.text) for one in found.limits] == [
        ({BITS: 4}, "beyond 0.3"),
        ({BITS: 6}, "not reached"),
    ]
    assert found.limits[0].tested == (0.1, 0.3)


def test_the_path_is_that_of_the_plot_or_the_last_or_the_one_asked_for():
    rows = [cell(sigma, 99, **{BITS: bits}) for bits in (4, 6) for sigma in (0.1, 0.2)]
    summary = study(*rows, axes=(BITS, SIGMA))
    assert yields(summary, ASKED).along == SIGMA
    assert yields(summary, ASKED, BITS).along == BITS
    plotted = Summary("study", (BITS, SIGMA), tuple(rows), 0.1, PlotSpec(kind="yield", x=BITS, series=SIGMA))
    assert yields(plotted, ASKED).along == BITS
    with pytest.raises(SpecError, match="did you mean"):
        yields(summary, ASKED, "chip.array.weight_bit")
    texts = study(row({"variant": "a"}, [[[0.9]]]), axes=("variant",))
    with pytest.raises(SpecError, match="along a path of numbers"):
        yields(texts, ASKED)
    assert yields(texts, YieldSpec(accuracy=0.95)).limits == ()


# As text and data


def test_the_table_the_csv_and_the_data_have_the_same_numbers():
    found = yields(study(cell(0.1, 97), cell(0.2, 80)), ASKED)
    told = format_yields(found)
    assert "study: dies that reach 95 %" in told
    assert "97.00  91.48 ... 99.38     97 of 100" in told
    assert "90 % of dies, along chip.cell.mismatch_sigma_rel" in told
    lines = list(csv.DictReader(io.StringIO(found.csv())))
    plain = found.plain()
    for line, one, of_row in zip(lines, plain["rows"], found.rows, strict=True):
        assert float(line["yield"]) == pytest.approx(one["share"]) == pytest.approx(of_row.share)
        assert float(line["yield_low"]) == pytest.approx(one["low"], rel=1e-5)
        assert (int(line["good"]), int(line["dies"])) == (one["good"], one["dies"])
    assert plain["limits"][0]["text"] == "up to 0.1"


# In a study's file and plan


def test_a_plan_with_yield_needs_independent_dies(make_plan):
    with pytest.raises(SpecError, match="counts independent dies") as told:
        make_plan(yields=ASKED)
    assert "replicates.trainings = 2: must be 1 with [yield]" in str(told.value)
    make_plan(yields=ASKED, replicates=Replicates(trainings=1, dies=3))
    make_plan(yields=ASKED, replicates=Replicates(trainings=3, own_dies=True))


def test_a_target_along_texts_and_a_figure_without_yield_are_refused(make_plan):
    one = Replicates(trainings=1, dies=3)
    with pytest.raises(SpecError, match="is told along numbers"):
        make_plan(yields=ASKED, replicates=one, plot=None)  # the last axis names converters
    make_plan(yields=YieldSpec(accuracy=0.95), replicates=one, plot=None)
    with pytest.raises(SpecError, match=r"is of dies that \[yield\] calls good"):
        make_plan(plot=PlotSpec(kind="dies", x="chip.adc.bits", also=("yield",)))


@pytest.mark.parametrize("wrong", [{"accuracy": 95}, {"accuracy": 0.95, "target": 99}, {}])
def test_shares_are_shares(wrong):
    with pytest.raises((SpecError, TypeError)):
        YieldSpec(**wrong)


def test_yield_changes_neither_points_nor_whose_folder_it_is(make_plan, evaluator, tmp_path):
    one = Replicates(trainings=1, dies=3)
    plain = make_plan(replicates=one)
    asked = make_plan(replicates=one, yields=ASKED, config={**plain.config, "yield": {"accuracy": 0.95, "target": 0.9}})
    assert [point.id for point in asked.points] == [point.id for point in plain.points]
    run(plain, tmp_path, evaluator.work, lambda progress: None)
    assert run(asked, tmp_path, evaluator.work, lambda progress: None).computed == 0
    assert read_table(tmp_path / "study.h5").yields == ASKED
