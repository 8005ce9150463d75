"""Crossbars: exact where they must be, noisy by the stated laws, frozen where they are frozen, and plain in refusal."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from imcsim.converters.adc import least_squares_ranges
from imcsim.crossbar import manufacture, nominal_die
from imcsim.errors import CapabilityError, SpecError
from imcsim.kernels import reference
from imcsim.mapping import cell_bits, layout
from imcsim.rng import child, draw_key
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramCapacitorCell, SramCell, SramDischargeCell
from imcsim.specs.chip import ChipSpec
from imcsim.specs.converters import BitSerialDAC, IdealADC, OneShotDAC, UniformADC
from imcsim.specs.library import load

MAPPINGS = ("differential", "offset", "twos_complement")
DACS = (BitSerialDAC, OneShotDAC)
EVERY_MAPPING = pytest.mark.parametrize("mapping", MAPPINGS)
EVERY_DAC = pytest.mark.parametrize("kind", DACS, ids=lambda kind: kind.kind)
EVERY_SIGN = pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
N = 40_000  # samples of a statistic: enough to tell 5 % of a sigma

DISCHARGE = load("sram8t_65nm").cell
# the same cell on a bit line that neither droops nor ends nor leaks
LINE = DISCHARGE.replace("droop_per_V", 0.0).replace("swing_V", 5.0).replace("leakage_rel", 0.0)


def chip(*, cell=None, mapping="differential", weight_bits=4, rows=8, cols=4, dac=None, adc=None):
    """A small chip whose integer weights and inputs keep their values: scales of one where the largest code occurs."""
    return ChipSpec(
        cell=cell or SramCell(),
        array=ArraySpec(rows=rows, cols=cols, mapping=mapping, weight_bits=weight_bits, weight_scale="max"),
        dac=dac or dac_of(),
        adc=adc or IdealADC(),
    )


def dac_of(kind=BitSerialDAC, bits=3, *, signed=False):
    return kind(bits=bits, signed=signed, input_scale="max")


def weights_of(bits, shape, seed=0):
    """Integers of `bits` bits, the largest among them; the scale of the weights is one."""
    rng = child(seed, "weights", bits)
    top = 2 ** (bits - 1) - 1 if bits > 1 else 1
    weights = rng.integers(-top, top + 1, shape) if bits > 1 else rng.choice([-1, 1], shape)
    weights[0] = top
    return weights.astype(float)


def inputs_of(dac, samples, rows, seed=0):
    """Integers of the DAC, the largest among them; the step of the inputs is one."""
    rng = child(seed, "inputs", dac.kind, dac.bits)
    if dac.signed and dac.bits == 1:
        return rng.choice([-1.0, 1.0], (samples, rows))
    top = 2 ** (dac.bits - 1) - 1 if dac.signed else 2**dac.bits - 1
    x = rng.integers(-top if dac.signed else 0, top + 1, (samples, rows)).astype(float)
    x[0] = top
    return x


def programmed(spec, weights, x, key=1):
    return manufacture(spec, weights.shape, key).program(weights, child(0, "write")).calibrate(x)


def enough_bits(spec, signed):
    """The fewest ADC bits with which an LSB of one covers every sum of a tile."""
    full_input = 1 if spec.dac.kind == "bit_serial" else inputs_of(spec.dac, 99, 1).max()
    signed = signed and spec.dac.kind == "one_shot"
    largest = spec.array.rows * full_input
    return next(bits for bits in range(1, 17) if ((2**bits - 2) / 2 if signed else 2**bits - 1) >= largest)


# Exactness


@pytest.mark.parametrize("adc", ["ideal", "full"])
@pytest.mark.parametrize("input_bits", [1, 2, 5])
@pytest.mark.parametrize("weight_bits", [1, 2, 4, 8])
@EVERY_SIGN
@EVERY_DAC
@EVERY_MAPPING
def test_an_ideal_chip_computes_the_integer_product(mapping, kind, signed, weight_bits, input_bits, adc):
    spec = chip(mapping=mapping, weight_bits=weight_bits, dac=dac_of(kind, input_bits, signed=signed))
    if adc == "full":
        spec = spec.replace("adc", UniformADC(bits=enough_bits(spec, signed), range="full"))
    weights = weights_of(weight_bits, (19, 5))  # three tiles, the last one not full; two tiles of columns
    x = inputs_of(spec.dac, 40, 19)
    np.testing.assert_array_equal(programmed(spec, weights, x).mvm(x, child(0, "read")), x @ weights)


@EVERY_SIGN
@EVERY_DAC
def test_sixteen_bits_by_sixteen_bits_are_exact_too(kind, signed):
    for mapping in MAPPINGS:
        spec = chip(mapping=mapping, weight_bits=16, dac=dac_of(kind, 16, signed=signed))
        weights, x = weights_of(16, (19, 5)), inputs_of(spec.dac, 5, 19)
        np.testing.assert_array_equal(programmed(spec, weights, x).mvm(x, child(0, "read")), x @ weights)


@EVERY_SIGN
def test_sums_of_codes_too_large_for_float32_are_exact_as_well(signed):
    # 1024 inputs of 16 bits: sums of two to the 25, where float32 holds no odd number beyond two to the 24
    dac = dac_of(bits=16, signed=signed)
    top = 2**15 - 1 if signed else 2**16 - 1
    x = top - child(0, "inputs").integers(0, 100, (5, 1024)).astype(float)
    x[0] = top
    weights = np.full((1024, 3), 127.0)
    spec = chip(weight_bits=8, rows=1024, dac=dac, adc=UniformADC(bits=16, range="full"))
    np.testing.assert_array_equal(programmed(spec, weights, x).mvm(x, child(0, "read")), x @ weights)


@pytest.mark.parametrize("rows", [63, 64, 65, 255, 256, 257, 1024])
def test_columns_with_all_cells_on_count_them_all(rows):
    # the integers that hold a sum grow with it: 255 is the largest of 8 bits
    spec = chip(mapping="twos_complement", weight_bits=2, rows=rows, dac=dac_of(bits=1))
    weights, x = np.ones((2 * rows, 1)), np.ones((1, 2 * rows))
    assert programmed(spec, weights, x).mvm(x, child(0, "read")).tolist() == [[2 * rows]]


@pytest.mark.parametrize("samples", [127, 128, 129, 300])
@pytest.mark.parametrize("cols", [31, 32, 33, 100])
def test_any_number_of_samples_and_columns_is_read_exactly(cols, samples):
    # 2 or 8 columns an output (differential, 1 or 4 magnitude bits): kernels take both in blocks of their own
    for weight_bits in (1, 5):
        spec = chip(weight_bits=weight_bits)
        weights, x = weights_of(weight_bits, (19, cols)), inputs_of(spec.dac, samples, 19)
        np.testing.assert_array_equal(programmed(spec, weights, x).mvm(x, child(0, "read")), x @ weights)


@EVERY_SIGN
@EVERY_DAC
def test_one_adc_bit_too_few_is_not_exact(kind, signed):
    spec = chip(dac=dac_of(kind, 5, signed=signed))
    spec = spec.replace("adc", UniformADC(bits=enough_bits(spec, signed) - 1, range="full"))
    weights, x = weights_of(4, (19, 5)), inputs_of(spec.dac, 40, 19)
    assert (programmed(spec, weights, x).mvm(x, child(0, "read")) != x @ weights).mean() > 0.5


@EVERY_MAPPING
@EVERY_SIGN
@EVERY_DAC
def test_a_calibrated_range_with_enough_bits_reads_its_own_samples_exactly(kind, signed, mapping):
    spec = chip(mapping=mapping, dac=dac_of(kind, 3, signed=signed))
    spec = spec.replace("adc", UniformADC(bits=enough_bits(spec, signed), range="mse"))
    weights, x = weights_of(4, (19, 5)), inputs_of(spec.dac, 40, 19)
    np.testing.assert_array_equal(programmed(spec, weights, x).mvm(x, child(0, "read")), x @ weights)


@pytest.mark.parametrize("rows", [1, 3, 4, 6, 12, 30])
def test_a_matrix_is_cut_into_tiles_of_any_height(rows):
    spec = chip(rows=rows)
    weights, x = weights_of(4, (35, 3)), inputs_of(spec.dac, 10, 35)
    np.testing.assert_array_equal(programmed(spec, weights, x).mvm(x, child(0, "read")), x @ weights)


@pytest.mark.parametrize("rows", [1, 3, 4, 6, 12, 30])
def test_a_matrix_is_cut_into_tiles_of_any_height_in_one_shot(rows):
    spec = chip(rows=rows, dac=dac_of(OneShotDAC, signed=True))
    weights, x = weights_of(4, (35, 3)), inputs_of(spec.dac, 10, 35)
    np.testing.assert_array_equal(programmed(spec, weights, x).mvm(x, child(0, "read")), x @ weights)


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 127])
def test_a_layer_smaller_than_an_array_may_have_any_number_of_rows(rows):
    spec = chip(rows=128)
    weights, x = weights_of(4, (rows, 3)), inputs_of(spec.dac, 10, rows)
    np.testing.assert_array_equal(programmed(spec, weights, x).mvm(x, child(0, "read")), x @ weights)


def test_eight_bits_come_as_close_to_the_float_product_as_rounding_lets_them():
    spec = load("sram_ideal").replace("array.weight_scale", "max").replace("dac.input_scale", "max")
    rng = child(0, "float")
    weights, x = rng.normal(size=(100, 40)), rng.uniform(size=(200, 100))
    error = programmed(spec, weights, x).mvm(x, rng) - x @ weights
    steps = np.abs(weights).max() / 127, x.max() / 255
    # every rounding is uniform in its step: variance step^2 / 12
    expected = math.sqrt(100 * (np.mean(x**2) * steps[0] ** 2 + np.mean(weights**2) * steps[1] ** 2) / 12)
    assert error.std() == pytest.approx(expected, rel=0.1)  # 4000 weights and 20000 inputs are rounded


def test_an_mse_scale_comes_no_less_close():
    rng = child(0, "float")
    weights, x = rng.normal(size=(100, 40)), rng.uniform(size=(200, 100))

    def error(kind):
        spec = load("sram_ideal").replace("array.weight_scale", kind).replace("dac.input_scale", kind)
        return np.std(programmed(spec, weights, x).mvm(x, rng) - x @ weights)

    assert error("mse") <= error("max")


@pytest.mark.parametrize("bits", [6, 8])
def test_a_full_scale_sine_through_a_column_has_six_decibels_a_bit_and_1_76(bits):
    top = 2**15 - 1
    dac, adc = dac_of(OneShotDAC, 16, signed=True), UniformADC(bits=bits, range="given", lo=-top, hi=top)
    x = np.sin(2 * np.pi * np.arange(100_000) / 100_000)[:, None]
    y = programmed(chip(weight_bits=1, dac=dac, adc=adc), np.ones((1, 1)), x).mvm(x, child(0, "read"))
    sqnr = 10 * math.log10(np.mean(x**2) / np.mean((y - x) ** 2))
    # symmetric: 2^b - 1 levels over the range of the sine; its errors are uniform within half a decibel
    expected = 6.02 * bits + 1.76 + 20 * math.log10((2**bits - 2) / 2**bits)
    assert sqnr == pytest.approx(expected, abs=0.5)


# The analog column


@pytest.mark.parametrize("rows_on", [10, 64, 128])
def test_a_bit_line_droops_and_ends_as_its_closed_form_says(rows_on):
    spec = ChipSpec(cell=DISCHARGE, array=ArraySpec(weight_bits=1), dac=dac_of(bits=1), adc=IdealADC())
    x = (np.arange(128) < rows_on).astype(float)
    xbar = nominal_die(spec, (128, 1)).program(np.ones((128, 1)), child(0, "write"))
    unit_V = 220e-6 * 0.3**1.8 * 100e-12 / 270e-15

    def volts(cells_on):  # 1e-4 of a cell leaks through each of 128
        return min((1 - math.exp(-0.15 * unit_V * (cells_on + 0.0128))) / 0.15, 0.85)

    # the other polarity only leaks
    assert float(xbar.mvm(x, child(0, "read"))[0]) == pytest.approx((volts(rows_on) - volts(0)) / unit_V, rel=1e-6)


def test_one_shot_reads_see_the_bit_line_as_single_bits_do():
    # a full input drives a cell as a set bit does: codes of 0 and 255 read as bits, in units of 1 / 255
    weights = np.ones((128, 2))
    x = child(0, "bits").integers(0, 2, (20, 128)).astype(float)
    array = ArraySpec(weight_bits=1)
    serial, shot = (
        nominal_die(ChipSpec(cell=DISCHARGE, array=array, dac=dac, adc=IdealADC()), weights.shape)
        .program(weights, child(0, "write"))
        .calibrate(x)
        .mvm(x, child(0, "read"))
        for dac in (dac_of(bits=1), dac_of(OneShotDAC, bits=8))
    )
    np.testing.assert_allclose(shot, serial, rtol=1e-6)


def test_leakage_is_a_pedestal_of_every_conversion_that_only_differential_columns_cancel():
    weights, x = weights_of(3, (20, 2)), np.zeros((1, 20))
    read = {}
    for mapping in MAPPINGS:
        spec = chip(cell=LINE.replace("leakage_rel", 0.01), mapping=mapping, weight_bits=3, rows=8)
        xbar = nominal_die(spec, weights.shape).program(weights, child(0, "write")).calibrate(np.eye(20) * 7)
        read[mapping] = xbar.mvm(x, child(0, "read"))
    # 8 rows leak 0.08 in each of 3 tiles and cycles worth 1 + 2 + 4
    for mapping, worth in (("differential", 0), ("offset", 1 + 2 + 4), ("twos_complement", 1 + 2 - 4)):
        np.testing.assert_allclose(read[mapping], 0.08 * 3 * 7 * worth, rtol=1e-5, atol=1e-9)


def test_the_nominal_die_is_the_manufactured_one_without_mismatch_and_noise():
    noiseless = DISCHARGE.replace("mismatch_sigma_rel", 0.0).replace("read_noise_rel", 0.0)
    spec = chip(cell=noiseless.replace("sigma_t_pulse_s", 0.0), adc=UniformADC(bits=6))
    weights, x = weights_of(4, (19, 5)), inputs_of(spec.dac, 40, 19)
    nominal = nominal_die(spec, weights.shape).program(weights, child(0, "write")).calibrate(x)
    np.testing.assert_array_equal(
        nominal.mvm(x, child(0, "read")), programmed(spec, weights, x).mvm(x, child(0, "read"))
    )


# Noise


def on_cells(xbar):
    """Currents of the cells that conduct, 0 elsewhere, and the worth of their columns: (inputs, columns, outputs)."""
    die = xbar.die
    bits = cell_bits(xbar.codes, die.spec.array)
    currents = die.currents.reshape(-1, *die.currents.shape[2:])[: len(bits)]
    plan = layout(die.spec.array)
    shape = len(bits), -1, die.shape[1]
    return (bits * currents).reshape(shape).astype(float), bits.reshape(shape), plan.worth.ravel(), plan.offset


def planes_of(dac, x):
    """The inputs of each cycle for codes x (rows,): (cycles, rows), what each is worth, and the completing constant."""
    if dac.kind == "one_shot":
        return x[None], np.ones(1), 0
    if dac.signed and dac.bits == 1:
        return (x[None] + 1) / 2, np.array([2.0]), -1
    worth = 2.0 ** np.arange(dac.bits) * np.where(np.arange(dac.bits) == dac.bits - 1, -1 if dac.signed else 1, 1)
    return (x.astype(np.int64) >> np.arange(dac.bits)[:, None]) & 1, worth, 0


NOISY_CELLS = {
    "read noise": SramCell(mismatch_sigma_rel=0.2, read_noise_rel=0.05),
    "jitter": LINE.replace("mismatch_sigma_rel", 0.2).replace("read_noise_rel", 0.0),
    "jitter and read noise": LINE.replace("mismatch_sigma_rel", 0.2).replace("read_noise_rel", 0.03),
}


def read_cell_by_cell(xbar, x, rng, jitter, noise):
    """N reads of x (rows,), every cell with noise of its own: the oracle of the noise that is drawn a column."""
    on, bits, worth, offset = on_cells(xbar)
    planes, cycle_worth, completion = planes_of(xbar.die.spec.dac, x)
    y = np.zeros((N, on.shape[2])) + completion * xbar.codes.sum(axis=0) + offset * (x - completion).sum()
    for row, column, output in np.argwhere(bits):
        for plane, value in zip(planes, cycle_worth, strict=True):
            if plane[row]:
                e = rng.normal(size=(2, N))
                current = on[row, column, output] * (1 + jitter * e[0]) + noise * e[1]
                y[:, output] += worth[column] * value * plane[row] * current
    return y


# a bit line only discharges, so its inputs in one shot are unsigned
NOISY_READS = [
    (name, kind, signed)
    for name, kind, signed in itertools.product(NOISY_CELLS, DACS, (False, True))
    if not (isinstance(NOISY_CELLS[name], SramDischargeCell) and kind is OneShotDAC and signed)
]


@pytest.mark.parametrize(("cell", "kind", "signed"), NOISY_READS)
@EVERY_MAPPING
def test_the_noise_of_a_column_is_that_of_its_cells(mapping, kind, signed, cell, assert_moments):
    cell = NOISY_CELLS[cell]
    spec = chip(cell=cell, mapping=mapping, weight_bits=3, rows=4, dac=dac_of(kind, 3, signed=signed))
    weights, inputs = weights_of(3, (6, 1)), inputs_of(spec.dac, 2, 6)
    xbar, x = programmed(spec, weights, inputs), inputs[1]
    jitter = cell.sigma_t_pulse_s / cell.t_pulse_s if isinstance(cell, SramDischargeCell) else 0.0

    on, bits, worth, offset = on_cells(xbar)
    planes, cycle_worth, _ = planes_of(spec.dac, x)
    mean = np.einsum("r,rco,c->o", x, on, worth) + offset * x.sum()
    # the sum of the variances of the conducting cells, cycle by cycle
    variances = jitter**2 * on**2 + cell.read_noise_rel**2 * bits
    variance = np.einsum("k,kr,rco,c->o", cycle_worth**2, planes.astype(float) ** 2, variances, worth**2)

    expected = float(mean[0]), math.sqrt(variance[0])
    assert_moments(xbar.mvm(np.tile(x, (N, 1)), child(0, "read")), *expected)
    assert_moments(read_cell_by_cell(xbar, x, child(0, "oracle"), jitter, cell.read_noise_rel), *expected)


@EVERY_DAC
def test_thermal_noise_of_a_capacitor_column_adds_to_every_conversion(kind, assert_moments):
    cell = SramCapacitorCell(c_unit_F=1e-16, mismatch_sigma_rel=0.0, v_dd_V=0.5)
    spec = chip(cell=cell, weight_bits=3, rows=4, dac=dac_of(kind, 3))
    xbar = programmed(spec, weights_of(3, (6, 1)), inputs_of(spec.dac, 2, 6))
    # kT/C of 4 capacitors in units of Delta = V_DD / 4; in one shot a full input of 7 makes Delta
    unit = math.sqrt(1.380649e-23 * 300 / 4e-16) / (0.5 / 4) * (7 if kind is OneShotDAC else 1)
    cycles = 1 if kind is OneShotDAC else 1 + 4 + 16
    conversions = 2 * cycles * 2 * (1 + 4)  # tiles, cycles, polarities, slices: sums of squares of what each is worth
    assert_moments(xbar.mvm(np.zeros((N, 6)), child(0, "read")), 0, unit * math.sqrt(conversions))


def test_conversion_noise_adds_to_every_conversion(assert_moments):
    adc = UniformADC(bits=12, range="given", lo=-1024, hi=1023.5, noise_lsb=3.0)
    xbar = programmed(chip(weight_bits=3, rows=4, adc=adc), weights_of(3, (6, 1)), inputs_of(dac_of(), 2, 6))
    # tiles, cycles, polarities, slices; every code is rounded besides
    conversions = 2 * (1 + 4 + 16) * 2 * (1 + 4)
    std = 0.5 * math.sqrt((9 + 1 / 12) * conversions)
    assert_moments(xbar.mvm(np.zeros((N, 6)), child(0, "read")), 0, std)


@pytest.mark.parametrize(
    ("error", "std_lsb"), [({"offset_sigma_lsb": 3.0}, 3.0), ({"gain_sigma_rel": 0.02}, 0.02 * 255 / 0.5)]
)
def test_offsets_and_gains_are_drawn_once_a_column_of_a_die(error, std_lsb, assert_moments):
    adc = UniformADC(bits=12, range="given", lo=-1024, hi=1023.5, **error)
    spec = chip(weight_bits=1, rows=4, adc=adc, dac=dac_of(OneShotDAC, 8))
    xbar = programmed(spec, np.ones((1, N)), np.ones((1, 1)))
    y = xbar.mvm(np.ones(1), child(0, "read")) * 255  # one polarity converts 255 MAC units, the other none
    polarities = 2 if "offset_sigma_lsb" in error else 1
    assert_moments(y, 255, 0.5 * math.sqrt(polarities * std_lsb**2 + 2 / 12))
    np.testing.assert_array_equal(xbar.mvm(np.ones(1), child(1, "read")) * 255, y)


def test_noise_is_independent_between_columns_samples_and_calls():
    weights, x = np.ones((6, 2)) * 3, np.ones((2 * N, 6)) * 7
    xbar = programmed(chip(cell=SramCell(read_noise_rel=0.1), weight_bits=3), weights, x)
    rng = child(0, "read")
    first, second = (xbar.mvm(x, rng) - 6 * 3 * 7 for _ in range(2))
    streams = [first[:N, 0], first[:N, 1], first[N:, 0], second[:N, 0]]
    streams = [stream / stream.std() for stream in streams]
    for one, other in itertools.combinations(streams, 2):
        assert abs(np.mean(one * other)) < 5 / math.sqrt(N)
    assert abs(np.mean(streams[0] * (0.05 * streams[0] + streams[1]))) > 5 / math.sqrt(N)


@EVERY_SIGN
@EVERY_DAC
@EVERY_MAPPING
def test_mismatch_moves_the_output_by_its_closed_form(mapping, kind, signed, assert_moments):
    sigma = 0.1
    spec = chip(cell=SramCell(mismatch_sigma_rel=sigma), mapping=mapping, dac=dac_of(kind, 3, signed=signed), cols=128)
    weights, inputs = np.tile(weights_of(4, (11, 1)), N), inputs_of(spec.dac, 2, 11)  # all columns alike
    error = programmed(spec, weights, inputs).mvm(inputs[1], child(0, "read")) - inputs[1] @ weights
    # a conducting cell errs alike in every cycle, so by its input; it counts by the square of what its column is worth
    bits = cell_bits(weights[:, :1].astype(np.int32), spec.array)[..., 0]
    variance = sigma**2 * np.einsum("r,rps,ps->", inputs[1] ** 2, bits, layout(spec.array).worth ** 2)
    assert_moments(error, 0, math.sqrt(variance))


@EVERY_MAPPING
def test_mismatch_of_capacitors_is_shared_by_the_column(mapping, assert_moments):
    cell = SramCapacitorCell(c_unit_F=1e-15, mismatch_sigma_rel=0.01, c_par_F=3e-15, v_dd_V=0.9)
    # no noise: a column is as cold and as wide as the spec allows
    spec = chip(cell=cell.replace("temperature_K", 1.0), mapping=mapping, weight_bits=2, cols=128)
    weights, inputs = np.tile(weights_of(2, (6, 1)), N), inputs_of(spec.dac, 2, 6)
    xbar = programmed(spec, weights, inputs)
    xbar = xbar.on_die(noiseless(xbar.die))
    error = xbar.mvm(inputs[1], child(0, "read")) - inputs[1] @ weights
    # V_i = (1 + e_i) (N + P) / (N + P + sum e): to first order the column takes its mean error off each cell
    share = 8 + 3
    bits = cell_bits(weights[:, :1].astype(np.int32), spec.array)[..., 0]
    driven = np.zeros((8, *bits.shape[1:]))  # two of the eight rows are not used, their capacitors are
    driven[:6] = inputs[1][:, None, None] * bits
    sensitivity = driven - driven.sum(axis=0) / share
    variance = cell.mismatch_sigma_rel**2 * np.einsum("rps,ps->", sensitivity**2, layout(spec.array).worth ** 2)
    assert_moments(error, 0, math.sqrt(variance))


def noiseless(die):
    return dataclasses.replace(die, column=die.column.noiseless())


# What is frozen


def cells_read_one_by_one(xbar):
    """The output of every row by itself, without noise."""
    return xbar.mvm(np.eye(xbar.die.shape[0]), child(0, "read"))


@EVERY_MAPPING
def test_a_hundred_writes_leave_every_cell_as_it_was_made(mapping):
    spec = chip(cell=SramCell(mismatch_sigma_rel=0.2), mapping=mapping, adc=UniformADC(bits=6))
    weights, x = weights_of(4, (19, 5)), inputs_of(spec.dac, 40, 19)
    before = programmed(spec, weights, x)
    currents = before.die.currents.copy()
    xbar, rng = before, child(0, "updates")
    for step in range(100):
        xbar = xbar.write(rng.normal(0, 5, weights.shape), rng, now_s=float(step))
    assert (xbar.codes != before.codes).mean() > 0.5
    back = xbar.write(weights - xbar.written, rng, now_s=100.0)
    np.testing.assert_array_equal(back.die.currents, currents)
    np.testing.assert_array_equal(back.codes, before.codes)
    np.testing.assert_array_equal(back.mvm(x, child(0, "read"), now_s=100.0), before.mvm(x, child(0, "read")))


@pytest.mark.parametrize("rows", [100, 1024])
@pytest.mark.parametrize("sigma", [0.005, 0.15, 2.0])
def test_cells_lie_on_a_grid_of_two_to_the_minus_eight_or_finer_and_no_sum_overflows_it(sigma, rows):
    spec = chip(cell=SramCell(mismatch_sigma_rel=sigma), mapping="offset", weight_bits=1, rows=rows)
    xbar = programmed(spec, np.ones((rows, 3)), np.ones((1, rows)))
    currents = xbar.die.currents.reshape(rows, 3).astype(float)
    # codes of one bit are 2 b - 1; a current is rounded to the grid, a sum to float32
    grid = 2.0**-8 / 2 + 1e-6
    np.testing.assert_allclose((cells_read_one_by_one(xbar) + 1) / 2, currents, rtol=0, atol=grid)
    total = (xbar.mvm(np.ones(rows), child(0, "read")) + rows) / 2
    np.testing.assert_allclose(total, currents.sum(axis=0), rtol=1e-6, atol=5 * grid / math.sqrt(3) * math.sqrt(rows))


def test_what_a_column_reads_does_not_depend_on_what_its_neighbours_hold():
    cell = SramCell(mismatch_sigma_rel=0.2)
    spec = chip(cell=cell, mapping="offset", weight_bits=1, rows=64)
    weights = np.full((64, 2), -1.0)
    weights[:4, 0] = 1.0  # four cells conduct beside none, and then beside 64
    alone = manufacture(spec, weights.shape, 1).program(weights, child(0, "write"))
    crowded = alone.write(np.array([0.0, 2.0]) + np.zeros_like(weights), child(0, "write"))
    np.testing.assert_array_equal(cells_read_one_by_one(alone)[:, 0], cells_read_one_by_one(crowded)[:, 0])


@pytest.mark.parametrize("cell", [SramCell(mismatch_sigma_rel=0.2), load("sram_cap_28nm").cell], ids=lambda c: c.kind)
def test_a_cell_is_the_same_however_large_the_layer_and_however_many_bits_it_has(cell):
    spec = chip(cell=cell, weight_bits=8)
    die = manufacture(spec, (20, 6), 7)
    others = {
        "fewer weight bits": manufacture(spec.replace("array.weight_bits", 4), (20, 6), 7),
        "fewer columns": manufacture(spec, (20, 3), 7),
        "fewer rows": manufacture(spec, (9, 6), 7),
        "offset": manufacture(spec.replace("array.mapping", "offset"), (20, 6), 7),
        "ADC bits": manufacture(spec.replace("adc", UniformADC(bits=3)), (20, 6), 7),
        "input bits": manufacture(spec.replace("dac.bits", 8), (20, 6), 7),
    }
    for name, other in others.items():
        common = tuple(slice(min(pair)) for pair in zip(die.currents.shape, other.currents.shape, strict=True))
        np.testing.assert_array_equal(other.currents[common], die.currents[common], err_msg=name)
    assert others["fewer weight bits"].currents.shape[3] == 3


def test_the_errors_of_a_converter_do_not_depend_on_its_bits():
    spec = chip(adc=UniformADC(bits=8, offset_sigma_lsb=1.0, gain_sigma_rel=0.1))
    one, other = (manufacture(spec.replace("adc.bits", bits), (20, 6), 7) for bits in (8, 4))
    np.testing.assert_array_equal(one.adc.gain, other.adc.gain)
    np.testing.assert_array_equal(one.adc.offset_lsb, other.adc.offset_lsb)
    assert (one.adc.gain != one.adc.offset_lsb).all()


def test_the_same_key_is_the_same_die_and_another_key_another():
    spec = chip(cell=SramCell(mismatch_sigma_rel=0.2), adc=UniformADC(gain_sigma_rel=0.1))
    die, again, other = (manufacture(spec, (19, 5), key) for key in (2**64 - 1, 2**64 - 1, 2**64 - 2))
    np.testing.assert_array_equal(die.currents, again.currents)
    assert (die.currents != other.currents).mean() > 0.99
    assert (die.adc.gain != other.adc.gain).mean() > 0.99


def test_mismatch_as_manufactured_has_the_spread_of_the_design(assert_moments):
    assert_moments(manufacture(chip(cell=LINE, rows=128), (128, 100), 3).currents, 1, 1.8 * 0.0238 / 0.3)


# Bits


def everything(samples=300):
    """A crossbar with every kind of noise, and samples for it: a few blocks of the kernels."""
    adc = UniformADC(bits=6, noise_lsb=0.5, offset_sigma_lsb=0.5, gain_sigma_rel=0.01)
    spec = chip(cell=DISCHARGE, adc=adc, dac=dac_of(signed=True))
    x = inputs_of(spec.dac, 300, 19)
    return programmed(spec, weights_of(4, (19, 15)), x), x[:samples]


def test_the_same_generator_gives_the_same_bits_and_two_reads_differ():
    xbar, x = everything()
    rng = child(0, "read")
    first, second = xbar.mvm(x, rng), xbar.mvm(x, rng)
    np.testing.assert_array_equal(xbar.mvm(x, child(0, "read")), first)
    assert (first != second).mean() > 0.5
    assert (xbar.mvm(x, child(1, "read")) != first).mean() > 0.5


def test_a_read_takes_one_key_from_its_generator_however_many_samples_it_has():
    xbar, x = everything()
    rngs = child(0, "read"), child(0, "read"), child(0, "read")
    xbar.mvm(x, rngs[0])
    xbar.mvm(x[:1], rngs[1])
    draw_key(rngs[2])
    assert len({rng.bit_generator.state["state"]["state"] for rng in rngs}) == 1


@pytest.mark.parametrize("samples", [1, 31, 32, 33, 127, 128, 129])
def test_the_first_samples_of_a_batch_have_the_bits_of_the_whole(samples):
    xbar, x = everything()
    np.testing.assert_array_equal(xbar.mvm(x[:samples], child(0, "read")), xbar.mvm(x, child(0, "read"))[:samples])


def test_leading_axes_are_samples():
    xbar, x = everything()
    flat = xbar.mvm(x, child(0, "read"))
    np.testing.assert_array_equal(xbar.mvm(x.reshape(4, 3, 25, 19), child(0, "read")), flat.reshape(4, 3, 25, 15))
    np.testing.assert_array_equal(xbar.mvm(x[0], child(0, "read")), flat[0])
    assert xbar.mvm(x[:0], child(0, "read")).shape == (0, 15)


def test_the_bits_of_a_read_do_not_depend_on_the_threads(on_threads):
    xbar, x = everything()
    one, two = (on_threads(threads, lambda: xbar.mvm(x, child(0, "read"))) for threads in (1, 2))
    np.testing.assert_array_equal(one, two)


PROGRAM = """
import hashlib, numpy as np, imcsim
spec = imcsim.load("sram8t_65nm").replace("adc.noise_lsb", 0.5).replace("adc.bits", 6)
rng = imcsim.child(0, "threads")
x, weights = rng.uniform(size=(300, 150)), rng.normal(size=(150, 10))
xbar = imcsim.manufacture(spec, weights.shape, 3).program(weights, rng).calibrate(x)
steps = [xbar.calibrate(rng.uniform(size=(100, 150))).input_step for _ in range(10)]
print(hashlib.sha256(xbar.mvm(x, rng).tobytes() + np.array(steps).tobytes()).hexdigest())
"""


@pytest.mark.parametrize(
    "variable",
    [
        "NUMBA_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
    ],
)
def test_a_process_with_one_thread_and_one_with_two_give_the_same_bits(variable):
    printed = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, variable: threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    ]
    assert printed[0] == printed[1]
    assert len(printed[0]) == 65


THREADED = """
import threading
reads = [None] * 4
def read(k):
    for _ in range(10):
        reads[k] = xbar.mvm(x, imcsim.child(1, "read"))
threads = [threading.Thread(target=read, args=(k,)) for k in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
import numba
print(numba.threading_layer(), all(np.array_equal(read, xbar.mvm(x, imcsim.child(1, "read"))) for read in reads))
"""


def test_python_threads_may_read_at_once_under_the_layer_that_aborts_when_they_do():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("print", "str") + THREADED],
        env={**os.environ, "NUMBA_THREADING_LAYER": "workqueue"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "workqueue True\n"), done.stderr


# Calibration


@EVERY_SIGN
@EVERY_DAC
@EVERY_MAPPING
def test_calibrated_ranges_suit_the_sums_that_the_columns_take(mapping, kind, signed):
    cell = SramCell() if signed else DISCHARGE.replace("v_wl_V", 0.8).replace("swing_V", 0.1)
    spec = chip(cell=cell, mapping=mapping, adc=UniformADC(bits=3), dac=dac_of(kind, 4, signed=signed))
    weights, x = weights_of(4, (19, 5)), inputs_of(spec.dac, 40, 19)
    xbar = programmed(spec, weights, x)

    bits = np.zeros((24, *cell_bits(xbar.codes, spec.array).shape[1:]))
    bits[:19] = cell_bits(xbar.codes, spec.array)
    planes = np.zeros((40, 4 if kind is BitSerialDAC else 1, 24))
    planes[:, :, :19] = [planes_of(spec.dac, sample)[0] for sample in x]
    sums = np.einsum("nktr,trpso->stnkpo", planes.reshape(40, -1, 3, 8), bits.reshape(3, 8, *bits.shape[1:]))
    column = xbar.die.column.scaled(15 if kind is OneShotDAC and not signed else 1)
    values = [reference.transfer(slice_ + column.pedestal, column).ravel() for slice_ in sums]
    expected = least_squares_ranges(spec.adc, values, [np.ones(v.size) for v in values], signed and kind is OneShotDAC)
    assert xbar.ranges == expected


def test_ranges_are_those_of_the_design_whichever_die_is_calibrated():
    spec = chip(cell=DISCHARGE, adc=UniformADC(bits=4, noise_lsb=1.0, offset_sigma_lsb=1.0))
    weights, x = weights_of(4, (19, 5)), inputs_of(spec.dac, 40, 19)
    nominal = nominal_die(spec, weights.shape).program(weights, child(0, "write")).calibrate(x)
    assert programmed(spec, weights, x, key=1).ranges == programmed(spec, weights, x, key=2).ranges == nominal.ranges


@pytest.mark.parametrize(("rows", "lsb"), [(100, 1), (127, 1), (128, 2), (300, 2)])
def test_a_full_range_covers_the_rows_that_a_tile_uses(rows, lsb):
    # seven bits reach 127: enough for a layer of fewer rows than the array has, not for all its 128
    spec = chip(rows=128, adc=UniformADC(bits=7, range="full"))
    xbar = manufacture(spec, (rows, 2), 1).program(np.ones((rows, 2)), child(0, "write"))
    assert set(xbar.ranges.lsb) == {lsb}
    one_shot = spec.replace("dac", dac_of(OneShotDAC, 3)).replace("adc.bits", 10)  # 1023 = 7 x 146 + 1
    xbar = manufacture(one_shot, (rows, 2), 1).program(np.ones((rows, 2)), child(0, "write"))
    assert set(xbar.ranges.lsb) == {1}


def test_calibration_leaves_given_and_full_ranges_alone():
    for adc in (UniformADC(range="full"), UniformADC(range="given", lo=0, hi=5), IdealADC()):
        spec = chip(adc=adc)
        weights, x = weights_of(4, (19, 5)), inputs_of(spec.dac, 40, 19)
        xbar = manufacture(spec, weights.shape, 1).program(weights, child(0, "write"))
        assert xbar.calibrate(x).ranges == xbar.ranges


def test_before_a_calibration_inputs_run_to_one():
    for dac in (dac_of(bits=4), dac_of(bits=4, signed=True)):
        xbar = manufacture(chip(dac=dac), (3, 2), 1).program(np.ones((3, 2)), child(0, "write"))
        np.testing.assert_allclose(xbar.mvm(np.array([1.0, 0.0, 5.0]), child(0, "read")), 2, rtol=1e-12)


def test_a_read_before_its_ranges_are_calibrated_says_what_to_do():
    xbar = manufacture(chip(adc=UniformADC(range="mse")), (3, 2), 1).program(np.ones((3, 2)), child(0, "write"))
    with pytest.raises(CapabilityError, match=r'adc.range = "mse": the ranges must be calibrated .*; call calibrate'):
        xbar.mvm(np.ones(3), child(0, "read"))


# Writes


def small():
    return manufacture(chip(weight_bits=4), (1, 4), 1).program(np.array([[7.0, 0, -3, 5]]), child(0, "write"))


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
    xbar, _ = everything()
    after = xbar.write(np.full((19, 15), -2.0), child(0, "write"))
    assert (after.scale, after.input_step, after.ranges) == (xbar.scale, xbar.input_step, xbar.ranges)
    assert after.die is xbar.die
    assert (xbar.codes != after.codes).any()  # and the crossbar before the write is as it was


def test_one_bit_weights_change_sign_when_the_sum_does():
    xbar = manufacture(chip(weight_bits=1), (1, 3), 1).program(np.array([[1.0, 1.0, -1.0]]), child(0, "write"))
    assert xbar.write(np.array([[-0.9, -1.1, 1.1]]), child(0, "write")).written.tolist() == [[1, -1, 1]]


def test_another_die_takes_over_codes_step_and_ranges():
    xbar, x = everything()
    die = manufacture(xbar.die.spec, xbar.die.shape, 99)
    moved = xbar.on_die(die)
    assert (moved.scale, moved.input_step, moved.ranges) == (xbar.scale, xbar.input_step, xbar.ranges)
    assert moved.codes is xbar.codes
    assert (moved.mvm(x, child(0, "read")) != xbar.mvm(x, child(0, "read"))).any()


# Refusals


def test_a_time_before_the_last_write_is_refused():
    die = manufacture(chip(), (3, 2), 1)
    xbar = die.program(np.ones((3, 2)), child(0, "write"), now_s=5.0)
    x, rng = np.ones(3), child(0, "read")
    with pytest.raises(SpecError, match=r"now_s = 4.0: must not lie before the last write, at 5.0 s"):
        xbar.mvm(x, rng, now_s=4.0)
    with pytest.raises(SpecError, match=r"now_s = 0.0"):
        xbar.mvm(x, rng)  # the default is no exception
    with pytest.raises(SpecError, match=r"now_s = 4.0"):
        xbar.write(np.zeros((3, 2)), rng, now_s=4.0)
    later = xbar.write(np.zeros((3, 2)), rng, now_s=9.0)
    with pytest.raises(SpecError, match=r"at 9.0 s"):
        later.mvm(x, rng, now_s=8.0)
    with pytest.raises(SpecError, match=r"now_s = nan"):
        later.mvm(x, rng, now_s=math.nan)
    np.testing.assert_array_equal(later.mvm(x, rng, now_s=9.0), xbar.mvm(x, rng, now_s=5.0))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused_wherever_it_enters(bad):
    xbar, rng = small(), child(0, "read")
    with pytest.raises(SpecError, match=r"x = 1 values that are not: must be finite"):
        xbar.mvm(np.array([bad]), rng)
    with pytest.raises(SpecError, match=r"x = 1 values that are not: must be finite"):
        xbar.calibrate(np.array([[bad]]))
    with pytest.raises(SpecError, match=r"delta = 1 values that are not: must be finite"):
        xbar.write(np.array([[0, 0, bad, 0]]), rng)
    with pytest.raises(SpecError, match=r"weights = 4 values that are not: must be finite"):
        xbar.die.program(np.full((1, 4), bad), rng)


@EVERY_DAC
def test_negative_inputs_need_a_signed_dac(kind):
    weights = np.ones((2, 1))
    xbar = manufacture(chip(dac=dac_of(kind)), (2, 1), 1).program(weights, child(0, "write"))
    for call in (lambda x: xbar.mvm(x, child(0, "read")), xbar.calibrate):
        with pytest.raises(SpecError, match=r"x: must not be negative: the DAC is unsigned; set dac.signed = true"):
            call(np.array([[1.0, -1e-9]]))
    signed = manufacture(chip(dac=dac_of(kind, signed=True)), (2, 1), 1).program(weights, child(0, "write"))
    assert signed.mvm(np.array([0.0, -1.0]), child(0, "read")).tolist() == [-1]


def test_another_shape_is_refused_with_the_one_that_is_right():
    xbar, rng = small(), child(0, "read")
    with pytest.raises(SpecError, match=r"x = shape \(3,\): must have 1 inputs on its last axis"):
        xbar.mvm(np.ones(3), rng)
    with pytest.raises(SpecError, match=r"x = shape \(\): must have 1 inputs"):
        xbar.mvm(np.float64(1), rng)
    with pytest.raises(SpecError, match=r"weights = shape \(4, 1\): must have shape \(1, 4\)"):
        xbar.die.program(np.ones((4, 1)), rng)
    with pytest.raises(SpecError, match=r"delta = shape \(4,\): must have shape \(1, 4\)"):
        xbar.write(np.ones(4), rng)


def test_a_die_of_another_shape_or_design_is_refused():
    xbar, _ = everything()
    spec = xbar.die.spec
    shape = xbar.die.shape
    others = {"array.weight_bits": 5, "dac.bits": 1, "adc.bits": 2, "cell.read_noise_rel": 0.2}
    dies = [manufacture(spec.replace(path, value), shape, 1) for path, value in others.items()]
    for die in (manufacture(spec, (19, 6), 1), *dies):
        with pytest.raises(SpecError, match="must be of this crossbar's design and shape"):
            xbar.on_die(die)
