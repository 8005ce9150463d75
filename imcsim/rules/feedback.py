"""Rules that send the error backward: forward reads, an error a layer, and outer products; how it is sent differs.

With e = dL/dz of the last layer and f' told from the outputs as they were read, delta_l = (signal from above) f'(a_l),
and the estimate of the gradient of layer l is a_in^T delta_l / samples (references/learning_rules.md, section 6).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from imcsim.network.activations import ACTIVATIONS
from imcsim.network.protocols import Counts, LayerUpdate
from imcsim.rng import child, draw_key
from imcsim.rules.rule import Batch, Info, LearningRule
from imcsim.updates import Outer

Array = np.ndarray[Any, Any]


class Errors(NamedTuple):
    """What may be sent down from `layer` to the outputs of the one below: its delta, the error e, and the labels."""

    layer: int
    delta: Array
    error: Array
    labels: Array


class Feedback(NamedTuple):
    """init(network, rng) -> state; send(network, state, errors, rng) -> signal, counts, of (samples, inputs of layer).

    `stored` is how many scalars the state holds.
    """

    init: Callable[[Any, np.random.Generator], Any]
    send: Callable[[Any, Any, Errors, np.random.Generator], tuple[Array, Counts]]
    stored: Callable[[Any], int] = lambda _: 0


def feedback_rule(feedback: Feedback) -> LearningRule:
    """The rule that sends the error backward by `feedback`."""

    def init(network: Any, rng: np.random.Generator) -> Any:
        return feedback.init(network, rng)

    def step(network: Any, state: Any, batch: Batch, rng: np.random.Generator) -> tuple[Any, Any, Info]:
        key, samples = draw_key(rng), len(batch.x)
        reads = network.forward(batch.x, child(key, "forward"))
        counts = network.cost(samples)
        derivative = ACTIVATIONS[network.activation].derivative
        error = delta = network.loss_gradient(reads, batch.y)
        updates: list[LayerUpdate] = []
        for layer in reversed(range(len(network.shapes))):
            updates.insert(0, LayerUpdate(Outer(reads.a_in[layer], delta / samples), delta.mean(axis=-2)))
            if layer:
                errors = Errors(layer, delta, error, batch.y)
                signal, asked = feedback.send(network, state, errors, child(key, "feedback", layer))
                delta, counts = signal * derivative(reads.a_out[layer - 1]), counts.plus(asked)
        held = samples * sum(inputs + outputs for inputs, outputs in network.shapes)
        return tuple(updates), state, Info(counts, held + feedback.stored(state))

    return LearningRule(init, step)
