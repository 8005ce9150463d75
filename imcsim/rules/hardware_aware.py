"""Hardware-aware training: float, but forward through the errors of a chip; the result is then programmed."""

from __future__ import annotations

from typing import Any

from imcsim.rng import Generators
from imcsim.rules.backprop import through_written
from imcsim.rules.feedback import Feedback, feedback_rule, no_scalars
from imcsim.rules.rule import LearningRule, require


def hardware_aware() -> LearningRule:
    """Forward as `NoisyNetwork` injects, backward straight through: its float weights, derivatives where it read them.

    On a chip this is hardware-in-the-loop backprop. Without injection it is in-silico backprop.
    """

    def init(network: Any, rng: Generators) -> None:
        del rng
        require(network, "injected", "a NoisyNetwork, which injects a chip's errors", "hardware-aware training")

    return feedback_rule(Feedback(init, through_written, no_scalars))
