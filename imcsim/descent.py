"""How a network is taken down its loss, as data: passes, batches, and what becomes of each estimate of the gradient."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import singledispatch
from typing import ClassVar, Literal

from imcsim.errors import Problem
from imcsim.rules.rule import Transform
from imcsim.rules.schedules import Schedule, constant, cosine, inverse_time, step_decay
from imcsim.rules.transforms import (
    adam,
    clip_norm,
    decay_weights,
    momentum,
    rmsprop,
    round_to_resolution,
    scale_by_learning_rate,
)
from imcsim.specs.fields import Spec, limited


@dataclass(frozen=True, kw_only=True)
class StepSchedule(Spec):
    """The learning rate times `factor` after every so many epochs."""

    kind: ClassVar[str] = "step"
    every_epochs: int = limited(low=1, high=100_000)
    factor: float = limited(0.1, low=0.0, high=1.0)


@dataclass(frozen=True, kw_only=True)
class CosineSchedule(Spec):
    """The learning rate falls along half a cosine to zero, step by step, over all epochs."""

    kind: ClassVar[str] = "cosine"


@dataclass(frozen=True, kw_only=True)
class InverseTimeSchedule(Spec):
    """The learning rate is divided by 1 + `decay` x the number of finished epochs."""

    kind: ClassVar[str] = "inverse_time"
    decay: float = limited(low=0.0, high=1e6)


@dataclass(frozen=True, kw_only=True)
class DescentSpec(Spec):
    """Epochs of shuffled batches, each an estimate of the gradient, which goes through these in order.

    `clip_norm`: of the estimate in all layers together. `optimizer`: with its learning rate, which may follow a
    schedule; `momentum` belongs to optimizer "momentum" alone, where None means 0.9. `weight_decay`: that share of the
    weights, times the learning rate, is taken off them. `rounding`: to whole steps of the write path. A chip chooses
    its input steps and ADC ranges anew on training samples every `calibrate_every_epochs`, the first time before it
    learns; None: they stay as they are.
    """

    epochs: int = limited(30, low=1, high=100_000)
    batch_size: int = limited(32, low=1, high=1_000_000)
    optimizer: Literal["sgd", "momentum", "adam", "rmsprop"] = "adam"
    learning_rate: float = limited(0.003, low=0.0, high=10.0)
    momentum: float | None = limited(None, low=0.0, high=1.0)
    schedule: StepSchedule | CosineSchedule | InverseTimeSchedule | None = None
    clip_norm: float | None = limited(None, low=0.0, high=1e9)
    weight_decay: float | None = limited(None, low=0.0, high=1.0)
    rounding: Literal["nearest", "stochastic"] | None = None
    calibrate_every_epochs: int | None = limited(None, low=1, high=100_000)

    def problems(self) -> Iterable[Problem]:
        if self.learning_rate == 0.0:
            yield Problem(("learning_rate",), "must be greater than 0", given="0.0")
        if self.momentum is not None and self.optimizer != "momentum":
            yield Problem(
                ("momentum",),
                f'has no meaning with optimizer = "{self.optimizer}"',
                given=str(self.momentum),
                remedy='leave it out, or set optimizer = "momentum"',
            )
        if self.momentum == 1.0:
            yield Problem(("momentum",), "must be less than 1", given="1.0", remedy="1 would never forget a gradient")
        if self.clip_norm == 0.0:
            remedy = "leave it out where nothing is to be clipped"
            yield Problem(("clip_norm",), "must be greater than 0: nothing would be learned", "0.0", remedy)


def transforms_of(spec: DescentSpec, steps_an_epoch: int) -> tuple[Transform, ...]:
    """What `spec` chains behind a rule, whose estimates become updates of the weights."""
    rate = schedule_of(spec.schedule, spec, steps_an_epoch)
    found = [] if spec.clip_norm is None else [clip_norm(spec.clip_norm)]
    if spec.optimizer == "adam":
        found.append(adam(rate))
    elif spec.optimizer == "rmsprop":
        found.append(rmsprop(rate))
    else:
        if spec.optimizer == "momentum":
            found.append(momentum(0.9 if spec.momentum is None else spec.momentum))
        found.append(scale_by_learning_rate(rate))
    if spec.weight_decay:
        found.append(decay_weights(spec.weight_decay, rate))
    if spec.rounding is not None:
        found.append(round_to_resolution(spec.rounding))
    return tuple(found)


@singledispatch
def schedule_of(schedule: Spec | None, spec: DescentSpec, steps_an_epoch: int) -> Schedule:
    """The learning rate of `spec` by the number of steps taken."""
    del spec, steps_an_epoch
    raise TypeError(f"no schedule {type(schedule).__name__}")


@schedule_of.register
def _(schedule: None, spec: DescentSpec, steps_an_epoch: int) -> Schedule:
    del schedule, steps_an_epoch
    return constant(spec.learning_rate)


@schedule_of.register
def _(schedule: StepSchedule, spec: DescentSpec, steps_an_epoch: int) -> Schedule:
    return step_decay(spec.learning_rate, schedule.factor, schedule.every_epochs * steps_an_epoch)


@schedule_of.register
def _(schedule: CosineSchedule, spec: DescentSpec, steps_an_epoch: int) -> Schedule:
    del schedule
    return cosine(spec.learning_rate, spec.epochs * steps_an_epoch)


@schedule_of.register
def _(schedule: InverseTimeSchedule, spec: DescentSpec, steps_an_epoch: int) -> Schedule:
    return inverse_time(spec.learning_rate, schedule.decay, steps_an_epoch)
