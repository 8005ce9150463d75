"""Read noise of resistive cells: its standard deviation, and what of it stays constant within a call.

White noise is drawn at every read, a column at a time where nothing nonlinear comes between (kernels.column): only its
variance is of interest here. 1/f and telegraph noise are drawn once a call, a number a cell: READ_FLICKER (a normal)
and READ_TELEGRAPH (a normal, of which the uniform decides the level). Which cells have a trap is frozen at manufacture
(CELL_TRAP).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from imcsim.cells.curves import scaled
from imcsim.specs.resistive import FlickerNoise, ResistiveCell, TelegraphNoise

Array = np.ndarray[Any, Any]
Time = float | Array


def white_sigma(cell: ResistiveCell, g_S: Array) -> Array:
    """The white noise of one read of cells that hold `g_S`: any shape, in S."""
    noise = cell.white_noise
    return np.zeros_like(g_S) if noise is None else scaled(noise, noise.sigma, cell.g_max_S, g_S, g_S)


def flicker_sigma(cell: ResistiveCell, g_S: Array, programmed_S: Array, t_since_write_s: Time) -> Array:
    """The 1/f noise of a call, of cells that hold `g_S` and were programmed to `programmed_S`: any shape, in S."""
    noise = cell.flicker_noise
    if noise is None:
        return np.zeros_like(g_S)
    sigma_S = scaled(noise, noise.sigma, cell.g_max_S, g_S, programmed_S if noise.state == "programmed" else g_S)
    return np.asarray(sigma_S * np.asarray(_grown(noise, t_since_write_s + cell.t0_s), g_S.dtype))


def telegraph_sigma(cell: ResistiveCell, g_S: Array) -> Array:
    """The standard deviation over calls of cells with a trap that hold `g_S`: any shape, in S."""
    noise = cell.telegraph_noise
    if noise is None:
        return np.zeros_like(g_S)
    # of two levels A apart, one with probability p: A sqrt(p (1 - p))
    return np.asarray(_amplitude(cell, noise, g_S) * math.sqrt(noise.occupancy * (1 - noise.occupancy)))


def read_sigma(cell: ResistiveCell, g_S: Array, programmed_S: Array, t_since_write_s: Time) -> Array:
    """All read noise of one read, over many calls and over cells with and without a trap: any shape, in S."""
    share = 0.0 if cell.telegraph_noise is None else cell.telegraph_noise.share_of_cells
    return np.sqrt(
        np.square(white_sigma(cell, g_S))
        + np.square(flicker_sigma(cell, g_S, programmed_S, t_since_write_s))
        + share * np.square(telegraph_sigma(cell, g_S))
    )


def traps(cell: ResistiveCell, normals: Array) -> Array | None:
    """Which cells of a die have a trap, of normals frozen at manufacture: any shape, bool; None: none."""
    noise = cell.telegraph_noise
    if noise is None or noise.share_of_cells == 0:
        return None
    return _below(normals, noise.share_of_cells)


def telegraph(cell: ResistiveCell, g_S: Array, trapped: Array, normals: Array) -> Array:
    """What the traps add to cells that hold `g_S` in one call: any shape, in S, of mean zero."""
    noise = cell.telegraph_noise
    assert noise is not None  # there are traps
    up = _below(normals, noise.occupancy)
    return np.asarray(trapped * _amplitude(cell, noise, g_S) * (up.astype(g_S.dtype) - noise.occupancy))


def _amplitude(cell: ResistiveCell, noise: TelegraphNoise, g_S: Array) -> Array:
    return scaled(noise, noise.amplitude, cell.g_max_S, g_S, g_S)


def _grown(noise: FlickerNoise, t_s: Time) -> Time:
    # 1/f noise in a band from 1 / t to 1 / t_read: Nandakumar et al., ICECS 2019, and its model in aihwkit
    return np.sqrt(np.log((t_s + noise.t_read_s) / (2 * noise.t_read_s)))


def _below(normals: Array, probability: float) -> Array:
    """True with a probability: the normal lies below its quantile."""
    from scipy.special import ndtri

    return np.asarray(normals < ndtri(probability))
