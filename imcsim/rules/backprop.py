"""Backprop on a chip: the error goes down through the weights as last written, or through the cells themselves."""

from __future__ import annotations

from typing import Any

import numpy as np

from imcsim.network.protocols import Counts
from imcsim.rules.feedback import Errors, Feedback, feedback_rule
from imcsim.rules.rule import LearningRule, require

Array = np.ndarray[Any, Any]


def hardware_in_the_loop() -> LearningRule:
    """Forward on the chip, backward in a digital computer: through the weights that its controller last wrote."""

    def init(network: Any, rng: np.random.Generator) -> None:
        del rng
        require(network, "written", "the weights as last written", "hardware-in-the-loop backprop")

    return feedback_rule(Feedback(init, through_written))


def through_written(network: Any, state: None, errors: Errors, rng: np.random.Generator) -> tuple[Array, Counts]:
    """The error through the weights as last written, (samples, inputs of the layer): digital, and no read."""
    del state, rng
    return errors.delta @ np.swapaxes(network.written[errors.layer], -1, -2), Counts()


def on_chip_backprop() -> LearningRule:
    """Backward through the transpose read of the same cells, with converters and noise of its own."""

    def init(network: Any, rng: np.random.Generator) -> None:
        del rng
        require(network, "backward", "a transpose read", "on-chip backprop")

    def send(network: Any, state: None, errors: Errors, rng: np.random.Generator) -> tuple[Array, Counts]:
        del state
        signal = network.backward(errors.layer, errors.delta, rng)
        return signal, network.backward_cost(errors.layer, len(errors.delta))

    return feedback_rule(Feedback(init, send))
