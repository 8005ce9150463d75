"""The write of a resistive cell: target conductances and random numbers -> what the cells hold.

A write k of a cell takes one standard normal, drawn at the write (kernels.frozen.WRITE + k): a second and later one
only where cells are verified and any has failed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from imcsim.cells.curves import scaled
from imcsim.specs.resistive import ProgrammingError, ResistiveCell, WriteVerify

Array = np.ndarray[Any, Any]


def programming_sigma(cell: ResistiveCell, target_S: Array) -> Array:
    """The standard deviation of one write about its target, ahead of clipping and verification: any shape, in S."""
    if cell.programming is None:
        return np.zeros_like(target_S)
    return scaled(cell.programming, cell.programming.sigma, cell.g_max_S, target_S, target_S)


def programmed(cell: ResistiveCell, target_S: Array, normals: Callable[[int], Array]) -> tuple[Array, Array]:
    """What cells of any shape hold after writes to `target_S`, in S, and how many writes each took (uint8).

    `normals(k)` gives the standard normals of write k, of the same shape; it is asked for no write that no cell needs.
    """
    writes: Array = np.ones(np.shape(target_S), np.uint8)
    programming = cell.programming
    if programming is None:
        return np.array(target_S), writes
    sigma_S = programming_sigma(cell, target_S)
    held_S = _written(cell, programming, target_S, sigma_S, normals(0))
    if programming.verify is None:
        return held_S, writes
    shape, held_S, writes = held_S.shape, held_S.ravel(), writes.ravel()
    # the cells that have not passed yet: fewer each time, and only they are computed
    failed, aim_S, spread_S, last_S = np.arange(held_S.size), target_S.ravel(), sigma_S.ravel(), held_S
    for attempt in range(1, programming.verify.attempts):
        still = np.flatnonzero(np.abs(last_S - aim_S) > _tolerance(cell, programming.verify, aim_S))
        if not still.size:
            break
        failed, aim_S, spread_S = failed[still], aim_S[still], spread_S[still]
        last_S = _written(cell, programming, aim_S, spread_S, normals(attempt).ravel()[failed])
        held_S[failed] = last_S
        writes[failed] = attempt + 1
    return held_S.reshape(shape), writes.reshape(shape)


def clipped(cell: ResistiveCell, g_S: Array) -> Array:
    """Conductances as cells can have them: none negative, none below g_min, or all in the range."""
    if cell.clips == "range":
        return np.clip(g_S, cell.lowest, cell.g_max_S)
    return np.maximum(g_S, 0 if cell.clips == "zero" else cell.lowest)


def _tolerance(cell: ResistiveCell, verify: WriteVerify, target_S: Array) -> Any:
    return verify.tolerance_rel * (target_S if verify.relative_to == "target" else cell.g_max_S)


def _written(
    cell: ResistiveCell, programming: ProgrammingError, target_S: Array, sigma_S: Array, normals: Array
) -> Array:
    """One write: (...) S."""
    normals = normals.astype(target_S.dtype, copy=False)
    if programming.law == "lognormal":
        # exp(mu + s z) has mean exp(mu + s^2 / 2) = target and relative variance exp(s^2) - 1 = (sigma / target)^2
        with np.errstate(divide="ignore", invalid="ignore"):
            s2 = np.log1p(np.square(sigma_S / target_S))
            return clipped(cell, np.where(target_S > 0, target_S * np.exp(np.sqrt(s2) * normals - s2 / 2), 0))
    if programming.degrees_of_freedom is not None:
        from scipy.special import ndtr, stdtrit

        # Phi(z) is uniform in (0, 1); t of n degrees of freedom has the variance n / (n - 2)
        n = programming.degrees_of_freedom
        shares = np.clip(ndtr(normals.astype(np.float64)), 1e-12, 1 - 1e-12)
        normals = (stdtrit(n, shares) * math.sqrt((n - 2) / n)).astype(target_S.dtype)
    if programming.law == "uniform":
        from scipy.special import ndtr

        # Phi(z) is uniform in (0, 1); a uniform law of standard deviation sigma is 2 sqrt(3) sigma wide
        normals = ((ndtr(normals) - 0.5) * (2 * math.sqrt(3))).astype(target_S.dtype, copy=False)
    return clipped(cell, target_S + sigma_S * normals)
