"""Random numbers of places: normals that are a function of a key and of where on the die they belong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from imcsim.floorplan import Floorplan
from imcsim.kernels.frozen import frozen_normals

Array = np.ndarray[Any, Any]


def place_normals(
    plan: Floorplan, keys: Sequence[Any], source: int, rows: int, polarities: int, *, of_arrays: bool = False
) -> Array:
    """Normals under `keys`, a member each: (members, tiles, rows, polarities, slices, physical columns) float32.

    Or, `of_arrays`, of the first place of each array.
    """
    tiling, slices = plan.tiling, plan.layout.slices
    if of_arrays:
        where = (tiling.tiles, rows, polarities, slices, tiling.arrays, 1)
        return np.stack([frozen_normals(key, source, *where) for key in keys])
    width = int(tiling.place.max()) + 1
    where = (tiling.tiles, rows, polarities, slices, tiling.arrays * width, width)
    drawn = np.stack([frozen_normals(key, source, *where) for key in keys])
    at = tiling.array_of * width + tiling.place
    return drawn[..., : len(at)] if np.array_equal(at, np.arange(len(at))) else drawn[..., at]


def cell_normals(plan: Floorplan, keys: Sequence[Any], source: int) -> Array:
    """Normals of every cell that a weight uses: (members, tiles, used rows, polarities, slices, physical columns)."""
    return place_normals(plan, keys, source, plan.tiling.used, plan.layout.polarities)
