"""The matrix that cells really make, against reads of unit inputs through ideal converters."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from imcsim.compound import compound
from imcsim.errors import CapabilityError
from imcsim.manufacturing import manufacture
from imcsim.network.effective import effective_weights, entered, write_slopes
from imcsim.rng import child
from imcsim.specs.adc import IdealADC, UniformADC
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramCell
from imcsim.specs.chip import ChipSpec
from imcsim.specs.compound import TikiTaka
from imcsim.specs.curves import ConstantCurve
from imcsim.specs.dac import IdealDAC, OneShotDAC
from imcsim.specs.library import load
from imcsim.specs.resistive import NoDrift, ProgrammingError, ResistiveCell
from imcsim.specs.wires import ResistiveWires
from imcsim.updates import Outer

SHAPE = 19, 10
WEIGHTS = child(0, "weights").normal(size=SHAPE)
VARIED = SramCell(mismatch_sigma_rel=0.2, on_off_ratio=20.0)
UNTOUCHED = {"dac": IdealDAC(signed=True), "adc": IdealADC()}


def design(cell=VARIED, *, dac=None, adc=None, **array):
    small = {"rows": 8, "cols": 4, "weight_bits": 4, **array}
    return ChipSpec(cell=cell, array=ArraySpec(**small), dac=dac or IdealDAC(signed=True), adc=adc or IdealADC())


def programmed(spec, key=1, weights=WEIGHTS):
    return manufacture(spec, SHAPE, key).program(weights, child(0, "write"))


def read_by_units(xbar):
    return xbar.mvm(np.eye(SHAPE[0]), child(0, "read"))


LAYOUTS = [
    {"mapping": "differential"},
    {"mapping": "differential", "subtraction": "analog"},
    {"mapping": "offset", "slices": (1, 3), "cell_bits": 8},
    {"mapping": "offset", "offset_correction": "unit_column"},
    {"mapping": "twos_complement", "cell_bits": 3, "rows_parallel": 3},
    {"mapping": "differential", "weight_bits": 1},
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: "-".join(map(str, layout.values())))
def test_it_is_what_ideal_converters_read_of_the_same_cells(layout):
    seen = read_by_units(programmed(design(**layout)))
    coarse = design(dataclasses.replace(VARIED, read_noise_rel=0.3), **layout).replace("adc", UniformADC(bits=3))
    coarse = coarse.replace("dac", OneShotDAC(bits=2, signed=True))
    found = effective_weights(programmed(coarse))
    np.testing.assert_allclose(found, seen, rtol=1e-12, atol=1e-12)
    assert not np.allclose(found, effective_weights(programmed(coarse, key=2)), rtol=1e-2)


def test_it_has_programming_errors_and_wires_in_it():
    error = ProgrammingError(sigma=ConstantCurve(value=0.05))
    cell = ResistiveCell(g_max_S=50e-6, on_off_ratio=20.0, drift=NoDrift(), programming=error)
    spec = design(cell).replace("wires", ResistiveWires(r_row_ohm=20.0, r_col_ohm=20.0))
    xbar = programmed(spec)
    np.testing.assert_allclose(effective_weights(xbar), read_by_units(xbar), rtol=1e-6, atol=1e-6)
    assert np.abs(effective_weights(xbar) - xbar.written).max() > 0.01


def test_gains_of_converters_are_in_it_as_far_as_they_are_not_trimmed():
    adc = UniformADC(bits=16, range="given", lo=-400.0, hi=400.0, gain_sigma_rel=0.02)
    xbar = programmed(design(SramCell(), adc=adc, cell_bits=8, subtraction="analog"))
    np.testing.assert_allclose(effective_weights(xbar), read_by_units(xbar), atol=0.05 * xbar.scale[0])
    assert np.abs(effective_weights(xbar) - xbar.written).max() > 0.01 * np.abs(xbar.written).max()
    trimmed = xbar.trim(child(0, "trim"))
    np.testing.assert_allclose(effective_weights(trimmed), trimmed.written, atol=1e-3 * np.abs(xbar.written).max())


def test_members_of_an_ensemble_have_what_they_have_alone():
    found = effective_weights(programmed(design(), key=[3, 1]))
    np.testing.assert_array_equal(found[1], effective_weights(programmed(design())))


def test_of_a_compound_array_it_is_that_of_both():
    spec = load("pulsed_generic").replace("dac", IdealDAC(signed=True)).replace("adc", IdealADC())
    array = compound(spec, TikiTaka(gamma=0.5, transfer_rate=0.1), SHAPE, 1).program(0.1 * WEIGHTS, child(0, "write"))
    factors = Outer(child(0, "x").uniform(-1, 1, (50, SHAPE[0])), child(0, "d").normal(0, 0.1, (50, SHAPE[1])))
    array = array.write(factors, child(0, "learn"))
    fast, slow = effective_weights(array.fast), effective_weights(array.slow)
    np.testing.assert_allclose(effective_weights(array), slow + 0.5 * fast, rtol=1e-5, atol=1e-6)
    assert np.abs(fast).max() > 0.01


def test_slopes_are_what_a_write_of_one_code_makes_of_each_cell():
    xbar = programmed(design(mapping="offset"))
    step = xbar.scale[0]
    inside = np.abs(xbar.codes[0]) < 7
    up, down = (effective_weights(xbar.write(np.full(SHAPE, one), child(0, "w"))) for one in (step, -step))
    np.testing.assert_allclose(write_slopes(xbar)[inside], ((up - down) / (2 * step))[inside], rtol=1e-9)
    # at the largest code there is none above
    np.testing.assert_allclose(write_slopes(xbar)[~inside], (np.abs(up - down) / step)[~inside], rtol=1e-9)
    np.testing.assert_allclose(write_slopes(programmed(design(SramCell()))), 1.0)


def test_inputs_enter_in_steps_and_clip():
    dac = OneShotDAC(bits=3, signed=True, out_of_range="clip")
    xbar = programmed(design(dac=dac)).calibrate(np.array([[3.0] * SHAPE[0]]))
    x = np.zeros((1, SHAPE[0]))
    x[0, :4] = 0.6, -1.4, 3.4, 4.0  # in steps of one, up to three
    inputs, straight = entered(xbar, x)
    np.testing.assert_allclose(inputs[0, :4], [1, -1, 3, 3])
    np.testing.assert_array_equal(straight[0, :4], [True, True, True, False])


def test_cells_that_answer_by_no_matrix_have_none():
    droops = ChipSpec(cell=load("sram8t_65nm").cell, array=ArraySpec(weight_bits=4))
    with pytest.raises(CapabilityError, match="no matrix tells what a column gives that droops"):
        effective_weights(programmed(droops))
