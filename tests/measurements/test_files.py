"""The measurement layout: what is written is read back; what is wrong is told, all of it, where it stands."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from imcsim.errors import DataError
from imcsim.measurements import Drift, ProgramVerify, ReadNoise, read, write


def problems_of(path):
    with pytest.raises(DataError) as caught:
        read(path)
    return str(caught.value)


@pytest.fixture
def file(tmp_path):
    """A sound file of reads, open to be spoiled by a function of its root."""

    def spoiled(spoil):
        path = tmp_path / "m.h5"
        write(path, [ReadNoise(conductance=np.array([[1e-6, 2e-6, 3e-6]]), interval=np.array(0.01))])
        with h5py.File(path, "a") as root:
            spoil(root)
        return path

    return spoiled


def test_what_is_written_is_read_back(group, tmp_path):
    path = tmp_path / "m.h5"
    write(path, [group], sample={"name": "cell", "rows": 3}, instrument={"smu": "B1500"})
    found = read(path)
    back = found.of(type(group))
    assert found.sample == {"name": "cell", "rows": 3}
    assert found.instrument == {"smu": "B1500"}
    assert len(found.sha256) == 64
    for name, value in group.present.items():
        read_back = np.broadcast_to(getattr(back, name), np.broadcast_shapes(getattr(back, name).shape, value.shape))
        np.testing.assert_array_equal(read_back, np.broadcast_to(value, read_back.shape))
        assert back.unit_of(name) == group.unit_of(name)
    assert [one.name for one in tmp_path.iterdir()] == ["m.h5"]


@pytest.mark.parametrize(
    ("unit", "stored", "expected"),
    [("uS", 2.0, 2e-6), ("µS", 2.0, 2e-6), ("ohm", 1e5, 1e-5), ("kohm", 100.0, 1e-5), ("mS", 1.0, 1e-3)],
)
def test_units_are_brought_to_those_of_the_layout(file, unit, stored, expected):
    def spoil(root):
        root["read_noise/conductance"][:] = stored
        root["read_noise/conductance"].attrs["units"] = unit

    np.testing.assert_allclose(read(file(spoil)).groups["read_noise"].conductance, expected, rtol=1e-12)


def test_what_the_mask_leaves_out_is_nan(file):
    def spoil(root):
        root["read_noise/valid"][0, 1] = 0

    assert np.isnan(read(file(spoil)).groups["read_noise"].conductance).tolist() == [[False, True, False]]


def rename(root, old, new):
    root.move(old, new)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda root: root["read_noise/conductance"].attrs.__delitem__("units"), "has no unit; must be in S"),
        (lambda root: root["read_noise/conductance"].attrs.__setitem__("units", "furlong"), 'unknown unit "furlong"'),
        (lambda root: root["read_noise/conductance"].attrs.__setitem__("units", "V"), "must be in S"),
        (lambda root: root["read_noise/conductance"].__setitem__(slice(None), np.nan), "holds no number"),
        (lambda root: rename(root, "read_noise/conductance", "read_noise/conductanse"), 'did you mean "conductance"'),
        (lambda root: rename(root, "read_noise", "read_nois"), 'did you mean "read_noise"'),
        (lambda root: root.attrs.__delitem__("format"), "--map"),
        (lambda root: root.attrs.__setitem__("format_version", 9), "must be 1"),
        (lambda root: root.__delitem__("read_noise"), "holds no group of measurements"),
        (lambda root: root["read_noise/interval"].__setitem__((), -1.0), "must be above 0"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(file, spoil, told):
    path = file(spoil)
    message = problems_of(path)
    assert told in message
    assert str(path) in message


def test_all_problems_are_told_at_once(file):
    def spoil(root):
        del root["read_noise/conductance"].attrs["units"]
        del root["read_noise/interval"].attrs["units"]

    assert problems_of(file(spoil)).count("has no unit") == 2


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (Drift(conductance=np.ones((2, 3)), time=np.array([1.0, 1.0, 2.0])), "must increase: 1 follows 1"),
        (Drift(conductance=np.ones((2, 3)), time=np.array([1.0, 2.0])), "must have 3 times"),
        (Drift(conductance=np.ones(3), time=np.arange(3.0)), "must have the axes"),
        (Drift(time=np.arange(3.0)), "is missing"),
        (ProgramVerify(target=np.ones(2), success=np.array([1, 2])), "must be 0 or 1"),
        (ProgramVerify(low=np.ones(2), success=np.array([1, 0])), "a window has two ends"),
        (ProgramVerify(conductance=np.ones(2)), "one of target, low is needed"),
    ],
)
def test_what_is_not_sound_is_not_written(wrong, told, tmp_path):
    with pytest.raises(DataError, match=told.replace("(", r"\(")):
        write(tmp_path / "m.h5", [wrong])
    assert list(tmp_path.iterdir()) == []


def test_mixed_units_of_what_leaves_a_choice_are_refused(tmp_path):
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as root:
        root.attrs.update(format="imcsim-measurement", format_version=1)
        for name, unit in (("mean", "Hz"), ("sigma", "V")):
            root.create_dataset(f"spread/{name}", data=np.ones((2, 3))).attrs["units"] = unit
    told = problems_of(path)
    assert "must be in one unit" in told
    assert "mean is in Hz" in told
