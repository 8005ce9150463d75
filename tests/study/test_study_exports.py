"""The points of a study for other programs."""

from __future__ import annotations

import csv
import io
import sys

import numpy as np
import pytest
from counted import quiet

import imcsim
from imcsim.errors import SpecError
from imcsim.study.axes import Replicates
from imcsim.study.exports import points_csv
from imcsim.study.run import run


@pytest.fixture
def folder(make_plan, evaluator, tmp_path):
    evaluator.fails = lambda place: place == ((1, 2), 1, 2, 1)
    run(make_plan(), tmp_path, evaluator.work, quiet)
    return tmp_path


def test_a_study_opens_from_its_folder_or_its_file(folder):
    assert imcsim.open_study(folder).attributes["name"] == "small"
    assert len(imcsim.open_study(str(folder / "study.h5")).columns["accuracy"]) == 72
    with pytest.raises(SpecError, match="no such folder"):
        imcsim.open_study(folder / "nowhere")


def test_every_point_is_a_line_with_what_became_of_it(folder, accuracy_at):
    rows = list(csv.DictReader(io.StringIO(points_csv(imcsim.open_study(folder)))))
    assert len(rows) == 72
    assert [row["status"] for row in rows].count("failed") == 1
    assert rows[-1]["accuracy"] == ""
    assert rows[0] == {
        "chip.adc.bits": "4",
        "chip.adc": "ideal",
        "training": "0",
        "die": "0",
        "read": "0",
        "accuracy": str(accuracy_at((0, 0), 0, 0, 0)),
        "accuracy_float": "0.9",
        "extrapolated": "0",
        "status": "ok",
    }


def test_a_full_product_is_a_cube_in_xarray(folder, accuracy_at):
    found = imcsim.open_study(folder).to_xarray()
    assert dict(found.sizes) == {"chip.adc.bits": 2, "chip.adc": 3, "training": 2, "die": 3, "read": 2}
    one = found["accuracy"].sel({"chip.adc.bits": 6, "chip.adc": "sar"}).isel(training=1, die=0, read=1)
    assert float(one) == accuracy_at((1, 2), 1, 0, 1)
    assert int(np.isnan(found["accuracy"]).sum()) == 1
    assert found.attrs["name"] == "small"


def test_what_is_no_product_has_one_dimension(make_plan, evaluator, tmp_path):
    run(make_plan(replicates=Replicates(trainings=3, own_dies=True)), tmp_path, evaluator.work, quiet)
    found = imcsim.open_study(tmp_path).to_xarray()
    assert dict(found.sizes) == {"point": 18}
    assert found["die"].values.tolist()[:3] == [0, 1, 2]


def test_without_xarray_it_is_said_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(SpecError, match=r"pip install 'imcsim\[xarray\]'"):
        imcsim.open_study(folder).to_xarray()
