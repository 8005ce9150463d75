"""Second moments of what drives the rows and of what the cells store: all that closed forms need to know.

A column's value is a sum over rows of independent products x d, of a digit x that a cycle drives and a digit d that a
cell stores: its mean is n E[x] E[d], its variance n (E[x^2] E[d^2] - E[x]^2 E[d]^2), and so with any two of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from imcsim.budget.setting import Setting
from imcsim.calibration import planes
from imcsim.converters import dac as dacs
from imcsim.mapping import cell_digits

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Factors:
    """One side of the products: `values` (factors, draws), each drawn with the others, and what each `counts`."""

    values: Array
    counts: Array

    @property
    def mean(self) -> Array:
        return np.asarray(self.values.mean(axis=1))

    @property
    def second(self) -> Array:
        """E[f f'] of every two of them: (factors, factors)."""
        return np.asarray(self.values @ self.values.T / self.values.shape[1])

    @property
    def combined(self) -> Array:
        """The sum that they count for, (draws,)."""
        return np.asarray(self.counts @ self.values)

    @cached_property
    def histograms(self) -> list[tuple[Array, Array]]:
        """The values that each takes, and how often."""
        return [histogram(draws) for draws in self.values]

    def __add__(self, constant: Array) -> Factors:
        return Factors(self.values + constant[:, None], self.counts)


@dataclass(frozen=True, eq=False)
class Moments:
    """A design's products: `inputs`, the digits of the cycles, and `digits`, of the columns that a weight takes.

    Columns stand in the order (polarity, slice), behind them those of a unit column, which counts negative and stores
    the same everywhere. `off` (columns,) is what a cell that stores 0 conducts; `slice_of` (columns,) their slices.
    `reads` lists (rows driven, how often such a read comes), `tiles` (rows of a tile, how many).
    """

    inputs: Factors
    digits: Factors
    off: Array
    slice_of: Array
    reads: list[tuple[int, int]]
    tiles: list[tuple[int, int]]

    @property
    def conducting(self) -> Factors:
        """The digits with what off cells conduct."""
        return self.digits + self.off


def histogram(draws: Array) -> tuple[Array, Array]:
    """The distinct values of draws and their shares; unquantised draws by 1024 bins, zero by itself."""
    values, counts = np.unique(draws, return_counts=True)
    if values.size > 4096:
        zeros = int(np.count_nonzero(draws == 0))
        counts, edges = np.histogram(draws[draws != 0], 1024)
        values, counts = np.append((edges[1:] + edges[:-1]) / 2, 0.0), np.append(counts, zeros)
    return values, counts / counts.sum()


def moments(setting: Setting) -> Moments:
    """The moments of the products that the design makes of the setting's weights and inputs."""
    plan = setting.crossbar.die.plan
    layout, tiling = plan.layout, plan.tiling
    driven = dacs.cycles(setting.spec.dac)
    x = np.moveaxis(planes(driven, setting.codes), 1, 0).reshape(len(driven.weights), -1).astype(np.float64)
    array = setting.spec.array
    stored = np.moveaxis(cell_digits(setting.crossbar.codes[0], array), 0, -1).reshape(layout.worth.size, -1)
    worth, slice_of = layout.worth.ravel(), np.tile(np.arange(layout.slices), layout.polarities)
    if tiling.unit_of is not None:
        zeros = np.moveaxis(cell_digits(np.zeros((1, 1), np.int32), array), 0, -1).reshape(-1, 1)
        stored = np.concatenate([stored, np.broadcast_to(zeros, stored.shape)])
        worth, slice_of = np.concatenate([worth, -worth]), np.tile(slice_of, 2)
    of_tiles = [min(tiling.used, plan.shape[0] - t * tiling.used) for t in range(tiling.tiles)]
    of_reads = [
        max(min(tiling.parallel, used - g * tiling.parallel), 0) for used in of_tiles for g in range(tiling.groups)
    ]
    return Moments(
        inputs=Factors(x, driven.weights),
        digits=Factors(stored.astype(np.float64), worth),
        off=plan.off_digit[slice_of],
        slice_of=slice_of,
        reads=_counted(of_reads),
        tiles=_counted(of_tiles),
    )


def _counted(numbers: list[int]) -> list[tuple[int, int]]:
    values, counts = np.unique(numbers, return_counts=True)
    return [(int(v), int(c)) for v, c in zip(values, counts, strict=True)]
