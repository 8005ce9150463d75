"""Tables of resistive cells: writes, levels, drift, read noise, and the current over the voltage."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator

import numpy as np

from imcsim.cells import resistive
from imcsim.cells.curves import scaled
from imcsim.cells.drift import ageing
from imcsim.cells.programming import programming_sigma
from imcsim.cells.read_noise import flicker_sigma, white_sigma
from imcsim.device_curves.tables import MICRO, SPREAD, Array, Curve, Panel, Tables, densities, spread, tables
from imcsim.errors import ExtrapolationWarning
from imcsim.rng import child
from imcsim.specs.array import ArraySpec
from imcsim.specs.resistive import NoDrift, RelaxationDrift, ResistiveCell

DAY_S, YEAR_S = 86400.0, 365 * 86400.0
MOST_LEVELS = 8  # that a panel shows
CELLS_A_LEVEL, CELLS_A_STATE = 50_000, 10_000
BINS = 240

STATE = f"target conductance ({MICRO}S)"


@tables.register
def _(cell: ResistiveCell, array: ArraySpec) -> Tables:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExtrapolationWarning)  # the curves say where
        panels = (programming(cell), levels(cell, array), drift(cell), read_noise(cell), current(cell))
    return Tables(tuple(panel for panel in panels if panel is not None), tuple(_notes(cell)))


def programming(cell: ResistiveCell) -> Panel | None:
    """Sigma of a write over the target; None for cells that hold their targets to the point."""
    curves = []
    if cell.programming is not None:
        g_S = _states(cell, 101)
        curves = [Curve("one write", 1e6 * g_S, 1e6 * programming_sigma(cell, g_S), known=_measured(cell, g_S))]
    elif not isinstance(cell.drift, RelaxationDrift):
        return None
    few = _states(cell, 17)
    drawn = _written(cell, few, CELLS_A_STATE, "programming").programmed_S
    verify = cell.programming.verify if cell.programming is not None else None
    writes = "" if verify is None else f", after {verify.attempts} writes at most"
    points = Curve(f"held at t0{writes} ({CELLS_A_STATE} cells each)", 1e6 * few, 1e6 * drawn.std(axis=1), "points")
    return Panel("Error of a write", STATE, f"standard deviation ({MICRO}S)", (*curves, points))


def levels(cell: ResistiveCell, array: ArraySpec) -> Panel:
    """How the conductances of all cells are distributed, of as many in each level, at once and after a day."""
    most = 2**array.cell_bits
    count = min(most, MOST_LEVELS)
    targets = resistive.target(cell, np.linspace(0, 1, count))
    low, high = _range(cell)
    written = _written(cell, targets[(low <= targets) & (targets <= high)], CELLS_A_LEVEL, "levels")
    frozen = child(0, "device", "stuck").standard_normal(written.target_S.shape)
    stuck = resistive.stuck_cells(cell, np.asarray(frozen))
    drawn = {"at once, t = t0": 1e6 * resistive.held(cell, written, stuck, 0.0)}
    later_s = min(DAY_S, _longest(cell), _known_until(cell))
    if not isinstance(cell.drift, NoDrift | None) and later_s > 0:
        drawn[f"{in_words(later_s)} later"] = 1e6 * resistive.held(cell, written, stuck, later_s)
    shown = f"{count}" if count == most else f"{count} of {most}"
    return Panel(
        f"Levels: {shown}, as many cells in each",
        f"conductance ({MICRO}S)",
        f"density (1/{MICRO}S)",
        densities(drawn, BINS),
        y_scale="log" if np.ptp(written.programmed_S, axis=1).any() else "linear",
    )


def drift(cell: ResistiveCell) -> Panel | None:
    """What cells hold over t = t0 + the time since their write, up to a year; None where it is not known."""
    if cell.drift is None:
        return None
    end_s = min(max(YEAR_S, 1e3 * cell.t0_s), cell.t0_s + _longest(cell))
    if not end_s > cell.t0_s:
        return None
    known_s = cell.t0_s + _known_until(cell)
    t_s = np.geomspace(cell.t0_s, end_s, 61)
    if known_s < end_s:
        t_s = np.union1d(t_s, known_s)
    since_s = np.clip(t_s - cell.t0_s, 0, end_s - cell.t0_s)
    low, high = _range(cell)
    targets = low + (high - low) * np.array([1.0, 0.75, 0.5, 0.25])
    written = _written(cell, targets, CELLS_A_STATE, "drift")
    held_S = np.stack([resistive.held(cell, written, None, float(since)) for since in since_s])
    known = t_s <= known_s
    curves = tuple(
        spread(f"target {1e6 * target:.3g} {MICRO}S", t_s, 1e6 * held_S[:, k], known)
        for k, target in enumerate(targets)
    )
    label = f"time after the write, from t0 = {in_words(cell.t0_s)} on"
    return Panel(f"Drift: {SPREAD} of cells", label, f"conductance ({MICRO}S)", curves, x_scale="time")


def read_noise(cell: ResistiveCell) -> Panel | None:
    """Each kind of read noise over the state; None where there is none."""
    g_S = _states(cell, 201)
    known = _measured(cell, g_S)
    curves = []
    if cell.white_noise is not None:
        curves.append(Curve("white, of every read", 1e6 * g_S, 1e6 * white_sigma(cell, g_S), known=known))
    if cell.flicker_noise is not None:
        times_s = [0.0] if cell.drift is None else [s for s in (0.0, DAY_S, YEAR_S) if s <= _longest(cell)]
        for since_s in times_s:
            sigma_S = flicker_sigma(cell, g_S, g_S, since_s)
            when = "at t0" if since_s == 0 else f"after {in_words(since_s)}"
            measured = known & (since_s <= _known_until(cell))
            curves.append(Curve(f"1/f, {when}", 1e6 * g_S, 1e6 * sigma_S, known=measured))
    if (traps := cell.telegraph_noise) is not None:
        apart_S = scaled(traps, traps.amplitude, cell.g_max_S, g_S, g_S)
        label = f"telegraph: distance of the levels, in {100 * traps.share_of_cells:.3g} % of cells"
        curves.append(Curve(label, 1e6 * g_S, 1e6 * apart_S, known=known))
    if not curves:
        return None
    label = f"standard deviation ({MICRO}S)" if traps is None else f"standard deviation, distance ({MICRO}S)"
    return Panel("Read noise", f"conductance ({MICRO}S)", label, tuple(curves))


def current(cell: ResistiveCell) -> Panel | None:
    """Current over voltage, up to the read voltage; None for ohmic cells."""
    if cell.current is None:
        return None
    voltage_V = np.linspace(0, cell.current.v_read_V, 51)
    full_S = np.array(cell.g_max_S)
    ohmic = dataclasses.replace(cell, current=None)
    curves = tuple(
        Curve(label, voltage_V, 1e6 * resistive.current(of, full_S, voltage_V))
        for label, of in (("at g_max", cell), ("ohmic, for comparison", ohmic))
    )
    return Panel("Current of a cell, up to the read voltage", "voltage (V)", f"current ({MICRO}A)", curves)


def in_words(t_s: float) -> str:
    """A time in the largest unit that it has one of."""
    for name, unit_s in (("year", YEAR_S), ("day", DAY_S), ("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3)):
        if t_s >= unit_s:
            number = f"{t_s / unit_s:.3g}"
            return f"{number} {name}{'s' if name in ('year', 'day') and number != '1' else ''}"
    return f"{t_s:.3g} s"


def _notes(cell: ResistiveCell) -> Iterator[str]:
    if cell.programming is None:
        yield "No error of writes."
    if cell.drift is None:
        yield "Drift is not known: the cell is read at once or not at all."
    elif isinstance(cell.drift, NoDrift):
        yield "No drift."
    if cell.white_noise is None and cell.flicker_noise is None and cell.telegraph_noise is None:
        yield "No read noise."
    if cell.stuck is not None:
        shares = ", ".join(
            f"{100 * share:.3g} % {where}"
            for share, where in (
                (cell.stuck.on, "at g_max"),
                (cell.stuck.off, "at g_min"),
                (cell.stuck.at_value, "at another value"),
            )
            if share > 0
        )
        yield f"Stuck cells, in the levels: {shares or 'none'}."
    if cell.drift is not None and np.isfinite(_known_until(cell)):
        yield f"Drift is known up to {in_words(_known_until(cell))} after a write."


def _range(cell: ResistiveCell) -> tuple[float, float]:
    """The states that can be written, in S."""
    valid = cell.valid
    if valid is None or valid.beyond_states == "warning":
        return cell.lowest, cell.g_max_S
    low, high = valid.g_low_S or 0.0, np.inf if valid.g_high_S is None else valid.g_high_S
    return max(cell.lowest, low), min(cell.g_max_S, high)


def _states(cell: ResistiveCell, n: int) -> Array:
    return np.linspace(*_range(cell), n)


def _measured(cell: ResistiveCell, g_S: Array) -> Array:
    """Which states are not extrapolated."""
    if cell.valid is None:
        return np.ones(g_S.shape, np.bool_)
    low, high = cell.valid.g_low_S, cell.valid.g_high_S
    slack = 1e-9 * cell.g_max_S
    return np.asarray((g_S >= (low or 0) - slack) & (g_S <= (np.inf if high is None else high + slack)))


def _longest(cell: ResistiveCell) -> float:
    """The time since a write until which cells can be read, in s."""
    if cell.drift is None:
        return 0.0
    return np.inf if cell.valid is None or cell.valid.beyond_t_max == "warning" else _known_until(cell)


def _known_until(cell: ResistiveCell) -> float:
    """The time since a write until which the drift is no extrapolation, in s."""
    if cell.valid is None or cell.valid.t_max_s is None:
        return np.inf
    faster = ageing(cell)
    return cell.valid.t_max_s / faster if faster > 0 else np.inf


def _written(cell: ResistiveCell, targets_S: Array, cells: int, name: str) -> resistive.Written:
    """So many cells written to each target: (targets, cells)."""
    target_S = np.repeat(targets_S[:, None], cells, axis=1)

    def normals(attempt: int) -> Array:
        return child(0, "device", name, attempt).standard_normal(target_S.shape)

    drift_normals: Array = child(0, "device", name, "drift").standard_normal(target_S.shape)
    return resistive.write(cell, target_S, normals, drift_normals)
