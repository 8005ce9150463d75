"""[gradient]: how well the estimates of each rule follow the gradient of its die while it learns, a number a point."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from imcsim.datasets import DataSet
from imcsim.errors import Problem
from imcsim.learning import Course
from imcsim.network.effective import matrix_problems
from imcsim.rng import child
from imcsim.rules.alignment import gradient_alignment
from imcsim.rules.reference import die_gradient
from imcsim.rules.rule import Batch, LearningRule
from imcsim.specs.chip import ChipSpec
from imcsim.specs.fields import Spec, limited
from imcsim.specs.pulsed import PulsedCell
from imcsim.study.quantities import Quantity
from imcsim.training import TrainingSpec

COSINE = Quantity("gradient_cosine", "mean cosine between one estimate of the rule and the gradient of its die")


@dataclass(frozen=True, kw_only=True)
class GradientSpec(Spec):
    """What is measured of networks that learn on the chip, `after_epochs` of them.

    `draws` estimates of the rule, in the state that it has by then, on a batch of so many training `samples`; against
    the mean of so many `passes` of the gradient of the die (rules.reference.die_gradient), all weights together.
    Nothing that is learnt depends on it.
    """

    after_epochs: int = limited(1, low=1, high=100_000)
    samples: int = limited(128, low=1, high=100_000)
    draws: int = limited(4, low=2, high=100_000)
    passes: int = limited(8, low=1, high=100_000)


def gradient_problems(gradient: GradientSpec, training: TrainingSpec) -> Iterable[Problem]:
    """What keeps it from being measured of such a training."""
    if gradient.after_epochs > training.epochs:
        allowed = f"must be at most training.epochs = {training.epochs}"
        yield Problem(("gradient", "after_epochs"), allowed, str(gradient.after_epochs))


def measuring(
    gradient: GradientSpec, rule: LearningRule, chip: ChipSpec, data: DataSet, streams: tuple[int, str | int]
) -> tuple[Callable[[Course], None], dict[str, Any]]:
    """What to call after each epoch, and where it puts the cosine: nothing where no matrix tells what cells do."""
    found: dict[str, Any] = {}
    seed, training = streams
    unknown = isinstance(chip.cell, PulsedCell) or any(matrix_problems(chip))

    def observe(course: Course) -> None:
        if unknown or course.diverged_at or len(course.history.loss) != gradient.after_epochs:
            return
        count = min(gradient.samples, len(data.x_train))
        chosen = child(seed, "gradient", "batch", training).choice(len(data.x_train), count, replace=False)
        batch = Batch(data.x_train[chosen], data.y_train[chosen])
        measured = gradient_alignment(
            rule,
            course.networks[0],
            batch,
            child(seed, "gradient", training),
            draws=gradient.draws,
            reference=die_gradient(gradient.passes),
            state=course.states[0],
        )
        if np.isfinite(measured.whole):
            found[COSINE.name] = float(measured.whole)

    return observe, found
