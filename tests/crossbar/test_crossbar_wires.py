"""Wires in a crossbar: what arrives is the transfer matrix of each array, and nothing is lost where nothing resists."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from crossbar_chips import chip

from imcsim.errors import SpecError
from imcsim.kernels import nodal
from imcsim.manufacturing import manufacture
from imcsim.rng import child
from imcsim.specs.adc import IdealADC
from imcsim.specs.cells import SramCell
from imcsim.specs.curves import ConstantCurve
from imcsim.specs.dac import BitSerialDAC, IdealDAC
from imcsim.specs.resistive import FlickerNoise, NoDrift, ResistiveCell, WhiteNoise
from imcsim.specs.wires import GatedWires, ResistiveWires
from imcsim.wires import passing, transfer

CELL = ResistiveCell(g_max_S=50e-6, on_off_ratio=20.0, drift=NoDrift())
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
        ({"cell": SramCell()}, 'wires = cell.kind = "sram": are of resistive cells'),
        ({"mapping": "offset"}, 'wires.pairs = "interleaved": has no meaning without a differential mapping'),
    ],
)
def test_wires_that_a_chip_cannot_have_are_refused(changes, told):
    with pytest.raises(SpecError) as caught:
        chip(**{**PLAIN, **changes}).replace("wires", wires(1.0, pairs="interleaved"))
    assert told in str(caught.value)


def test_read_noise_is_attenuated_by_what_of_it_arrives(assert_moments):
    noisy = CELL.replace("white_noise", WhiteNoise(sigma=ConstantCurve(value=0.05)))
    lines, x = wires(100.0), np.tile(X[:1], (4000, 1))
    spec = chip(**{**PLAIN, "cell": noisy}).replace("wires", lines)
    xbar = manufacture(spec, WEIGHTS.shape, 1).program(WEIGHTS, child(1, "write")).calibrate(X)
    plan, g_S = xbar.die.plan, xbar.held.written.programmed_S.astype(np.float64)
    variance = np.zeros(WEIGHTS.shape[1])
    for tile in range(plan.tiling.tiles):
        first = tile * plan.tiling.used
        entering = X[0, first : first + plan.tiling.used]
        for array in range(plan.tiling.arrays):
            columns = np.flatnonzero(plan.tiling.array_of == array)
            share = passing(lines, np.moveaxis(g_S[0, tile][:, :, 0][:, :, columns], 1, 0))
            variance[columns] += np.square(entering[:, None] * share[:, : len(entering)]).sum(axis=(0, 1))
    step = CELL.span / plan.layout.top[0] / xbar.scale[0]
    y = xbar.mvm(x, child(3, "read"))
    exact = manufacture(chip(**PLAIN).replace("wires", lines), WEIGHTS.shape, 1).program(WEIGHTS, child(1, "write"))
    clean = exact.calibrate(X).mvm(X[:1], child(3, "read"))
    assert_moments((y - clean) / np.sqrt(variance) / (0.05 * CELL.g_max_S / step), 0, 1)
    assert variance.max() < 0.9 * (2 * np.square(X[0]).sum())  # the wires matter


@pytest.mark.parametrize("dac", [IdealDAC(), BitSerialDAC(bits=4)])
def test_noise_of_a_call_that_takes_conductances_below_zero_is_no_error_and_keeps_its_mean(dac):
    noisy = CELL.replace("on_off_ratio", None).replace(
        "flicker_noise", FlickerNoise(sigma=ConstantCurve(value=0.05), t_read_s=0.1)
    )
    for lines in (wires(0.0), GatedWires(r_supply_ohm=0.0, r_col_ohm=0.0)):
        if isinstance(lines, GatedWires) and isinstance(dac, IdealDAC):
            continue
        xbar, y = read(lines, cell=noisy, dac=dac)
        assert (xbar.held.read(xbar.die, 0.0, np.array([1], np.uint64)) < 0).any()
        np.testing.assert_allclose(y, read(None, cell=noisy, dac=dac)[1], rtol=1e-4, atol=1e-2)
    lossy = read(wires(10.0), cell=noisy, dac=dac)[1]
    assert 0 < np.abs(lossy - read(wires(10.0), cell=CELL.replace("on_off_ratio", None), dac=dac)[1]).mean() < 1.5


def test_a_write_of_few_cells_corrects_the_transfer_matrix_and_solves_nothing_anew(monkeypatch):
    solved = []
    exact = nodal.transfer_matrix
    monkeypatch.setattr(nodal, "transfer_matrix", lambda g, *lines: solved.append(len(g)) or exact(g, *lines))
    weights, x = child(2, "w").normal(size=(64, 64)), child(2, "x").random((5, 64))
    spec = chip(**{**PLAIN, "rows": 64, "cols": 64}).replace("wires", wires(2.0))
    xbar = manufacture(spec, weights.shape, 1).program(weights, child(1, "write")).calibrate(x)
    before = xbar.mvm(x, child(2, "read"))
    assert solved == [2]
    delta = np.zeros(weights.shape)
    delta[5, 7], delta[60, 1] = 1.0, -1.0
    written = xbar.write(delta, child(3, "write"), now_s=4.0)
    y = written.mvm(x, child(2, "read"), now_s=5.0)
    assert solved == [2]
    later = written.mvm(x, child(2, "read"), now_s=6.0)  # nothing drifts
    assert solved == [2]
    np.testing.assert_array_equal(later, y)
    anew = dataclasses.replace(written, transferred=None)
    m = anew._at(5.0, np.zeros(1, np.uint64)).transferred.m_S
    corrected = written._at(5.0, np.zeros(1, np.uint64)).transferred.m_S
    np.testing.assert_allclose(corrected, m, rtol=0, atol=1e-9 * m.max())
    assert solved == [2, 2]
    assert np.abs(y - before).max() > 0.1
    many = written.write(np.ones(weights.shape), child(4, "write"), now_s=7.0)
    many.mvm(x, child(2, "read"), now_s=7.0)
    assert solved == [2, 2, 2]


def test_rows_that_no_weight_uses_lengthen_the_bit_lines():
    # 8 rows of an array of 24: what 16 more segments behind the last of them resist, as a terminal
    w, x = WEIGHTS[:8], X[:, :8]
    reads = []
    for rows, terminal in ((8, 0.0), (8, 16 * 30.0), (24, 0.0)):
        spec = chip(**{**PLAIN, "rows": rows}).replace("wires", wires(30.0, col_terminal_ohm=terminal))
        xbar = manufacture(spec, w.shape, 1).program(w, child(1, "write")).calibrate(x)
        reads.append(xbar.mvm(x, child(2, "read")))
    np.testing.assert_allclose(reads[2], reads[1], rtol=1e-5, atol=1e-5)
    assert np.abs(reads[1]).mean() < 0.95 * np.abs(reads[0]).mean()


def test_wires_through_which_next_to_nothing_arrives_are_told_at_the_read():
    for lines in (wires(1e9), GatedWires(r_supply_ohm=1e9, r_col_ohm=1.0)):
        with pytest.raises(SpecError, match=r"wires = .*: next to nothing arrives: .*lower the resistances"):
            read(lines, dac=BitSerialDAC(bits=4))
    with pytest.raises(SpecError, match=r'wires = .*"dmr" holds where a line drops less.*use solver = "nodal"'):
        read(wires(1e5, solver="dmr"))
    with pytest.raises(SpecError, match=r"wires\.r_col_ohm = -1.*must be a finite number from 0"):
        chip(**PLAIN).replace("wires", wires(1.0)).replace("wires.r_col_ohm", -1.0)
