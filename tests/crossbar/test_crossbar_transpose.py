"""The transposed read: W^T e through the cells that the forward read meets, and converters of its own."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from crossbar_chips import DACS, MAPPINGS, chip, inputs_of, weights_of

from imcsim.manufacturing import manufacture, nominal_die
from imcsim.rng import child
from imcsim.specs.adc import IdealADC, UniformADC
from imcsim.specs.cells import SramCell
from imcsim.specs.curves import ConstantCurve
from imcsim.specs.dac import BitSerialDAC, IdealDAC, OneShotDAC
from imcsim.specs.library import load
from imcsim.specs.resistive import FlickerNoise, NoDrift, PowerDrift, ProgrammingError, ResistiveCell
from imcsim.specs.transpose import TransposeRead
from imcsim.specs.wires import ResistiveWires

SIGNED = {name: dac for name, dac in DACS.items() if dac.signed}
UNTOUCHED = {"dac": IdealDAC(signed=True), "adc": IdealADC()}  # inputs and sums as they are
FREE = TransposeRead(**UNTOUCHED)
SHAPE = 19, 10  # three tiles of rows and three of columns, none of them full
VARIED = SramCell(mismatch_sigma_rel=0.2, on_off_ratio=20.0)
RESISTIVE = ResistiveCell(g_max_S=50e-6, on_off_ratio=20.0, drift=NoDrift())


def transposable(read=FREE, **changes):
    return chip(**changes).replace("transpose", read)


def programmed(spec, shape=SHAPE, key=1, bits=4):
    weights = weights_of(bits, shape)
    return manufacture(spec, weights.shape, key).program(weights, child(0, "write"))


def forward_matrix(xbar, seed=0, **when):
    """What unit inputs give, forward: the weights as the cells have them."""
    return xbar.mvm(np.eye(xbar.die.shape[0]), child(seed, "read"), **when)


def transposed_matrix(xbar, seed=0, **when):
    """What unit errors give, as rows: the same matrix, transposed."""
    return xbar.mvm_t(np.eye(xbar.die.shape[1]), child(seed, "read"), **when)


# ---- what is read


@pytest.mark.parametrize("tiling", ["maximal", "equal"])
@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize("dac", SIGNED)
@pytest.mark.parametrize("adc", [IdealADC(), UniformADC(bits=12, range="full")], ids=lambda adc: adc.kind)
def test_an_ideal_chip_gives_the_transposed_product_exactly(dac, mapping, tiling, adc):
    spec = transposable(TransposeRead(dac=SIGNED[dac], adc=adc), mapping=mapping, tiling=tiling)
    xbar, e = programmed(spec), inputs_of(SIGNED[dac], 12, SHAPE[1])
    e[:, 0] = 3  # the largest code in each: steps of one
    np.testing.assert_array_equal(xbar.mvm_t(e, child(0, "read")), e @ xbar.written.T)


LAYOUTS = [
    {"mapping": "differential", "subtraction": "digital"},
    {"mapping": "differential", "subtraction": "analog"},
    {"mapping": "differential", "rows_parallel": 3},
    {"mapping": "differential_two_sided", "subtraction": "analog", "slices": (2, 1)},
    {"mapping": "offset", "slices": (1, 3)},
    {"mapping": "offset", "offset_correction": "unit_column"},
    {"mapping": "twos_complement", "cell_bits": 3},
    {"mapping": "differential", "weight_bits": 1},
]


@pytest.mark.parametrize("tiling", ["maximal", "equal"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: "-".join(map(str, layout.values())))
def test_it_is_the_adjoint_of_the_forward_read_on_a_die_with_mismatch(layout, tiling):
    # a unit column is read forward alone, and its mismatch met there alone; what is off conducts a sixteenth: exactly
    cell = SramCell(on_off_ratio=17.0) if layout.get("offset_correction") == "unit_column" else VARIED
    xbar = programmed(transposable(cell=cell, tiling=tiling, **UNTOUCHED, **layout), bits=layout.get("weight_bits", 4))
    x, e = child(1, "x").uniform(-1, 1, (7, SHAPE[0])), child(1, "e").uniform(-1, 1, (7, SHAPE[1]))
    forward = (e * xbar.mvm(x, child(0, "read"))).sum(axis=1)
    backward = (xbar.mvm_t(e, child(0, "read")) * x).sum(axis=1)
    np.testing.assert_allclose(backward, forward, rtol=1e-12, atol=1e-11)
    other = programmed(xbar.die.spec, key=2, bits=layout.get("weight_bits", 4))
    if cell is VARIED:
        assert not np.allclose((other.mvm_t(e, child(0, "read")) * x).sum(axis=1), forward, rtol=1e-3)


@pytest.mark.parametrize("dac", SIGNED)
def test_however_errors_enter_they_meet_the_same_cells(dac):
    xbar = programmed(transposable(TransposeRead(dac=SIGNED[dac], adc=IdealADC()), cell=VARIED, **UNTOUCHED))
    e = inputs_of(SIGNED[dac], 12, SHAPE[1])
    e[:, 0] = 3
    exact = e @ forward_matrix(xbar).T
    # bit-serial states lie on a grid of 2^-8 or finer: half of it a cell, cycle, and slice at its worth
    np.testing.assert_allclose(xbar.mvm_t(e, child(0, "read")), exact, atol=0.3)
    assert np.abs(e @ xbar.written.T - exact).max() > 3


@pytest.mark.parametrize("cell", ["sram8t_65nm", "sram8t_is_65nm"])
def test_a_nominal_chip_reads_as_one_that_was_laid_out_for_the_transposed_weights(cell):
    dac, adc = BitSerialDAC(bits=4, signed=True), UniformADC(bits=6)
    read = TransposeRead(dac=dac, adc=adc, input_step="calibrated")
    spec = transposable(read, cell=load(cell).cell, rows=12, cols=7)
    weights, e = weights_of(4, (30, 18)), child(0, "e").normal(size=(50, 18))
    xbar = nominal_die(spec, weights.shape).program(weights, child(0, "write")).calibrate_t(e)
    twin = nominal_die(spec.transposed, weights.T.shape).program(weights.T, child(0, "write")).calibrate(e)
    assert (twin.die.spec.array.rows, twin.die.spec.array.cols) == (7, 12)
    assert xbar.back.ranges == twin.ranges
    y = xbar.mvm_t(e[:9], child(0, "read"))  # the steps of weights and of errors, multiplied one after the other
    np.testing.assert_allclose(y, twin.mvm(e[:9], child(0, "read")), rtol=1e-14, atol=1e-13)


def test_lost_bits_are_lost_in_both_directions():
    cell = dataclasses.replace(load("sram8t_is_65nm").cell, v_dd_V=0.2, i_max_A=None, r_load_ohm=1e-3, leak_A=0.0)
    cell = dataclasses.replace(cell, read_noise_rel=0.0, bandwidth_Hz=None)
    dac = BitSerialDAC(bits=4, signed=True)
    xbar = programmed(transposable(TransposeRead(dac=dac, adc=IdealADC()), cell=cell, dac=dac, adc=IdealADC()))
    lost = forward_matrix(xbar.calibrate(np.eye(SHAPE[0])))
    np.testing.assert_allclose(transposed_matrix(xbar).T, lost, atol=0.05)
    assert (np.abs(lost - xbar.written) > 1).mean() > 0.2  # half of the cells forgot


# ---- when it is read


def test_a_write_is_seen_in_both_directions():
    cell = dataclasses.replace(RESISTIVE, programming=ProgrammingError(sigma=ConstantCurve(value=0.03)))
    for spec in (transposable(cell=cell, **UNTOUCHED), transposable(cell=VARIED, **UNTOUCHED)):
        xbar = programmed(spec)
        before = transposed_matrix(xbar)
        delta = child(0, "delta").integers(-3, 4, SHAPE).astype(float)
        written = xbar.write(delta, child(1, "write"))
        after = transposed_matrix(written)
        np.testing.assert_allclose(after, forward_matrix(written).T, rtol=1e-9, atol=1e-9)
        changed = (written.codes != xbar.codes)[0].T
        assert (np.abs(after - before)[changed] > 1e-3).all()
        np.testing.assert_allclose(after[~changed], before[~changed], atol=1e-6)


def test_drift_and_the_noise_of_a_call_are_those_of_the_forward_read():
    cell = dataclasses.replace(
        RESISTIVE,
        drift=PowerDrift(nu_mean=ConstantCurve(value=0.05), nu_sigma=ConstantCurve(value=0.02)),
        flicker_noise=FlickerNoise(sigma=ConstantCurve(value=0.02), t_read_s=0.1),
    )
    xbar = programmed(transposable(cell=cell, **UNTOUCHED))
    for now_s in (0.0, 1e4):
        read = transposed_matrix(xbar, now_s=now_s)
        np.testing.assert_allclose(read, forward_matrix(xbar, now_s=now_s).T, rtol=1e-9, atol=1e-9)
        assert np.abs(transposed_matrix(xbar, seed=1, now_s=now_s) - read).max() > 0.01  # another call
    assert np.abs(transposed_matrix(xbar, now_s=1e4)).sum() < 0.8 * np.abs(transposed_matrix(xbar)).sum()


@pytest.mark.parametrize("per_column", [False, True])
def test_what_compensation_makes_of_the_weights_it_makes_of_them_in_both_directions(per_column):
    drift = PowerDrift(nu_mean=ConstantCurve(value=0.05), nu_sigma=ConstantCurve(value=0.02))
    xbar = programmed(transposable(cell=dataclasses.replace(RESISTIVE, drift=drift), **UNTOUCHED))
    probes = child(0, "probes").uniform(-1, 1, (50, SHAPE[0]))
    mended = xbar.compensate(
        probes, xbar.mvm(probes, child(0, "read")), child(1, "read"), now_s=1e5, per_column=per_column
    )
    forward = forward_matrix(mended, now_s=1e5)
    np.testing.assert_allclose(transposed_matrix(mended, now_s=1e5).T, forward, rtol=1e-9, atol=1e-9)
    assert not np.allclose(forward, forward_matrix(xbar, now_s=1e5), rtol=0.1)


@pytest.mark.parametrize("ends", ["one", "both"])
@pytest.mark.parametrize("pairs", ["separate", "interleaved", "shared_bit_line"])
def test_wires_take_the_same_from_both_directions(pairs, ends):
    wires = ResistiveWires(r_row_ohm=20.0, r_col_ohm=35.0, row_terminal_ohm=90.0, pairs=pairs, col_ends=ends)
    subtraction = "analog" if pairs == "shared_bit_line" else "digital"
    spec = transposable(cell=RESISTIVE, subtraction=subtraction, cell_bits=8, **UNTOUCHED)
    xbar, ideal = programmed(spec.replace("wires", wires)), programmed(spec)
    forward = forward_matrix(xbar)
    np.testing.assert_allclose(transposed_matrix(xbar).T, forward, rtol=1e-9, atol=1e-9)
    assert np.abs(forward - forward_matrix(ideal)).max() > 0.05


def test_another_die_is_read_both_ways():
    xbar = programmed(transposable(cell=VARIED, **UNTOUCHED))
    moved = xbar.on_die(manufacture(xbar.die.spec, SHAPE, 5))
    np.testing.assert_allclose(transposed_matrix(moved), forward_matrix(moved).T, atol=1e-12)
    np.testing.assert_array_equal(transposed_matrix(moved), transposed_matrix(programmed(xbar.die.spec, key=5)))
    assert np.abs(transposed_matrix(moved) - transposed_matrix(xbar)).max() > 0.1


# ---- the scale of errors


def test_errors_may_shrink_without_end_where_each_read_has_a_step_of_its_own():
    read = TransposeRead(dac=BitSerialDAC(bits=5, signed=True), adc=UniformADC(bits=8, range="full"))
    xbar, e = programmed(transposable(read)), child(0, "e").normal(size=(20, SHAPE[1]))
    y = xbar.mvm_t(e, child(0, "read"))
    np.testing.assert_array_equal(xbar.mvm_t(e * 2.0**-40, child(0, "read")), y * 2.0**-40)
    fixed = programmed(transposable(dataclasses.replace(read, input_step="calibrated"))).calibrate_t(e)
    assert np.abs(fixed.mvm_t(e, child(0, "read"))).max() > 1
    assert (fixed.mvm_t(e * 2.0**-40, child(0, "read")) == 0).all()  # below half a step


@pytest.mark.parametrize("bits", [1, 8])
def test_a_step_a_read_knows_no_company_and_no_error_gives_none(bits):
    read = TransposeRead(dac=BitSerialDAC(bits=bits, signed=True), adc=UniformADC(bits=8, range="full"))
    xbar = programmed(transposable(read))
    e = child(0, "e").normal(size=(20, SHAPE[1])) * np.geomspace(1e-6, 1e6, 20)[:, None]
    e[7] = 0
    together = xbar.mvm_t(e, child(0, "read"))
    alone = np.stack([xbar.mvm_t(one, child(0, "read")) for one in e])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together[7], 0)


def test_a_calibration_of_one_side_leaves_the_other_as_it_is():
    adc = UniformADC(bits=6)
    spec = transposable(TransposeRead(adc=adc, input_step="calibrated"), cell=VARIED, adc=adc)
    x, e = inputs_of(spec.dac, 30, SHAPE[0]), child(0, "e").normal(size=(30, SHAPE[1]))
    xbar = programmed(spec).calibrate(x).calibrate_t(e)
    again, louder = xbar.calibrate(x / 2), xbar.calibrate_t(2 * e)
    assert again.back is xbar.back
    assert again.input_step == xbar.input_step / 2
    np.testing.assert_array_equal(louder.mvm(x, child(0, "read")), xbar.mvm(x, child(0, "read")))
    assert louder.back.input_step == 2 * xbar.back.input_step
    np.testing.assert_array_equal(louder.mvm_t(2 * e, child(0, "read")), 2 * xbar.mvm_t(e, child(0, "read")))


def test_a_crossbar_that_was_read_and_then_calibrated_reads_like_one_that_was_not_read():
    adc = UniformADC(bits=5)
    spec = transposable(TransposeRead(dac=OneShotDAC(bits=6, signed=True), adc=adc), cell=VARIED)
    small, large = (child(0, "e").normal(size=(30, SHAPE[1])) ** power for power in (1, 3))
    read = programmed(spec).calibrate_t(small)
    read.mvm_t(small, child(0, "read"))
    fresh = programmed(spec).calibrate_t(large)
    assert fresh.back.ranges != read.back.ranges
    for _ in range(2):
        read = read.calibrate_t(large)
        np.testing.assert_array_equal(read.mvm_t(large, child(0, "read")), fresh.mvm_t(large, child(0, "read")))


# ---- ensembles


def test_a_member_of_an_ensemble_has_the_bits_it_has_alone_and_two_threads_those_of_one(on_threads):
    adc = UniformADC(bits=6, gain_sigma_rel=0.02, offset_sigma_lsb=0.5, noise_lsb=0.5)
    for dac in (BitSerialDAC(bits=4, signed=True), OneShotDAC(bits=4, signed=True, noise_lsb=0.2, gain_sigma_rel=0.02)):
        spec = transposable(TransposeRead(dac=dac, adc=adc), cell=VARIED.replace("read_noise_rel", 0.05))
        weights, e = weights_of(4, SHAPE), child(0, "e").normal(size=(3, 70, SHAPE[1]))
        together = manufacture(spec, SHAPE, [4, 5, 6]).program(weights, child(0, "write")).calibrate_t(e)
        rngs = [child(k, "read") for k in range(3)]
        y = together.mvm_t(e, rngs)
        for k, key in enumerate((4, 5, 6)):
            alone = programmed(spec, key=key)
            alone = dataclasses.replace(alone, back=dataclasses.replace(alone.back, ranges=together.back.ranges))
            np.testing.assert_array_equal(alone.mvm_t(e[k], child(k, "read")), y[k])
        shared = together.mvm_t(e[0], [child(k, "read") for k in range(3)])
        np.testing.assert_array_equal(shared[0], y[0])
        assert (shared[1] != shared[0]).mean() > 0.5

        def again(xbar=together, e=e):
            return xbar.mvm_t(e, [child(k, "read") for k in range(3)])

        np.testing.assert_array_equal(on_threads(1, again), y)
        np.testing.assert_array_equal(on_threads(2, again), y)
