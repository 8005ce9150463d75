"""[alignment]: a study that measures how well learning rules follow the gradient of each die, as data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from imcsim.errors import Problem
from imcsim.experiment.reading import ReadSpec
from imcsim.network.effective import matrix_problems
from imcsim.specs.chip import ChipSpec
from imcsim.specs.fields import Spec, limited
from imcsim.study.quantities import Dimension, Quantity
from imcsim.training import TrainingSpec


@dataclass(frozen=True, kw_only=True)
class AlignmentSpec(Spec):
    """What is measured in place of learning: the estimates of the training's rule, against the gradient of each die.

    `at` the weights that learning starts from, those that backprop in float has "trained" by the same recipe, or those
    that the rule itself has "learnt" by it on an ideal chip, with the same random matrices; programmed on each die. On
    a batch of so many training `samples`, over `draws` estimates of the rule and `passes` of the reference.
    """

    at: Literal["initial", "trained", "learnt"] = "learnt"
    samples: int = limited(128, low=1, high=100_000)
    draws: int = limited(16, low=2, high=100_000)
    passes: int = limited(32, low=1, high=100_000)


def quantities_of(layers: int) -> tuple[Quantity, ...]:
    """What the points of a study of alignment have, a value a layer."""
    along = Dimension("layer", tuple(range(1, layers + 1)), "layer of the network, from the inputs")
    return (
        Quantity("cosine", "cosine between the mean estimate and the gradient of the die", along=along),
        Quantity("single_cosine", "mean cosine between one estimate and the gradient of the die", along=along),
        Quantity("snr_db", "power of the mean estimate over that of its noise", "dB", along=along),
    )


def alignment_problems(training: TrainingSpec, chip: ChipSpec, read: ReadSpec) -> Iterable[Problem]:
    """What keeps the estimates of such a training's rule from being measured on such a chip."""
    if training.where != "chip":
        remedy = 'set training.where = "chip", and training.rule to the rule'
        yield Problem(
            ("alignment",), "is of a rule that learns on the chip", f'training.where = "{training.where}"', remedy
        )
    if read != ReadSpec():
        yield Problem(("read",), "has no meaning with [alignment], which reads right after the write", remedy="drop it")
    yield from (problem.within("chip") for problem in matrix_problems(chip))
