"""A sound group of every kind, and what the tests do to files."""

import h5py
import numpy as np
import pytest

from imcsim.errors import DataError
from imcsim.measurements import (
    AdcTransfer,
    Drift,
    MacTransfer,
    PowerUp,
    ProgramVerify,
    PulseResponse,
    ReadNoise,
    Spread,
    write,
)

EVERY_GROUP = {
    "program_verify": ProgramVerify(
        target=np.array([10e-6, 20e-6, 30e-6]),
        conductance=np.array([10.5e-6, np.nan, 29e-6]),
        low=np.array([9e-6, 19e-6, 29e-6]),
        high=np.array([11e-6, np.nan, 31e-6]),
        success=np.array([1, 0, 1]),
        pulses=np.array([3, 40, 7]),
        device=np.array([0, 1, 2]),
        cycle=np.array([0, 0, 0]),
        row=np.array([0, 0, 1]),
        column=np.array([0, 1, 0]),
        die=np.array([5, 5, 5]),
    ),
    "read_noise": ReadNoise(
        conductance=np.array([[1e-6, 2e-6, np.nan], [3e-6, 3e-6, 4e-6]]),
        interval=np.asarray(0.0025),
        target=np.array([1e-6, 3e-6]),
        device=np.array([7, 8]),
        row=np.array([0, 1]),
        column=np.array([2, 2]),
        die=np.array([0, 0]),
    ),
    "drift": Drift(
        conductance=np.array([[1e-6, 0.9e-6], [2e-6, np.nan]]),
        time=np.array([[0.0, 10.0], [0.0, 11.0]]),
        target=np.array([1e-6, 2e-6]),
        device=np.array([0, 1]),
        row=np.array([0, 0]),
        column=np.array([0, 1]),
        die=np.array([0, 0]),
    ),
    "adc_transfer": AdcTransfer(
        unit="V",
        input=np.array([0.0, 0.1, 0.2]),
        code=np.array([[[0, 0], [1, 2], [3, 3]]]),
        bits=np.asarray(2),
        chip=np.array([4]),
    ),
    "mac_transfer": MacTransfer(
        ideal_sum=np.array([-2.0, 0.0]),
        code=np.array([[[0, 0, 1], [1, 1, 1]]]),
        counts=np.array([[[2, 1], [0, 3]]]),
        probability=np.array([[[0.75, 0.25], [0.0, 1.0]]]),
        observations=np.array([[3, 3]]),
        code_value=np.array([-2.0, 0.0]),
        chip=np.array([1]),
    ),
    "pulse_response": PulseResponse(
        conductance=np.array([[1e-6, 2e-6, 3e-6], [3e-6, 2e-6, np.nan]]),
        direction=np.array([1, -1]),
        device=np.array([0, 0]),
        cycle=np.array([0, 0]),
        die=np.array([0, 0]),
    ),
    "power_up": PowerUp(
        power_ups=np.asarray(15),
        ones=np.array([[[0, 15], [7, 3]]]),
        majority=np.array([[[15, 15], [8, 12]]]),
        chip=np.array([3]),
    ),
    "spread": Spread(
        unit="Hz",
        value=np.array([[[1e6, 1.1e6], [1.2e6, 1.0e6]]]),
        mean=np.array([[1.05e6, 1.1e6]]),
        sigma=np.array([[1e4, 2e4]]),
        repeats=np.asarray(2),
        die=np.array([9]),
    ),
}


@pytest.fixture
def every_group():
    return EVERY_GROUP


@pytest.fixture
def good(tmp_path):
    """A file of every group."""
    path = tmp_path / "good.h5"
    write(path, EVERY_GROUP.values(), sample={"material": "HfOx"}, instrument={"name": "tester", "read_voltage_V": 0.2})
    return path


@pytest.fixture
def drift_file(tmp_path):
    """A file of the layout, its datasets given by path: numbers, or (numbers, unit)."""

    def make(datasets, name="drift.h5", **attributes):
        path = tmp_path / name
        with h5py.File(path, "w") as file:
            file.attrs.update({"format": "imcsim-measurement", "format_version": 1} | attributes)
            for where, content in datasets.items():
                values, unit = content if isinstance(content, tuple) else (content, None)
                stored = file.create_dataset(where, data=values)
                if unit is not None:
                    stored.attrs["units"] = unit
        return path

    return make


@pytest.fixture
def problems_of():
    """The problems that a call raises as a DataError, a line each; each names the file."""

    def call(function, path, *arguments):
        before = path.read_bytes() if path.is_file() else None
        with pytest.raises(DataError) as caught:
            function(path, *arguments)
        lines = [str(problem) for problem in caught.value.problems]
        assert lines
        assert all(line.startswith(str(path)) for line in lines)
        assert (path.read_bytes() if path.is_file() else None) == before
        return lines

    return call
