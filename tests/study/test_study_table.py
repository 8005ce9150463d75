"""The table reads a study back and sums it up."""

from __future__ import annotations

import csv
import json
import math

import h5py
import numpy as np
import pytest

from imcsim.errors import DataError
from imcsim.study.axes import Replicates
from imcsim.study.run import run
from imcsim.study.statistics import mean_interval
from imcsim.study.summary import format_summary
from imcsim.study.table import read_table


@pytest.fixture
def table(make_plan, evaluator, tmp_path):
    run(make_plan(), tmp_path, evaluator.work, lambda progress: None)
    return read_table(tmp_path / "study.h5")


@pytest.fixture
def incomplete(make_plan, evaluator, tmp_path):
    """The second cell has one of its two trainings, the third none."""
    evaluator.fails = lambda place: (place[0], place[1]) in (((0, 1), 0), ((0, 2), 0), ((0, 2), 1))
    run(make_plan(), tmp_path, evaluator.work, lambda progress: None)
    return read_table(tmp_path / "study.h5")


def test_the_columns_are_those_of_the_file(table, make_plan):
    assert table.axes == ("chip.adc.bits", "chip.adc")
    assert table.plot == make_plan().plot
    assert table.attributes["name"] == "small"
    assert table.columns["chip.adc"][:13].tolist() == ["ideal"] * 12 + ["uniform bits=6"]
    np.testing.assert_array_equal(table.columns["status"], np.ones(72))


def test_the_summary_has_a_row_for_each_cell_with_reads_averaged(table, accuracy_at):
    rows = table.summary().rows
    assert [tuple(row.coordinates.values()) for row in rows[:4]] == [
        (4, "ideal"),
        (4, "uniform bits=6"),
        (4, "sar"),
        (6, "ideal"),
    ]
    for row, index in zip(rows, np.ndindex(2, 3), strict=True):
        values = np.array([[np.mean([accuracy_at(index, t, d, r) for r in (0, 1)]) for d in range(3)] for t in (0, 1)])
        assert row.replicates == pytest.approx(values.ravel())
        expected = mean_interval(values)
        assert (row.accuracy.low, row.accuracy.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
        assert (row.accuracy.n_trainings, row.accuracy.n_dies) == (2, 3)
        assert (row.ok, row.failed, row.missing) == (12, 0, 0)


def test_the_float_accuracy_has_its_interval_over_trainings_alone(table):
    interval = table.summary().rows[0].accuracy_float
    assert interval.mean == pytest.approx(0.9005)  # of 0.900 and 0.901
    assert (interval.n_trainings, interval.n_dies, interval.method) == (2, 1, "t over trainings")


def test_failed_points_are_counted_and_left_out(incomplete):
    complete, half, none = incomplete.summary().rows[:3]
    assert [(row.ok, row.failed) for row in (complete, half, none)] == [(12, 0), (6, 6), (0, 12)]
    assert (half.accuracy.n_trainings, half.accuracy.n_dies) == (1, 3)
    assert math.isnan(none.accuracy.mean)
    assert none.replicates == ()


def test_slices_split_by_the_axes_that_are_not_kept(table):
    summary = table.summary()
    slices = summary.slices("chip.adc")
    assert [part.fixed for part in slices] == [{"chip.adc.bits": 4}, {"chip.adc.bits": 6}]
    assert [part.axes for part in slices] == [("chip.adc",)] * 2
    assert [row for part in slices for row in part.rows] == list(summary.rows)


def test_the_csv_holds_the_summary_and_leaves_out_what_is_no_number(incomplete, tmp_path):
    incomplete.write_csv(tmp_path / "summary.csv")
    with open(tmp_path / "summary.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    rows = incomplete.summary().rows
    assert [float(line["accuracy"]) for line in lines if line["accuracy"]] == [
        row.accuracy.mean for row in rows if row.ok
    ]
    assert lines[2]["accuracy_low"] == ""
    assert (lines[1]["chip.adc"], lines[1]["trainings"], lines[1]["points_failed"]) == ("uniform bits=6", "1", "6")


def test_the_plain_form_is_json_with_null_for_what_is_no_number(incomplete):
    data = json.loads(json.dumps(incomplete.summary().plain(), allow_nan=False))
    assert data["axes"] == ["chip.adc.bits", "chip.adc"]
    assert data["rows"][2]["accuracy"]["mean"] is None
    assert data["rows"][0]["accuracy"]["mean"] == incomplete.summary().rows[0].accuracy.mean


def test_the_text_says_percent_intervals_counts_and_what_failed(make_plan, evaluator, tmp_path):
    plan = make_plan(replicates=Replicates(trainings=1, dies=1, reads=1))
    evaluator.fails = lambda place: place[0] == (0, 2)
    run(plan, tmp_path, evaluator.work, lambda progress: None)
    lines = format_summary(read_table(tmp_path / "study.h5").summary()).splitlines()
    assert lines[0] == "small"
    assert lines[1].split("  ")[0] == "chip.adc.bits"
    assert lines[3].split() == ["4", "uniform", "bits=6", "51.00", "90.00", "1", "x", "1"]
    assert lines[4].split() == ["4", "sar", "-", "-", "0", "x", "0"]
    assert lines[-2] == "incomplete: points failed: 1, missing: 0; the means leave them out"


def test_a_file_that_is_not_there_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"study\.h5: no such file; run the study first"):
        read_table(tmp_path / "study.h5")


def test_what_is_no_study_is_refused_in_words(tmp_path, table):
    path = tmp_path / "other.h5"
    path.write_bytes(b"not HDF5")
    with pytest.raises(DataError, match=r"other\.h5: is not a study\.h5 of imcsim"):
        read_table(path)
    with h5py.File(path, "w") as file:
        file["accuracy"] = 1.0
    with pytest.raises(DataError, match="does not end in its own SHA-256"):
        read_table(path)
    path.write_bytes((tmp_path / "study.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = 99
    with pytest.raises(DataError, match="does not end in its own SHA-256"):
        read_table(path)
