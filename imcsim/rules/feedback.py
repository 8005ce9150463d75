"""Rules that send the error backward: forward reads, an error a layer, and outer products; how it is sent differs.

With e = dL/dz of the last layer and f' told from the outputs as they were read, delta_l = (signal from above) f'(a_l),
and the estimate of the gradient of layer l is a_in^T delta_l / samples
(the chain rule: Rumelhart, Hinton & Williams 1986, unverified).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from imcsim.network.activations import ACTIVATIONS
from imcsim.network.protocols import Counts, LayerUpdate
from imcsim.rng import Generators, children, draw_keys
from imcsim.rules.entry import Shapes, StepCost, weights_of
from imcsim.rules.layer_updates import outer
from imcsim.rules.pruning import PruningSpec, pruned
from imcsim.rules.rule import Batch, Info, LearningRule

Array = np.ndarray[Any, Any]


class Errors(NamedTuple):
    """What may be sent down from `layer` to the outputs of the one below: its delta, the error e, and the labels."""

    layer: int
    delta: Array
    error: Array
    labels: Array


class Feedback(NamedTuple):
    """init(network, rng) -> state; send(network, state, errors, rng) -> signal, counts, of (samples, inputs of layer).

    stored(shapes) is how many scalars it holds beside the weights of layers of such shapes.
    """

    init: Callable[[Any, Generators], Any]
    send: Callable[[Any, Any, Errors, Generators], tuple[Array, Counts]]
    stored: Callable[[Shapes], int]


def no_scalars(shapes: Shapes) -> int:
    """Of a feedback that holds nothing but the weights."""
    del shapes
    return 0


def scalars_above_the_first(shapes: Shapes) -> int:
    """Of a feedback that holds as many scalars as there are weights in the layers above the first."""
    return weights_of(shapes[1:])


def feedback_rule(feedback: Feedback, pruning: PruningSpec | None = None) -> LearningRule:
    """The rule that sends the error backward by `feedback`; the deltas of hidden layers are pruned where it is told."""

    def step(network: Any, state: Any, batch: Batch, rng: Generators) -> tuple[Any, Any, Info]:
        keys, samples = draw_keys(rng), batch.x.shape[-2]
        reads = network.forward(batch.x, children(keys, "forward"))
        counts = network.cost(samples)
        derivative = ACTIVATIONS[network.activation].derivative
        error = delta = network.loss_gradient(reads, batch.y)
        updates: list[LayerUpdate] = []
        for layer in reversed(range(len(network.shapes))):
            updates.insert(0, outer(reads.a_in[layer], delta))
            if layer:
                errors = Errors(layer, delta, error, batch.y)
                signal, asked = feedback.send(network, state, errors, children(keys, "feedback", layer))
                delta, counts = signal * derivative(reads.a_out[layer - 1]), counts.plus(asked)
                if pruning is not None:
                    delta = pruned(delta, pruning, children(keys, "pruning", layer))
                    counts = counts.plus(Counts(random_numbers=samples * network.shapes[layer][0]))
        return tuple(updates), state, Info(counts, _held(network.shapes, samples) + feedback.stored(network.shapes))

    return LearningRule(feedback.init, step)


def feedback_cost(
    shapes: Shapes,
    samples: int,
    *,
    stored: int = 0,
    multiplications: int = 0,
    backward: bool = False,
    matrices: Shapes = (),
    drawn: int = 0,
    pruning: PruningSpec | None = None,
) -> StepCost:
    """What a step of a feedback rule asks for: a pass, outer products, and what sending the error down takes.

    That is `multiplications` a sample in digital, the transposed layers (`backward`), or `matrices` (rows, cols) on
    arrays of their own; `drawn` random numbers a step, and one for each delta that is pruned.
    """
    if pruning is not None:
        drawn += samples * sum(inputs for inputs, _ in shapes[1:])
    return StepCost(
        forward_passes=samples,
        backward_samples=samples * backward,
        auxiliary=tuple((shape, samples) for shape in matrices),
        random_numbers=drawn,
        stored=_held(shapes, samples) + stored,
        multiplications=samples * (weights_of(shapes) + multiplications),
    )


def _held(shapes: Shapes, samples: int) -> int:
    """The inputs and sums of every layer, until the error has come down."""
    return samples * sum(inputs + outputs for inputs, outputs in shapes)
