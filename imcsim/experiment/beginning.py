"""Whether a rule that perturbs can begin on a design's network and chip: asked of the rule, before anything is made.

Its codes may be too short for the parameters, or its steps be rounded to nothing by a write.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from imcsim import datasets
from imcsim.errors import CapabilityError, Lack, Problem, SpecError
from imcsim.experiment.design import Design
from imcsim.mapping import weight_scale
from imcsim.network.mlp import NetworkSpec, initial_mlp
from imcsim.rng import child
from imcsim.rules.library import PERTURBATION, learning_rule
from imcsim.specs.array import ArraySpec
from imcsim.specs.pulsed import PulsedCell


@dataclass(frozen=True)
class _Unmade:
    """A network as far as it is known before it is made: layers of `shapes`, weights in steps of `codes` if in any.

    It has whatever else a rule may need: what a chip lacks is told by `learnable`.
    """

    shapes: tuple[tuple[int, int], ...]
    codes: tuple[float, ...] | None
    each_loss: bool = True
    noisy_reads: bool = True

    @property
    def weight_lsb(self) -> tuple[float, ...]:
        if self.codes is None:
            raise CapabilityError.of("weight_lsb", "weights have no codes")
        return self.codes

    write_resolution = weight_lsb


def beginning_problems(design: Design) -> Iterator[Problem]:
    """Why the rule cannot begin: on the initial weights of the first training, as those of others hardly differ."""
    training, network, chip = design.training, design.network, design.chip
    if training.where == "digital" or training.rule not in PERTURBATION:
        return
    data = datasets.load(design.dataset)
    shapes = tuple(itertools.pairwise((data.x_train.shape[1], *network.hidden, data.classes)))
    in_codes = training.where == "chip" and not isinstance(chip.cell, PulsedCell)
    steps = steps_of_codes(network, chip.array, design.dataset, design.seed) if in_codes else None
    try:
        rule = learning_rule(training.rule, training.rule_options or {})
        rule.init(_Unmade(shapes, steps), child(design.seed, "nothing depends on it"))
    except SpecError as error:
        for problem in error.problems:
            yield Lack(("training", *problem.path), problem.allowed, problem.given, problem.remedy)
    except CapabilityError:  # told by `learnable`, with what would mend it
        return


@functools.lru_cache(maxsize=64)  # the cells of a study have few arrays
def steps_of_codes(network: NetworkSpec, array: ArraySpec, dataset: str, seed: int) -> tuple[float, ...]:
    """From a code of weights to the next, a layer each: the weights that `trained.start_of` gives training 0."""
    data = datasets.load(dataset)
    start = initial_mlp(network, data.x_train.shape[1], data.classes, child(seed, "initial weights", 0))
    codes = 2.0 if array.weight_bits == 1 else 1.0  # -1 and 1
    return tuple(codes * weight_scale(weights, array) for weights in start.weights)
