"""Design: all that one cell of a study's grid is, replicates apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from imcsim import datasets
from imcsim.errors import Problem, SpecError, did_you_mean
from imcsim.network.mlp import NetworkSpec
from imcsim.network.on_chip import layer_specs
from imcsim.specs.chip import ChipSpec
from imcsim.specs.fields import Spec, limited
from imcsim.training import TrainingSpec


@dataclass(frozen=True, kw_only=True)
class Design(Spec):
    """A network trained on a data set, and the chip that it is programmed on."""

    dataset: str
    seed: int = limited(0, low=0, high=2**63 - 1)
    network: NetworkSpec
    training: TrainingSpec
    chip: ChipSpec

    def problems(self) -> Iterable[Problem]:
        if self.dataset not in datasets.NAMES:
            remedy = did_you_mean(self.dataset, datasets.NAMES)
            yield Problem(("dataset",), "no such data set", given=f'"{self.dataset}"', remedy=remedy)
        try:
            layer_specs(self.chip, self.network.activation, len(self.network.hidden) + 1)
        except SpecError as error:
            for problem in error.problems:
                why = f'needed for the activation "{self.network.activation}": {problem.allowed}'
                yield Problem(("chip", *problem.path), why, problem.given, problem.remedy)
