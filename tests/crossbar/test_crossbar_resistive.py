"""Resistive cells in a crossbar: written with errors, drifting, noisy by the call; ideal ones give the product."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from crossbar_chips import chip

from imcsim.cells.programming import programming_sigma
from imcsim.errors import ExtrapolationWarning, SpecError
from imcsim.manufacturing import manufacture, nominal_die
from imcsim.rng import child
from imcsim.specs.adc import IdealADC
from imcsim.specs.cells import SramCell
from imcsim.specs.curves import ConstantCurve
from imcsim.specs.dac import IdealDAC, OneShotDAC
from imcsim.specs.library import load
from imcsim.specs.resistive import (
    FlickerNoise,
    NoDrift,
    PowerDrift,
    ProgrammingError,
    ResistiveCell,
    StuckCells,
    WhiteNoise,
)

G_MAX = 25e-6
IDEAL = ResistiveCell(g_max_S=G_MAX, on_off_ratio=10.0, drift=NoDrift())
RNG = child(0, "resistive")
WEIGHTS = RNG.normal(size=(200, 30))
X = RNG.random((40, 200))
PLAIN = {"dac": IdealDAC(), "adc": IdealADC(), "weight_bits": 4, "cell_bits": 8}


def crossbar(cell, key=1, weights=WEIGHTS, **changes):
    spec = chip(cell=cell, **{**PLAIN, **changes})
    return manufacture(spec, weights.shape, key).program(weights, child(2, "program"))


def conductances(xbar, now_s=0.0, call=3):
    """What the cells conduct in a call, in S."""
    digits = xbar.held.read(xbar.die, now_s, np.array([call], np.uint64))
    return digits / xbar.die.plan.layout.top[:, None] * xbar.die.spec.cell.span


@pytest.mark.parametrize("mapping", ["differential", "differential_two_sided", "offset", "twos_complement"])
@pytest.mark.parametrize("dac", [IdealDAC(), OneShotDAC(bits=6)])
def test_ideal_cells_give_the_product_whatever_they_conduct_when_off(mapping, dac):
    bits = {"cell_bits": 1} if mapping == "twos_complement" else {}
    xbar = crossbar(IDEAL, mapping=mapping, dac=dac, **bits)
    exact = crossbar(SramCell(), mapping=mapping, dac=dac, cell_bits=1)
    y = xbar.mvm(X, child(0, "read"))
    np.testing.assert_allclose(y, exact.mvm(X, child(0, "read")), rtol=1e-5, atol=1e-4)


def test_programming_errors_are_those_of_the_device():
    cell = dataclasses.replace(load("pcm").cell, drift=NoDrift(), flicker_noise=None)
    xbar = crossbar(cell, weights=np.ones((500, 200)))
    held = conductances(xbar)
    top = held[xbar.held.written.target_S == np.float32(G_MAX)]  # every weight is at its largest
    sigma = float(programming_sigma(cell, np.array([G_MAX]))[0])
    assert top.size == 100_000
    assert abs(top.std() - sigma) < 5 * sigma / np.sqrt(2 * top.size)
    again = conductances(xbar, call=4)
    np.testing.assert_array_equal(again, held)  # a write is drawn once


def test_a_write_draws_anew_the_cells_whose_digit_changes_and_no_others():
    cell = dataclasses.replace(IDEAL, programming=ProgrammingError(sigma=ConstantCurve(value=0.02)))
    xbar = crossbar(cell)
    delta = np.zeros(WEIGHTS.shape)
    delta[:5] = 10.0  # clips at the largest
    written = xbar.write(delta, child(5, "write"), now_s=7.0)
    before, after = conductances(xbar), conductances(written, now_s=7.0)
    changed = (xbar.held.digits != written.held.digits)[0]
    assert 0 < changed.sum() < changed.size / 10
    np.testing.assert_array_equal(before[0][~changed], after[0][~changed])
    assert (before[0][changed] != after[0][changed]).all()
    assert set(np.unique(written.held.written_s)) == {0.0, 7.0}
    same = written.write(np.zeros(WEIGHTS.shape), child(6, "write"), now_s=8.0)
    assert same.held is written.held


def test_drift_follows_its_law_from_the_write_of_each_cell():
    cell = dataclasses.replace(IDEAL, on_off_ratio=None, drift=PowerDrift(nu_mean=ConstantCurve(value=0.05)), t0_s=20.0)
    xbar = crossbar(cell)
    at_write = xbar.mvm(X, child(0, "read"))
    for now_s in (0.0, 1e3, 1e6):
        y = xbar.mvm(X, child(0, "read"), now_s=now_s)
        np.testing.assert_allclose(y, at_write * ((now_s + 20) / 20) ** -0.05, rtol=1e-5, atol=1e-5)
    delta = np.where(np.arange(200)[:, None] < 100, 10.0, 0.0)
    late = xbar.write(np.broadcast_to(delta, WEIGHTS.shape), child(5, "write"), now_s=1e6)
    held, fresh = conductances(late, now_s=1e6), late.held.written_s == 1e6
    full = late.held.written.target_S == np.float32(G_MAX)
    assert np.allclose(held[full & fresh], G_MAX, rtol=1e-5)
    assert np.allclose(held[full & ~fresh], G_MAX * ((1e6 + 20) / 20) ** -0.05, rtol=1e-4)


def test_a_cell_whose_drift_nobody_knows_is_read_at_its_write_alone():
    xbar = crossbar(dataclasses.replace(IDEAL, drift=None))
    xbar.mvm(X, child(0, "read"))
    with pytest.raises(SpecError, match="is needed to read a cell after its write"):
        xbar.mvm(X, child(0, "read"), now_s=1.0)


def test_noise_of_a_call_is_constant_within_it_and_new_in_the_next():
    noise = FlickerNoise(sigma=ConstantCurve(value=0.05), t_read_s=0.1)
    xbar = crossbar(dataclasses.replace(IDEAL, flicker_noise=noise))
    twice = np.concatenate([X, X])
    y = xbar.mvm(twice, child(0, "read"))
    np.testing.assert_array_equal(y[: len(X)], y[len(X) :])
    assert (xbar.mvm(X, child(1, "read")) != y[: len(X)]).any()


def test_white_noise_has_the_variance_of_the_states():
    cell = dataclasses.replace(IDEAL, on_off_ratio=None, white_noise=WhiteNoise(sigma=ConstantCurve(value=0.03)))
    xbar = crossbar(cell, weights=np.ones((100, 400)))
    x = np.tile(X[:1, :100], (500, 1))
    y = xbar.mvm(x, child(0, "read"))
    # both cells of a pair, whatever they hold, add sigma g_max: in steps of a weight, of which g_max is 7
    step = xbar.scale[0]
    sigma = np.sqrt(2 * np.square(x[0]).sum()) * 0.03 * 7 * step
    assert abs(y.std(axis=0).mean() - sigma) < 5 * sigma / np.sqrt(2 * y.size)


def test_stuck_cells_hold_what_they_hold_whatever_is_written():
    cell = dataclasses.replace(IDEAL, stuck=StuckCells(on=0.1, off=0.2))
    xbar = crossbar(cell)
    held = conductances(xbar)
    stuck, value_S = xbar.die.stuck
    np.testing.assert_allclose(held[stuck], value_S[stuck], rtol=1e-5)
    n = stuck.size
    assert abs(stuck.mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / n)
    other = xbar.write(-2 * WEIGHTS, child(1, "write"))
    np.testing.assert_allclose(conductances(other)[stuck], held[stuck], rtol=1e-6)


def test_a_member_of_an_ensemble_has_the_bits_it_has_alone():
    cell = load("pcm").cell
    spec = chip(cell=cell, **PLAIN)
    together = manufacture(spec, WEIGHTS.shape, [3, 4, 5]).program(WEIGHTS, child(2, "program"))
    y = together.mvm(X, [child(k, "read") for k in range(3)], now_s=100.0)
    for k, key in enumerate((3, 4, 5)):
        alone = manufacture(spec, WEIGHTS.shape, key).program(WEIGHTS, child(2, "program"))
        np.testing.assert_array_equal(alone.mvm(X, child(k, "read"), now_s=100.0), y[k])
    assert (y[0] != y[1]).any()


def test_another_die_is_written_with_errors_of_its_own_and_the_nominal_one_with_none():
    cell = load("pcm").cell
    spec = chip(cell=cell, **PLAIN)
    nominal = nominal_die(spec, WEIGHTS.shape).program(WEIGHTS, child(2, "program"))
    np.testing.assert_array_equal(nominal.held.written.programmed_S, nominal.held.written.target_S)
    moved = nominal.on_die(manufacture(spec, WEIGHTS.shape, 7))
    direct = manufacture(spec, WEIGHTS.shape, 7).program(WEIGHTS, child(2, "program"))
    np.testing.assert_array_equal(moved.mvm(X, child(0, "read")), direct.mvm(X, child(0, "read")))
    assert (moved.mvm(X, child(0, "read")) != nominal.mvm(X, child(0, "read"))).any()


@pytest.mark.parametrize("per_column", [False, True])
def test_compensation_undoes_the_drift_that_all_cells_share(per_column):
    cell = dataclasses.replace(IDEAL, on_off_ratio=None, drift=PowerDrift(nu_mean=ConstantCurve(value=0.05)), t0_s=20.0)
    xbar = crossbar(cell)
    at_write = xbar.mvm(X, child(0, "read"))
    drifted = xbar.mvm(X, child(0, "read"), now_s=1e6)
    assert np.abs(drifted).sum() < 0.6 * np.abs(at_write).sum()
    mended = xbar.compensate(X, at_write, child(1, "probe"), now_s=1e6, per_column=per_column)
    np.testing.assert_allclose(mended.mvm(X, child(0, "read"), now_s=1e6), at_write, rtol=1e-4, atol=1e-4)
    assert mended.gain.shape == (1, 30 if per_column else 1)
    assert mended.write(np.zeros(WEIGHTS.shape), child(0, "write"), now_s=1e6).gain is None


def test_compensation_leaves_the_drift_that_cells_do_not_share():
    spread = PowerDrift(nu_mean=ConstantCurve(value=0.05), nu_sigma=ConstantCurve(value=0.02))
    xbar = crossbar(dataclasses.replace(IDEAL, on_off_ratio=None, drift=spread, t0_s=20.0))
    at_write = xbar.mvm(X, child(0, "read"))
    left = [
        np.abs(mended.mvm(X, child(0, "read"), now_s=1e6) - at_write).mean()
        for mended in (xbar, xbar.compensate(X, at_write, child(1, "probe"), now_s=1e6))
    ]
    assert 0.02 * np.abs(at_write).mean() < left[1] < left[0]


@pytest.mark.parametrize(
    "at_write", [np.ones((40, 3)), np.ones((4, 30)), np.full((40, 30), np.nan), 1.0, np.ones((0, 30))]
)
def test_a_compensation_takes_what_its_probes_gave_and_nothing_else(at_write):
    xbar = crossbar(load("pcm").cell)
    with pytest.raises(SpecError, match=r"at_write = .*: must be what mvm gave"):
        xbar.compensate(X, at_write, child(0, "now"), now_s=10.0)


@pytest.mark.parametrize("now_s", ["1h", None, np.inf, np.nan, np.array([1.0, 2.0])])
def test_a_time_is_a_finite_number(now_s):
    with pytest.raises(SpecError, match=r"now_s = .*: must be a finite number of seconds"):
        crossbar(load("pcm").cell).mvm(X, child(0, "now"), now_s=now_s)


@pytest.mark.parametrize("name", ["pcm", "pcm_hermes_1", "pcm_hermes_2", "rram_wan"])
def test_conductances_beyond_those_of_the_source_warn(name):
    cell = load(name).cell
    with pytest.warns(ExtrapolationWarning, match="the states of the cell are known"):
        crossbar(cell.replace("g_max_S", 2 * cell.g_max_S))
