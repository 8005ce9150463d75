"""Reciprocity: driven from the bit lines, the word lines carry the transposed transfer matrix, in every topology."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from circuits import GROUND, array_circuit

from imcsim.rng import child
from imcsim.specs.wires import ResistiveWires
from imcsim.wires import transfer

PAIRS = ("separate", "interleaved", "shared_bit_line")
EVERY_TOPOLOGY = pytest.mark.parametrize(
    ("pairs", "row_ends", "col_ends"), list(itertools.product(PAIRS, ("one", "both"), ("one", "both")))
)


def wires_of(**changes):
    return ResistiveWires(r_row_ohm=300.0, r_col_ohm=700.0, row_terminal_ohm=1500.0, col_terminal_ohm=400.0, **changes)


def word_line_currents(wires, g, e):
    """Currents (polarities, rows) into the sources of the word lines, all at 0 V, the bit lines driven by e (.., cols).

    `e` has a voltage for every bit line, of every polarity where they are apart. By Kirchhoff's laws, of each circuit.
    """
    polarities, rows, _ = g.shape
    forward = array_circuit(wires, g, np.zeros(rows))
    forward.resistors = [
        (a, ("drive", a[1], a[3]) if b == GROUND else b, siemens) for a, b, siemens in forward.resistors
    ]
    forward.fixed |= {name: e[name[1:]] for a, name, _ in forward.resistors if name[0] == "drive"}
    voltages = forward.voltages()
    out = np.zeros((polarities, rows))
    for feed, node, siemens in forward.resistors:
        if feed[0] == "feed":
            out[feed[2:] if len(feed) > 3 else (feed[2], node[2])] += siemens * voltages[node]
    return out


@EVERY_TOPOLOGY
def test_word_lines_carry_what_the_transposed_matrix_says(pairs, row_ends, col_ends):
    wires = wires_of(pairs=pairs, row_ends=row_ends, col_ends=col_ends)
    rng = child(0, "transposed")
    g, e = rng.uniform(1e-6, 100e-6, (2, 7, 4)), rng.normal(size=(2, 4))
    if pairs == "shared_bit_line":  # on which the cells of a pair lie
        e[1] = e[0]
    found = word_line_currents(wires, g, e)
    expected = np.einsum("prc,pc->pr", transfer(wires, g), e)
    if pairs == "interleaved":  # and here on one word line
        expected = np.stack([expected.sum(axis=0), np.zeros(7)])
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert np.abs(found).sum() < 0.8 * np.abs(np.einsum("prc,pc->pr", g, np.abs(e))).sum()


@EVERY_TOPOLOGY
def test_an_array_that_is_turned_has_the_transposed_matrix(pairs, row_ends, col_ends):
    wires = wires_of(pairs=pairs, row_ends=row_ends, col_ends=col_ends)
    # as many word lines as bit lines, so that neither is solved as the other
    shape = {"separate": (2, 6, 6), "interleaved": (2, 12, 6), "shared_bit_line": (2, 6, 12)}[pairs]
    g = child(1, "transposed").uniform(1e-6, 100e-6, shape)
    turned = dataclasses.replace(
        wires,
        r_row_ohm=wires.r_col_ohm,
        r_col_ohm=wires.r_row_ohm,
        row_terminal_ohm=wires.col_terminal_ohm,
        col_terminal_ohm=wires.row_terminal_ohm,
        row_ends=wires.col_ends,
        col_ends=wires.row_ends,
        # a pair on one word line comes to lie on one bit line
        pairs={"interleaved": "shared_bit_line", "shared_bit_line": "interleaved"}.get(pairs, pairs),
    )
    # word lines are driven ahead of the first column, bit lines grounded behind the last row: the ends change places
    m = transfer(turned, np.ascontiguousarray(np.swapaxes(g, 1, 2)[::-1, ::-1, ::-1]))
    np.testing.assert_allclose(np.swapaxes(m[::-1, ::-1, ::-1], 1, 2), transfer(wires, g), rtol=1e-9)


def test_the_closed_form_is_as_reciprocal_as_the_network():
    wires = wires_of(solver="dmr").replace("row_terminal_ohm", 100.0)
    g = child(2, "transposed").uniform(1e-6, 20e-6, (1, 6, 4))
    turned = dataclasses.replace(
        wires, r_row_ohm=700.0, r_col_ohm=300.0, row_terminal_ohm=400.0, col_terminal_ohm=100.0
    )
    m = transfer(turned, np.ascontiguousarray(np.swapaxes(g, 1, 2)[:, ::-1, ::-1]))
    np.testing.assert_allclose(np.swapaxes(m[:, ::-1, ::-1], 1, 2), transfer(wires, g), rtol=1e-9)
