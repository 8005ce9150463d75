"""The summary of a study whose paths do not apply everywhere, and what its text says of its intervals."""

from __future__ import annotations

import csv
import dataclasses
import io
import math

import numpy as np
import pytest

from imcsim.rng import child
from imcsim.study.statistics import mean_interval
from imcsim.study.summary import Row, Summary, format_summary

RULE, SIGMA = "rule", "rule.sigma"


def row(coordinates, values):
    """A row with the accuracies `values` (trainings, dies)."""
    interval = mean_interval(values)
    return Row(coordinates, interval, interval, values[:, :, np.newaxis], ok=values.size, failed=0, missing=0)


def summary_of(*rows):
    return Summary("study", (RULE, SIGMA), rows, chance=0.1, test_samples=400, plot=None)


VALUES = 0.8 + 0.01 * child(1, "values").standard_normal((3, 4))
CONDITIONAL = summary_of(row({RULE: "bp"}, VALUES), *(row({RULE: "np", SIGMA: s}, VALUES) for s in (0.1, 0.2)))


def test_the_values_of_a_path_hold_none_for_the_cells_it_does_not_apply_to():
    assert CONDITIONAL.values(SIGMA) == [None, 0.1, 0.2]
    assert [part.coordinates for part in CONDITIONAL.at({SIGMA: 0.1}).rows] == [{RULE: "np", SIGMA: 0.1}]


def test_slices_are_those_that_have_cells():
    assert [(dict(part.fixed), len(part.rows)) for part in CONDITIONAL.slices(RULE)] == [
        ({SIGMA: None}, 1),
        ({SIGMA: 0.1}, 1),
        ({SIGMA: 0.2}, 1),
    ]
    assert [(dict(part.fixed), len(part.rows)) for part in CONDITIONAL.slices(SIGMA)] == [
        ({}, 3)
    ]  # which tells the rule


def test_text_and_csv_leave_a_path_open_where_it_does_not_apply():
    lines = format_summary(CONDITIONAL).splitlines()
    assert [line.split()[:2] for line in lines[2:5]] == [["bp", "-"], ["np", "0.1"], ["np", "0.2"]]
    assert [line[SIGMA] for line in csv.DictReader(io.StringIO(CONDITIONAL.csv()))] == ["", "0.1", "0.2"]


def notes(*tables):
    return format_summary(summary_of(*(row({RULE: str(k)}, table) for k, table in enumerate(tables))))


def test_equal_values_are_said_to_be_no_certainty():
    text = notes(np.full((3, 2), 0.75), VALUES)
    assert "no spread, in 1 of 2: all values are equal; it proves no certainty" in text
    assert "no spread, in" not in notes(VALUES)


def test_an_interval_from_two_values_is_said_to_be_wide():
    assert "fewer than 2 degrees of freedom, in 1 of 2: the t interval is wide" in notes(VALUES[:2, :1], VALUES)
    assert "degrees of freedom" not in notes(VALUES[:, :1], VALUES)  # three values have two


@pytest.mark.parametrize(
    ("part", "note"),
    [
        (VALUES[:, :1], "one die: the interval is for other trainings with this die, not for other dies"),
        (VALUES[:1], "one training: the interval is for other dies with this training, not for other trainings"),
    ],
)
def test_an_interval_says_what_it_does_not_speak_for(part, note):
    assert note in notes(part)
    assert "the interval is for" not in notes(VALUES)
    assert "the interval is for" not in notes(VALUES[:1, :1])  # one value has none


def test_what_another_test_set_would_change_is_said():
    # the mean accuracy nearest to a half has the largest binomial standard error
    summary = dataclasses.replace(summary_of(row({RULE: "bp"}, np.full((2, 2), 0.6))), test_samples=600)
    assert f"60.00 %, by {100 * math.sqrt(0.6 * 0.4 / 600):.2f} points" in format_summary(summary)
    assert "test set" not in format_summary(dataclasses.replace(summary, test_samples=None))


# ---- beyond what a device was measured for


def test_rows_beyond_a_device_model_are_told_once_and_marked():
    rows = [dataclasses.replace(row({RULE: f"r{k}"}, VALUES), extrapolated=12 * k) for k in range(3)]
    lines = format_summary(summary_of(*rows)).splitlines()
    assert lines[1].endswith("extrapolated")
    assert [line.endswith("yes") for line in lines[2:5]] == [False, True, True]
    (note,) = [line for line in lines if line.startswith("extrapolated")]
    assert note.startswith("extrapolated: 36 points, in 2 of 3 rows, beyond the states or times")
    table = list(csv.DictReader(io.StringIO(summary_of(*rows).csv())))
    assert [line["points_extrapolated"] for line in table] == ["0", "12", "24"]


def test_nothing_is_said_of_extrapolation_where_there_is_none():
    assert "extrapolated" not in format_summary(CONDITIONAL) + CONDITIONAL.csv()


def test_axes_that_agree_in_every_row_are_one_quantity():
    rows = [row({"a": k, "b": k, "c": 2 * k}, VALUES) for k in range(3)]
    summary = dataclasses.replace(summary_of(*rows), axes=("a", "b", "c"))
    assert summary.are_equal("a", "b")
    assert not summary.are_equal("a", "c")
