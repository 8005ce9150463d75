"""What of an update is too small to be written.

Learning rates may be very small: "beware truncating changes to zero" (Emer, Sze & Chen 2016, Hardware for Training). A
write path that rounds to the nearest step loses every change below half of one; one that rounds stochastically loses
none in the mean, and what this counts is then what the noise of rounding exceeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imcsim.errors import SpecError
from imcsim.network.protocols import Updates
from imcsim.updates import dense

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class LayerLoss:
    """What a layer loses of an update: shares of its `entries` that are not zero, and of the square of its norm.

    `resolution` is the smallest step of the write path, in units of the weights. Shares are 0 of an update of zeros.
    """

    resolution: float
    entries: int
    lost_entries: float
    lost_square: float


@dataclass(frozen=True)
class LostUpdates:
    """What each layer loses of an update; as text a table."""

    layers: tuple[LayerLoss, ...]

    def __str__(self) -> str:
        lines = ["layer  smallest step  entries  below half a step  of the squared norm"]
        lines += [
            f"{index:5}  {layer.resolution:13.3g}  {layer.entries:7}  {layer.lost_entries:17.1%}"
            f"  {layer.lost_square:19.1%}"
            for index, layer in enumerate(self.layers)
        ]
        return "\n".join(lines)


def lost_updates(updates: Updates, resolution: Sequence[Array | float]) -> LostUpdates:
    """Compare updates, as they are written, with the smallest step of each layer: `network.write_resolution`.

    Updates of an ensemble are taken together. Biases are digital: they lose nothing. Raises SpecError.
    """
    if len(resolution) != len(updates):
        raise SpecError.of("resolution", f"must have a step for each of {len(updates)} layers", str(len(resolution)))
    if any(np.any(~(np.asarray(step) > 0.0)) for step in resolution):
        raise SpecError.of("resolution", "must be above 0", str(list(map(str, resolution))))
    pairs = zip(updates, resolution, strict=True)
    return LostUpdates(tuple(_of_layer(dense(update.weights), float(step)) for update, step in pairs))


def _of_layer(delta: Array, step: float) -> LayerLoss:
    size = np.abs(delta)
    entries, square = int(np.count_nonzero(size)), float(np.square(size).sum())
    lost = size < step / 2.0  # rounded to the nearest step, these are none
    return LayerLoss(
        resolution=step,
        entries=entries,
        lost_entries=int(np.count_nonzero(size[lost])) / max(entries, 1),
        lost_square=float(np.square(size[lost]).sum()) / square if square else 0.0,
    )
