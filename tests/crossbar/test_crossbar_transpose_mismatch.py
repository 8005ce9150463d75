"""Mismatch of the transposed read: a transistor of its own in every cell, which forward reads never see."""

from __future__ import annotations

import numpy as np
import pytest
from crossbar_chips import MAPPINGS, chip, weights_of

from imcsim.errors import SpecError
from imcsim.manufacturing import manufacture, nominal_die
from imcsim.rng import child
from imcsim.specs.adc import IdealADC
from imcsim.specs.cells import SramCell
from imcsim.specs.dac import IdealDAC
from imcsim.specs.resistive import NoDrift, ResistiveCell
from imcsim.specs.transpose import TransposeRead

UNTOUCHED = {"dac": IdealDAC(signed=True), "adc": IdealADC()}
SHAPE = 19, 10


def crossbar(sigma, weights=None, key=1, shape=SHAPE, cell=None, **array):
    read = TransposeRead(**UNTOUCHED, mismatch_sigma_rel=sigma)
    spec = chip(cell=cell or SramCell(), **UNTOUCHED, **array).replace("transpose", read)
    weights = weights_of(4, shape) if weights is None else weights
    return manufacture(spec, weights.shape, key).program(weights, child(0, "write"))


def forward(xbar):
    return xbar.mvm(np.eye(xbar.die.shape[0]), child(0, "read"))


def backward(xbar):
    return xbar.mvm_t(np.eye(xbar.die.shape[1]), child(0, "read")).T


def test_each_cell_errs_backward_by_a_relative_error_of_its_own(assert_moments):
    sigma, cell = 0.1, SramCell(mismatch_sigma_rel=0.2)
    # a cell a weight: every weight is at the largest digit
    xbar = crossbar(sigma, np.full((300, 200), 7.0), cell=cell, cell_bits=8, rows=128, cols=128)
    ratio = backward(xbar) / forward(xbar) - 1
    assert_moments(ratio, 0.0, sigma)
    assert_moments(forward(xbar) / 7 - 1, 0.0, 0.2)
    # the two errors of a cell have nothing to do with each other: the correlation of n pairs is within 5 / sqrt(n)
    correlation = np.corrcoef(ratio.ravel(), forward(xbar).ravel())[0, 1]
    assert abs(correlation) < 5 / np.sqrt(ratio.size)


def test_the_moments_would_tell_another_spread(assert_moments):
    xbar = crossbar(0.11, np.full((300, 200), 7.0), cell_bits=8, rows=128, cols=128)
    with pytest.raises(AssertionError):
        assert_moments(backward(xbar) / forward(xbar) - 1, 0.0, 0.1)


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_forward_reads_never_see_it(mapping):
    cell = SramCell(mismatch_sigma_rel=0.2, read_noise_rel=0.05)
    with_it, without = (crossbar(sigma, cell=cell, mapping=mapping) for sigma in (0.3, 0.0))
    np.testing.assert_array_equal(forward(with_it), forward(without))
    assert not np.allclose(backward(with_it), backward(without), rtol=1e-2)


def test_it_is_frozen_in_the_die_and_stays_through_writes():
    xbar, other = crossbar(0.3), crossbar(0.3, key=2)
    np.testing.assert_array_equal(backward(xbar), backward(crossbar(0.3)))
    assert not np.allclose(backward(xbar), backward(other), rtol=1e-2)
    there_and_back = xbar.write(-xbar.written, child(0, "down")).write(xbar.written, child(0, "up"))
    np.testing.assert_array_equal(backward(there_and_back), backward(xbar))


def test_a_cell_errs_alike_in_a_larger_layer():
    weights = weights_of(4, (19, 10))
    wide = np.zeros((19, 23))
    wide[:, :10] = weights
    np.testing.assert_array_equal(backward(crossbar(0.3, wide))[:, :10], backward(crossbar(0.3, weights)))


def test_the_nominal_die_has_none():
    spec = crossbar(0.3).die.spec
    xbar = nominal_die(spec, SHAPE).program(weights_of(4, SHAPE), child(0, "write"))
    np.testing.assert_array_equal(backward(xbar), xbar.written)


def test_members_of_an_ensemble_have_what_they_have_alone():
    spec, weights = crossbar(0.3).die.spec, weights_of(4, SHAPE)
    many = manufacture(spec, SHAPE, [5, 1]).program(weights, child(0, "write"))
    read = many.mvm_t(np.eye(SHAPE[1]), [child(0, "a"), child(0, "b")])
    np.testing.assert_array_equal(read[1].T, backward(crossbar(0.3)))


def test_cells_that_are_read_both_ways_through_one_device_have_none():
    with pytest.raises(SpecError, match=r"transpose.mismatch_sigma_rel = 0.1: is of SRAM cells: a resistive one"):
        crossbar(0.1, cell=ResistiveCell(g_max_S=50e-6, drift=NoDrift()))
