"""IR drop: what the wires of an array leave of the voltages and currents of its cells, by nodal analysis.

Conductances g (..., polarities, rows, cols), S, everywhere: the arrays of a differential pair, or one alone. Where
cells are linear and driven by word lines, `transfer` is a matrix in the place of g, solved once and renewed by
`rewritten`; else the network is another at each read, and `currents` solves it.

`unused` (rows, cols) are the places of the array behind the last cells of g: cells that conduct nothing, whose wires
lead on to the ends of the lines.
"""

from __future__ import annotations

from imcsim.wires.currents import currents, noisy_currents
from imcsim.wires.network import Law
from imcsim.wires.passing import passing
from imcsim.wires.transfer import rewritten, transfer

__all__ = ["Law", "currents", "noisy_currents", "passing", "rewritten", "transfer"]
