"""Column currents through wires against the circuit of all resistors, in every topology, to 1e-8."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from circuits import column_currents

from imcsim.rng import child
from imcsim.specs.wires import GatedWires, IdealWires, ResistiveWires
from imcsim.wires import currents, rewritten, transfer

PAIRS = ("separate", "interleaved", "shared_bit_line")
DRIVEN = [
    ResistiveWires(r_row_ohm=3.0, r_col_ohm=7.0, row_terminal_ohm=t, col_terminal_ohm=2 * t, **ends)
    for t in (0.0, 11.0)
    for ends in (
        {"row_ends": row, "col_ends": col, "pairs": pairs}
        for row, col, pairs in itertools.product(("one", "both"), ("one", "both"), PAIRS)
    )
]
GATED = [
    GatedWires(r_supply_ohm=3.0, r_col_ohm=7.0, supply_terminal_ohm=11.0, **topology)
    for topology in (
        {"supply": supply, "supply_ends": feed, "col_ends": col, "pairs": pairs}
        for supply, feed, col, pairs in itertools.product(("row", "column"), ("one", "both"), ("one", "both"), PAIRS)
        if (supply, pairs) != ("column", "shared_bit_line")
    )
]


def named(wires):
    fields = {k: v for k, v in vars(wires).items() if isinstance(v, str)} | {
        "terminal": getattr(wires, "row_terminal_ohm", "")
    }
    return ", ".join(f"{k} {v}" for k, v in fields.items() if v != "")


def pair(shape=(7, 5), seed=0):
    """A differential pair of cells (2, rows, cols) that load the wires: a good part of the current is lost."""
    rng = child(seed, "cells")
    g = rng.uniform(1e-4, 5e-3, (2, *shape))
    return np.where(rng.random(g.shape) < 0.2, 0.0, g)


def assert_close(given, expected):
    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-8 * np.abs(expected).max())


def product(wires, m, v):
    """The read that a transfer matrix stands for."""
    reads = v @ m
    return reads[..., :1, :, :] - reads[..., 1:, :, :] if wires.pairs == "shared_bit_line" else reads


@pytest.mark.parametrize("wires", DRIVEN, ids=named)
def test_reads_through_driven_word_lines_are_those_of_the_circuit(wires):
    g, v = pair(), child(1, "inputs").normal(size=(3, 7))
    expected = np.stack([column_currents(wires, g, one) for one in v], axis=1)
    ideal = product(wires, g, v)
    assert np.abs(ideal - expected).max() > 0.1 * np.abs(expected).max()  # the wires matter
    assert_close(product(wires, transfer(wires, g), v), expected)
    assert_close(currents(wires, g, v), expected)


@pytest.mark.parametrize("wires", GATED, ids=named)
def test_reads_of_gated_cells_are_those_of_the_circuit_without_the_rows_that_are_off(wires):
    g, bits = pair(), child(2, "inputs").random((5, 7)) < 0.6
    bits[0], bits[1] = True, False
    expected = np.stack([column_currents(wires, g, np.full(7, 0.8), on) for on in bits], axis=1)
    given = currents(wires, g, 0.8 * bits)
    assert_close(given, expected)
    assert (given[:, 1] == 0).all()


@pytest.mark.parametrize("pairs", PAIRS)
def test_a_stack_of_tiles_and_slices_reads_as_each_array_alone(pairs):
    wires = ResistiveWires(r_row_ohm=3.0, r_col_ohm=7.0, pairs=pairs)
    g = np.array([[pair(seed=10 * tile + s) for s in range(3)] for tile in range(2)])
    v = child(3, "inputs").normal(size=(2, 1, 4, 7))  # a tile has inputs of its own, its slices share them
    m, read = transfer(wires, g), currents(wires, g, v)
    assert m.shape == g.shape
    for tile, s in np.ndindex(2, 3):
        expected = np.stack([column_currents(wires, g[tile, s], one) for one in v[tile, 0]], axis=1)
        assert_close(read[tile, s], expected)
        assert_close(product(wires, m[tile, s], v[tile, 0]), expected)


def test_an_array_that_is_no_pair_reads_as_its_circuit():
    g, v = pair()[:1], child(4, "inputs").normal(size=(2, 7))
    for wires in (ResistiveWires(r_row_ohm=3.0, r_col_ohm=7.0), GatedWires(r_supply_ohm=3.0, r_col_ohm=7.0)):
        v = np.abs(np.sign(v)) if wires.kind == "gated" else v
        assert_close(currents(wires, g, v), np.stack([column_currents(wires, g, one) for one in v], axis=1))


def test_a_product_of_a_digit_stack_through_wires_is_that_of_the_circuits():
    # 3 slices of 2 bits, a pair each, put together digitally
    wires = ResistiveWires(r_row_ohm=3.0, r_col_ohm=7.0, pairs="interleaved")
    rng = child(5, "weights")
    weights, v = rng.integers(-63, 64, (7, 5)), rng.normal(size=(2, 7))
    digits = np.array(
        [[np.abs(weights) * (np.sign(weights) == sign) >> 2 * s & 3 for sign in (1, -1)] for s in range(3)]
    )
    g = 1e-3 * digits
    worth = 4.0 ** np.arange(3)
    read = product(wires, transfer(wires, g), v)
    value = np.tensordot(worth, read[:, 0] - read[:, 1], axes=1)
    circuits = [np.stack([column_currents(wires, one, x) for x in v], axis=1) for one in g]
    assert_close(value, sum(w * (c[0] - c[1]) for w, c in zip(worth, circuits, strict=True)))
    assert_close(
        transfer(IdealWires(), g)[:, 0] - transfer(IdealWires(), g)[:, 1], 1e-3 * (digits[:, 0] - digits[:, 1])
    )


@pytest.mark.parametrize("wires", DRIVEN[:12], ids=named)
def test_a_few_written_cells_correct_the_transfer_matrix_to_that_solved_anew(wires):
    g, rng = pair((64, 64)) / 20, child(6, "writes")
    new = g.copy()
    for p, i, j, value in ((0, 3, 4, 0.0), (0, 3, 5, 3e-4), (1, 60, 4, 1e-4), (1, 0, 63, g[1, 0, 63] * rng.random())):
        new[p, i, j] = value
    before = transfer(wires, g)
    corrected, anew = rewritten(wires, before, g, new), transfer(wires, new)
    assert np.abs(anew - before).max() > 1e-3 * anew.max()
    assert_close(corrected, anew)
    assert_close(before, transfer(wires, g))  # the matrix given stays as it is


def test_many_corrections_after_each_other_stay_exact():
    wires, rng = ResistiveWires(r_row_ohm=3.0, r_col_ohm=7.0), child(7, "writes")
    g = pair((64, 64)) / 20
    m = transfer(wires, g)
    for _ in range(20):
        new = g.copy()
        new[tuple(rng.integers(0, g.shape, 3))] = 2e-4
        g, m = new, rewritten(wires, m, g, new)
    assert_close(m, transfer(wires, g))


def test_arrays_are_solved_anew_where_many_cells_changed():
    wires = ResistiveWires(r_row_ohm=3.0, r_col_ohm=7.0)
    g = pair((64, 64)) / 20
    limit = 64**2 // 1000
    for changed, same_bits in ((limit, False), (limit + 1, True)):
        new = g.copy()
        new[0, 0, :changed] += 1e-5
        given = rewritten(wires, transfer(wires, g), g, new)
        assert (given[0] == transfer(wires, new)[0]).all() == same_bits
        assert (given[1] == transfer(wires, g)[1]).all()  # of which no cell changed
