"""`imcsim inspect`: what a file of measurements holds, in words and in JSON; the tree of a file of another layout."""

import json

import h5py
import numpy as np
import pytest

from imcsim.cli import main
from imcsim.measurements import Drift, PowerUp, write


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "drift.h5"
    drift = Drift(
        conductance=np.array([[1e-6, 0.9e-6], [2e-6, np.nan], [4e-6, 4e-6]]),
        time=np.array([[0.0, 10.0]] * 3),
        device=np.array([100_000, 100_001, 100_001]),
    )
    power_up = PowerUp(power_ups=np.asarray(15), ones=np.array([[[0, 15]]]))
    write(path, [drift, power_up], sample={"material": "HfOx"})
    return path


@pytest.fixture
def foreign(tmp_path):
    path = tmp_path / "foreign.h5"
    with h5py.File(path, "w") as made:
        made.attrs["licence"] = "MIT"
        made["run/g"] = np.ones((2, 3))
        made["run/g"].attrs["units"] = "uS"
        made["run/t"] = np.arange(3, dtype=np.int32)
    return path


def test_a_file_is_told_with_its_groups_shapes_units_ranges_and_gaps(file, capsys):
    assert main(["inspect", str(file)]) == 0
    told = capsys.readouterr().out
    for words in (
        "drift.h5: measurements, drift, power_up",
        "sample      material HfOx",
        "instrument  not told",
        "3 cells, 2 times",
        "of 2 devices",
        "conductance  (3, 2)             9e-07 ... 4e-06 S, 17 % missing",
        "time         (3, 2)             0 ... 10 s",
        "device       (3)                100000 ... 100001",
        "power_ups  one number         15",
    ):
        assert words in told


def test_a_file_is_told_in_json(file, capsys):
    assert main(["inspect", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sample"] == {"material": "HfOx"}
    drift = told["groups"]["drift"]
    assert drift["axes"] == {"cells": 3, "times": 2}
    assert drift["distinct"] == {"devices": 2}
    assert drift["fields"]["conductance"] == {
        "axes": ["cells", "times"],
        "shape": [3, 2],
        "unit": "S",
        "min": 0.9e-6,
        "max": 4e-6,
        "missing": 1,
        "values": 6,
    }


def test_a_file_of_another_layout_is_told_as_a_tree_with_the_way_to_read_it(foreign, capsys):
    assert main(["inspect", str(foreign)]) == 0
    told = capsys.readouterr().out
    assert "foreign.h5: HDF5 of another layout, 2 datasets" in told
    assert "licence: MIT" in told
    assert "run/g  (2, 3)  f8  uS" in told
    assert "run/t  (3)     i4  no units" in told
    assert "--map MAP.toml: docs/measurements.md" in told
    assert main(["inspect", str(foreign), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["datasets"][0] == {
        "path": "run/g",
        "shape": [2, 3],
        "dtype": "<f8",
        "units": "uS",
    }


def test_a_file_of_another_layout_is_told_by_a_mapping(foreign, tmp_path, capsys):
    mapping = tmp_path / "map.toml"
    mapping.write_text('[read_noise]\nconductance = { path = "run/g" }')
    assert main(["inspect", str(foreign), "--map", str(mapping)]) == 0
    assert "conductance  (2, 3)             1e-06 S\n" in capsys.readouterr().out
    mapping.write_text('[read_noise]\nconductance = { path = "run/gg" }')
    assert main(["inspect", str(foreign), "--map", str(mapping)]) == 2
    assert 'there is no dataset "run/gg" in the file; did you mean "run/g"?' in capsys.readouterr().err


def test_bad_data_ends_with_3_and_says_what_is_wrong(tmp_path, file, capsys):
    with h5py.File(file, "a") as spoilt:
        del spoilt["drift/time"].attrs["units"]
        spoilt["power_up/power_ups"][()] = 1
    assert main(["inspect", str(file)]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert "imcsim: " in told.err
    assert "[drift] time: has no unit; must be in s" in told.err
    assert "[power_up] power_ups: must be at least 2" in told.err
    assert main(["inspect", str(tmp_path / "none.h5")]) == 3
    assert "none.h5: no such file" in capsys.readouterr().err
