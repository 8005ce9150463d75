"""Drift: what a resistive cell holds some time after its write, a law a function that dispatches on the drift's type.

Each law takes one standard normal a cell, drawn at the write (kernels.frozen.WRITE_DRIFT) and kept with the cell: the
same cell moves along the same path until it is written again. Times are t = t_since_write_s + t0_s, a number or an
array that broadcasts against the cells.
"""

from __future__ import annotations

import math
import warnings
from functools import singledispatch
from typing import Any

import numpy as np

from imcsim.cells.curves import relative, value, values
from imcsim.cells.programming import clipped, programming_sigma
from imcsim.errors import ExtrapolationWarning, SpecError
from imcsim.specs.cells import REFERENCE_K
from imcsim.specs.resistive import (
    Drift,
    LogarithmicDrift,
    NoDrift,
    PowerDrift,
    RelaxationDrift,
    ResistiveCell,
    TableDrift,
)

Array = np.ndarray[Any, Any]
Time = float | Array

BOLTZMANN_EV_PER_K = 8.617333262e-5  # CODATA 2018


def draws_at_write(cell: ResistiveCell) -> bool:
    """Whether the drift of a cell takes the normal that is drawn at its write."""
    return not (cell.drift is None or isinstance(cell.drift, NoDrift)) and not (
        isinstance(cell.drift, PowerDrift) and cell.drift.nu_sigma is None
    )


def settled(cell: ResistiveCell, target_S: Array, written_S: Array, normals: Array) -> Array:
    """What cells hold at t0, `programmed`: what was written, and what moved until then; any shape, in S."""
    if not isinstance(cell.drift, RelaxationDrift):
        return written_S
    return clipped(cell, written_S + _relaxed(cell.drift, cell, target_S, normals, cell.t0_s))


def drifted(cell: ResistiveCell, target_S: Array, programmed_S: Array, normals: Array, t_since_write_s: Time) -> Array:
    """What cells of any shape hold `t_since_write_s` after their write, in S; right after it, what was programmed.

    Raises SpecError for a negative time, for one after the write of a cell whose drift is not known, and beyond the
    valid time of a cell that is not to be extrapolated; else warns there.
    """
    check_time(cell, t_since_write_s)
    if cell.drift is None or isinstance(cell.drift, NoDrift) or not np.any(t_since_write_s):
        return programmed_S
    t_s = _effective(cell, t_since_write_s) + cell.t0_s
    found = clipped(cell, moved(cell.drift, cell, target_S, programmed_S, normals, t_s))
    return found.astype(programmed_S.dtype, copy=False)


def check_time(cell: ResistiveCell, t_since_write_s: Time) -> None:
    """Refuse a time at which the cell cannot be read, and warn of one to which its drift is extrapolated."""
    least, most = float(np.min(t_since_write_s)), float(np.max(t_since_write_s))
    if not (least >= 0 and most < math.inf):
        raise SpecError.of("now_s", "must be a finite time, not before the write", f"{least:g} s after it")
    if most > 0 and cell.drift is None:
        raise SpecError.of(
            ("cell", "drift"),
            "is needed to read a cell after its write: what it holds then is not known",
            given=f"left out, and read {most:g} s after the write",
            remedy='read at the time of the write, or give the drift: kind = "none" for a cell that keeps its state',
        )
    valid = cell.valid
    aged_s = float(_effective(cell, most))
    if valid is not None and valid.t_max_s is not None and aged_s > valid.t_max_s:
        allowed, at_K = f"the drift of the cell is known up to {valid.t_max_s:g} s after a write", ""
        if aged_s != most:  # hot cells reach the end of what was measured at 300 K sooner, cold ones later
            at_K = f", at {cell.temperature_K:g} K as {aged_s:g} s at {REFERENCE_K:g} K"
        if valid.beyond_t_max == "error":
            remedy = 'set cell.valid.beyond_t_max = "warning" to extrapolate'
            raise SpecError.of("now_s", allowed, f"{most:g} s after it{at_K}", remedy)
        warnings.warn(f"{allowed}: extrapolated to {most:g} s{at_K}", ExtrapolationWarning, stacklevel=2)


@singledispatch
def moved(drift: Drift, cell: ResistiveCell, target_S: Array, programmed_S: Array, normals: Array, t_s: Time) -> Array:
    """What cells hold at t_s >= t0_s, ahead of clipping: any shape, in S."""
    del cell, target_S, programmed_S, normals, t_s
    raise TypeError(f"no physics of {type(drift).__name__}")


@moved.register
def _(drift: PowerDrift, cell: ResistiveCell, target_S: Array, programmed_S: Array, normals: Array, t_s: Time) -> Array:
    nu = drift_exponent(drift, cell, target_S, normals)
    # g (t / t0)^-nu, nu as in Nandakumar et al., ICECS 2019, and its model in aihwkit
    return np.asarray(programmed_S * np.exp(nu * _like(programmed_S, -np.log(t_s / cell.t0_s))))


@moved.register
def _(
    drift: RelaxationDrift, cell: ResistiveCell, target_S: Array, programmed_S: Array, normals: Array, t_s: Time
) -> Array:
    # what moved until t0 is in what was programmed
    since, until = (_relaxed(drift, cell, target_S, normals, one) for one in (cell.t0_s, t_s))
    return np.asarray(programmed_S + (until - since))


@moved.register
def _(
    drift: LogarithmicDrift, cell: ResistiveCell, target_S: Array, programmed_S: Array, normals: Array, t_s: Time
) -> Array:
    of_t = np.log(t_s)
    first = programming_sigma(cell, target_S)
    # mean and spread of the cells of one target: linear in ln t after Falcone et al., as aihwkit first had them
    sigma = first if drift.sigma_S is None else _like(target_S, drift.sigma_S + drift.sigma_slope_S * of_t)
    found = _spread(target_S, _like(target_S, drift.mean_slope_S * of_t), sigma, first, programmed_S, normals)
    return np.asarray(np.where(np.asarray(t_s) > cell.t0_s, found, programmed_S))


@moved.register
def _(drift: TableDrift, cell: ResistiveCell, target_S: Array, programmed_S: Array, normals: Array, t_s: Time) -> Array:
    x, unit_S = relative(target_S, drift.state_unit_S, cell.g_max_S), drift.unit_S or cell.g_max_S
    knots = np.log([cell.t0_s, *drift.times_s])
    first = programming_sigma(cell, target_S)
    sigma, shift = np.zeros_like(target_S), np.zeros_like(target_S)
    for k in range(len(knots)):
        weight = _like(target_S, np.interp(np.log(t_s), knots, np.arange(len(knots)) == k))
        if not np.any(weight):
            continue
        of_table = k > 0
        sigma = sigma + weight * (np.maximum(values(drift.sigma, k - 1, x), 0) * unit_S if of_table else first)
        if of_table and drift.shift is not None:
            shift = shift + weight * (values(drift.shift, k - 1, x) * unit_S)
    return _spread(target_S, shift, sigma, first, programmed_S, normals)


def drift_exponent(drift: PowerDrift, cell: ResistiveCell, target_S: Array, normals: Array) -> Array:
    """The exponents nu of cells: any shape."""
    x = relative(target_S, drift.state_unit_S, cell.g_max_S)
    nu = value(drift.nu_mean, x)
    if drift.nu_sigma is not None:
        nu = nu + np.maximum(value(drift.nu_sigma, x), 0) * normals
    return np.asarray(np.abs(nu) if drift.nu_law == "folded" else nu)


def drift_factor(cell: ResistiveCell, g_S: Array, t_since_write_s: float) -> Array:
    """The mean of what cells hold after a time over what they held at t0: states of any shape -> float64.

    Clipping is left out. A chip that scales the outputs of a read by one over it undoes the mean drift of that state.
    """
    check_time(cell, t_since_write_s)
    g_S = np.asarray(g_S, np.float64)
    drift, t_s = cell.drift, _effective(cell, t_since_write_s) + cell.t0_s
    if isinstance(drift, PowerDrift):
        return _mean_power(drift, relative(g_S, drift.state_unit_S, cell.g_max_S), math.log(t_s / cell.t0_s))
    if isinstance(drift, LogarithmicDrift | TableDrift):
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(moved(drift, cell, g_S, g_S, np.zeros_like(g_S), t_s) / g_S)
    return np.ones_like(g_S)


def ageing(cell: ResistiveCell) -> float:
    """How many seconds at 300 K do to a cell what one second does at its temperature."""
    if cell.temperature_K is None or cell.activation_eV is None:
        return 1.0
    # Arrhenius: rates go as exp(-E_a / k T)
    return math.exp(cell.activation_eV / BOLTZMANN_EV_PER_K * (1 / REFERENCE_K - 1 / cell.temperature_K))


def compensation(at_write: Array, now: Array, *, per_column: bool) -> Array:
    """What the outputs of a drifted array are multiplied by: outputs (..., cols) to the same probes -> (1,) or (cols,).

    mean |output at the write| / mean |output now|, over all columns or each by itself (Joshi et al. 2020; aihwkit's
    global drift compensation). 1 where a column gives nothing.
    """
    axes = tuple(range(at_write.ndim - 1)) if per_column else None
    before, after = (np.abs(outputs).mean(axis=axes, dtype=np.float64) for outputs in (at_write, now))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.atleast_1d(np.where((before > 0) & (after > 0), before / after, 1.0))


def _spread(target_S: Array, shift: Any, sigma: Any, first: Array, programmed_S: Array, normals: Array) -> Array:
    """Cells written with the spread `first`, as spread by `sigma` about target + shift: any shape, in S."""
    # (a d)^2 + b^2 = sigma^2 for d of standard deviation `first`: what was written stays where the spread grows
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = np.where(first > 0, np.minimum(sigma / first, 1), 0)
    added = np.sqrt(np.maximum(np.square(sigma) - np.square(first), 0))
    return np.asarray(target_S + shift + kept * (programmed_S - target_S) + added * normals)


def _relaxed(drift: RelaxationDrift, cell: ResistiveCell, target_S: Array, normals: Array, t_s: Time) -> Array:
    """How far cells relaxed from what was written until t_s: any shape, in S."""
    x = relative(target_S, drift.state_unit_S, cell.g_max_S)
    # var(dG) = C1(g) log10 t + C2(g): RRAM relaxation after Levy
    variance = value(drift.c1, x) * _like(x, np.log10(t_s)) + value(drift.c2, x)
    return np.asarray(np.sqrt(np.maximum(variance, 0)) * (drift.unit_S or cell.g_max_S) * normals)


def _mean_power(drift: PowerDrift, x: Array, log_t: float) -> Array:
    mean = value(drift.nu_mean, x)
    sigma = np.zeros_like(x) if drift.nu_sigma is None else np.maximum(value(drift.nu_sigma, x), 0)
    # E exp(-L nu) = exp(-L m + L^2 s^2 / 2) of a normal nu
    up, down = (np.exp(sign * log_t * mean + (log_t * sigma) ** 2 / 2) for sign in (-1, 1))
    if drift.nu_law == "normal":
        return np.asarray(up)
    from scipy.special import ndtr

    # folded: the same over nu > 0, and that of -nu over the rest
    with np.errstate(divide="ignore", invalid="ignore"):
        of_up, of_down = (ndtr((sign * mean - log_t * sigma**2) / sigma) for sign in (1, -1))
    return np.where(sigma > 0, up * of_up + down * of_down, np.exp(-log_t * np.abs(mean)))


def _effective(cell: ResistiveCell, t_since_write_s: Time) -> Time:
    """The time at 300 K that does to a cell what this time does at its temperature."""
    return t_since_write_s * ageing(cell)


def _like(cells: Array, of_time: Any) -> Any:
    """A number of time in the precision of the cells, so that no float64 widens them."""
    return np.asarray(of_time, cells.dtype)
