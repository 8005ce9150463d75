"""Circuits of resistors and fixed voltages, solved as a whole: what imcsim's nodal analysis is compared with.

Nodes have names; nothing here knows of matrices of arrays, of elimination or of reciprocity.
"""

from __future__ import annotations

import itertools

import numpy as np
import scipy.sparse
from scipy.sparse.linalg import spsolve

GROUND = "ground"


class Circuit:
    """Resistors between nodes, some of them at a given voltage."""

    def __init__(self):
        self.fixed = {GROUND: 0.0}
        self.resistors = []

    def resistor(self, a, b, ohm):
        self.conductor(a, b, 1 / ohm)

    def conductor(self, a, b, siemens):
        self.resistors.append((a, b, siemens))

    def voltages(self):
        """Kirchhoff's current law at every node that is free."""
        names = {name for a, b, _ in self.resistors for name in (a, b)} - self.fixed.keys()
        free = {name: index for index, name in enumerate(sorted(names))}
        entries, injected = [], np.zeros(len(free))
        for a, b, siemens in self.resistors:
            for here, there in ((a, b), (b, a)):
                if here in free:
                    entries.append((free[here], free[here], siemens))
                    if there in free:
                        entries.append((free[here], free[there], -siemens))
                    else:
                        injected[free[here]] += siemens * self.fixed[there]
        rows, cols, values = zip(*entries, strict=True)
        matrix = scipy.sparse.csc_matrix((values, (rows, cols)), shape=(len(free),) * 2)
        solved = np.atleast_1d(spsolve(matrix, injected))
        return self.fixed | {name: solved[index] for name, index in free.items()}


def array_circuit(wires, g, v, on=None):
    """The circuit of cells g (polarities, rows, cols) at word line voltages v (rows,), as the spec `wires` has them.

    `on` (rows,): the inputs of gated cells, whose supplies are at v. A cell is ("cell", polarity, row, col).
    """
    circuit, gated = Circuit(), wires.kind == "gated"
    polarities, rows, cols = g.shape
    r_first, t_first, first_ends = (
        (wires.r_supply_ohm, wires.supply_terminal_ohm, wires.supply_ends)
        if gated
        else (wires.r_row_ohm, wires.row_terminal_ohm, wires.row_ends)
    )
    along_column = gated and wires.supply == "column"
    # the physical lines: which cells lie on each, in order
    sources, grounds = {}, {}
    for p in range(polarities):
        for i in range(rows):
            for j in range(cols):
                row = (p, i) if wires.pairs != "interleaved" else (0, i)
                column = (p, j) if wires.pairs != "shared_bit_line" else (0, j)
                sources.setdefault(("column", *column) if along_column else ("row", *row), []).append((p, i, j))
                grounds.setdefault(column, []).append((p, i, j))
    for name, cells in sources.items():
        cells.sort(key=lambda cell: (cell[1], cell[2], cell[0]))
        nodes = [("source", *cell) for cell in cells]
        negative = wires.pairs == "shared_bit_line" and name[1] == 1
        feed = ("feed", *name)
        level = v[cells[0][1]] if not along_column else max(v, key=abs)
        circuit.fixed[feed] = -level if negative else level
        chain(circuit, nodes, r_first)
        circuit.resistor(feed, nodes[0], r_first + t_first)
        if first_ends == "both":
            circuit.resistor(feed, nodes[-1], r_first + t_first)
    for cells in grounds.values():
        cells.sort(key=lambda cell: (cell[1], cell[0]))
        nodes = [("bit", *cell) for cell in cells]
        chain(circuit, nodes, wires.r_col_ohm)
        circuit.resistor(nodes[-1], GROUND, wires.r_col_ohm + wires.col_terminal_ohm)
        if wires.col_ends == "both":
            circuit.resistor(nodes[0], GROUND, wires.r_col_ohm + wires.col_terminal_ohm)
    for p, i, j in np.ndindex(g.shape):
        if on is None or on[i]:
            circuit.conductor(("source", p, i, j), ("bit", p, i, j), g[p, i, j])
    return circuit


def chain(circuit, nodes, ohm):
    for a, b in itertools.pairwise(nodes):
        circuit.resistor(a, b, ohm)


def column_currents(wires, g, v, on=None):
    """Currents (polarities or 1, cols) into ground, of all resistors that end there."""
    circuit = array_circuit(wires, g, v, on)
    voltages = circuit.voltages()
    shared = wires.pairs == "shared_bit_line"
    out = np.zeros((1 if shared else len(g), g.shape[2]))
    for a, b, siemens in circuit.resistors:
        if b == GROUND:
            _, p, _, j = a
            out[0 if shared else p, j] += siemens * voltages[a]
    return out
