"""What is written is read again: every field of every group, units in SI, gaps as NaN."""

import os

import h5py
import numpy as np
import pytest

from imcsim.errors import DataError
from imcsim.measurements import GROUPS, Drift, ReadNoise, Spread, read, write


def same(one, other):
    assert one.present.keys() == other.present.keys()
    for name, value in one.present.items():
        np.testing.assert_array_equal(other.present[name], value, err_msg=name)
        assert other.present[name].shape == value.shape
        assert other.unit_of(name) == one.unit_of(name)


def test_the_groups_of_these_tests_have_every_field(every_group):
    assert {name: list(cls.quantities()) for name, cls in GROUPS.items()} == {
        name: list(group.present) for name, group in every_group.items()
    }


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_is_read_as_it_was_written(name, every_group, tmp_path):
    path = tmp_path / "one.h5"
    write(path, [every_group[name]])
    found = read(path)
    assert list(found.groups) == [name]
    same(every_group[name], found.groups[name])
    same(every_group[name], found.of(GROUPS[name]))


def test_a_file_of_every_group_says_sample_instrument_and_hash(good, every_group):
    found = read(good)
    for name, group in every_group.items():
        same(group, found.groups[name])
    assert found.sample == {"material": "HfOx"}
    assert found.instrument == {"name": "tester", "read_voltage_V": 0.2}
    assert found.source == "good.h5"
    assert len(found.sha256) == 64


def test_a_group_that_is_not_there_is_told(tmp_path, every_group):
    path = tmp_path / "one.h5"
    write(path, [every_group["drift"]])
    with pytest.raises(DataError, match=r"one\.h5: spread: is not in the file, which has drift"):
        read(path).of(Spread)


def test_the_same_measurements_make_the_same_bytes(tmp_path, every_group):
    for name in ("a.h5", "b.h5"):
        write(tmp_path / name, every_group.values(), sample={"material": "HfOx"})
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_gaps_are_marked_in_the_file_and_every_dataset_says_its_unit(good):
    with h5py.File(good) as file:
        np.testing.assert_array_equal(file["drift/valid"], [[1, 1], [1, 0]])
        assert file["drift/conductance"].attrs["units"] == "S"
        assert file["spread/mean"].attrs["units"] == "Hz"
        assert all("units" in one.attrs for group in GROUPS for one in file[group].values())


@pytest.mark.parametrize(
    ("unit", "given", "siemens"),
    [
        ("uS", 20.0, 20e-6),
        ("\N{MICRO SIGN}S", 20.0, 20e-6),
        ("ohm", 5e4, 20e-6),
        ("kohm", 50.0, 20e-6),
        ("S", 1.0, 1.0),
    ],
)
def test_conductances_come_in_many_units(unit, given, siemens, drift_file):
    path = drift_file({"drift/conductance": ([[given, given]], unit), "drift/time": ([0.0, 1.0], "s")})
    np.testing.assert_allclose(read(path).of(Drift).conductance, [[siemens, siemens]], rtol=1e-12)


def test_times_come_in_minutes_and_are_shared_by_the_cells(drift_file):
    path = drift_file({"drift/conductance": (np.full((3, 2), 1e-6), "S"), "drift/time": ([0.0, 2.0], "min")})
    np.testing.assert_array_equal(read(path).of(Drift).time, [[0.0, 120.0]] * 3)


def test_a_ratio_comes_in_percent(drift_file):
    path = drift_file(
        {
            "mac_transfer/ideal_sum": ([0, 1], "1"),
            "mac_transfer/probability": ([[25.0, 75.0], [0.0, 100.0]], "%"),
        }
    )
    np.testing.assert_array_equal(read(path).groups["mac_transfer"].probability, [[[0.25, 0.75], [0.0, 1.0]]])


def test_a_resistance_of_a_spread_stays_one_and_an_open_circuit_is_a_gap(drift_file):
    path = drift_file({"spread/mean": ([[1.0, 2.0]], "kohm")})
    found = read(path).of(Spread)
    assert found.unit == "ohm"
    np.testing.assert_array_equal(found.mean, [[1e3, 2e3]])
    path = drift_file({"read_noise/conductance": ([[1e3, 0.0, np.inf]], "ohm")})
    np.testing.assert_array_equal(read(path).of(ReadNoise).conductance, [[1e-3, np.nan, 0.0]])


def test_what_the_mask_leaves_out_is_nan(drift_file):
    path = drift_file(
        {
            "drift/conductance": ([[1.0, 2.0]], "S"),
            "drift/time": ([0.0, 1.0], "s"),
            "drift/valid": [[1, 0]],
        }
    )
    np.testing.assert_array_equal(read(path).of(Drift).conductance, [[1.0, np.nan]])


def test_groups_of_others_are_left_alone(drift_file):
    path = drift_file({"spread/mean": ([[1.0]], "V"), "xps/counts": [1, 2]})
    assert list(read(path).groups) == ["spread"]


def test_what_is_not_sound_is_not_written(tmp_path, every_group, problems_of):
    wrong = Drift(conductance=np.array([[1.0, 2.0]]), time=np.array([1.0, 0.0]))
    path = tmp_path / "none.h5"
    told = problems_of(write, path, [wrong, every_group["spread"], every_group["spread"]])
    assert told == [
        f"{path}: spread: is there more than once",
        f"{path}: [drift] time: must increase: 0 follows 1",
    ]
    assert problems_of(write, path, []) == [f"{path}: must have at least one group of measurements"]
    with pytest.raises(DataError, match=r"\[sample\] note = \['a'\]: must be text or a number"):
        write(path, [every_group["drift"]], sample={"note": ["a"]})
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fails_leaves_the_old_file(good, every_group, monkeypatch):
    before = good.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    monkeypatch.setattr(type(good), "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write(good, [every_group["drift"]])
    assert good.read_bytes() == before
    assert list(good.parent.iterdir()) == [good]
