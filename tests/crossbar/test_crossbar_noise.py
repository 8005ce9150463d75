"""Noise: what a column reads varies as its cells, its own noise and the converters of rows and columns say."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from crossbar_chips import DACS, MAPPINGS, chip, inputs_of, planes_of, programmed, read, stored, weights_of

from imcsim.rng import child
from imcsim.specs.adc import UniformADC
from imcsim.specs.cells import SramCapacitorCell, SramCell
from imcsim.specs.dac import BitSerialDAC, IdealDAC, OneShotDAC
from imcsim.specs.library import load

N = 40_000  # samples of a statistic: enough to tell 5 % of a sigma

# a cell on a bit line that neither droops nor ends nor leaks
LINE = load("sram8t_65nm").cell.replace("droop_per_V", 0.0).replace("swing_V", 5.0).replace("leakage_rel", 0.0)
CELLS = {
    "read noise": SramCell(mismatch_sigma_rel=0.2, read_noise_rel=0.05),
    "jitter and read noise": LINE.replace("mismatch_sigma_rel", 0.2).replace("read_noise_rel", 0.03),
}
ARRAYS = {
    "differential": {"mapping": "differential"},
    "subtracted ahead of the converter": {"mapping": "differential", "subtraction": "analog"},
    "two-sided": {"mapping": "differential_two_sided", "rows_parallel": 3},
    "two-sided, subtracted": {"mapping": "differential_two_sided", "subtraction": "analog", "cell_bits": 2},
    "offset": {"mapping": "offset", "cell_bits": 2},
    "two's complement": {"mapping": "twos_complement", "slices": (1, 1, 1)},
}


def jitter_of(cell):
    return cell.sigma_t_pulse_s / cell.t_pulse_s if hasattr(cell, "t_pulse_s") else 0.0


def expected_moments(xbar, x):
    """Mean and standard deviation of the reads of x (rows,): the variances of the conducting cells, cycle by cycle."""
    cell, held = xbar.die.spec.cell, stored(xbar)
    planes, cycle_worth, _ = planes_of(xbar.die.spec.dac, x)
    states = held.digits * held.currents
    mean = np.einsum("r,rpsc,ps->c", x, states, held.worth) + held.offset * x.sum()
    # read noise is relative to the nominal state, jitter to the cell's own current
    variances = jitter_of(cell) ** 2 * states**2 + cell.read_noise_rel**2 * held.digits**2
    variance = np.einsum("k,kr,rpsc,ps->c", cycle_worth**2, planes**2, variances, held.worth**2)
    return float(mean[0]), math.sqrt(variance[0])


def read_cell_by_cell(xbar, x, rng):
    """N reads of x (rows,), every cell with noise of its own: the oracle of the noise that is drawn a column."""
    cell, held = xbar.die.spec.cell, stored(xbar)
    planes, cycle_worth, _ = planes_of(xbar.die.spec.dac, x)
    y = np.full(N, held.offset * x.sum())
    for row, polarity, s, _ in np.argwhere(held.digits > 0):
        digit, current = held.digits[row, polarity, s, 0], held.currents[row, polarity, s, 0]
        for plane, value in zip(planes, cycle_worth, strict=True):
            if plane[row]:
                e = rng.normal(size=(2, N))
                state = digit * (current * (1 + jitter_of(cell) * e[0]) + cell.read_noise_rel * e[1])
                y += held.worth[polarity, s] * value * plane[row] * state
    return y


NOISY_READS = [
    (cell, array, dac)
    for cell, array, dac in itertools.product(CELLS, ARRAYS, DACS)
    # a bit line only discharges: no row is driven negative
    if cell == "read noise" or dac not in ("one shot, signed", "sign and magnitude")
]


@pytest.mark.parametrize(("cell", "array", "dac"), NOISY_READS)
def test_the_noise_of_a_column_is_that_of_its_cells(cell, array, dac, assert_moments):
    spec = chip(cell=CELLS[cell], dac=DACS[dac], weight_bits=3, **{"rows": 4, **ARRAYS[array]})
    weights, inputs = weights_of(3, (6, 1)), inputs_of(spec.dac, 2, 6)
    xbar, x = programmed(spec, weights, inputs), inputs[1]
    assert_moments(read(xbar, np.tile(x, (N, 1))), *expected_moments(xbar, x))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("array", ARRAYS)
def test_cells_that_draw_by_themselves_vary_as_much(array, cell, assert_moments):
    dac = DACS["serial, two bits a cycle"]
    spec = chip(cell=CELLS[cell], dac=dac, weight_bits=3, **{"rows": 4, **ARRAYS[array]})
    weights, inputs = weights_of(3, (6, 1)), inputs_of(dac, 2, 6)
    xbar, x = programmed(spec, weights, inputs), inputs[1]
    assert_moments(read_cell_by_cell(xbar, x, child(0, "oracle")), *expected_moments(xbar, x))


def test_inputs_that_no_converter_rounds_carry_the_noise_of_their_size(assert_moments):
    spec = chip(cell=CELLS["read noise"], dac=IdealDAC(signed=True), weight_bits=3, rows=4)
    weights, inputs = weights_of(3, (6, 1)), inputs_of(spec.dac, 2, 6)
    xbar, x = programmed(spec, weights, inputs), inputs[1]
    assert_moments(read(xbar, np.tile(x, (N, 1))), *expected_moments(xbar, x))


@pytest.mark.parametrize("shot", [False, True])
@pytest.mark.parametrize("array", ["differential", "subtracted ahead of the converter", "offset"])
def test_thermal_noise_of_a_capacitor_column_adds_to_every_conversion(array, shot, assert_moments):
    cell = SramCapacitorCell(c_unit_F=1e-16, mismatch_sigma_rel=0.0, v_dd_V=0.5)
    dac = OneShotDAC(bits=3) if shot else BitSerialDAC(bits=3)
    spec = chip(cell=cell, weight_bits=3, dac=dac, **{"rows": 4, **ARRAYS[array]})
    xbar = programmed(spec, weights_of(3, (6, 1)), inputs_of(dac, 2, 6))
    # kT/C of 4 capacitors in units of Delta = V_DD / 4; in one shot a full input of 7 makes Delta
    unit = math.sqrt(1.380649e-23 * 300 / 4e-16) / (0.5 / 4) * (7 if shot else 1)
    cycles = 1 if shot else 1 + 4 + 16
    # slices, polarities: squares of what each is worth, and of the largest digit, which makes Delta
    columns = 9 + 16 if array == "offset" else 2 * (1 + 4)
    assert_moments(read(xbar, np.zeros((N, 6))), 0, unit * math.sqrt(2 * cycles * columns))


def test_conversion_noise_adds_to_every_conversion(assert_moments):
    adc = UniformADC(bits=12, range="given", lo=-1024, hi=1023.5, noise_lsb=3.0)
    for subtraction, polarities in (("digital", 2), ("analog", 1)):
        spec = chip(weight_bits=3, rows=4, adc=adc, subtraction=subtraction)
        xbar = programmed(spec, weights_of(3, (6, 1)), inputs_of(spec.dac, 2, 6))
        # tiles, cycles, polarities, slices; every code is rounded besides
        conversions = 2 * (1 + 4 + 16) * polarities * (1 + 4)
        assert_moments(read(xbar, np.zeros((N, 6))), 0, 0.5 * math.sqrt((9 + 1 / 12) * conversions))


def test_cycles_added_as_charge_are_converted_once(assert_moments):
    adc = UniformADC(bits=12, range="given", lo=-1024, hi=1023.5, noise_lsb=3.0)
    spec = chip(weight_bits=3, rows=4, adc=adc, dac=BitSerialDAC(bits=3, accumulation="analog"))
    xbar = programmed(spec, weights_of(3, (6, 1)), inputs_of(spec.dac, 2, 6))
    assert_moments(read(xbar, np.zeros((N, 6))), 0, 0.5 * math.sqrt((9 + 1 / 12) * 2 * 2 * (1 + 4)))


def test_more_reads_of_fewer_rows_convert_more_often(assert_moments):
    adc = UniformADC(bits=12, range="given", lo=-1024, hi=1023.5, noise_lsb=3.0)
    spec = chip(weight_bits=1, rows=8, rows_parallel=3, adc=adc, dac=BitSerialDAC(bits=1))
    xbar = programmed(spec, weights_of(1, (16, 1)), inputs_of(spec.dac, 2, 16))
    # 2 tiles of 3 reads, 2 polarities
    assert_moments(read(xbar, np.zeros((N, 16))), 0, 0.5 * math.sqrt((9 + 1 / 12) * 2 * 3 * 2))


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


# Noise of the rows' converters


@pytest.mark.parametrize("dac", ["serial, two bits a cycle", "sign and magnitude", "one shot, signed"])
@pytest.mark.parametrize("mapping", MAPPINGS)
def test_noise_of_the_rows_enters_as_their_inputs_do(mapping, dac, assert_moments):
    dac = DACS[dac].replace("noise_lsb", 0.2)
    spec = chip(mapping=mapping, weight_bits=3, rows=4, dac=dac)
    weights, inputs = weights_of(3, (6, 1)), inputs_of(dac, 2, 6)
    held = stored(programmed(spec, weights, inputs))
    # each row and cycle one draw, for both polarities and all slices: the digits add up to the code above the offset
    stored_codes = np.einsum("rpsc,ps->rc", held.digits, held.worth)[:, 0]
    _, cycle_worth, _ = planes_of(dac, inputs[1])
    std = 0.2 * math.sqrt(np.square(cycle_worth).sum() * np.square(stored_codes).sum())
    y = read(programmed(spec, weights, inputs), np.tile(inputs[1], (N, 1)))
    assert_moments(y, (inputs[1] @ weights)[0], std)


def test_noise_of_the_rows_is_common_to_all_columns_of_an_array():
    dac = OneShotDAC(bits=4, noise_lsb=0.5)
    spec = chip(rows=4, cols=3, weight_bits=3, dac=dac)
    weights = np.array([[3, 3, -1], [1, 1, 2], [2, 2, -3], [3, 3, 1]], float)
    error = read(programmed(spec, weights, np.full((1, 4), 15.0)), np.full((N, 4), 7.0)) - 7 * weights.sum(axis=0)
    np.testing.assert_allclose(error[:, 0], error[:, 1], atol=1e-4)
    # the correlation of two columns is the cosine of their weights
    cosine = weights[:, 0] @ weights[:, 2] / np.linalg.norm(weights[:, 0]) / np.linalg.norm(weights[:, 2])
    measured = np.corrcoef(error[:, 0], error[:, 2])[0, 1]
    assert abs(measured - cosine) < 5 * (1 - cosine**2) / math.sqrt(N)
    assert abs(cosine) > 5 * 5 * (1 - cosine**2) / math.sqrt(N)  # the control: independent columns would be told apart
