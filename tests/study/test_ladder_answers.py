"""Questions to a study with ladders: thresholds, chosen rows, comparisons with gaps, rules at equal cost, ranks."""

import csv
import io
import math

import numpy as np
import pytest

from imcsim.errors import SpecError
from imcsim.study.budgets import at_equal_cost, format_budgets
from imcsim.study.comparison import compare, format_comparisons
from imcsim.study.prediction import Dot, prediction, spearman
from imcsim.study.selection import selected
from imcsim.study.statistics import mean_interval
from imcsim.study.summary import Row, Summary, format_summary
from imcsim.study.thresholds import format_thresholds, thresholds

AXES = ("variant", "level", "ladder", "chip.adc.bits", "tune.at")


def row(accuracies, *, gap="", refused=0, series=None, numbers=None, **coordinates):
    named = {"bits": "chip.adc.bits", "at": "tune.at"}
    at = {named.get(name, name): value for name, value in coordinates.items()}
    values = np.array(accuracies, dtype=float).reshape(-1, 1, 1)
    interval = mean_interval(values[:, :, 0])
    counts = {"ok": values.size - refused, "failed": 0, "missing": 0, "refused": refused, "gap": gap}
    return Row(at, interval, interval, values, **counts, series=series or {}, numbers=numbers or {})


def summary(*rows, axes=AXES, **more):
    return Summary("study", axes, rows, 0.1, None, **more)


def ladder(variant, base, *levels, at="cell", bits=(6, 4, 3)):
    """A variant at level 0 and up one ladder, two trainings each, all alike."""
    yield row([base] * 3, variant=variant, level=0)
    for level, (mean, value) in enumerate(zip(levels, bits, strict=False), start=1):
        yield row([mean] * 2, variant=variant, level=level, ladder="bits of the ADC", bits=value, at=at)


def test_a_threshold_lies_between_the_last_level_that_stands_and_the_first_that_does_not():
    found = thresholds(summary(*ladder("a", 0.95, 0.95, 0.94, 0.9), *ladder("b", 0.9, 0.9, 0.9, 0.89)))
    a, b = found.found
    assert (a.text, a.stands) == ("4 to 3", 2)
    assert a.position == pytest.approx(2 + (0.02 - 0.01) / (0.05 - 0.01))
    assert (b.text, b.position) == ("beyond 3", 3.0)
    assert found.base["a"].mean == pytest.approx(0.95)


def test_one_lost_at_once_and_the_first_loss_counts():
    found = thresholds(summary(*ladder("a", 0.95, 0.8, 0.95, 0.7))).found[0]
    assert found.text == "ideal to 6"
    assert found.position == pytest.approx(0.02 / 0.15)


def test_an_interval_that_holds_the_threshold_is_told():
    rows = list(ladder("a", 0.95, 0.95, 0.94))
    rows[2] = row([0.89, 0.94], variant="a", level=2, ladder="bits of the ADC", bits=4, at="cell")
    found = thresholds(summary(*rows)).found[0]
    assert found.uncertain
    assert found.text == "~6 to 4"


def test_losses_are_paired_over_the_trainings_that_both_have():
    rows = [
        row([0.9, 0.8, 0.2], variant="a", level=0),
        row([0.85, 0.75], variant="a", level=1, ladder="l", bits=4, at="cell"),
    ]
    step = thresholds(summary(*rows)).found[0].steps[0]
    assert step.lost.mean == pytest.approx(0.05)
    assert step.lost.n_trainings == 2


def test_a_gap_is_told_with_its_reason_and_a_rule_that_cannot_begin_has_lost():
    nothing = [math.nan]
    rows = [
        row(nothing, variant="a", level=0, gap="no transposed read"),
        row(nothing, variant="a", level=1, ladder="l", bits=4, at="cell", gap="no transposed read"),
        row([0.9, 0.9], variant="b", level=0),
        row([math.nan] * 2, variant="b", level=1, ladder="l", bits=4, at="cell", gap="could not begin", refused=2),
    ]
    table = thresholds(summary(*rows))
    assert [one.text for one in table.found] == ["gap", "ideal to 4"]
    assert "gap: no transposed read" in format_thresholds(table)
    assert "| b | 90.00 | ideal to 4 |" in format_thresholds(table, markdown=True)


def test_a_level_without_a_result_is_not_taken_for_lost():
    rows = list(ladder("a", 0.95, 0.95, 0.94))
    rows[2] = row([math.nan] * 2, variant="a", level=2, ladder="bits of the ADC", bits=4, at="cell")
    found = thresholds(summary(*rows)).found[0]
    assert (found.text, found.gap) == ("gap", "no result yet")


def test_thresholds_as_csv_and_json_have_every_level():
    found = thresholds(summary(*ladder("a", 0.95, 0.95, 0.94, 0.9)))
    lines = list(csv.DictReader(io.StringIO(found.csv())))
    assert [float(line["lost"]) for line in lines] == pytest.approx([0.0, 0.01, 0.05])
    assert [step["value"] for step in found.plain()["rows"][0]["steps"]] == [6, 4, 3]


def test_a_study_without_ladders_has_no_thresholds():
    with pytest.raises(SpecError, match="variants over ladders"):
        thresholds(summary(row([0.9], variant="a"), axes=("variant",)))


def test_rows_are_chosen_by_values_by_lacking_a_path_and_by_names_with_commas():
    whole = summary(*ladder("a", 0.9, 0.9, 0.9), *ladder("a, again", 0.9, 0.9, 0.9))
    assert len(selected(whole, ["level=0,2"]).rows) == 4
    assert len(selected(whole, ["tune.at=-"]).rows) == 2
    assert len(selected(whole, ["tune.at=cell,-", "level=0"]).rows) == 2
    assert {one.coordinates["variant"] for one in selected(whole, ["variant=a, again"]).rows} == {"a, again"}
    assert {one.coordinates["variant"] for one in selected(whole, ["variant=a,a, again"]).rows} == {"a", "a, again"}


@pytest.mark.parametrize(
    ("condition", "told"), [("levle=0", 'did you mean "level"'), ("level=9", "no such value"), ("level", "path=value")]
)
def test_what_the_study_does_not_have_cannot_be_chosen(condition, told):
    with pytest.raises(SpecError, match=told):
        selected(summary(*ladder("a", 0.9, 0.9)), [condition])


def test_no_row_left_is_an_error():
    with pytest.raises(SpecError, match="no row"):
        selected(summary(*ladder("a", 0.9, 0.9)), ["level=0", "tune.at=cell"])


def family(seed, planted=0.0):
    """Sixty cells of a rule and of its copy, ten trainings each with a standard deviation of a point."""
    rng = np.random.default_rng(seed)
    for cell in range(60):
        for name in ("rule", "copy"):
            shift = planted if (cell, name) == (17, "copy") else 0.0
            yield row(0.9 - shift + 0.01 * rng.normal(size=10), variant=name, level=cell)


@pytest.mark.parametrize("seed", range(8))
def test_two_copies_of_a_rule_differ_nowhere_after_correction(seed):
    found = compare(summary(*family(seed), axes=("variant", "level")), "variant", "rule")
    assert len(found.rows) == 60
    assert min(one.p_holm for one in found.rows) > 0.05


@pytest.mark.parametrize("seed", range(8))
def test_a_planted_difference_of_five_points_is_found(seed):
    found = compare(summary(*family(seed, planted=0.05), axes=("variant", "level")), "variant", "rule")
    assert [one.coordinates["level"] for one in found.rows if one.p_holm < 0.05] == [17]


def test_a_comparison_takes_the_trainings_that_both_have_and_leaves_gaps_out():
    rows = [
        row([0.9, 0.8, 0.1], variant="a", level=0),
        row([0.8, 0.75], variant="b", level=0),
        row([math.nan], variant="c", level=0, gap="no pulses"),
    ]
    found = compare(summary(*rows, axes=("variant", "level")), "variant", "a")
    assert [one.difference.mean for one in found.rows] == [pytest.approx(-0.075)]
    assert "gaps: 1 cells: no pulses" in format_comparisons(found)
    assert "gap, in 1 of 3 rows: no pulses" in format_summary(summary(*rows, axes=("variant", "level")))


def curves(accuracy, passes, writes):
    series = {"epoch_accuracy_test": accuracy, "epoch_forward_passes": passes, "epoch_cell_writes": writes}
    return {name: np.array([values], dtype=float).reshape(1, 1, -1) for name, values in series.items()}


ALONG = dict.fromkeys(("epoch_accuracy_test", "epoch_forward_passes", "epoch_cell_writes"), (1, 2, 3))


def test_at_equal_cost_a_rule_has_the_epochs_that_the_budget_pays_for():
    rows = [
        row([0.9], variant="a", level=0, series=curves([0.5, 0.8, 0.9], [10, 20, 30], [5, 6, 7])),
        row([0.7], variant="b", level=0, series=curves([0.3, 0.6, 0.7], [20, 40, 60], [9, 18, 27])),
    ]
    found = at_equal_cost(summary(*rows, axes=("variant", "level"), along=ALONG), "variant", "a")
    by_cost = {cost: table[0] for cost, table in found.tables.items()}
    assert (by_cost["epochs"].accuracy, by_cost["epochs"].epochs) == (0.7, 3)
    assert (by_cost["forward passes"].accuracy, by_cost["forward passes"].epochs) == (0.3, 1)
    assert by_cost["forward passes"].difference.mean == pytest.approx(-0.6)
    assert by_cost["cell writes"].without == 1
    assert math.isnan(by_cost["cell writes"].accuracy)
    assert "hyper-parameters are those of the full run" in format_budgets(found)


def test_a_study_without_curves_has_no_budgets():
    with pytest.raises(SpecError, match="no accuracies after each epoch"):
        at_equal_cost(summary(row([0.9], variant="a", level=0)), "variant", "a")


def test_ranks_are_those_of_scipy_ties_included():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 6, 40) / 6, rng.normal(size=40)
    dots = [Dot("a", *pair) for pair in zip(one, other, strict=True)]
    assert spearman(dots) == pytest.approx(spearmanr(one, other).statistic)
    assert math.isnan(spearman(dots[:2]))


def test_cosines_stand_beside_what_is_lost():
    rows = [
        row([0.9, 0.9], variant="a", level=0, numbers={"gradient_cosine": 1.0}),
        row([0.8, 0.8], variant="a", level=1, ladder="l", bits=4, numbers={"gradient_cosine": 0.5}),
        row([0.7], variant="a", level=2, ladder="l", bits=3, numbers={"gradient_cosine": math.nan}),
    ]
    (dot,) = prediction(summary(*rows)).dots
    assert dot == Dot("a", 0.5, pytest.approx(0.1))
