"""How dies come about: the frozen errors of every cell and converter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from imcsim import cells
from imcsim.cells import pulsed
from imcsim.cells.read_noise import traps
from imcsim.cells.resistive import stuck_cells
from imcsim.converters import adc as adcs
from imcsim.converters import dac as dacs
from imcsim.crossbar import Die
from imcsim.errors import SpecError
from imcsim.floorplan import Floorplan, floorplan
from imcsim.kernels import frozen
from imcsim.kernels.frozen import frozen_normals
from imcsim.kernels.pulsed_devices import Devices
from imcsim.places import cell_normals, place_normals
from imcsim.pulses import weight_normals
from imcsim.rng import child, draw_key
from imcsim.silicon import Silicon
from imcsim.specs.cells import StoredBitCell
from imcsim.specs.chip import ChipSpec
from imcsim.specs.pulsed import PulsedCell
from imcsim.specs.resistive import ResistiveCell
from imcsim.transposed import in_order_of_rows

Array = np.ndarray[Any, Any]


def manufacture(spec: ChipSpec, shape: tuple[int, int], key: int | Sequence[int]) -> Die:
    """The crossbar that the die of `key` (64 bits) has for weights of `shape` (rows, cols); of many keys, an ensemble.

    Mismatch is a function of (key, tile, polarity, slice, row, column) alone: a cell of a die is the same whatever is
    programmed, however often, however many bits the weights or the ADC have, and in whatever company. Raises SpecError.
    """
    keys = list(key) if isinstance(key, Sequence | np.ndarray) else [key]
    if not keys:
        raise SpecError.of("key", "an ensemble needs at least one key", given="none")
    for one in keys:
        if not isinstance(one, int | np.integer) or not 0 <= one < 2**64:
            raise SpecError.of("key", "must be an integer of 64 bits, at least 0", given=str(one))
    plan = floorplan(spec, shape)
    members = len(keys) if isinstance(key, Sequence | np.ndarray) else None
    drawn = _Frozen(plan, [np.uint64(one) for one in keys])
    currents = drawn.currents()
    silicon = currents, drawn.lost_bits(), drawn.adc(), drawn.dac()
    of_cells = drawn.stuck(), drawn.trapped(), drawn.devices()
    back = _transposed(plan, members, currents, drawn.keys)
    return Die(plan, members, plan.column, *silicon, tuple(drawn.keys), *of_cells, back)


def nominal_die(spec: ChipSpec, shape: tuple[int, int]) -> Die:
    """The die as designed: quantisation, leakage, droop and swing, but no mismatch and no noise.

    Pulse trains are stochastic by design, and so are converters that decide at random: they are drawn here, too.
    """
    plan = floorplan(spec, shape)
    tiling, layout = plan.tiling, plan.layout
    currents = np.ones((1, tiling.tiles, tiling.used, layout.polarities, layout.slices, tiling.columns), np.float32)
    errors = adcs.no_errors(spec.adc, 1, tiling.tiles, len(plan.slice_of))
    devices = None
    if isinstance(spec.cell, PulsedCell):
        made = pulsed.manufactured(spec.cell.device, lambda _: np.zeros((1, *plan.shape), np.float32))
        devices = made._replace(cycle_sigma=0.0)
    back = _transposed(plan, None, currents, None)
    return Die(plan, None, plan.column.noiseless(), currents, None, errors, None, devices=devices, transposed=back)


def _transposed(
    plan: Floorplan, members: int | None, currents: Array, keys: Sequence[np.uint64] | None
) -> Silicon | None:
    """The same cells in the order of the transposed read, and its converters, on the nominal die without errors.

    What cells hold, bits that are lost and devices that are stuck included, is told by the forward side.
    """
    spec, read = plan.spec.transposed, plan.spec.transpose
    if spec is None or read is None:
        return None
    back = floorplan(spec, plan.shape[::-1])
    if keys is not None and read.mismatch_sigma_rel > 0:
        of_transistors = cell_normals(plan, keys, frozen.CELL_BACKWARD)
        currents = currents * np.maximum(1 + np.float32(read.mismatch_sigma_rel) * of_transistors, 0)
    cells_of = in_order_of_rows(plan, currents, 1.0)
    if keys is None:
        errors = adcs.no_errors(spec.adc, 1, back.tiling.tiles, len(back.slice_of))
        return Silicon(back, members, back.column.noiseless(), cells_of, None, errors, None)
    own = [np.uint64(draw_key(child(int(key), "transpose"))) for key in keys]
    drawn = _Frozen(back, own)
    return Silicon(back, members, back.column, cells_of, None, drawn.adc(), drawn.dac(), tuple(keys))


_ADC_SOURCES = {
    "gain": frozen.ADC_GAIN,
    "offset": frozen.ADC_OFFSET,
    "element": frozen.ADC_ELEMENT,
    "element of an array": frozen.ADC_ELEMENT,
    "comparator": frozen.ADC_COMPARATOR,
}


class _Frozen:
    """What is frozen of the dies of `keys`: each number a function of the key and its place."""

    def __init__(self, plan: Floorplan, keys: Sequence[np.uint64]) -> None:
        self.plan, self.keys, self.spec = plan, keys, plan.spec

    def currents(self) -> Array:
        # all rows of the array, used or not: they load the column
        drawn = self._normals(frozen.CELL_MISMATCH, self.spec.array.rows, self.plan.layout.polarities)
        made = [cells.frozen_currents(self.spec.cell, self.spec.array, normals) for normals in drawn]
        return np.stack(made)[:, :, : self.plan.tiling.used]

    def lost_bits(self) -> tuple[Array, Array] | None:
        if not isinstance(self.spec.cell, StoredBitCell) or self.spec.cell.v_min_mean_V is None:
            return None
        where = self.plan.tiling.used, self.plan.layout.polarities
        minimum, coin = (self._normals(source, *where) for source in (frozen.CELL_MINIMUM, frozen.CELL_POWER_UP))
        return cells.lost_bits(self.spec.cell, minimum, coin)

    def stuck(self) -> tuple[Array, Array] | None:
        cell = self.spec.cell
        if not isinstance(cell, ResistiveCell) or cell.stuck is None:
            return None
        return stuck_cells(cell, cell_normals(self.plan, self.keys, frozen.CELL_STUCK))

    def trapped(self) -> Array | None:
        cell = self.spec.cell
        if not isinstance(cell, ResistiveCell) or cell.telegraph_noise is None:
            return None
        return traps(cell, cell_normals(self.plan, self.keys, frozen.CELL_TRAP))

    def devices(self) -> Devices | None:
        cell = self.spec.cell
        if not isinstance(cell, PulsedCell):
            return None
        return pulsed.manufactured(cell.device, lambda source: weight_normals(self.plan, self.keys, source))

    def adc(self) -> adcs.Errors:
        def normals(source: str, n: int) -> Array:
            of_arrays = source == "element of an array"
            drawn = self._normals(_ADC_SOURCES[source], n, self.plan.converted, of_arrays=of_arrays)
            return drawn.reshape(*drawn.shape[:3], math.prod(drawn.shape[3:]))

        return adcs.manufactured(self.spec.adc, normals, *self._sharing())

    def dac(self) -> dacs.RowErrors | None:
        elements, tiling = dacs.elements(self.spec.dac), self.plan.tiling
        if elements == 0:
            return None
        gain, units = (
            np.stack(
                [frozen_normals(key, source, tiling.tiles, tiling.used, 1, 1, n, n)[:, :, 0, 0] for key in self.keys]
            )
            for source, n in ((frozen.DAC_GAIN, 1), (frozen.DAC_ELEMENT, elements))
        )
        return dacs.row_errors(self.spec.dac, gain, units)

    def _normals(self, source: int, rows: int, polarities: int, *, of_arrays: bool = False) -> Array:
        return place_normals(self.plan, self.keys, source, rows, polarities, of_arrays=of_arrays)

    def _sharing(self) -> tuple[Array, Array]:
        """Of each converted column, the column that owns its ADC, and the number of its array."""
        tiling = self.plan.tiling
        share = getattr(self.spec.adc, "columns_per_adc", 1)
        group = tiling.array_of.astype(np.int64) * 2**16 + tiling.place // share
        _, first, group_of = np.unique(group, return_index=True, return_inverse=True)
        part = np.arange(self.plan.converted * self.plan.layout.slices)[:, None]
        return (part * tiling.columns + first[group_of]).ravel(), (part * tiling.arrays + tiling.array_of).ravel()
