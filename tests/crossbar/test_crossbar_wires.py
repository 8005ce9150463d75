"""Wires in a crossbar: what arrives is the transfer matrix of each array, and nothing is lost where nothing resists."""

from __future__ import annotations

import numpy as np
import pytest
from crossbar_chips import chip

from imcsim.errors import SpecError
from imcsim.manufacturing import manufacture
from imcsim.rng import child
from imcsim.specs.adc import IdealADC
from imcsim.specs.cells import SramCell
from imcsim.specs.dac import BitSerialDAC, IdealDAC
from imcsim.specs.resistive import NoDrift, ResistiveCell, SinhCurrent
from imcsim.specs.wires import ResistiveWires
from imcsim.wires import transfer

CELL = ResistiveCell(g_max_S=50e-6, on_off_ratio=20.0, drift=NoDrift())
NONLINEAR = CELL.replace("current", SinhCurrent(v_read_V=0.2, v0_V=0.3))
RNG = child(0, "wires")
WEIGHTS, X = RNG.normal(size=(40, 10)), RNG.random((30, 40))
PLAIN = {"cell": CELL, "adc": IdealADC(), "dac": IdealDAC(), "weight_bits": 4, "cell_bits": 8, "rows": 16, "cols": 6}


def read(wires, **changes):
    """The crossbar and its read."""
    spec = chip(**{**PLAIN, **changes}).replace("wires", wires)
    xbar = manufacture(spec, WEIGHTS.shape, 1).program(WEIGHTS, child(1, "write")).calibrate(X)
    return xbar, xbar.mvm(X, child(2, "read"))


def wires(ohm, **changes):
    return ResistiveWires(r_row_ohm=ohm, r_col_ohm=ohm, **changes)


@pytest.mark.parametrize("dac", [IdealDAC(), BitSerialDAC(bits=4)])
@pytest.mark.parametrize("mapping", ["differential", "differential_two_sided", "offset"])
def test_wires_without_resistance_change_nothing(dac, mapping):
    _, ideal = read(None, dac=dac, mapping=mapping)
    _, y = read(wires(0.0), dac=dac, mapping=mapping)
    np.testing.assert_allclose(y, ideal, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("pairs", ["separate", "interleaved"])
def test_what_arrives_is_the_transfer_matrix_of_each_array(pairs):
    lines = wires(30.0, pairs=pairs)
    xbar, y = read(lines)
    plan, g_S = xbar.die.plan, xbar.held.written.programmed_S.astype(np.float64)
    total = np.zeros((len(X), WEIGHTS.shape[1]))
    for tile in range(plan.tiling.tiles):
        first = tile * plan.tiling.used
        rows = slice(first, min(first + plan.tiling.used, len(WEIGHTS)))
        for array in range(plan.tiling.arrays):
            columns = np.flatnonzero(plan.tiling.array_of == array)
            # (polarities, rows, columns) of one array
            m = transfer(lines, np.moveaxis(g_S[0, tile][:, :, 0][:, :, columns], 1, 0))
            part = X[:, rows] @ (m[0] - m[1])[: rows.stop - rows.start]
            total[:, columns] += part
    step = CELL.span / plan.layout.top[0] / xbar.scale[0]
    np.testing.assert_allclose(y, total / step, rtol=1e-4, atol=1e-4)


def test_the_more_the_wires_resist_the_less_arrives():
    size = [np.abs(read(wires(ohm))[1]).mean() for ohm in (0.0, 1.0, 10.0, 100.0)]
    assert size == sorted(size, reverse=True)
    assert size[3] < 0.9 * size[0]


def test_a_shared_bit_line_is_read_as_the_difference():
    _, ideal = read(None, subtraction="analog")
    _, y = read(wires(0.0, pairs="shared_bit_line"), subtraction="analog")
    np.testing.assert_allclose(y, ideal, rtol=1e-4, atol=1e-3)
    _, lossy = read(wires(20.0, pairs="shared_bit_line"), subtraction="analog")
    assert 0.5 < np.abs(lossy).mean() / np.abs(ideal).mean() < 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"cell": SramCell()}, 'wires = cell.kind = "sram": are of cells that conduct'),
        ({"cell": NONLINEAR, "dac": BitSerialDAC(bits=4)}, "have no transfer matrix"),
        ({"mapping": "offset"}, 'wires.pairs = "interleaved": has no meaning without a differential mapping'),
    ],
)
def test_wires_that_a_chip_cannot_have_are_refused(changes, told):
    with pytest.raises(SpecError) as caught:
        chip(**{**PLAIN, **changes}).replace("wires", wires(1.0, pairs="interleaved"))
    assert told in str(caught.value)


def test_nonlinear_cells_are_read_by_single_bits_alone():
    linear = read(None, dac=BitSerialDAC(bits=4))[1]
    np.testing.assert_array_equal(read(None, cell=NONLINEAR, dac=BitSerialDAC(bits=4))[1], linear)
    for dac in (IdealDAC(), BitSerialDAC(bits=4, slice_bits=2)):
        with pytest.raises(SpecError, match="levels between are not modelled"):
            chip(**{**PLAIN, "cell": NONLINEAR, "dac": dac})
