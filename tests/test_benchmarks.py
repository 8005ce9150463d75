"""The speed table measures what it says: the cases are the designs they name, and no shortcut runs in their place."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from benchmarks import learning, probes
from benchmarks.mvm import CASES, case_spec
from benchmarks.pulsed import milliseconds
from imcsim.manufacturing import manufacture
from imcsim.network import mlp
from imcsim.network.losses import LOSSES
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


def test_the_chip_that_learns_reads_as_c2_does_in_both_directions():
    chip, reads = learning.chip(learning.CASES["T1"]), case_spec("C2")
    assert (chip.spec.array, chip.spec.cell, chip.spec.adc) == (reads.array, reads.cell, reads.adc)
    assert (chip.spec.dac.bits, chip.spec.transpose.dac.bits, chip.spec.transpose.adc.bits) == (8, 8, 8)
    assert all(layer._cells.direct is not None for layer in chip.chip.layers)


@pytest.mark.parametrize("name", probes.CASES)
def test_chips_whose_perturbations_are_read_draw_noise_where_the_table_says(name):
    chip, noisy = probes.chip(name), name.startswith("T2n")
    assert all(layer.holds and layer.draws == noisy for layer in chip.chip.layers)
    assert (chip.spec.cell.read_noise_rel > 0, chip.spec.adc.noise_lsb > 0) == (noisy, noisy)
    assert (chip.spec.dac.kind == "bit_serial") == ("serial" in name)


@pytest.mark.parametrize(("name", "many"), [("T2", 25_450), ("T2-nodes", 42)])
def test_what_is_timed_are_the_same_perturbations_at_once_and_by_themselves(name, many):
    losses = probes.in_one_call(name)().losses
    issue, times = probes.one_after_the_other(name)
    each = issue().losses
    assert losses.shape == (many, probes.BATCH)
    assert times * len(each) == pytest.approx(many)
    stride = 1 if times == 1 else many // probes.SAMPLED
    np.testing.assert_allclose(losses[::stride], each, rtol=1e-9)
    assert np.abs(np.diff(each.mean(axis=1))).max() > 1e-6  # which differ


def test_the_plain_step_is_one_of_gradient_descent():
    start, batch = learning.start(), learning.batch()
    gradients, _ = mlp.gradients(start, batch.x.astype(np.float64), batch.y, LOSSES["cross_entropy"])
    step = learning.plain_step()
    for weights, before, gradient in zip(step(), start.weights, gradients, strict=True):
        change, expected = weights - before, -learning.LEARNING_RATE * gradient
        # of float32 weights, rounded ahead of the step and after: each to 2^-24 of the largest
        np.testing.assert_allclose(change, expected, rtol=1e-4, atol=2.0**-23 * np.abs(before).max())
        assert np.abs(expected).max() > 1000 * 2.0**-24 * np.abs(before).max()


def test_a_step_on_the_chip_goes_down_as_learning_does():
    step = learning.step("T1")
    first, second = step(), step()
    for before, after in zip(first.written, second.written, strict=True):
        assert (before != after).mean() > 0.01  # what is timed is a write that writes
    assert (second.biases[1] != first.biases[1]).any()


def test_what_needs_more_threads_than_are_allowed_is_not_measured():
    assert milliseconds(lambda: None, numba.config.NUMBA_NUM_THREADS + 1) == "not measured"
    assert milliseconds(lambda: None, 1).endswith(" ms")


@pytest.mark.slow
def test_the_table_comes_as_json_too():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--json", "--runs", "1", "C1", "T1"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert all(json.loads(done.stdout)[name] > 0 for name in ("C1", "T1"))
