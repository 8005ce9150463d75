"""Tables of SRAM cells: the unit current under mismatch, what the mismatch follows, noise of a column, lost bits."""

from __future__ import annotations

import numpy as np

from imcsim.cells import column, frozen_currents, mismatch_sigma_rel, off_state, variance_states
from imcsim.cells.transistor import on_current
from imcsim.device_curves.tables import MICRO, Curve, Panel, Tables, densities, tables
from imcsim.rng import child
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import (
    AnySramCell,
    SramCapacitorCell,
    SramCell,
    SramCurrentCell,
    SramDischargeCell,
    StoredBitCell,
)

CELLS = 200_000
BINS = 160
OVERDRIVE_V = (0.05, 0.6)  # V_WL above the threshold, what its panel shows at least


@tables.register
def _(cell: SramCell, array: ArraySpec) -> Tables:
    unit = _frozen(cell, array)
    off = off_state(cell)
    drawn = {"stores 1": (1 + off) * unit, "stores 0": off * unit}
    currents = Panel(
        f"Current of a driven cell, {CELLS} cells",
        "current (unit currents)",
        "density (1/unit current)",
        densities(drawn, BINS),
        y_scale="log" if cell.mismatch_sigma_rel else "linear",
    )
    return _tables(currents, column_noise(cell, array), cell=cell)


@tables.register
def _(cell: SramDischargeCell | SramCurrentCell, array: ArraySpec) -> Tables:
    return _tables(currents(cell, array), mismatch(cell), column_noise(cell, array), lost_bits(cell), cell=cell)


@tables.register
def _(cell: SramCapacitorCell, array: ArraySpec) -> Tables:
    drawn = {f"{1e15 * cell.c_unit_F:.3g} fF": _frozen(cell, array)}
    charges = Panel(
        f"Charge of a conducting cell, {CELLS} cells",
        "charge, after sharing (unit charges)",
        "density (1/unit charge)",
        densities(drawn, BINS),
    )
    return _tables(charges, matching(cell), column_noise(cell, array), lost_bits(cell), cell=cell)


def currents(cell: SramDischargeCell | SramCurrentCell, array: ArraySpec) -> Panel:
    """How on-currents are distributed under mismatch, at three word-line voltages."""
    near = (cell.v_wl_V, cell.v_wl_V - 0.1, cell.v_wl_V + 0.1)  # the design's own first
    drawn = {}
    for v_wl_V in near:
        if cell.threshold < v_wl_V <= 5:
            at = cell.replace("v_wl_V", v_wl_V)
            drawn[f"V_WL = {v_wl_V:.3g} V"] = 1e6 * on_current(at) * _frozen(at, array)
    return Panel(
        f"On-current under mismatch, {CELLS} cells",
        f"current ({MICRO}A)",
        f"density (1/{MICRO}A)",
        densities(drawn, BINS),
    )


def mismatch(cell: SramDischargeCell | SramCurrentCell) -> Panel:
    """The spread of the on-current over the word-line voltage."""
    least, most = (cell.threshold + above for above in OVERDRIVE_V)
    v_wl_V = np.linspace(min(least, cell.v_wl_V), min(max(most, cell.v_wl_V), 5.0), 101)
    sigma = np.array([mismatch_sigma_rel(cell.replace("v_wl_V", float(v))) for v in v_wl_V])
    law = "given, whatever V_WL" if cell.sigma_vt_V is None else "alpha sigma_Vt / (V_WL - V_t)"
    design = Curve("of this design", np.array([cell.v_wl_V]), np.array([100 * mismatch_sigma_rel(cell)]), "points")
    return Panel(
        "Mismatch over the word-line voltage",
        "V_WL (V)",
        "standard deviation (% of the on-current)",
        (Curve(law, v_wl_V, 100 * sigma), design),
    )


def matching(cell: SramCapacitorCell) -> Panel | None:
    """The spread of the unit capacitors over their size; None where it is given as it is."""
    if cell.kappa_sqrtF is None:
        return None
    c_F = cell.c_unit_F * np.geomspace(0.1, 10, 61)
    sigma = np.array([mismatch_sigma_rel(cell.replace("c_unit_F", float(c))) for c in c_F])
    design = np.array([1e15 * cell.c_unit_F]), np.array([100 * mismatch_sigma_rel(cell)])
    return Panel(
        "Mismatch over the unit capacitance",
        "unit capacitance (fF)",
        "standard deviation (%)",
        (Curve("kappa / sqrt(C)", 1e15 * c_F, 100 * sigma), Curve("of this design", *design, "points")),
        x_scale="log",
        y_scale="log",
    )


def column_noise(cell: AnySramCell, array: ArraySpec) -> Panel | None:
    """The noise of one read of a column over its conducting cells; None where there is none."""
    analog = column(cell, array)
    cells = np.unique(np.linspace(0, array.rows, 65).round())
    each = analog.cell_variance * float(variance_states(cell, np.ones(1, np.float32))[0])
    parts = {
        "of the cells": np.sqrt(each * cells),
        "of the column itself": np.full(cells.shape, float(analog.variance) ** 0.5),
    }
    some = {label: sigma for label, sigma in parts.items() if sigma.any()}
    if len(some) > 1:
        some["together"] = np.sqrt(sum(np.square(sigma) for sigma in some.values()))
    if not some:
        return None
    return Panel(
        "Noise of one read of a column",
        f"conducting cells, of {array.rows}",
        "standard deviation (MAC units)",
        tuple(Curve(label, cells, sigma) for label, sigma in some.items()),
    )


def lost_bits(cell: StoredBitCell) -> Panel | None:
    """The share of cells whose V_min lies above the supply; None for cells that keep their bits at any."""
    if cell.v_min_mean_V is None or not cell.v_min_sigma_V:
        return None
    from scipy.special import ndtr

    z = np.linspace(-2, 6, 81)
    v_dd_V = cell.v_min_mean_V + cell.v_min_sigma_V * z
    curve = Curve("of cells whose V_min is normal", v_dd_V[v_dd_V > 0], ndtr(-z)[v_dd_V > 0])
    return Panel(
        f"Bits lost (the design: V_DD = {cell.v_dd_V:.3g} V)", "V_DD (V)", "share of cells (1)", (curve,), y_scale="log"
    )


def _tables(*panels: Panel | None, cell: AnySramCell) -> Tables:
    notes = [] if mismatch_sigma_rel(cell) else ["No mismatch."]
    if not any(panel is not None and panel.title.startswith("Noise") for panel in panels):
        notes.append("No read noise.")
    return Tables(tuple(panel for panel in panels if panel is not None), tuple(notes))


def _frozen(cell: AnySramCell, array: ArraySpec) -> np.ndarray:
    """Unit currents of cells, as the columns of an array have them."""
    normals = child(0, "device", "mismatch").standard_normal((-(-CELLS // array.rows), array.rows))
    return frozen_currents(cell, array, normals)
