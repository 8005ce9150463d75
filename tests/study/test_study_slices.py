"""Summaries of grids that are no product: paths that some cells lack, and paths that advance together."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from matplotlib.figure import Figure

from imcsim.plots import accuracy_vs_bits
from imcsim.study.questions import PlotSpec
from imcsim.study.statistics import Interval
from imcsim.study.summary import Row, Summary, format_summary

KNOWN = Interval(mean=0.9, low=0.8, high=1.0, n_trainings=1, n_dies=2, method="t over dies", freedom=1.0)
VALUES = np.array([[[0.8], [1.0]]])


def summary_of(*coordinates, plot=None):
    """A summary with a row at each of `coordinates`, all of one accuracy."""
    axes = tuple(dict.fromkeys(path for cell in coordinates for path in cell))
    rows = tuple(Row(cell, KNOWN, KNOWN, VALUES, ok=2, failed=0, missing=0) for cell in coordinates)
    return Summary("small", axes, rows, 0.1, plot)


PRODUCT = [{"a": a, "x": x, "b": b} for a in (1, 2) for x in (4, 5, 6) for b in "pq"]
ZIP = [{"map": m, "rows": rows, "bits": bits} for m in "pq" for rows, bits in ((64, 5), (128, 6), (256, 7))]
WHEN = [{"bits": bits, **rule} for bits in (4, 6) for rule in ({"rule": "sgd"}, {"rule": "momentum", "m": 0.5})]


def test_the_slices_of_a_product_are_those_of_all_combinations_of_the_others():
    slices = summary_of(*PRODUCT).slices("x")
    assert [part.fixed for part in slices] == [{"a": a, "b": b} for a in (1, 2) for b in "pq"]
    assert all([row.coordinates["x"] for row in part.rows] == [4, 5, 6] for part in slices)


def test_only_combinations_that_occur_have_a_slice():
    slices = summary_of(*WHEN).slices("bits")
    assert [part.fixed for part in slices] == [{"rule": "sgd", "m": None}, {"rule": "momentum", "m": 0.5}]
    assert [len(part.rows) for part in slices] == [2, 2]


def test_what_advances_together_with_the_kept_axes_is_in_the_same_slice():
    summary = summary_of(*ZIP)
    assert summary.linked("rows") == ["bits"]
    assert [part.fixed for part in summary.slices("rows")] == [{"map": "p"}, {"map": "q"}]
    assert summary_of(*PRODUCT).linked("x") == []


def test_an_axis_of_a_single_value_is_told_in_the_title_and_not_linked():
    summary = summary_of(*({"x": x, "one": 3} for x in (1, 2)))
    assert summary.linked("x") == []
    assert [part.fixed for part in summary.slices("x")] == [{"one": 3}]


def test_a_value_that_a_cell_lacks_is_a_dash_in_the_table_and_empty_in_the_csv():
    summary = summary_of(*WHEN)
    lines = format_summary(summary).splitlines()[2:6]
    assert [line.split()[:3] for line in lines] == [
        ["4", "sgd", "-"],
        ["4", "momentum", "0.5"],
        ["6", "sgd", "-"],
        ["6", "momentum", "0.5"],
    ]
    rows = list(csv.DictReader(io.StringIO(summary.csv())))
    assert [(row["bits"], row["rule"], row["m"]) for row in rows] == [
        ("4", "sgd", ""),
        ("4", "momentum", "0.5"),
        ("6", "sgd", ""),
        ("6", "momentum", "0.5"),
    ]


@pytest.mark.parametrize(("cells", "joined"), [(ZIP[:3], False), ([{"rows": rows} for rows in (64, 128, 256)], True)])
def test_points_are_joined_where_nothing_else_changes_along_x(cells, joined):
    plot = PlotSpec(kind="accuracy_vs_bits", x="rows")
    (part,) = summary_of(*cells, plot=plot).slices("rows")
    ax = accuracy_vs_bits(part, Figure().add_subplot())
    (line,) = [line for line in ax.get_lines() if line.get_marker() == "o"]
    assert list(line.get_xdata()) == [64, 128, 256]
    assert line.get_linestyle() == ("-" if joined else "None")
    told = " ".join(text.get_text() for text in ax.texts)
    assert ("these change, too: bits" in told) is not joined


def test_a_line_has_the_values_of_x_that_its_cells_have():
    plot = PlotSpec(kind="accuracy_vs_bits", x="rows", series="map")
    ragged = [{"map": "p", "rows": 64}, {"map": "p", "rows": 256}, {"map": "q", "rows": 128}, {"map": "q", "rows": 256}]
    ax = accuracy_vs_bits(summary_of(*ragged, plot=plot), Figure().add_subplot())
    lines = [line.get_xdata() for line in ax.get_lines() if line.get_marker() in ("o", "s")]
    assert [[round(x / 64) * 64 for x in line] for line in lines] == [[64, 256], [128, 256]]
