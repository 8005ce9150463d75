"""Wires against circuits: every resistor of an array in one sparse system of Kirchhoff's law, solved by scipy."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import imcsim
from docs.validation.points import Point
from imcsim.specs.wires import GatedWires, ResistiveWires
from imcsim.wires import currents, transfer

Array = np.ndarray[Any, Any]

AGREEMENT = 1e-8  # of the largest current
PAIRS = ("separate", "interleaved", "shared_bit_line")
ENDS = ("one", "both")
ROWS, COLS = 16, 12


def _circuits() -> Any:
    """The tests' circuits, which know nothing of imcsim but its spec."""
    path = Path(__file__).parents[2] / "tests" / "wires" / "circuits.py"
    spec = importlib.util.spec_from_file_location("circuits", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def topologies() -> Iterator[Point]:
    """The largest relative difference of a column's current, in every topology."""
    circuits, rng = _circuits(), imcsim.child(0, "wires")
    g = rng.uniform(1e-4, 5e-3, (2, ROWS, COLS))
    v, bits = rng.normal(size=(2, ROWS)), rng.random((2, ROWS)) < 0.6
    for place, (row, col, pairs, terminal) in enumerate(itertools.product(ENDS, ENDS, PAIRS, (0.0, 11.0))):
        wires = ResistiveWires(
            r_row_ohm=3.0, r_col_ohm=7.0, row_ends=row, col_ends=col, pairs=pairs,
            row_terminal_ohm=terminal, col_terminal_ohm=2 * terminal,
        )  # fmt: skip
        expected = np.stack([circuits.column_currents(wires, g, one) for one in v], axis=1)
        read = v @ transfer(wires, g)
        product = read[:1] - read[1:] if pairs == "shared_bit_line" else read
        yield _difference("transfer matrix", place, product, expected)
        yield _difference("solved a read", place, currents(wires, g, v), expected)
    gated = [
        each for each in itertools.product(("row", "column"), ENDS, ENDS, PAIRS) if each[::3] != ("column", PAIRS[2])
    ]
    for place, (supply, feed, col, pairs) in enumerate(gated):
        of = GatedWires(
            r_supply_ohm=3.0, r_col_ohm=7.0, supply_terminal_ohm=11.0,
            supply=supply, supply_ends=feed, col_ends=col, pairs=pairs,
        )  # fmt: skip
        expected = np.stack([circuits.column_currents(of, g, np.full(ROWS, 0.8), on) for on in bits], axis=1)
        yield _difference("gated cells", place, currents(of, g, 0.8 * bits), expected)


def _difference(series: str, place: int, given: Array, expected: Array) -> Point:
    worst = float(np.abs(given - expected).max() / np.abs(expected).max())
    return Point("wires", series, place, 0.0, worst, AGREEMENT, "1")


def profile() -> Iterator[Point]:
    """What arrives of the current of each column, of what ideal wires would carry."""
    circuits = _circuits()
    g, v = np.full((1, 32, 24), 50e-6), np.ones(32)
    for ohm in (1.0, 4.0, 16.0):
        wires = ResistiveWires(r_row_ohm=ohm, r_col_ohm=ohm)
        law = circuits.column_currents(wires, g, v)[0] / g[0].sum(axis=0)
        seen = (v @ transfer(wires, g)[0]) / g[0].sum(axis=0)
        for column in range(24):
            yield Point("ir_drop", f"{ohm:g} ohm a segment", column, law[column], seen[column], 1e-6, "1")  # six digits
