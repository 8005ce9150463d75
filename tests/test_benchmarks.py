"""The speed table measures what it says: the cases are the designs they name, and no shortcut runs in their place."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from benchmarks.mvm import CASES, case_spec
from benchmarks.pulsed import milliseconds
from imcsim.manufacturing import manufacture
from imcsim.rng import child

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", CASES)
def test_only_the_lossless_case_is_one_product(name):
    rng = child(0, "weights")
    crossbar = manufacture(case_spec(name), (1152, 8), 1).program(rng.normal(size=(1152, 8)), rng)
    assert (crossbar._programmed.exact is not None) == (name == "lossless")


def test_cells_and_slices_are_those_of_the_table():
    assert [case_spec(name).array.slice_bits for name in ("C1", "C2", "C3")] == [(7,), (7,), (1,) * 8]
    noises = {
        name: (case_spec(name).cell.mismatch_sigma_rel > 0, case_spec(name).cell.read_noise_rel > 0) for name in CASES
    }
    assert noises["C2"] == (False, True)
    assert (noises["C3"], noises["C3m"], noises["C3n"]) == ((False, False), (True, False), (True, True))
    assert case_spec("C3n").adc.noise_lsb > 0


def test_what_needs_more_threads_than_are_allowed_is_not_measured():
    assert milliseconds(lambda: None, numba.config.NUMBA_NUM_THREADS + 1) == "not measured"
    assert milliseconds(lambda: None, 1).endswith(" ms")


@pytest.mark.slow
def test_the_table_comes_as_json_too():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--json", "--runs", "1", "C1"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert json.loads(done.stdout)["C1"] > 0
