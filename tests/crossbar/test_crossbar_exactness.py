"""Ideal cells give the integer product exactly, however weights are mapped, inputs enter and sums are converted."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from crossbar_chips import DACS, ENGINES, MAPPINGS, chip, inputs_of, planes_of, programmed, read, weights_of

from imcsim.rng import child
from imcsim.specs.adc import IdealADC, UniformADC
from imcsim.specs.dac import BitSerialDAC, IdealDAC, OneShotDAC
from imcsim.specs.library import load

DESIGNS = 16  # of each mapping with each way for inputs to enter
SHAPE = 19, 7  # three tiles of rows, the last one not full; two tiles of columns


def drawn_design(mapping, entering, number):
    """A design of its own for each number: bits, slices, subtraction, tiles, reads, converters; and its weights."""
    rng = child(0, "design", mapping, entering, number)
    weight_bits = int(rng.choice([1, 2, 3, 4, 5, 8]))
    array = {
        "mapping": mapping,
        "weight_bits": weight_bits,
        "cell_bits": int(rng.choice([1, 2, 3, 8])),
        "tiling": str(rng.choice(["maximal", "equal"])),
        "rows_parallel": (None, 3, 4)[rng.integers(3)],
    }
    if mapping.startswith("differential"):
        array["subtraction"] = str(rng.choice(["digital", "analog"]))
    elif mapping == "offset" and weight_bits > 1:
        array["offset_correction"] = str(rng.choice(["digital", "unit_column"]))
    if rng.random() < 0.5:
        array["slices"] = unequal_slices(chip(**array).array, rng)
    spec = chip(**array, dac=drawn_dac(DACS[entering], rng))
    bits = enough_bits(spec)
    if bits <= 16 and (kind := rng.choice(["ideal", "full", "mse"])) != "ideal":
        spec = spec.replace("adc", UniformADC(bits=bits, range=str(kind)))
    return spec, weights_of(weight_bits, SHAPE), inputs_of(spec.dac, 20, SHAPE[0])


def drawn_dac(dac, rng):
    bits = int(rng.choice([1, 2, 3, 5, 8]))
    if isinstance(dac, OneShotDAC):
        return dataclasses.replace(dac, bits=bits)
    accumulation = str(rng.choice(["digital", "analog"]))
    return dataclasses.replace(dac, bits=bits, slice_bits=int(rng.integers(1, bits + 1)), accumulation=accumulation)


def unequal_slices(array, rng):
    """Slices of any size that the cells hold, least significant first."""
    sign = array.mapping == "twos_complement" and array.weight_bits > 1
    left, slices = array.stored_bits - sign, []
    while left:
        slices.append(int(rng.integers(1, min(left, array.cell_bits) + 1)))
        left -= slices[-1]
    return (*slices, 1) if sign else tuple(slices)


def enough_bits(spec):
    """The fewest ADC bits with which an LSB of one covers every sum of a read."""
    array, dac = spec.array, spec.dac
    top = 2 ** (dac.bits - dac.signed) - 1 or 1
    codes = [-1, 1] if dac.signed and dac.bits == 1 else range(-top if dac.signed else 0, top + 1)
    planes, worth, _ = planes_of(dac, np.array(codes))
    values = planes
    if isinstance(dac, BitSerialDAC) and dac.accumulation == "analog":
        # every cycle by itself may be driven to its largest, though no code drives all of them so
        most = worth * planes.max(axis=1)
        values = np.array([most.clip(min=0).sum(), most.clip(max=0).sum()])
    signed = array.subtraction == "analog" or planes.min() < 0 or values.min() < 0
    rows = math.ceil(SHAPE[0] / 3) if array.tiling == "equal" else array.rows
    largest = min(array.rows_parallel or rows, rows) * (2 ** max(array.slice_bits) - 1) * np.abs(values).max()
    return next(bits for bits in range(1, 40) if ((2**bits - 2) / 2 if signed else 2**bits - 1) >= largest)


@pytest.mark.parametrize("entering", DACS)
@pytest.mark.parametrize("mapping", MAPPINGS)
def test_an_ideal_chip_computes_the_integer_product(mapping, entering):
    for number in range(DESIGNS):
        spec, weights, x = drawn_design(mapping, entering, number)
        xbar = programmed(spec, weights, x)
        for engine, by in ENGINES.items():
            y = read(by(xbar), x)
            if getattr(spec.adc, "range", "") == "mse":  # an LSB that is no integer may be exact as well, in float32
                y = np.rint(y)
            np.testing.assert_array_equal(y, x @ weights, err_msg=f"{engine}: {spec}")


@pytest.mark.parametrize("entering", DACS)
@pytest.mark.parametrize("mapping", MAPPINGS)
def test_one_adc_bit_too_few_is_not_exact(mapping, entering):
    spec, weights, x = next(
        design
        for design in (drawn_design(mapping, entering, number) for number in range(100))
        # inputs of -1 and +1 count twice what drives the rows: an LSB of two is enough for them
        if getattr(design[0].adc, "range", "") == "full" and design[0].array.weight_bits > 2 and design[0].dac.bits > 1
    )
    y = read(programmed(spec.replace("adc.bits", spec.adc.bits - 1), weights, x), x)
    assert (y != x @ weights).mean() > 0.2, spec


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("mapping", MAPPINGS)
def test_inputs_that_no_converter_rounds_give_the_product_of_floats(mapping, signed):
    for array in ({}, {"cell_bits": 3, "rows_parallel": 3, "tiling": "equal"}):
        spec = chip(mapping=mapping, dac=IdealDAC(signed=signed), **array)
        weights, x = weights_of(4, SHAPE), inputs_of(spec.dac, 20, SHAPE[0])
        np.testing.assert_allclose(read(programmed(spec, weights, x), x), x @ weights, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("encoding", ["twos_complement", "two_phase", "sign_magnitude"])
@pytest.mark.parametrize("mapping", MAPPINGS)
def test_sixteen_bits_by_sixteen_bits_are_exact_too(mapping, encoding):
    spec = chip(mapping=mapping, weight_bits=16, dac=BitSerialDAC(bits=16, signed=True, encoding=encoding))
    weights, x = weights_of(16, SHAPE), inputs_of(spec.dac, 5, SHAPE[0])
    xbar = programmed(spec, weights, x)
    for by in ENGINES.values():
        np.testing.assert_array_equal(read(by(xbar), x), x @ weights)


@pytest.mark.parametrize("signed", [False, True])
def test_sums_of_codes_too_large_for_float32_are_exact_as_well(signed):
    # 1024 inputs of 16 bits: sums of two to the 25, where float32 holds no odd number beyond two to the 24
    top = 2**15 - 1 if signed else 2**16 - 1
    x = top - child(0, "inputs").integers(0, 100, (5, 1024)).astype(float)
    x[0] = top
    weights = np.full((1024, 3), 127.0)
    dac = BitSerialDAC(bits=16, signed=signed)
    xbar = programmed(chip(weight_bits=8, rows=1024, dac=dac, adc=UniformADC(bits=16, range="full")), weights, x)
    for by in ENGINES.values():
        np.testing.assert_array_equal(read(by(xbar), x), x @ weights)


@pytest.mark.parametrize("rows", [63, 64, 65, 255, 256, 257, 1024])
def test_columns_with_all_cells_on_count_them_all(rows):
    # the integers that hold a sum grow with it: 255 is the largest of 8 bits
    spec = chip(mapping="twos_complement", weight_bits=2, rows=rows, dac=BitSerialDAC(bits=1))
    xbar = programmed(spec, np.ones((2 * rows, 1)), np.ones((1, 2 * rows)))
    for by in ENGINES.values():
        assert read(by(xbar), np.ones((1, 2 * rows))).tolist() == [[2 * rows]]


@pytest.mark.parametrize("dac", [BitSerialDAC(bits=3), OneShotDAC(bits=3)], ids=lambda dac: dac.kind)
@pytest.mark.parametrize("samples", [127, 129, 255, 257])
@pytest.mark.parametrize("cols", [31, 33, 100])
def test_any_number_of_samples_and_columns_is_read_exactly(cols, samples, dac):
    # 2 or 8 columns an output (differential, 1 or 4 magnitude bits): kernels take both in blocks of their own
    for weight_bits in (1, 5):
        spec = chip(weight_bits=weight_bits, dac=dac)
        weights, x = weights_of(weight_bits, (19, cols)), inputs_of(dac, samples, 19)
        xbar = programmed(spec, weights, x)
        for by in ENGINES.values():
            np.testing.assert_array_equal(read(by(xbar), x), x @ weights)


@pytest.mark.parametrize("dac", [BitSerialDAC(bits=3), OneShotDAC(bits=3, signed=True)], ids=lambda dac: dac.kind)
@pytest.mark.parametrize("rows", [1, 3, 4, 6, 12, 30, 128])
def test_a_matrix_is_cut_into_tiles_of_any_height(rows, dac):
    for tiling in ("maximal", "equal"):
        spec = chip(rows=rows, tiling=tiling, dac=dac)
        weights, x = weights_of(4, (35, 3)), inputs_of(dac, 10, 35)
        np.testing.assert_array_equal(read(ENGINES["cells"](programmed(spec, weights, x)), x), x @ weights)


def test_eight_bits_come_as_close_to_the_float_product_as_rounding_lets_them():
    spec = load("sram_ideal").replace("array.weight_scale", "max").replace("dac.input_scale", "max")
    rng = child(0, "float")
    weights, x = rng.normal(size=(100, 40)), rng.uniform(size=(200, 100))
    error = read(programmed(spec, weights, x), x) - x @ weights
    steps = np.abs(weights).max() / 127, x.max() / 255
    # every rounding is uniform in its step: variance step^2 / 12
    expected = math.sqrt(100 * (np.mean(x**2) * steps[0] ** 2 + np.mean(weights**2) * steps[1] ** 2) / 12)
    assert error.std() == pytest.approx(expected, rel=0.1)  # 4000 weights and 20000 inputs are rounded


def test_an_mse_scale_comes_no_less_close():
    rng = child(0, "float")
    weights, x = rng.normal(size=(100, 40)), rng.uniform(size=(200, 100))

    def error(kind):
        spec = load("sram_ideal").replace("array.weight_scale", kind).replace("dac.input_scale", kind)
        return np.std(read(programmed(spec, weights, x), x) - x @ weights)

    assert error("mse") <= error("max")


@pytest.mark.parametrize("bits", [6, 8])
def test_a_full_scale_sine_through_a_column_has_six_decibels_a_bit_and_1_76(bits):
    top = 2**15 - 1
    dac, adc = OneShotDAC(bits=16, signed=True), UniformADC(bits=bits, range="given", lo=-top, hi=top)
    x = np.sin(2 * np.pi * np.arange(100_000) / 100_000)[:, None]
    y = read(programmed(chip(weight_bits=1, dac=dac, adc=adc), np.ones((1, 1)), x), x)
    sqnr = 10 * math.log10(np.mean(x**2) / np.mean((y - x) ** 2))
    # symmetric: 2^b - 1 levels over the range of the sine; its errors are uniform within half a decibel
    expected = 6.02 * bits + 1.76 + 20 * math.log10((2**bits - 2) / 2**bits)
    assert sqnr == pytest.approx(expected, abs=0.5)


def test_the_battery_draws_every_converter():
    designs = [drawn_design(m, e, n)[0] for m in MAPPINGS for e in DACS for n in range(DESIGNS)]
    kinds = [getattr(spec.adc, "range", "ideal") for spec in designs]
    assert min(kinds.count(kind) for kind in ("ideal", "full", "mse")) > len(designs) / 5
    assert sum(isinstance(spec.adc, IdealADC) for spec in designs) == kinds.count("ideal")
