"""Units that have no slope or never change, and conversions that clip.

"A null gradient results in no learning, which happens if the sigmoid saturates, or the ReLU saturates" (Emer, Sze &
Chen 2016, Hardware for Training).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from imcsim.converters.diagnosis import Diagnosis
from imcsim.crossbar import Crossbar
from imcsim.errors import CapabilityError
from imcsim.network.activations import ACTIVATIONS
from imcsim.network.learning_chip import LearningChip
from imcsim.network.protocols import Network, Reads
from imcsim.rng import child, draw_key
from imcsim.specs.pulsed import PulsedCell

Array = np.ndarray[Any, Any]

# A sigmoid's or tanh's output is at the end of its range where its slope is below this share of the steepest: |tanh|
# above 0.975, a sigmoid within 0.013 of 0 or 1. A relu has slope 0 or 1.
FLAT = 0.05
MOSTLY = 0.95  # of the samples: a unit at the end of its range that often hardly learns


@dataclass(frozen=True, eq=False)
class LayerUnits:
    """The units of a layer over all samples.

    `flat` is the share of outputs without a slope, `flat_of_unit` (units,) that of each unit. `saturated` are the units
    of a sigmoid or tanh that are flat on nearly all samples, `dead` those that never change: a relu that is never
    active, a column that is stuck. `converters` is what the ADC ranges make of the samples on the nominal die, None
    where there is no ADC to diagnose.
    """

    flat: float
    flat_of_unit: Array
    saturated: tuple[int, ...]
    dead: tuple[int, ...]
    converters: Diagnosis | None

    @property
    def clipped(self) -> float:
        """The share of conversions beyond the ends of the ADC's range, of the slice with the most."""
        slices = () if self.converters is None else self.converters.slices
        return max((entry.clipped for entry in slices), default=0.0)


@dataclass(frozen=True)
class SaturatedAndDead:
    """The units of each layer, those of the outputs without an activation; as text a table and what stands out."""

    layers: tuple[LayerUnits, ...]

    def __str__(self) -> str:
        lines = ["layer  units  without slope  saturated  dead  conversions clipped"]
        for index, layer in enumerate(self.layers):
            clipped = "-" if layer.converters is None else f"{layer.clipped:.2%}"
            counts = f"{len(layer.saturated):9}  {len(layer.dead):4}  {clipped:>19}"
            lines.append(f"{index:5}  {len(layer.flat_of_unit):5}  {layer.flat:13.1%}  {counts}")
        for index, layer in enumerate(self.layers):
            for name, units in (("saturated", layer.saturated), ("dead", layer.dead)):
                if units:
                    lines.append(f"layer {index}: {name}: {', '.join(map(str, units))}")
            if layer.converters is not None and layer.converters.advice != "sound":
                lines.append(f"layer {index}: ADC: {layer.converters.advice}")
        return "\n".join(lines)


def saturated_and_dead(network: Network, x: Array, rng: np.random.Generator, *, now_s: float = 0.0) -> SaturatedAndDead:
    """Read x (samples, inputs) through a network and tell which units have no slope, or never change.

    Slopes are told from the outputs as they were read. Of a `learning_chip`, what its ADCs clip is told as well. Raises
    CapabilityError for an ensemble.
    """
    reads = network.forward(x, child(draw_key(rng), "read"), now_s=now_s)
    if reads.z[0].ndim != 2:
        remedy = "diagnose each by itself"
        raise CapabilityError.of("network", "is diagnosed one at a time", "an ensemble of several", remedy)
    return SaturatedAndDead(tuple(_of_layer(network, reads, layer) for layer in range(len(reads.z))))


def _of_layer(network: Network, reads: Reads, layer: int) -> LayerUnits:
    a, hidden = reads.a_out[layer], layer < len(reads.z) - 1
    flat = _flat(network.activation, a) if hidden else np.zeros(a.shape, dtype=bool)
    of_unit, bounded = flat.mean(axis=0), network.activation != "relu"
    return LayerUnits(
        flat=float(flat.mean()),
        flat_of_unit=of_unit,
        saturated=_where(of_unit >= MOSTLY) if bounded else (),
        dead=_where(np.ptp(a, axis=0) == 0.0),
        converters=_converters(network, reads.a_in[layer], layer),
    )


def _flat(activation: str, a: Array) -> Array:
    """Which outputs have hardly any slope, of the steepest that the function has."""
    of = ACTIVATIONS[activation]
    steepest = of.derivative(of.function(np.array(0.0 if activation != "relu" else 1.0)))
    return np.asarray(of.derivative(a) < FLAT * steepest)


def _where(mask: Array) -> tuple[int, ...]:
    return tuple(int(unit) for unit in np.flatnonzero(mask))


def _converters(network: Network, a_in: Array, layer: int) -> Diagnosis | None:
    crossbar = network.chip.layers[layer] if isinstance(network, LearningChip) else None
    if not isinstance(crossbar, Crossbar) or isinstance(crossbar.die.spec.cell, PulsedCell):
        return None  # what pulsed devices hold is not known, nor what their columns give
    found = crossbar.diagnosis(a_in)
    return found if found.slices else None
