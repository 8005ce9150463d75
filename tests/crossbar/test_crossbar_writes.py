"""Writes: to the nearest code, clipped at the largest, through the same cells."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from crossbar_chips import chip, inputs_of, programmed, read, weights_of

from imcsim.manufacturing import manufacture
from imcsim.rng import child
from imcsim.specs.adc import UniformADC
from imcsim.specs.cells import SramCell
from imcsim.specs.dac import OneShotDAC
from imcsim.updates import Outer
from imcsim.wear import MOST_RECENT


def small():
    return manufacture(chip(), (1, 4), 1).program(np.array([[7.0, 0, -3, 5]]), child(0, "write"))


def noisy():
    spec = chip(cell=SramCell(mismatch_sigma_rel=0.2, read_noise_rel=0.1), adc=UniformADC(bits=6, noise_lsb=0.5))
    x = inputs_of(spec.dac, 40, 19)
    return programmed(spec, weights_of(4, (19, 15)), x), x


@pytest.mark.parametrize(
    ("delta", "written"),
    [
        ([0.0, 0.4, 0.6, -0.6], [7, 0, -2, 4]),  # to the nearest code
        ([9.0, 9.0, -9.0, 1.4], [7, 7, -7, 6]),  # clipped at the largest
        ([-14.0, -7.0, 3.0, -5.0], [-7, -7, 0, 0]),
    ],
)
def test_a_write_rounds_to_the_nearest_code_and_clips_at_the_largest(delta, written):
    assert small().write(np.array([delta]), child(0, "write")).written.tolist() == [written]


def test_steps_below_half_a_code_are_lost_however_many():
    xbar = small()
    for _ in range(10):
        xbar = xbar.write(np.full((1, 4), -0.4), child(0, "write"))
    np.testing.assert_array_equal(xbar.written, small().written)


def test_a_write_keeps_scale_step_ranges_and_die():
    xbar, x = noisy()
    before = read(xbar, x)
    after = xbar.write(np.full((19, 15), -2.0), child(0, "write"))
    assert (after.scale, after.input_step, after.ranges) == (xbar.scale, xbar.input_step, xbar.ranges)
    assert after.die is xbar.die
    assert (xbar.codes != after.codes).any()
    assert (read(after, x) != before).any()
    np.testing.assert_array_equal(read(xbar, x), before)  # the crossbar before the write is as it was


def test_one_bit_weights_change_sign_when_the_sum_does():
    xbar = manufacture(chip(weight_bits=1), (1, 3), 1).program(np.array([[1.0, 1.0, -1.0]]), child(0, "write"))
    assert xbar.write(np.array([[-0.9, -1.1, 1.1]]), child(0, "write")).written.tolist() == [[1, -1, 1]]


def test_another_die_takes_over_codes_step_and_ranges():
    xbar, x = noisy()
    moved = xbar.on_die(manufacture(xbar.die.spec, xbar.die.shape, 99))
    assert (moved.scale, moved.input_step, moved.ranges) == (xbar.scale, xbar.input_step, xbar.ranges)
    assert moved.codes is xbar.codes
    assert (read(moved, x) != read(xbar, x)).any()
    np.testing.assert_array_equal(read(moved.on_die(xbar.die), x), read(xbar, x))


@pytest.mark.parametrize("subtraction", ["analog", "digital"])
@pytest.mark.parametrize("rows_parallel", [None, 3])
def test_a_crossbar_that_was_written_reads_as_one_that_was_programmed_so(subtraction, rows_parallel):
    cell, dac = SramCell(mismatch_sigma_rel=0.2, read_noise_rel=0.1), OneShotDAC(bits=4)
    spec = chip(cell=cell, dac=dac, adc=UniformADC(bits=6, range="full"), subtraction=subtraction, cell_bits=3)
    spec = spec.replace("array.rows_parallel", rows_parallel)
    x, rng = inputs_of(spec.dac, 40, 19), child(0, "write")
    first = manufacture(spec, (19, 15), 1).program(weights_of(4, (19, 15)), rng).calibrate(x)
    read(first, x)  # so that there is something to keep
    second = first.write(child(1, "delta").normal(0, 3, (19, 15)), rng)
    anew = dataclasses.replace(first, codes=second.codes)
    np.testing.assert_array_equal(read(second, x), read(anew, x))
    assert (read(second, x) != read(first, x)).any()


def test_every_write_of_a_cell_is_counted_however_many_there_are():
    xbar, up, writes = small(), np.array([[0.0, 1.0, 0.0, -1.0]]), 2 * MOST_RECENT + 7
    for number in range(writes):
        xbar = xbar.write(up if number % 2 == 0 else -up, child(0, "write"))
    # 0 <-> 1 and 5 <-> 4: the lowest bit of two weights
    assert xbar.wear.cell_writes[0, :, 0, 0].tolist() == [0, writes, 0, writes]
    assert (xbar.wear.total, xbar.wear.word_writes) == (2 * writes, 2 * writes)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_factors_write_what_their_product_writes(dtype):
    xbar, _ = noisy()
    rng = child(0, "factors")
    x, delta = (rng.integers(-8, 9, (6, n)) / 8 for n in xbar.die.shape)
    given = Outer(x.astype(dtype), xbar.scale[0] * delta)
    np.testing.assert_array_equal(xbar.write(given, rng).codes, np.clip(np.rint(xbar.codes + x.T @ delta), -7, 7))


def test_factors_beyond_float32_clip_as_others_do():
    x, delta = np.array([[1e30], [1e-30]]), np.array([[1e30, -1e30, 1e-30, 0.0]] * 2)
    assert small().write(Outer(x, delta), child(0, "write")).written.tolist() == [[7, -7, -2, 5]]
