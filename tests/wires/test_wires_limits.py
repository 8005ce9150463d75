"""What physics says of wires: limits, ladders in closed form, reciprocity, losses; nonlinear cells; refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import fsolve

from imcsim.errors import CapabilityError, SolverError, SpecError
from imcsim.kernels.nodal import Line, line_resistances
from imcsim.rng import child
from imcsim.specs.wires import GatedWires, IdealWires, ResistiveWires
from imcsim.wires import Law, currents, rewritten, transfer

SINH = Law(lambda v: np.sinh(3 * v) / 3, lambda v: np.cosh(3 * v))


def cells(shape, low=1e-6, high=1e-4):
    return child(0, "cells").uniform(low, high, shape)


def test_without_resistance_a_read_is_the_exact_product():
    g, v = cells((2, 9, 6)), child(1, "inputs").normal(size=(3, 9))
    for wires in (IdealWires(), ResistiveWires(r_row_ohm=0.0, r_col_ohm=0.0)):
        np.testing.assert_array_equal(transfer(wires, g), g)
        np.testing.assert_allclose(currents(wires, g, v), v @ g, rtol=1e-14)
    for supply in ("row", "column"):
        wires = GatedWires(r_supply_ohm=0.0, r_col_ohm=0.0, supply=supply)
        np.testing.assert_allclose(currents(wires, g, 1.0 * (v > 0)), 1.0 * (v > 0) @ g, rtol=1e-14)


def test_as_resistance_vanishes_reads_tend_to_the_product_in_proportion():
    g = cells((1, 9, 6))
    lost = [np.abs(transfer(ResistiveWires(r_row_ohm=r, r_col_ohm=r), g) - g).max() for r in (1e-4, 1e-5)]
    assert lost[0] / lost[1] == pytest.approx(10, rel=1e-3)


def test_a_single_cell_is_a_series_of_resistances():
    g, v = np.full((1, 1, 1), 1e-3), np.array([[0.7]])
    series = 3.0 + 11.0 + 1 / 1e-3 + 7.0 + 5.0
    wires = ResistiveWires(r_row_ohm=3.0, r_col_ohm=7.0, row_terminal_ohm=11.0, col_terminal_ohm=5.0)
    assert transfer(wires, g).item() == pytest.approx(1 / series, rel=1e-12)
    gated = GatedWires(r_supply_ohm=3.0, r_col_ohm=7.0, supply_terminal_ohm=11.0, col_terminal_ohm=5.0)
    assert currents(gated, g, v).item() == pytest.approx(0.7 / series, rel=1e-12)
    both = wires.replace("row_ends", "both").replace("col_ends", "both")
    assert transfer(both, g).item() == pytest.approx(1 / (7 + 1000 + 6), rel=1e-12)


@pytest.mark.parametrize("along", ["row", "column"])
def test_a_line_of_equal_cells_is_the_ladder_of_hyperbolic_functions(along):
    # 2 cosh(k) = 2 + r g; cell n from the open end sees cosh((n - 1/2) k) of what the end of N segments sees, cosh at N
    cells_in_line, r, g = 40, 20.0, 1e-3
    k = math.acosh(1 + r * g / 2)
    from_open_end = np.cosh((np.arange(cells_in_line) + 0.5) * k) / np.cosh((cells_in_line + 0.5) * k)
    if along == "row":
        wires, shape, expected = ResistiveWires(r_row_ohm=r, r_col_ohm=0.0), (1, 1, cells_in_line), from_open_end[::-1]
    else:
        wires, shape, expected = ResistiveWires(r_row_ohm=0.0, r_col_ohm=r), (1, cells_in_line, 1), from_open_end
    np.testing.assert_allclose(transfer(wires, np.full(shape, g)).ravel(), g * expected, rtol=1e-10)


def test_a_supply_fed_across_from_the_ground_drops_what_both_lines_drop():
    # two equal cells: loops V = (i1 + i2) r + i1 / g + i1 r + (i1 + i2) r = (i1 + i2) r + i2 r + i2 / g + (i1 + i2) r
    r, g = 10.0, 1e-3
    wires = GatedWires(r_supply_ohm=r, r_col_ohm=r, supply="column")
    expected = np.full(2, 1 / (5 * r + 1 / g)) @ np.ones(2)
    assert currents(wires, np.full((1, 2, 1), g), np.ones((1, 2))).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("ends", [("one", "one"), ("one", "both"), ("both", "both")])
def test_exchanging_drive_and_sense_gives_the_transposed_matrix(ends):
    g = cells((1, 12, 7), 1e-4, 1e-2)
    wires = ResistiveWires(
        r_row_ohm=3.0, r_col_ohm=7.0, row_terminal_ohm=2.0, col_terminal_ohm=1.0, row_ends=ends[0], col_ends=ends[1]
    )
    back = ResistiveWires(
        r_row_ohm=7.0, r_col_ohm=3.0, row_terminal_ohm=1.0, col_terminal_ohm=2.0, row_ends=ends[1], col_ends=ends[0]
    )
    # the array seen from its grounds: bit lines in the place of word lines, counted from where they end
    turned = transfer(back, np.swapaxes(g, 1, 2)[:, ::-1, ::-1])[:, ::-1, ::-1]
    np.testing.assert_allclose(transfer(wires, g), np.swapaxes(turned, 1, 2), rtol=1e-10)


@pytest.mark.parametrize("name", ["r_row_ohm", "r_col_ohm", "row_terminal_ohm", "col_terminal_ohm"])
def test_every_resistance_takes_its_share_and_more_takes_more(name):
    g, wires = cells((1, 12, 7)), ResistiveWires(r_row_ohm=1.0, r_col_ohm=1.0)
    arrived = [transfer(wires.replace(name, r), g).sum() for r in (2.0, 20.0, 200.0, 2000.0)]
    assert (np.diff(arrived) < 0).all()
    assert arrived[0] < g.sum()


def test_more_ends_lose_less_and_interleaved_pairs_lose_more_than_separate_ones():
    g, wires = cells((2, 12, 7)), ResistiveWires(r_row_ohm=20.0, r_col_ohm=20.0)
    arrived = {key: transfer(wires.replace(*key), g).sum() for key in (("row_ends", "both"), ("col_ends", "both"))}
    plain, mixed = transfer(wires, g).sum(), transfer(wires.replace("pairs", "interleaved"), g).sum()
    assert mixed < plain < min(arrived.values())


def test_currents_that_cancel_on_a_shared_bit_line_drop_less_there():
    # n pairs of equal cells at +1 and -1 V, to first order in r: below each + cell a segment carries g, below each -
    # cell none, so that the k-th pair from the ground is at k r g and (k - 1) r g: n^2 r g in all; on a line of one
    # sign the sum over all pairs of cells of the segments that they share
    n, r, g = 12, 0.01, 1e-4
    wires = ResistiveWires(r_row_ohm=0.0, r_col_ohm=r, pairs="shared_bit_line")
    cells_of_pairs = np.full((2, n, 1), g)
    assert currents(wires, cells_of_pairs, np.ones((1, n))).item() == pytest.approx(-r * g**2 * n**2, rel=1e-3)
    apart = transfer(wires.replace("pairs", "separate"), cells_of_pairs)
    assert n * g - apart[0].sum() == pytest.approx(r * g**2 * n * (n + 1) * (2 * n + 1) / 6, rel=1e-3)


@pytest.mark.parametrize("on", ["driven", "gated"])
@pytest.mark.parametrize("supply", ["row", "column"])
def test_nonlinear_cells_satisfy_their_own_equations_as_a_general_solver_does(on, supply):
    rows, cols, r_row, r_col = 5, 4, 300.0, 700.0
    g = cells((1, rows, cols), 1e-5, 1e-3)
    if on == "driven":
        wires = ResistiveWires(r_row_ohm=r_row, r_col_ohm=r_col)
        v = child(2, "inputs").uniform(-1, 1, (6, rows))
        conducting = np.ones(v.shape)
    else:
        wires = GatedWires(r_supply_ohm=r_row, r_col_ohm=r_col, supply=supply)
        v = 1.0 * (child(3, "inputs").random((6, rows)) < 0.6)
        conducting = v
    along_column = on == "gated" and supply == "column"

    def equations(d, v, active):
        # what each segment carries, summed by hand from the ends of the lines
        i = active[:, None] * g[0] * np.sinh(3 * d.reshape(rows, cols)) / 3
        left = d.reshape(rows, cols) - v[:, None]
        for a, j in np.ndindex(rows, cols):
            for b in range(rows):  # segments of a column below both cells carry it; of a supply, above both
                left[a, j] += r_col * (rows - max(a, b)) * i[b, j]
                left[a, j] += r_row * (min(a, b) + 1) * i[b, j] if along_column else 0.0
            for k in range(cols):
                left[a, j] += 0.0 if along_column else r_row * (min(j, k) + 1) * i[a, k]
        return left.ravel()

    expected = []
    for one, active in zip(v, conducting, strict=True):
        supplied = np.ones(rows) if on == "gated" else one
        d = fsolve(equations, np.repeat(supplied, cols) / 3, args=(supplied, active), xtol=1e-13)
        assert np.abs(equations(d, supplied, active)).max() < 1e-9
        expected.append((active[:, None] * g[0] * np.sinh(3 * d.reshape(rows, cols)) / 3).sum(axis=0))
    given = currents(wires, g, v, SINH)[0]
    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-8 * np.abs(expected).max())
    linear = currents(wires, g, v)[0]
    assert np.abs(given - linear).max() > 0.05 * np.abs(given).max()


def test_a_linear_law_reads_as_no_law():
    g, v = cells((1, 6, 5), 1e-4, 1e-2), child(4, "inputs").normal(size=(3, 6))
    wires, linear = ResistiveWires(r_row_ohm=3.0, r_col_ohm=7.0), Law(lambda v: v, np.ones_like)
    np.testing.assert_allclose(currents(wires, g, v, linear), currents(wires, g, v), rtol=1e-9)
    np.testing.assert_allclose(currents(IdealWires(), g, v, SINH), SINH.current(v) @ g, rtol=1e-12)


def test_newton_holds_on_where_the_first_step_is_far_too_long():
    # at 1 V a cell of exp(40 v) would carry 1e15 times what it does behind its wires
    steep = Law(lambda v: np.sinh(40 * v) / 40, lambda v: np.cosh(40 * v))
    g, v = cells((1, 6, 5), 1e-4, 1e-3), np.ones((1, 6))
    read = currents(ResistiveWires(r_row_ohm=50.0, r_col_ohm=50.0), g, v, steep)
    assert (read > 0).all()
    assert read.sum() < 6 / 50  # what word lines of one segment could carry


def test_a_law_without_a_solution_is_an_error_and_no_answer():
    stuck = Law(lambda v: np.where(v > 0.5, 1.0, -1.0), lambda v: np.full_like(v, 1e-3))
    wires = ResistiveWires(r_row_ohm=100.0, r_col_ohm=100.0)
    with pytest.raises(SolverError, match="wires = 1 of 1 reads did not: Newton's method must converge"):
        currents(wires, cells((1, 6, 5), 1e-4, 1e-3), np.ones((1, 6)), stuck)
    falling = Law(lambda v: -v, lambda v: -np.ones_like(v))
    with pytest.raises(SolverError, match=r"law: .*the slope positive"):
        currents(wires, cells((1, 6, 5), 1e-4, 1e-3), np.ones((1, 6)), falling)


def rms(given, exact):
    return np.sqrt(np.square(given / exact - 1).mean())


@pytest.mark.parametrize(
    ("solver", "errors"),
    # as the docstrings of the closed forms state them: their error, and the loss, for 0.1, 1 and 4 ohm
    [
        ("dmr", [(5e-4, 0.014), (5e-3, 0.13), (2.3e-2, 0.36)]),
        ("aihwkit", [(3e-4, 0.0033), (3e-3, 0.035), (9e-3, 0.125)]),
    ],
)
def test_the_closed_forms_err_by_what_they_state(solver, errors):
    g, x = cells((1, 64, 64)), 1.0 * (child(5, "inputs").random((50, 64)) < 0.5)
    for r, (error, loss) in zip((0.1, 1.0, 4.0), errors, strict=True):
        if solver == "dmr":
            wires = ResistiveWires(r_row_ohm=r, r_col_ohm=r)
        else:
            wires = GatedWires(r_supply_ohm=0.0, r_col_ohm=r)
        exact, fast = currents(wires, g, x), currents(wires.replace("solver", solver), g, x)
        assert rms(fast, exact) == pytest.approx(error, rel=0.2)
        assert 1 - np.mean(exact / (x @ g)) == pytest.approx(loss, rel=0.1)
    if solver == "dmr":
        np.testing.assert_array_equal(x @ transfer(wires.replace("solver", "dmr"), g), fast)


def test_the_closed_form_of_mean_cells_is_exact_for_a_single_cell_to_first_order():
    # 1 / (1 + R g)^2 beside 1 / (1 + 2 R g)
    wires = ResistiveWires(r_row_ohm=1.0, r_col_ohm=1.0, row_terminal_ohm=2.0, col_terminal_ohm=3.0, solver="dmr")
    assert transfer(wires, np.full((1, 1, 1), 1e-2)).item() == pytest.approx(1e-2 / (1 + 0.03) / (1 + 0.04), rel=1e-12)


def test_closed_forms_are_refused_where_they_do_not_hold():
    g, v = cells((1, 64, 64)), np.ones((1, 64))
    with pytest.raises(SpecError, match=r'r_col_ohm = 400: .*"aihwkit" holds where.*use solver = "nodal"'):
        currents(GatedWires(r_supply_ohm=0.0, r_col_ohm=400.0, solver="aihwkit"), g, v)
    with pytest.raises(SpecError, match=r'"dmr" holds where.*use solver = "nodal"'):
        transfer(ResistiveWires(r_row_ohm=400.0, r_col_ohm=1.0, solver="dmr"), g)
    with pytest.raises(CapabilityError, match="closed forms know linear cells"):
        currents(ResistiveWires(r_row_ohm=1.0, r_col_ohm=1.0, solver="dmr"), g, v, SINH)


@pytest.mark.parametrize(("value", "count"), [(-1e-6, 2), (math.nan, 2), (math.inf, 2)])
def test_conductances_that_cannot_be_are_refused(value, count):
    g = cells((1, 6, 5))
    g[0, 2, :2] = value
    wires = ResistiveWires(r_row_ohm=1.0, r_col_ohm=1.0)
    for refuse in (
        lambda: transfer(wires, g),
        lambda: currents(wires, g, np.ones((1, 6))),
        lambda: rewritten(wires, g, g, g),
    ):
        with pytest.raises(SpecError, match=f"g = {count} of 30 are not: conductances must be finite and not negative"):
            refuse()


def test_shapes_and_voltages_that_do_not_fit_are_refused():
    wires = ResistiveWires(r_row_ohm=1.0, r_col_ohm=1.0, pairs="interleaved")
    with pytest.raises(SpecError, match='polarities 2, as pairs are "interleaved"'):
        transfer(wires, cells((1, 6, 5)))
    with pytest.raises(SpecError, match=r"v = shape \(2, 5\): must be \(samples, 6\)"):
        currents(wires, cells((2, 6, 5)), np.ones((2, 5)))
    with pytest.raises(SpecError, match="v = 1 values infinite or nan"):
        currents(wires, cells((2, 6, 5)), np.array([[1.0, 1, 1, 1, 1, math.nan]]))
    with pytest.raises(SpecError, match="v = 2 voltages beside 0: inputs of gated cells are single bits"):
        currents(GatedWires(r_supply_ohm=1.0, r_col_ohm=1.0), cells((1, 6, 5)), np.array([[1.0, 1, 1, 0, 0, 0.5]]))
    with pytest.raises(CapabilityError, match="inputs that gate cells change the network; read with currents"):
        transfer(GatedWires(r_supply_ohm=1.0, r_col_ohm=1.0), cells((1, 6, 5)))


@pytest.mark.parametrize("r", [1e6, 1e9])
def test_wires_through_which_next_to_nothing_arrives_are_refused(r):
    g, v = cells((1, 64, 64)), np.ones((1, 64))
    told = "next to nothing arrives: of what ideal wires would carry, at least 0.001 must; lower the resistances"
    with pytest.raises(SpecError, match=told):
        transfer(ResistiveWires(r_row_ohm=r, r_col_ohm=1.0), g)
    with pytest.raises(SpecError, match=told):
        currents(GatedWires(r_supply_ohm=1.0, r_col_ohm=r), g, v)
    assert (
        transfer(ResistiveWires(r_row_ohm=r, r_col_ohm=1.0), np.zeros((1, 4, 4))).sum() == 0
    )  # there is nothing to lose


def test_a_read_of_no_samples_is_empty():
    for wires in (
        IdealWires(),
        ResistiveWires(r_row_ohm=1.0, r_col_ohm=1.0),
        GatedWires(r_supply_ohm=1.0, r_col_ohm=1.0),
    ):
        assert currents(wires, cells((2, 6, 5)), np.ones((0, 6))).shape == (2, 0, 5)


def test_the_error_of_a_matrix_does_not_grow_where_a_segment_resists_next_to_nothing():
    # 1 / r would drown the conductances of the cells
    g, small = cells((1, 30, 20)), 1e-9
    near = transfer(ResistiveWires(r_row_ohm=small, r_col_ohm=small), g)
    np.testing.assert_allclose(near, g, rtol=1e-9)
    resistances = line_resistances(Line(small, small, math.inf), 4)
    np.testing.assert_allclose(resistances[0], small, rtol=1e-12)
