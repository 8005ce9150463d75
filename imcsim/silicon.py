"""Silicon: what was manufactured of a design for a weight matrix, one die or many."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from imcsim.converters.adc import Errors
from imcsim.converters.dac import RowErrors
from imcsim.floorplan import Floorplan
from imcsim.kernels.column import Column
from imcsim.kernels.pulsed_devices import Devices
from imcsim.noisy_reads import draws
from imcsim.rng import child
from imcsim.specs.chip import ChipSpec

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False, repr=False)
class Silicon:
    """A manufactured crossbar, or an ensemble of `members` of them (None: a single die, without an ensemble axis).

    `currents` (members, tiles, rows of a tile, polarities, slices, columns): what each cell adds when it conducts, 1
    for a nominal cell. `lost` says which cells lose their bit and what they hold instead, None where none can; `adc`
    and `dac` hold the errors of the converters. `column` is the analog column in units of a driven on-cell. `keys` are
    those of the dies, None on the nominal one. Of resistive cells, `stuck` says which are and at what conductance (S),
    `trapped` which have a trap; `devices` are those of pulsed cells, (members, rows, cols) of the weights. `transposed`
    is the silicon of the transposed read, None where there is none: the same cells in its order, and converters of its
    own.
    """

    plan: Floorplan
    members: int | None
    column: Column
    currents: Array
    lost: tuple[Array, Array] | None
    adc: Errors
    dac: RowErrors | None
    keys: tuple[np.uint64, ...] | None = None
    stuck: tuple[Array, Array] | None = None
    trapped: Array | None = None
    devices: Devices | None = None
    transposed: Silicon | None = None

    def __repr__(self) -> str:
        many = "" if self.members is None else f", {self.members} members"
        return f"{type(self).__name__}({self.shape[0]} x {self.shape[1]}{many})"

    @property
    def spec(self) -> ChipSpec:
        return self.plan.spec

    @property
    def shape(self) -> tuple[int, int]:
        return self.plan.shape

    @cached_property
    def nominal(self) -> bool:
        """Whether every cell adds what a nominal one does."""
        return bool((self.currents == 1).all())

    @cached_property
    def draws(self) -> bool:
        """Whether a read draws random numbers."""
        return draws(self.spec, nominal=self.keys is None)

    def write_keys(self, key: int) -> list[np.uint64]:
        """The keys of a write, of each member its own, so that its bits are the same in any company."""
        if self.keys is None:
            return [np.uint64(key)]
        return [np.uint64(child(int(die), "write", key).bit_generator.random_raw()) for die in self.keys]
