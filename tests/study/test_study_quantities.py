"""Numbers and series that a study has beside accuracies: declared, kept, merged, and read back."""

from __future__ import annotations

import csv
import functools
import io

import h5py
import numpy as np
import pytest
import xarray as xr
from series import evaluate, loss_at, make, plan_of

from imcsim.errors import SpecError
from imcsim.study.axes import Axis
from imcsim.study.merge import study_file
from imcsim.study.quantities import Dimension, Quantity
from imcsim.study.run import run
from imcsim.study.status import format_status, status
from imcsim.study.store import SHARDS, read_shards
from imcsim.study.summary import format_summary
from imcsim.study.table import read_table
from imcsim.study.work import Work
from imcsim.study.workers import Workers

WORK = Work(evaluate, make)


def quiet(progress):
    pass


@pytest.fixture
def folder(tmp_path):
    run(plan_of(), tmp_path, WORK, quiet)
    return tmp_path


def test_a_series_is_a_dataset_of_points_by_places_and_ends_in_nan_where_it_ended(folder):
    with xr.open_dataset(folder / "study.h5", engine="h5netcdf") as data:
        assert data["loss"].dims == ("point", "epoch")
        assert data["loss"].dtype == np.float64
        assert data["epoch"].values.tolist() == [1, 2, 3]
        assert data["loss"].attrs["units"] == "nat"
        for point in range(data.sizes["point"]):
            epochs, training, die = (int(data[name][point]) for name in ("training.epochs", "training", "die"))
            expected = [loss_at(epoch, training, die) for epoch in range(epochs)] + [np.nan] * (3 - epochs)
            np.testing.assert_array_equal(data["loss"][point], expected)


def test_the_cube_has_the_places_for_its_last_dimension(folder):
    with xr.open_dataset(folder / "study.h5", group="cube", engine="h5netcdf") as cube:
        assert cube["loss"].dims == ("training.epochs", "training", "die", "read", "epoch")
        chosen = cube["loss"].sel({"training.epochs": 3, "training": 1, "die": 1, "read": 0, "epoch": 2})
        assert float(chosen) == loss_at(1, 1, 1)
        assert cube["steps"].dims == ("training.epochs", "training", "die", "read")


def test_the_table_gives_back_what_was_evaluated(folder):
    table = read_table(folder / "study.h5")
    assert (table.numbers, dict(table.series)) == (("steps", "diverged_at"), {"loss": "epoch"})
    assert table.places["epoch"].tolist() == [1, 2, 3]
    one, three = table.summary().rows
    assert table.summary().along == {"loss": (1, 2, 3)}
    assert three.series["loss"].shape == (2, 2, 3)
    np.testing.assert_allclose(
        three.series["loss"], [[[loss_at(e, t, d) for e in range(3)] for d in (0, 1)] for t in (0, 1)]
    )
    assert (one.numbers["steps"], three.numbers["steps"]) == (10.0, 30.0)


def test_the_csv_has_the_numbers_and_not_the_series(folder):
    text = read_table(folder / "study.h5").summary().csv()
    (line, *_) = csv.DictReader(io.StringIO(text))
    assert line["steps"] == "10.0"
    assert "loss" not in line


def test_shards_give_series_back_as_arrays_to_the_bit(folder):
    for values in read_shards(folder / SHARDS).results.values():
        assert isinstance(values["loss"], np.ndarray)
        assert values["loss"].tolist() == [
            loss_at(e, values["at"][0], values["at"][1]) for e in range(values["epochs"])
        ]


def test_the_file_is_the_same_on_two_workers_and_after_a_run_that_was_cut_short(folder, tmp_path):
    expected = (folder / "study.h5").read_bytes()
    run(plan_of(), tmp_path / "workers", WORK, quiet, start=functools.partial(Workers, 2), slots=2)
    assert (tmp_path / "workers" / "study.h5").read_bytes() == expected

    class CutShortError(BaseException):
        pass

    left = [3]

    def cut_short(*arguments):
        for values in evaluate(*arguments):
            if not left[0]:
                raise CutShortError
            left[0] -= 1
            yield values

    with pytest.raises(CutShortError):
        run(plan_of(), tmp_path / "resumed", Work(cut_short, WORK.make), quiet)
    assert (tmp_path / "resumed" / "study.h5").read_bytes() != expected
    run(plan_of(), tmp_path / "resumed", WORK, quiet)
    assert (tmp_path / "resumed" / "study.h5").read_bytes() == expected


def test_points_without_a_result_have_neither_number_nor_series(tmp_path):
    plan = plan_of()
    (tmp_path / "study.h5").write_bytes(study_file(plan, {}, failed=()))
    with h5py.File(tmp_path / "study.h5") as file:
        assert np.isnan(file["loss"][()]).all()
        assert np.isnan(file["steps"][()]).all()


def test_a_series_longer_than_was_declared_is_refused():
    plan = plan_of()
    values = {"accuracy": 0.5, "accuracy_float": 0.5, "loss": np.zeros(4)}
    with pytest.raises(ValueError, match=r"loss: must be at most 3 numbers, not of shape \(4,\)"):
        study_file(plan, {point.id: values for point in plan.points}, failed=())


@pytest.mark.parametrize(
    "quantities",
    [
        (Quantity("status", "taken by every study"),),
        (Quantity("training.epochs", "taken by an axis"),),
        (Quantity("x", "one"), Quantity("x", "another")),
        (Quantity("epoch", "and its own dimension", along=Dimension("epoch", (1,), "epoch")),),
    ],
)
def test_quantities_of_a_name_that_is_taken_are_refused(quantities):
    with pytest.raises(SpecError, match="have a column of this name"):
        plan_of(quantities=quantities)


# ---- divergence


def test_what_diverged_counts_in_the_means_and_is_told(tmp_path):
    plan = plan_of(diverges=[1, 0])
    run(plan, tmp_path, WORK, quiet)
    table = read_table(tmp_path / "study.h5")
    diverged = (table.columns["training"] == 1) & (table.columns["die"] == 0)
    np.testing.assert_array_equal(table.columns["status"], np.where(diverged, 4, 1))
    np.testing.assert_array_equal(table.columns["diverged_at"], np.where(diverged, 2.0, np.nan))
    row = table.summary().rows[0]
    assert (row.diverged, row.ok, row.accuracy.n_trainings, row.accuracy.n_dies) == (2, 8, 2, 2)
    assert "diverged: 4 points, with the weights as they last were finite; the means hold them" in format_summary(
        table.summary()
    )
    assert "16 of 16 points finished (4 of them diverged)" in format_status(status(tmp_path))
    assert "points_diverged" in table.summary().csv()


def test_a_study_where_nothing_diverged_says_nothing_of_it(folder):
    assert "diverged" not in format_summary(read_table(folder / "study.h5").summary())
    assert "diverged" not in format_status(status(folder))


# ---- weights without a counterpart in float


def test_points_without_an_accuracy_in_float_have_none(tmp_path):
    run(plan_of(in_float=None), tmp_path, WORK, quiet)
    table = read_table(tmp_path / "study.h5")
    assert np.isnan(table.columns["accuracy_float"]).all()
    assert not np.isnan(table.columns["accuracy"]).any()
    (line, *_) = format_summary(table.summary()).splitlines()[2:]
    assert line.split()[-4:] == ["-", "2", "x", "2"]


def test_an_axis_may_stand_beside_series(tmp_path):
    plan = plan_of(axes=(Axis("training.epochs", (2,)),))
    run(plan, tmp_path, WORK, quiet)
    assert read_table(tmp_path / "study.h5").columns["loss"].shape == (8, 3)
