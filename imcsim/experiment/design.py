"""Design: all that one cell of a study's grid is, replicates apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from imcsim import datasets
from imcsim.errors import Problem, SpecError, did_you_mean
from imcsim.experiment.alignment import AlignmentSpec, alignment_problems
from imcsim.experiment.gradient import GradientSpec, gradient_problems
from imcsim.experiment.learnable import learning_problems
from imcsim.experiment.reading import ReadSpec, read_problems
from imcsim.network.mlp import NetworkSpec
from imcsim.network.on_chip import layer_specs
from imcsim.specs.chip import ChipSpec
from imcsim.specs.codec import build, overlaid, to_table
from imcsim.specs.fields import Spec, limited
from imcsim.training import StopSpec, TrainingSpec

T = TypeVar("T", bound=Spec)


@dataclass(frozen=True, kw_only=True)
class Design(Spec):
    """A network, trained on a data set unless `stop` gives it up, the chip that it is programmed on, and its reads.

    Or, with `alignment`, what is measured of the rule in place of learning; with `gradient`, beside it.
    """

    dataset: str
    seed: int = limited(0, low=0, high=2**63 - 1)
    network: NetworkSpec
    training: TrainingSpec
    chip: ChipSpec
    read: ReadSpec = field(default_factory=ReadSpec)
    stop: StopSpec | None = None
    alignment: AlignmentSpec | None = None
    gradient: GradientSpec | None = None

    def problems(self) -> Iterable[Problem]:
        if self.dataset not in datasets.NAMES:
            remedy = did_you_mean(self.dataset, datasets.NAMES)
            yield Problem(("dataset",), "no such data set", given=f'"{self.dataset}"', remedy=remedy)
        else:
            data = datasets.load(self.dataset)
            yield from read_problems(self.read, self.chip.cell, len(data.x_train))
            yield from learning_problems(self.training, self.chip, data.classes)
        if self.alignment is not None:
            yield from alignment_problems(self.training, self.chip, self.read)
        if self.gradient is not None:
            yield from gradient_problems(self.gradient, self.training)
        if self.gradient is not None and self.alignment is not None:
            yield Problem(("gradient",), "has no meaning with [alignment]: nothing is learnt", remedy="drop one")
        if self.stop is not None and self.stop.after_epochs >= self.training.epochs:
            allowed = f"must be less than training.epochs = {self.training.epochs}"
            remedy = "give an earlier epoch, or leave out [stop]"
            yield Problem(("stop", "after_epochs"), allowed, str(self.stop.after_epochs), remedy)
        try:
            layer_specs(self.chip, self.network.activation, len(self.network.hidden) + 1)
        except SpecError as error:
            for problem in error.problems:
                why = f'needed for the activation "{self.network.activation}": {problem.allowed}'
                yield Problem(("chip", *problem.path), why, problem.given, problem.remedy)


def cell_config(design: Design) -> Mapping[str, Any]:
    """All that determines the results of a design, replicates and the model's version apart; JSON-able."""
    return {**to_table(design), "dataset_sha256": datasets.load(design.dataset).sha256}


def changed_design(
    design: Design, chip: ChipSpec | None, changes: Mapping[str, Any], problems: list[Problem]
) -> Design | None:
    """The design, with `chip` for its own where one is given, and the nested table `changes` laid over it.

    None where it cannot be, having added to `problems` why; what the changes mend is none.
    """
    if chip is None:
        return overlaid(design, changes, (), problems)
    changed = overlaid(chip, changes.get("chip", {}), ("chip",), problems)
    return None if changed is None else overlaid(design, {**changes, "chip": changed}, (), problems)


def built(spec: type[T], table: Mapping[str, Any]) -> T:
    """The spec that `table` describes; SpecError with all that is wrong with it."""
    problems: list[Problem] = []
    whole = build(spec, table, (), problems)
    if whole is None:
        raise SpecError(problems)
    return whole
