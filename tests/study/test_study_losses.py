"""Losses: how much lower each value of a path lies than the first, paired by training and die."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from imcsim.study.questions import PlotSpec
from imcsim.study.statistics import mean_interval
from imcsim.study.summary import Row, Summary, format_summary

RNG = np.random.default_rng(3)
LUCK = RNG.normal(0, 0.05, (4, 3))  # what trainings and dies share in every variant


def row(name, table, missing=0):
    interval = mean_interval(table)
    values = table[:, :, np.newaxis]
    return Row({"variant": name}, interval, interval, values, ok=table.size, failed=0, missing=missing)


def summary_of(*rows):
    return Summary("study", ("variant",), rows, 0.1, PlotSpec(kind="losses", x="variant"))


NOISE = RNG.normal(0, 0.001, (4, 3))
SUMMARY = summary_of(row("none", 0.8 + LUCK), row("noise", 0.78 + LUCK + NOISE), row("all", 0.7 + LUCK))


def test_a_loss_is_the_mean_of_paired_differences_with_their_interval():
    lost = SUMMARY.losses("variant")
    assert list(lost) == ["noise", "all"]
    expected = mean_interval(0.02 - NOISE)
    for bound in ("mean", "low", "high"):
        assert getattr(lost["noise"], bound) == pytest.approx(getattr(expected, bound), rel=1e-9)
    assert lost["all"].mean == pytest.approx(0.1)


def test_pairing_takes_the_luck_that_variants_share_out_of_the_interval():
    lost, alone = SUMMARY.losses("variant")["noise"], SUMMARY.rows[1].accuracy
    assert lost.high - lost.low < 0.1 * (alone.high - alone.low)


def test_incomplete_results_are_left_out():
    partial = row("noise", 0.78 + LUCK, missing=1)
    assert list(summary_of(SUMMARY.rows[0], partial, SUMMARY.rows[2]).losses("variant")) == ["all"]
    assert summary_of(row("none", 0.8 + LUCK, missing=1), *SUMMARY.rows[1:]).losses("variant") == {}


def test_the_table_has_a_column_of_losses():
    first, noise, everything = format_summary(SUMMARY).splitlines()[2:5]
    assert first.endswith("-")
    assert "+2.0" in noise
    assert everything.rstrip().split("  ")[-2].strip() == "+10.00"


def test_the_csv_holds_what_the_figure_shows():

    first, noise, everything = csv.DictReader(io.StringIO(SUMMARY.csv()))
    lost = SUMMARY.losses("variant")
    assert first["lost"] == ""
    assert [float(noise[key]) for key in ("lost", "lost_low", "lost_high")] == [
        lost["noise"].mean,
        lost["noise"].low,
        lost["noise"].high,
    ]
    assert float(everything["lost"]) == pytest.approx(0.1)
