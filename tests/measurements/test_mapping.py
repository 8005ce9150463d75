"""Foreign layouts: brought in by a map, or refused with what is wrong with the map."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from imcsim.errors import DataError, SpecError
from imcsim.measurements import read_mapped

MAPS = Path(__file__).parents[2] / "docs" / "mappings"
SOURCES = {
    "imc_sram_xnor": "imc_sram_chip_probs",
    "imc_sram_sum90": "imc_sram_chip_probs",
    "rp_sar_adc_rp2040": "rp_sar_adc",
    "rp_sar_adc_rp2350": "rp_sar_adc",
}


@pytest.fixture
def foreign(tmp_path):
    path = tmp_path / "lab.h5"
    with h5py.File(path, "w") as root:
        root["scan/R"] = np.array([[1e5, 2e5], [4e5, 5e5], [1e6, 2e6]])  # (times, cells)
        root["scan/R"].attrs["units"] = "ohm"
        root["scan/t"] = np.array([1.0, 2.0, 3.0])
        root["scan/goal"] = np.array([10.0])
    return path


def mapped(foreign, text):
    path = foreign.with_name("map.toml")
    path.write_text(text)
    return read_mapped(foreign, path)


SOUND = """
[drift]
conductance = { path = "scan/R", transpose = [1, 0] }
time = { path = "scan/t", unit = "min" }
target = { path = "scan/goal", unit = "uS", repeat = [2] }
"""


def test_a_map_brings_paths_units_axes_and_levels_in(foreign):
    drift = mapped(foreign, SOUND).groups["drift"]
    np.testing.assert_allclose(drift.conductance, 1 / np.array([[1e5, 4e5, 1e6], [2e5, 5e5, 2e6]]))
    np.testing.assert_allclose(drift.time[0], [60, 120, 180])
    np.testing.assert_allclose(drift.target, [1e-5, 1e-5])


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (('"scan/R"', '"scan/Q"'), SpecError, 'there is no dataset "scan/Q" in the file; did you mean "scan/'),
        (("[drift]", "[drft]"), SpecError, 'unknown group "drft"; did you mean "drift"?'),
        (("conductance =", "conductanse ="), SpecError, 'did you mean "conductance"?'),
        (("transpose =", "transposed ="), SpecError, 'unknown key "transposed"; did you mean "transpose"?'),
        (("transpose = [1, 0]", "transpose = [0, 0]"), DataError, "must name each of the 2 axes once"),
        ((', unit = "min"', ""), DataError, "has no unit"),
        (("repeat = [2]", "repeat = [2, 3]"), DataError, "must be one number, or 1 of them"),
        (('{ path = "scan/t", unit = "min" }', "7"), SpecError, "must be a table"),
    ],
)
def test_what_is_wrong_with_a_map_is_told(foreign, change, error, told):
    with pytest.raises(error) as caught:
        mapped(foreign, SOUND.replace(*change))
    assert told in str(caught.value)


@pytest.mark.parametrize("name", sorted(path.stem for path in MAPS.glob("*.toml")))
def test_the_maps_of_published_measurements_bring_them_in(name):
    folder = os.environ.get("IMCSIM_DATA")
    if not folder:
        pytest.skip("IMCSIM_DATA is not set: published measurements are not part of the project")
    path = Path(folder) / "devices" / f"{SOURCES.get(name, name)}.h5"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    assert read_mapped(path, MAPS / f"{name}.toml").groups
