"""[alignment]: a study that measures how well learning rules follow the gradient of each die, as data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from imcsim.errors import Problem, did_you_mean
from imcsim.experiment.reading import ReadSpec
from imcsim.network.effective import matrix_problems
from imcsim.rules.library import RULES
from imcsim.specs.chip import ChipSpec
from imcsim.specs.fields import Spec, limited
from imcsim.study.quantities import Dimension, Quantity


@dataclass(frozen=True, kw_only=True)
class AlignmentSpec(Spec):
    """What is measured in place of an accuracy after training: a rule's estimates against the gradient of each die.

    `at` the weights that training starts from, those that it ends with, in float, or those that the rule itself has
    "learnt" by the same recipe on an ideal chip, its random matrices kept; programmed on each die. On a batch of so
    many training `samples`, over `draws` estimates of the rule and `passes` of the reference.
    """

    rule: str
    at: Literal["initial", "trained", "learnt"] = "trained"
    samples: int = limited(128, low=1, high=100_000)
    draws: int = limited(16, low=2, high=100_000)
    passes: int = limited(32, low=1, high=100_000)

    def problems(self) -> Iterable[Problem]:
        if self.rule not in RULES:
            remedy = did_you_mean(self.rule, RULES)
            yield Problem(("rule",), "must be the name of a learning rule", f'"{self.rule}"', remedy)


def quantities_of(layers: int) -> tuple[Quantity, ...]:
    """What the points of a study of alignment have, a value a layer."""
    along = Dimension("layer", tuple(range(1, layers + 1)), "layer of the network, from the inputs")
    return (
        Quantity("cosine", "cosine between the mean estimate and the gradient of the die", along=along),
        Quantity("single_cosine", "mean cosine between one estimate and the gradient of the die", along=along),
        Quantity("snr_db", "power of the mean estimate over that of its noise", "dB", along=along),
    )


def alignment_problems(chip: ChipSpec, read: ReadSpec) -> Iterable[Problem]:
    """What keeps gradients from being measured on such a chip."""
    if read != ReadSpec():
        yield Problem(("read",), "has no meaning with [alignment], which reads right after the write", remedy="drop it")
    if chip.dac.out_of_range == "error":
        allowed = "inputs of the rules' reads may lie beyond the range that was calibrated"
        yield Problem(("chip", "dac", "out_of_range"), allowed, '"error"', 'set it to "clip"')
    yield from (problem.within("chip") for problem in matrix_problems(chip))
