"""Reads that are no product: gated cells behind wires, and cells whose current is no multiple of the voltage."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from crossbar_chips import chip, planes_of

from imcsim.errors import SpecError
from imcsim.kernels import jit
from imcsim.manufacturing import manufacture
from imcsim.rng import child
from imcsim.solved import BLOCK
from imcsim.specs.adc import IdealADC, UniformADC
from imcsim.specs.cells import SramCell
from imcsim.specs.codec import overlay
from imcsim.specs.curves import ConstantCurve
from imcsim.specs.dac import BitSerialDAC, IdealDAC, OneShotDAC
from imcsim.specs.library import load
from imcsim.specs.resistive import NoDrift, ResistiveCell, SinhCurrent, WhiteNoise
from imcsim.specs.wires import GatedWires, ResistiveWires
from imcsim.wires import Law, currents

CELL = ResistiveCell(g_max_S=50e-6, on_off_ratio=20.0, drift=NoDrift())
NOISY = CELL.replace("white_noise", WhiteNoise(sigma=ConstantCurve(value=0.05)))
RNG = child(0, "solved")
WEIGHTS, X = RNG.normal(size=(40, 10)), RNG.random((9, 40))
SERIAL = BitSerialDAC(bits=4)
PLAIN = {"cell": CELL, "adc": IdealADC(), "dac": SERIAL, "weight_bits": 4, "cell_bits": 8, "rows": 16, "cols": 6}

IDEAL_GATES = GatedWires(r_supply_ohm=0.0, r_col_ohm=0.0)
GATES = GatedWires(r_supply_ohm=40.0, r_col_ohm=30.0)
IDEAL_LINES, LINES = ResistiveWires(r_row_ohm=0.0, r_col_ohm=0.0), ResistiveWires(r_row_ohm=40.0, r_col_ohm=30.0)

DESIGNS = {
    "differential": {},
    "two-sided": {"mapping": "differential_two_sided"},
    "offset": {"mapping": "offset"},
    "unit column": {"mapping": "offset", "offset_correction": "unit_column"},
    "sliced": {"cell_bits": 1},
    "subtracted": {"subtraction": "analog"},
    "limited": {"subtraction": "analog", "current_limit": 3.0},
    "few rows at a time": {"rows_parallel": 5},
    "noisy": {"cell": NOISY},
    "noisy pairs": {"cell": NOISY, "subtraction": "analog", "current_limit": 3.0},
    "converted": {"adc": UniformADC(bits=6, range="full", noise_lsb=0.3)},
    "two phases": {"dac": BitSerialDAC(bits=4, signed=True, encoding="two_phase")},
    "two's complement": {"dac": BitSerialDAC(bits=4, signed=True)},
    "signs": {"dac": BitSerialDAC(bits=1, signed=True)},
    "added as charge": {"dac": BitSerialDAC(bits=4, signed=True, accumulation="analog")},
}
LEVELS = {
    "ideal": IdealDAC(),
    "one shot": OneShotDAC(bits=4),
    "one shot, signed": OneShotDAC(bits=4, signed=True),
    "two bits a cycle": BitSerialDAC(bits=4, slice_bits=2),
    "inexact levels": OneShotDAC(bits=4, gain_sigma_rel=0.05, unit_sigma_rel=0.05, noise_lsb=0.2),
    "inexact bits": BitSerialDAC(bits=4, gain_sigma_rel=0.05, noise_lsb=0.1),
}


def programmed(wires=None, key=1, x=X, **changes):
    spec = dataclasses.replace(chip(**{**PLAIN, **changes}), wires=wires)
    return manufacture(spec, WEIGHTS.shape, key).program(WEIGHTS, child(1, "write")).calibrate(x)


def read(wires=None, x=X, **changes):
    return programmed(wires, x=x, **changes).mvm(x, child(2, "read"))


def bent(v0_V):
    return CELL.replace("current", SinhCurrent(v_read_V=0.2, v0_V=v0_V))


def assert_close(given, expected, within=1e-5):
    np.testing.assert_allclose(given, expected, rtol=0, atol=within * np.abs(expected).max())


# Limits


@pytest.mark.parametrize("design", DESIGNS)
def test_gated_cells_behind_wires_without_resistance_read_as_cells_without_wires(design):
    plain = read(**DESIGNS[design])
    assert_close(read(IDEAL_GATES, **DESIGNS[design]), plain, 2e-5)
    assert np.abs(read(GATES, **DESIGNS[design]) - plain).max() > 0.01 * np.abs(plain).max()


@pytest.mark.parametrize("dac", LEVELS)
def test_cells_that_are_next_to_linear_read_as_linear_ones(dac):
    for wires in (None, LINES):
        linear = read(wires, dac=LEVELS[dac])
        assert_close(read(wires, dac=LEVELS[dac], cell=bent(900.0)), linear)
        assert np.abs(read(wires, dac=LEVELS[dac], cell=bent(0.1)) - linear).max() > 0.05 * np.abs(linear).max()


@pytest.mark.parametrize("dac", LEVELS)
def test_nonlinear_cells_behind_wires_without_resistance_read_as_cells_without_wires(dac):
    changes = {"dac": LEVELS[dac], "cell": bent(0.1)}
    assert_close(read(IDEAL_LINES, **changes), read(**changes), 1e-9)


def test_single_bits_at_the_read_voltage_are_read_as_of_linear_cells():
    np.testing.assert_array_equal(read(cell=bent(0.1)), read())
    assert_close(read(IDEAL_LINES, cell=bent(0.1)), read())
    assert_close(read(IDEAL_GATES, cell=bent(0.1)), read())


def test_a_shared_bit_line_is_read_as_the_difference():
    for wires in (IDEAL_GATES, IDEAL_LINES):
        assert_close(read(wires.replace("pairs", "shared_bit_line"), subtraction="analog"), read())


@pytest.mark.parametrize("cell", [CELL, bent(900.0)], ids=["linear", "solved"])
def test_the_current_limit_of_a_shared_bit_line_is_that_of_the_difference(cell):
    one = {"cell": cell, "rows": 64, "dac": OneShotDAC(bits=4), "subtraction": "analog"}
    wires, limit = IDEAL_LINES.replace("pairs", "shared_bit_line"), 1.0
    xbar = programmed(wires, **one, current_limit=limit)
    most = limit * 7 * 15 * xbar.scale[0] * xbar.input_step[0]  # on-cells of digit 7 at code 15
    unlimited = read(wires, **one)
    assert 0.1 < (np.abs(unlimited) > most).mean() < 0.9
    assert_close(xbar.mvm(X, child(2, "read")), np.clip(unlimited, -most, most))


# The solution itself


def siemens(xbar):
    """Conductances of weights, (tiles, polarities, rows, columns), of designs with one slice."""
    return np.moveaxis(xbar.held.written.programmed_S[0, :, :, :, 0].astype(np.float64), 1, 2)


@pytest.mark.parametrize("pairs", ["separate", "interleaved"])
@pytest.mark.parametrize("rows_parallel", [None, 5])
@pytest.mark.parametrize("kind", ["gated", "gated, nonlinear", "driven, nonlinear"])
def test_a_read_is_the_weighted_sum_of_the_currents_of_its_cycles(kind, rows_parallel, pairs):
    wires = (GATES if kind.startswith("gated") else LINES).replace("pairs", pairs)
    cell = bent(0.1) if "nonlinear" in kind else CELL
    dac = SERIAL if kind.startswith("gated") else OneShotDAC(bits=4, signed=True)
    x = X if kind.startswith("gated") else 2 * X - 1
    xbar = programmed(wires, x=x, cell=cell, dac=dac, rows_parallel=rows_parallel)
    tiling, g_S = xbar.die.plan.tiling, siemens(xbar)
    codes = np.clip(np.rint(x / xbar.input_step[0]), -15, 15)
    planes, worth, _ = planes_of(dac, codes)
    full = 1.0 if kind.startswith("gated") else 7.0
    law = None
    if "nonlinear" in kind:
        law = Law(lambda v: 0.2 * np.sinh(v / 0.1) / np.sinh(2), lambda v: 2 * np.cosh(v / 0.1) / np.sinh(2))
    total = np.zeros((len(x), WEIGHTS.shape[1]))
    for tile, array in np.ndindex(tiling.tiles, tiling.arrays):
        columns, first = np.flatnonzero(tiling.array_of == array), tile * tiling.used
        unused = 0, 6 - len(columns)
        for group in range(tiling.groups):
            driven = np.zeros((*planes.shape[:2], tiling.used))
            rows = slice(first + group * tiling.parallel, min(first + (group + 1) * tiling.parallel, first + 16, 40))
            driven[:, :, rows.start - first : rows.stop - first] = 0.2 * planes[:, :, rows] / full
            for w, plane in zip(worth, driven, strict=True):
                found = currents(wires, g_S[tile][:, :, columns], plane, law, unused)
                total[:, columns] += w * (found[0] - found[1])
    step = 0.2 / full * CELL.span / 7 / xbar.scale[0] / xbar.input_step[0]
    assert_close(xbar.mvm(x, child(2, "read")), total / step, 1e-6)


def test_noise_of_cells_that_gates_switch_off_is_not_read():
    x = np.zeros((500, 40))
    x[:, 3] = 1.0
    y = programmed(GATES, cell=NOISY, x=X).mvm(x, child(2, "read"))
    spread = y.std(axis=0)
    whole = programmed(GATES, cell=NOISY, x=X).mvm(np.ones((500, 40)), child(2, "read")).std(axis=0)
    # of one row in place of forty, whose currents arrive less well
    assert np.all(1.2 * spread / whole > (1 / 40) ** 0.5)
    assert np.all(spread / whole < 2 * (1 / 40) ** 0.5)


def test_ranges_suit_what_nonlinear_cells_give():
    for cell, share in ((CELL, 1.0), (bent(0.05), 0.75)):
        xbar = programmed(cell=cell, dac=OneShotDAC(bits=6), adc=UniformADC(bits=8))
        top = xbar.ranges[0].lo[0] + 255 * xbar.ranges[0].lsb[0]
        linear = programmed(dac=OneShotDAC(bits=6), adc=UniformADC(bits=8)).ranges[0]
        assert top <= share * (linear.lo[0] + 255 * linear.lsb[0])


# The same bits


NOISES = {"cell": NOISY, "adc": UniformADC(bits=6, noise_lsb=0.3)}
BENT = NOISES | {"cell": NOISY.replace("current", bent(0.1).current)}
READS = {
    "gated": (GATES, NOISES),
    "nonlinear": (None, BENT | {"dac": LEVELS["inexact levels"]}),
    "both": (LINES, BENT | {"dac": OneShotDAC(bits=4)}),
}
EVERY_READ = pytest.mark.parametrize(("wires", "changes"), READS.values(), ids=READS)


@EVERY_READ
def test_the_bits_do_not_depend_on_the_threads(wires, changes, on_threads, monkeypatch):
    monkeypatch.setattr(jit, "_SMALL", 0)
    one, two = (on_threads(n, lambda: read(wires, **changes)) for n in (1, 2))
    np.testing.assert_array_equal(one, two)


@EVERY_READ
def test_a_member_of_an_ensemble_has_the_bits_it_has_alone(wires, changes):
    cell = changes["cell"].replace("programming", load("pcm").cell.programming)
    changes = changes | {"cell": cell}
    together = programmed(wires, key=[3, 4, 5], **changes)
    y = together.mvm(X, [child(k, "read") for k in range(3)])
    for k, key in enumerate((3, 4, 5)):
        alone = programmed(wires, key=key, **changes)
        np.testing.assert_array_equal(alone.mvm(X, child(k, "read")), y[k])
    assert (y[0] != y[1]).any()


@EVERY_READ
def test_a_batch_cut_at_a_block_has_the_bits_of_the_whole(wires, changes):
    x = child(3, "inputs").random((BLOCK + 3, 40))
    xbar = programmed(wires, x=x, **changes)
    whole = xbar.mvm(x, child(2, "read"))
    np.testing.assert_array_equal(xbar.mvm(x[:BLOCK], child(2, "read")), whole[:BLOCK])
    assert xbar.mvm(x[:0], child(2, "read")).shape == (0, 10)


# Designs that cannot be


@pytest.mark.parametrize(
    ("wires", "changes", "told"),
    [
        (GATES, {"cell": SramCell()}, 'wires = cell.kind = "sram": are of resistive cells'),
        (GATES, {"dac": IdealDAC()}, 'dac.kind = "ideal": must give single bits'),
        (GATES, {"dac": BitSerialDAC(bits=4, slice_bits=2)}, "dac.slice_bits = 2: must give single bits"),
        (
            GATES,
            {"dac": BitSerialDAC(bits=4, signed=True, encoding="sign_magnitude")},
            'dac.encoding = "sign_magnitude": a gate has no sign',
        ),
        (GATES, {"dac": BitSerialDAC(bits=4, noise_lsb=0.1)}, "dac.noise_lsb = 0.1: has no meaning where"),
        (
            GATES.replace("pairs", "interleaved"),
            {"mapping": "offset"},
            'wires.pairs = "interleaved": has no meaning without a differential mapping',
        ),
        (
            GatedWires(r_supply_ohm=0.0, r_col_ohm=1.0, solver="aihwkit"),
            {"cell": NOISY},
            'wires.solver = "aihwkit": this closed form knows no noise of cells; use solver = "nodal"',
        ),
        (
            ResistiveWires(r_row_ohm=1.0, r_col_ohm=1.0, solver="dmr"),
            {"cell": bent(0.1)},
            'wires.solver = "dmr": closed forms know cells with I = g V; use solver = "nodal"',
        ),
    ],
)
def test_designs_that_cannot_be_are_refused(wires, changes, told):
    with pytest.raises(SpecError) as caught:
        dataclasses.replace(chip(**{**PLAIN, **changes}), wires=wires)
    assert told in str(caught.value)


def test_a_file_may_ask_for_gates_and_means_driven_lines_where_it_says_nothing():
    resistances = {"r_col_ohm": 1.0}
    gated = overlay(load("rram_wan"), {"wires": {"kind": "gated", "r_supply_ohm": 2.0, **resistances}})
    assert gated.wires == GatedWires(r_supply_ohm=2.0, r_col_ohm=1.0)
    assert overlay(load("rram_wan"), {"wires": {"r_row_ohm": 2.0, **resistances}}).wires == ResistiveWires(
        r_row_ohm=2.0, r_col_ohm=1.0
    )
