"""Pulsed devices in a crossbar: what is programmed, what updates make of it, what reads see, what they have cost."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from crossbar_chips import chip
from pulsed_chips import PAIR, STEP, constant, held, pulsed_chip

from imcsim.cells.pulsed import symmetric_point
from imcsim.errors import CapabilityError, SpecError
from imcsim.manufacturing import manufacture, nominal_die
from imcsim.rng import child
from imcsim.specs.adc import UniformADC
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramCell
from imcsim.specs.dac import BitSerialDAC, OneShotDAC
from imcsim.specs.library import load
from imcsim.specs.pulsed import PulsedCell, SoftBoundsDevice, UpdateSpec
from imcsim.specs.resistive import NoDrift, ResistiveCell
from imcsim.specs.wires import ResistiveWires
from imcsim.updates import Dense, Outer

SHAPE = 19, 6  # of arrays of 8 x 4: three tiles, two of columns
RNG = child(0, "pulsed")
WEIGHTS = RNG.uniform(-0.4, 0.4, SHAPE)
X, DELTA = RNG.normal(0, 1, (3, 19)), RNG.normal(0, 0.004, (3, 6))
SPREAD = {"dw_min_dtod_rel": 0.3, "w_min_dtod_rel": 0.3, "w_max_dtod_rel": 0.3, "cycle_sigma_rel": 0.3}
REAL = SoftBoundsDevice(dw_min=STEP, w_min=-0.6, w_max=0.6, write_noise_rel=1.0, up_down_dtod=0.1, **SPREAD)


def programmed(spec, weights=WEIGHTS, key=1):
    return manufacture(spec, np.shape(weights)[-2:], key).program(weights, child(0, "program"))


def rng(seed=0):
    return child(seed, "write")


# What is programmed and read


@pytest.mark.parametrize("limit", [0.6, 3.0])
def test_a_device_is_programmed_to_its_weight_and_read_as_it_is(limit):
    xbar = programmed(pulsed_chip(limit=limit), WEIGHTS * limit)
    np.testing.assert_allclose(held(xbar), WEIGHTS * limit, atol=1e-6 * limit)
    np.testing.assert_allclose(xbar.written, WEIGHTS * limit, rtol=1e-12)
    # weight = scale top w / w_max
    np.testing.assert_allclose(xbar.held.states[0], WEIGHTS * 0.6, atol=1e-7)


def test_a_device_is_programmed_as_far_as_its_own_bounds_allow():
    xbar = programmed(pulsed_chip(constant(w_max_dtod_rel=0.3, w_min_dtod_rel=0.3)), np.full(SHAPE, 5.0))
    bounds = xbar.die.devices.high[0]
    assert bounds.min() < 0.5
    assert bounds.max() > 0.7
    # the controller asks for the nominal range, and for no more
    np.testing.assert_allclose(held(xbar), np.minimum(bounds, 0.6), atol=1e-6)
    np.testing.assert_allclose(xbar.written, 0.6)


@pytest.mark.parametrize("dac", [BitSerialDAC(bits=5), OneShotDAC(bits=5), BitSerialDAC(bits=5, signed=True)])
def test_a_read_through_converters_is_the_product_to_their_resolution(dac):
    x = np.abs(X) if not dac.signed else X
    xbar = programmed(pulsed_chip(dac=dac, adc=UniformADC(bits=14))).calibrate(x)
    step = xbar.input_step[0]
    np.testing.assert_allclose(xbar.mvm(x, rng()), np.rint(x / step) * step @ WEIGHTS, atol=0.02)


def test_read_noise_is_that_of_every_driven_pair(assert_moments):
    spec = pulsed_chip(cell={"read_noise_rel": 0.02}, rows=128, cols=400)
    xbar = programmed(spec, np.zeros((100, 400)))
    x = np.tile(RNG.uniform(-1, 1, (1, 100)), (500, 1))
    # 2 % of w_max = 0.6 a pair
    assert_moments(xbar.mvm(x, rng()), 0, 0.02 * 0.6 * np.sqrt(np.square(x[0]).sum()))


def test_write_noise_is_seen_from_the_last_pulse_of_a_cell_on(assert_moments):
    shape = 300, 400
    xbar = programmed(pulsed_chip(constant(write_noise_rel=5.0), rows=512, cols=512), np.zeros(shape))
    assert_moments(held(xbar), 0, 5 * STEP)
    delta = np.zeros(shape)
    delta[::2] = 0.01
    written = xbar.write(delta, rng())
    np.testing.assert_array_equal(held(written)[1::2], held(xbar)[1::2])
    assert_moments(held(written)[::2], 0.01, 5 * STEP)


# Updates


def test_the_mean_of_an_update_is_the_outer_product_and_its_variance_as_derived():
    n, sigma = 4000, 0.3
    spec = pulsed_chip(constant(cycle_sigma_rel=sigma), limit=1.2)
    xbar = programmed(spec, np.zeros((4, 3)), list(range(n)))
    x, delta = np.array([[0.9, -0.5, 0.2, 0.0]]), np.array([[0.008, -0.02, 0.002]])
    change = held(xbar.write(Outer(x, delta), rng()))
    product = x.T @ delta
    # a step is 0.001 of 0.6, so 0.002 of a weight; one sample with BL slots: s^2 BL p q (1 - p q + sigma^2)
    step, slots = 0.002, np.ceil(0.9 * 0.02 / 0.002)
    pq = np.abs(product) / (step * slots)
    variance = step**2 * slots * pq * (1 - pq + sigma**2)
    assert np.all(np.abs(change.mean(axis=0) - product) <= 5 * np.sqrt(variance / n) + 1e-9)
    assert not np.all(np.abs(change.mean(axis=0) - 1.05 * product) <= 5 * np.sqrt(variance / n) + 1e-9)
    tolerance = variance * 5 * np.sqrt((2 + 1 / (slots * np.maximum(pq, 1e-3))) / n) + 1e-12
    assert np.all(np.abs(change.var(axis=0) - variance) <= tolerance)
    assert not np.all(np.abs(change.var(axis=0) - step**2 * slots * pq) <= tolerance)


@pytest.mark.parametrize("wrapped", [lambda delta: delta, Dense])
def test_a_matrix_goes_by_the_nearest_number_of_pulses(wrapped):
    delta = RNG.normal(0, 0.01, SHAPE)
    written = programmed(pulsed_chip()).write(wrapped(delta), rng())
    counts = np.rint(delta / STEP)
    np.testing.assert_allclose(held(written), WEIGHTS + STEP * counts, atol=1e-6)
    np.testing.assert_array_equal(written.wear.cell_writes, np.abs(counts))


def test_no_more_pulses_are_sent_than_cross_the_range():
    delta = np.zeros(SHAPE)
    delta[3, 2], delta[4, 1] = 1e9, -1e9
    written = programmed(pulsed_chip()).write(delta, rng())
    assert (written.wear.most, written.wear.total, written.wear.clipped) == (1200, 2400, 2)
    assert held(written)[3, 2] == pytest.approx(0.6)
    assert held(written)[4, 1] == pytest.approx(-0.6)


def test_a_digital_array_takes_factors_as_their_product():
    xbar = manufacture(chip(), SHAPE, 1).program(np.rint(10 * WEIGHTS), rng())
    x, delta = np.rint(X), np.rint(1000 * DELTA)
    for update in (Outer(x, delta), Dense(x.T @ delta), x.T @ delta):
        written = xbar.write(update, rng())
        np.testing.assert_array_equal(written.codes, xbar.write(x.T @ delta, rng()).codes)
    assert (written.codes != xbar.codes).any()


def test_what_pulses_have_written_nobody_knows():
    written = programmed(pulsed_chip()).write(Outer(X, DELTA), rng())
    with pytest.raises(CapabilityError, match="written: nobody knows what pulses have written; read the array by mvm"):
        _ = written.written


def test_the_crossbar_before_a_write_is_as_it_was():
    xbar = programmed(pulsed_chip(REAL))
    before = held(xbar)
    written = xbar.write(Outer(X, DELTA), rng())
    assert (held(written) != before).any()
    np.testing.assert_array_equal(held(xbar), before)
    np.testing.assert_array_equal(held(xbar.write(Outer(X, DELTA), rng())), held(written))
    assert (held(xbar.write(Outer(X, DELTA), rng(1))) != held(written)).any()


def test_calibration_sees_what_the_devices_hold():
    spec = pulsed_chip(adc=UniformADC(bits=6))
    xbar = programmed(spec, np.zeros(SHAPE)).write(WEIGHTS, rng())
    pulsed, direct = (one.calibrate(np.abs(X)).ranges[0] for one in (xbar, programmed(spec)))
    np.testing.assert_allclose(pulsed.lsb, direct.lsb, rtol=0.1)
    np.testing.assert_array_equal(xbar.codes[0], np.rint(np.rint(WEIGHTS / STEP) * STEP / 0.6 * 127))


# Dies


def test_devices_of_a_die_are_frozen_and_those_of_another_differ():
    spec, one = pulsed_chip(REAL), programmed(pulsed_chip(REAL))
    same, other, longer = (
        manufacture(spec, shape, key).devices for shape, key in ((SHAPE, 1), (SHAPE, 2), ((40, 6), 1))
    )
    np.testing.assert_array_equal(one.die.devices.high, same.high)
    np.testing.assert_array_equal(one.die.devices.up, longer.up[:, :19])
    assert (same.high != other.high).all()
    assert (nominal_die(spec, SHAPE).devices.high == np.float32(0.6)).all()


def test_another_die_is_programmed_to_the_same_weights():
    spec = pulsed_chip(constant(w_max_dtod_rel=0.3))
    xbar = nominal_die(spec, SHAPE).program(np.full(SHAPE, 0.6), rng())
    moved = xbar.on_die(manufacture(spec, SHAPE, 7))
    np.testing.assert_allclose(held(moved), np.minimum(moved.die.devices.high[0], 0.6), atol=1e-6)
    # after pulses what is known is what they hold
    pulsed = xbar.write(np.full(SHAPE, -0.3), rng())
    np.testing.assert_allclose(held(pulsed.on_die(moved.die)), np.minimum(moved.die.devices.high[0], 0.3), atol=1e-6)
    assert pulsed.on_die(moved.die).wear.total == 0
    np.testing.assert_array_equal(moved.written, np.full(SHAPE, 0.6))
    with pytest.raises(CapabilityError, match="nobody knows what pulses have written"):
        _ = pulsed.on_die(moved.die).written


@pytest.mark.parametrize("update", ["shared", "own", "matrix"])
def test_a_member_of_an_ensemble_has_the_bits_it_has_alone(update):
    spec, keys = pulsed_chip(REAL, cell={"read_noise_rel": 0.01}, update=UpdateSpec(update_management=False)), [3, 4, 5]
    own = np.stack([WEIGHTS, 0.3 * WEIGHTS, -WEIGHTS])
    x = X if update == "shared" else np.stack([X, 2 * X, -X])
    updates = [Outer(x if x.ndim == 2 else x[k], DELTA) for k in range(3)]
    whole = Outer(x, DELTA)
    if update == "matrix":
        updates, whole = [WEIGHTS * 0.1] * 3, Dense(WEIGHTS * 0.1)
    together = programmed(spec, own, keys).write(whole, rng())
    reads = held(together)
    for k in range(3):
        alone = programmed(spec, own[k], keys[k]).write(updates[k], rng())
        np.testing.assert_array_equal(alone.held.states[0], together.held.states[k])
        np.testing.assert_array_equal(alone.mvm(np.eye(19), child(0, "read", k)), reads[k])
        np.testing.assert_array_equal(alone.wear.cell_writes, together.wear.cell_writes[k])
        assert alone.wear[1:4] == tuple(count[k] for count in together.wear[1:4])


def test_the_bits_do_not_depend_on_the_threads(on_threads):
    spec = pulsed_chip(REAL, rows=128, cols=128)
    weights = child(1, "weights").uniform(-0.4, 0.4, (200, 130))
    x, delta = child(1, "x").normal(size=(64, 200)), child(1, "d").normal(0, 0.01, (64, 130))

    def run():
        return held(programmed(spec, weights).write(Outer(x, delta), rng()).write(0.1 * weights, rng()))

    np.testing.assert_array_equal(on_threads(1, run), on_threads(2, run))


def test_weights_are_read_from_the_symmetric_point_where_the_reference_devices_hold_it():
    xbar = programmed(pulsed_chip(REAL), np.zeros(SHAPE))
    points = symmetric_point(xbar.die.devices)
    exact, nothing = xbar.held.zeroed(xbar.die, None, 1)
    measured, counts = xbar.held.zeroed(xbar.die, 3000, 1)
    np.testing.assert_allclose(exact.states, points, atol=1e-7)
    assert np.abs(points).max() > 0.05
    # about its point a device wanders by some steps
    assert np.abs(measured.states - points).max() < 0.1 * np.abs(points).max() + 20 * STEP
    for zeroed in (exact, measured):
        assert np.abs(held(dataclasses.replace(xbar, held=zeroed))).max() == 0
    assert (nothing.cells.sum(), nothing.lines.sum()) == (0, 0)
    assert (counts.cells == 6000).all()
    assert counts.lines.tolist() == [2 * 6000 * 19 * 6]


# Wear


def test_pulses_of_cells_and_lines_are_counted_and_cost_energy():
    # all probabilities are 1: every line pulses in each of 5 slots
    spec = pulsed_chip(
        update=UpdateSpec(train_length=5, length_management=False),
        cell={"pulse_energy_J": 2e-15, "line_pulse_energy_J": 1e-13},
    )
    xbar = programmed(spec, np.zeros(SHAPE))
    assert (xbar.wear.total, *xbar.wear[1:]) == (0, 0, 0, 0, 0.0)
    written = xbar.write(Outer(np.ones((2, 19)), np.full((2, 6), 5 * STEP)), rng())
    assert (written.wear.cell_writes == 10).all()
    # a row runs through two arrays side by side, a column through three one below the other
    assert written.wear.line_pulses == 10 * (19 * 2 + 6 * 3)
    assert written.wear.word_writes == 19 * 6
    assert written.wear.energy_J == pytest.approx(2e-15 * 10 * 19 * 6 + 1e-13 * 10 * 56)
    delta = np.zeros(SHAPE)
    delta[2, 3], delta[7, 0] = 4 * STEP, -STEP / 3
    later = written.write(delta, rng()).wear
    assert (later.most, later.total, later.line_pulses) == (14, 10 * 19 * 6 + 4, 560 + 8)
    assert later.word_writes == 19 * 6 + 1
    assert programmed(pulsed_chip()).write(delta, rng()).wear.energy_J is None


def test_clipped_probabilities_are_counted():
    xbar = programmed(pulsed_chip(update=UpdateSpec(train_length=10)), np.zeros((2, 1)))
    written = xbar.write(Outer(np.array([[1.0, 0.01]]), np.array([[-0.1]])), rng())
    assert written.wear.clipped == 2
    assert held(written)[0, 0] == pytest.approx(-10 * STEP, rel=1e-5)


@pytest.mark.parametrize("cell", [SramCell(), ResistiveCell(g_max_S=1e-5, drift=NoDrift())])
def test_digital_writes_are_counted_by_the_cells_whose_digit_changes(cell):
    # three bits of magnitude in slices of one bit, a pair a weight
    weights = np.array([[7.0, 0.0, -3.0, 5.0]])
    xbar = manufacture(chip(cell=cell), (1, 4), 1).program(weights, rng())
    assert (xbar.wear.total, xbar.wear.word_writes) == (0, 0)
    # 7 -> 6: one bit; 0 -> 0; -3 -> 3: two off, two on; 5 -> 2: 101 -> 010, three
    written = xbar.write(np.array([[-1.0, 0.2, 6.0, -3.0]]), rng())
    assert written.wear.cell_writes.sum(axis=(2, 3)).tolist() == [[1, 0, 4, 3]]
    assert (written.wear.word_writes, written.wear.line_pulses, written.wear.energy_J) == (3, 0, None)
    again = written.write(np.array([[1.0, 0, 0, 0]]), rng())
    assert (again.wear.total, again.wear.most, again.wear.word_writes) == (9, 2, 4)
    members = manufacture(chip(cell=cell), (1, 4), [1, 2]).program(weights, rng()).write(weights, rng()).wear
    assert members.cell_writes.shape == (2, 1, 4, 2, 3)
    assert members.word_writes.tolist() == [2, 2]


# What cannot be


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"mapping": "offset", "subtraction": "digital"}, 'array.mapping = "offset": a pulsed device is one of a pair'),
        ({"subtraction": "digital"}, 'array.subtraction = "digital": a pulsed device and its reference are subtracted'),
        ({"cell_bits": 4}, "array.cell_bits = 2 slices: a pulsed device holds a whole weight"),
        ({"current_limit": 20.0}, "array.current_limit = 20: has no meaning where the pair is subtracted"),
        ({"dac": BitSerialDAC(bits=1, signed=True)}, "dac.bits = 1: inputs of -1 and +1 are completed by the sum"),
    ],
)
def test_arrays_that_pulsed_devices_do_not_fit_are_refused(changes, told):
    with pytest.raises(SpecError) as caught:
        pulsed_chip(**changes)
    assert told in str(caught.value)


def test_wires_and_weights_of_one_sign_are_refused():
    with pytest.raises(SpecError, match=r'wires = cell\.kind = "pulsed": are of resistive cells'):
        pulsed_chip().replace("wires", ResistiveWires(r_row_ohm=1.0, r_col_ohm=1.0))
    with pytest.raises(SpecError, match=r"device\.w_min = 0: must lie below 0: a weight is signed"):
        PulsedCell(device=constant(w_min=0))
    with pytest.raises(SpecError) as caught:
        pulsed_chip(mapping="offset", subtraction="digital", cell_bits=4)
    assert len(caught.value.problems) == 2
    assert ArraySpec(**PAIR).slice_bits == (7,)


def test_factors_that_do_not_fit_are_refused_all_at_once():
    xbar = programmed(pulsed_chip())
    with pytest.raises(SpecError) as caught:
        xbar.write(Outer(np.full((2, 19), np.inf), np.ones((2, 5))), rng())
    assert str(caught.value).splitlines() == [
        "x = 38 of 38 values infinite or nan: must be finite",
        "delta = shape (2, 5): must be (samples, 6)",
    ]
    with pytest.raises(SpecError, match=r"x\.delta = 2 and 3: must have the same number of samples"):
        xbar.write(Outer(np.ones((2, 19)), np.ones((3, 6))), rng())
    with pytest.raises(SpecError) as caught:
        xbar.write(Outer(np.ones((0, 19)), np.ones((0, 6))), rng())
    assert str(caught.value).splitlines() == [
        "x = shape (0, 19): must have at least one sample",
        "delta = shape (0, 6): must have at least one sample",
    ]
    with pytest.raises(SpecError, match=r"delta = shape \(2, 2\): must have shape \(19, 6\)"):
        xbar.write(Dense(np.ones((2, 2))), rng())
    many = programmed(pulsed_chip(), key=[1, 2, 3])
    with pytest.raises(SpecError, match=r"x = shape \(2, 4, 19\): must be \(samples, 19\) or \(3, samples, 19\)"):
        many.write(Outer(np.ones((2, 4, 19)), np.ones((4, 6))), rng())


def test_pulsed_arrays_of_zeros_need_a_scale():
    with pytest.raises(SpecError, match=r'array.weight_scale = "max": of weights that are all zero'):
        manufacture(load("pulsed_generic"), (4, 3), 1).program(np.zeros((4, 3)), child(0, "program"))
