"""Files of other layouts, read through mappings: what a mapping can say, and what is wrong with one, all at once."""

import h5py
import numpy as np
import pytest

from imcsim.errors import DataError, SpecError
from imcsim.measurements import Drift, ProgramVerify, PulseResponse, ReadNoise, read_mapped


@pytest.fixture
def foreign(tmp_path):
    """A file of another layout."""
    path = tmp_path / "foreign.h5"
    with h5py.File(path, "w") as file:
        file["g"] = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
        file["g"].attrs["units"] = "uS"
        file["t"] = np.array([0.0, 1.0, 2.0])
        file["back"] = np.array([2.0, 1.0, 0.0])
        file["late/g"] = np.array([[7.0, 8.0], [9.0, 10.0]])
        file["late/g"].attrs["units"] = "uS"
        file["r"] = np.array([1e3, 1e3])
        file["r"].attrs["units"] = "ADC LSB"
        file["n_set"], file["n_reset"] = np.array([1, 2]), np.array([10, 20])
    return path


@pytest.fixture
def mapped(foreign, tmp_path):
    """Its measurements by a mapping of that text."""

    def call(text):
        path = tmp_path / "map.toml"
        path.write_text(text)
        return read_mapped(foreign, path)

    return call


def test_a_dataset_is_found_where_the_mapping_says_with_its_unit_or_another(mapped):
    found = mapped('[drift]\nconductance = { path = "/g" }\ntime = { path = "t", unit = "min", scale = 2 }')
    np.testing.assert_allclose(found.of(Drift).conductance, [[1e-6, 2e-6, 3e-6], [4e-6, 5e-6, 6e-6]], rtol=1e-12)
    np.testing.assert_array_equal(found.of(Drift).time, [[0.0, 120.0, 240.0]] * 2)
    assert found.source == "foreign.h5"
    assert len(found.sha256) == 64


def test_datasets_are_joined_and_filled_up_with_nan(mapped):
    found = mapped('[read_noise]\nconductance = { path = ["g", "late/g"] }').of(ReadNoise)
    told = [[1, 2, 3], [4, 5, 6], [7, 8, np.nan], [9, 10, np.nan]]
    np.testing.assert_allclose(found.conductance * 1e6, told, rtol=1e-12)


def test_axes_are_turned_values_repeated_and_ranges_counted(mapped):
    found = mapped("""
        sample = { material = "HfOx" }
        [pulse_response]
        conductance = { path = "g", transpose = [1, 0] }
        direction = { value = [1, -1], repeat = [1, 2] }
        device = { range = [4, 0, -2] }
        die = { value = [3], repeat = 3 }
    """)
    trains = found.of(PulseResponse)
    np.testing.assert_allclose(trains.conductance * 1e6, [[1, 4], [2, 5], [3, 6]], rtol=1e-12)
    np.testing.assert_array_equal(trains.direction, [1, -1, -1])
    np.testing.assert_array_equal(trains.device, [4, 2, 0])
    np.testing.assert_array_equal(trains.die, [3, 3, 3])
    assert found.sample == {"material": "HfOx"}


def test_datasets_are_stacked_and_summed_and_the_mapping_has_the_last_word_on_units(mapped):
    found = mapped("""
        [program_verify]
        conductance = { path = "r", unit = "ohm" }
        target = { value = [1, 2], unit = "mS" }
        pulses = { path = ["n_set", "n_reset"], join = "sum" }
        [read_noise]
        conductance = { path = ["n_set", "n_reset"], join = "stack", unit = "S" }
    """)
    np.testing.assert_array_equal(found.of(ProgramVerify).conductance, [1e-3, 1e-3])
    np.testing.assert_array_equal(found.of(ProgramVerify).pulses, [11, 22])
    np.testing.assert_array_equal(found.of(ReadNoise).conductance, [[1, 2], [10, 20]])


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("{}", "must have one of path, value, range"),
        ('{ path = "g", value = 1 }', "must have one of path, value, range"),
        ('{ path = "gg" }', 'path: there is no dataset "gg" in the file; did you mean "g"?'),
        ('{ path = "late" }', 'there is no dataset "late" in the file; did you mean "late/g"?'),
        ('{ path = ["g", "zzz"] }', 'there is no dataset "zzz" in the file'),
        ("{ path = [] }", "path = []: must be the path of their dataset, or a list of paths"),
        ('{ path = "g", units = "S" }', 'units: unknown key "units"; did you mean "unit"?'),
        ('{ path = "g", unit = 1 }', "unit = 1: must be the unit of their numbers"),
        ('{ path = "g", scale = true }', "scale = True: must be a factor"),
        ('{ path = "g", join = "glue" }', "join = glue: must be append"),
        ('{ path = "g", transpose = [0] }', "transpose = [0]: must name each of the 2 axes once, from 0"),
        ('{ path = "g", transpose = [0, 0] }', "must name each of the 2 axes once"),
        ('{ path = "g", repeat = [1, 2, 3] }', "repeat = [1, 2, 3]: must be one number, or one for each"),
        ('{ path = "g", repeat = 90000000 }', "makes more than 100000000 numbers"),
        ('{ path = "g", repeat = -1 }', "repeat = -1: must be how often"),
        (
            '{ path = ["g", "late/g"], join = "stack", unit = "S", transpose = [1, 0] }',
            "the datasets do not fit together",
        ),
        ('{ path = ["g", "t"], unit = "S" }', "do not fit together: they are of shapes (2, 3), (3,)"),
        ('{ path = ["g", "r"] }', "the datasets are in different units: uS, ADC LSB; map them apart"),
        ('{ value = "1" }', "value = 1: must be numbers"),
        ("{ value = [[1], [1, 2]] }", "value = [[1], [1, 2]]: must be numbers"),
        ("{ range = [0, inf] }", "range = [0, inf]: must be [first, last]"),
        ("{ range = [0, 1, 0] }", "range = [0, 1, 0]: must be [first, last]"),
        ("{ range = [1, 0] }", "range = [1, 0]: must be [first, last]"),
        ('"g"', 'conductance = g: must be a table; write { path = "..." }'),
    ],
)
def test_a_mistake_of_an_entry_is_told(entry, told, mapped):
    with pytest.raises(SpecError) as caught:
        mapped(f"[read_noise]\nconductance = {entry}")
    assert len(caught.value.problems) == 1
    assert told in str(caught.value)
    assert "map.toml: [read_noise" in str(caught.value)


def test_all_mistakes_of_a_mapping_are_told_at_once(mapped):
    with pytest.raises(SpecError) as caught:
        mapped("""
            sample = 1
            [instrument]
            made = 2020-01-01
            [drifts]
            [drift]
            conductance = { path = "g", untis = "S" }
            tiem = { path = "t" }
        """)
    for told in (
        "sample = 1: must be a table",
        "[instrument] made = 2020-01-01: must be text or a number",
        'unknown group "drifts"; did you mean "drift"?',
        'unknown key "untis"; did you mean "unit"?',
        'unknown field "tiem"; did you mean "time"?',
    ):
        assert told in str(caught.value)
    assert len(caught.value.problems) == 5


def test_an_empty_mapping_and_no_mapping_are_told(mapped, foreign, tmp_path):
    with pytest.raises(SpecError, match="names no group of measurements; known: program_verify"):
        mapped("")
    with pytest.raises(SpecError, match=r"none\.toml: no such file"):
        read_mapped(foreign, tmp_path / "none.toml")


def test_what_the_file_holds_is_checked_as_ever_and_told_with_where_it_stands(mapped):
    with pytest.raises(DataError) as caught:
        mapped('[drift]\nconductance = { path = "g" }\ntime = { path = "back", unit = "s" }')
    assert "foreign.h5 by " in str(caught.value)
    assert "[drift] time: must increase: 1 follows 2; it is back of the file" in str(caught.value)
    with pytest.raises(DataError, match=r"time: has no unit; must be in s; .*or the mapping a unit"):
        mapped('[drift]\nconductance = { path = "g" }\ntime = { path = "t" }')
