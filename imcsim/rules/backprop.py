"""Backprop on a chip: the error goes down through the weights as last written, or through the cells themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from imcsim.network.protocols import Counts
from imcsim.rng import Generators
from imcsim.rules.entry import RuleEntry, Shapes, StepCost, needs_transpose, needs_written, weights_of
from imcsim.rules.feedback import Errors, Feedback, feedback_cost, feedback_rule, no_scalars
from imcsim.rules.pruning import PruningSpec
from imcsim.rules.rule import LearningRule, require
from imcsim.specs.fields import Spec

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class BackpropSpec(Spec):
    """The deltas of hidden layers are pruned where `pruning` is given."""

    pruning: PruningSpec | None = None


_PLAIN = BackpropSpec()


def hardware_in_the_loop(spec: BackpropSpec = _PLAIN) -> LearningRule:
    """Forward on the chip, backward in a digital computer: through the weights that its controller last wrote."""

    def init(network: Any, rng: Generators) -> None:
        del rng
        require(network, "written", "the weights as last written", "hardware-in-the-loop backprop")

    return feedback_rule(Feedback(init, through_written, no_scalars), spec.pruning)


def through_written(network: Any, state: None, errors: Errors, rng: Generators) -> tuple[Array, Counts]:
    """The error through the weights as last written, (samples, inputs of the layer): digital, and no read."""
    del state, rng
    signal = errors.delta @ np.swapaxes(network.written[errors.layer], -1, -2)
    return _below_decorrelation(network, errors.layer, signal), Counts()


def _below_decorrelation(network: Any, layer: int, signal: Array) -> Array:
    """The error of what enters a layer (samples, inputs) as that of what the one below puts out: R^T e, digital."""
    matrices = network.decorrelation
    return signal if matrices is None else np.asarray(signal @ np.swapaxes(matrices[layer], -1, -2))


def on_chip_backprop(spec: BackpropSpec = _PLAIN) -> LearningRule:
    """Backward through the transpose read of the same cells, with converters and noise of its own."""

    def init(network: Any, rng: Generators) -> None:
        del rng
        require(network, "backward", "a transpose read", "on-chip backprop")

    def send(network: Any, state: None, errors: Errors, rng: Generators) -> tuple[Array, Counts]:
        del state
        signal = _below_decorrelation(network, errors.layer, network.backward(errors.layer, errors.delta, rng))
        return signal, network.backward_cost(errors.layer, errors.delta.shape[-2])

    return feedback_rule(Feedback(init, send, no_scalars), spec.pruning)


def through_written_cost(spec: BackpropSpec, shapes: Shapes, samples: int) -> StepCost:
    """Of backprop in a digital computer."""
    return feedback_cost(shapes, samples, multiplications=weights_of(shapes[1:]), pruning=spec.pruning)


def through_cells_cost(spec: BackpropSpec, shapes: Shapes, samples: int) -> StepCost:
    """Of backprop through the cells."""
    return feedback_cost(shapes, samples, backward=True, pruning=spec.pruning)


_SOURCE = "Rumelhart, Hinton & Williams 1986 (unverified)"
_PRUNED = "; pruning draws B (n_1 + ... + n_(L-1)) random numbers"
ENTRIES = (
    RuleEntry(
        name="hardware_in_the_loop",
        summary="backprop: forward on the chip, backward in digital through the weights as last written",
        options=BackpropSpec,
        build=hardware_in_the_loop,
        unbiased=True,
        requires=needs_written,
        asks=through_written_cost,
        needs="forward reads; the weights as last written, which any chip knows but one of pulsed devices",
        cost="B forward passes, no backward read" + _PRUNED,
        source=_SOURCE,
    ),
    RuleEntry(
        name="on_chip_backprop",
        summary="backprop: forward on the chip, backward through the transpose read of its cells",
        options=BackpropSpec,
        build=on_chip_backprop,
        unbiased=True,
        requires=needs_transpose,
        asks=through_cells_cost,
        needs="forward reads; transposed reads of all layers but the first: [transpose.dac], [transpose.adc] of a chip",
        cost="B forward passes, (L - 1) B backward reads" + _PRUNED,
        source=_SOURCE,
    ),
)
