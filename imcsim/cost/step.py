"""What a step of a rule asks for: its own closed form (`asks`), carried out on a chip."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from imcsim.cost.chip import Chip
from imcsim.network.protocols import Counts
from imcsim.rules.entry import RuleEntry, StepCost, weights_of
from imcsim.specs.fields import Spec

QUANTITIES = (
    *("forward_passes", "backward_reads", "array_reads", "conversions", "multiplications"),
    *("stored", "word_writes", "cell_writes", "random_numbers"),
)


@dataclass(frozen=True)
class RuleCost:
    """A step of a rule, an update of so many samples.

    Array reads and conversions are None where the chip lacks what the rule needs, which `lacks` tells. Multiplications
    are all of them, those in the arrays included. `stored` are scalars beside the weights, the update not among them,
    which is `weights` more where it is summed up before it is written. Writes are those of perturbations, there and
    back, of decorrelation matrices on arrays, and of the update, where each moves its code and all cells of it: no more
    than so many. Random numbers are those of the rule.
    """

    rule: str
    lacks: tuple[str, ...]
    forward_passes: int
    backward_reads: int
    array_reads: int | None
    conversions: int | None
    multiplications: int
    stored: int
    weights: int
    word_writes: int
    cell_writes: int
    random_numbers: int


def cost_of(entry: RuleEntry, options: Spec, chip: Chip, samples: int) -> RuleCost:
    """What a step on so many samples asks for. Of a rule in float, nothing of the chip."""
    told, weights = entry.asks(options, chip.shapes, samples), weights_of(chip.shapes)
    in_float = entry.where == "digital"
    lacks = () if in_float else chip.lacking(entry.requires(options))
    reads = None if lacks else Counts() if in_float else _reads(told, chip)
    words = 0 if in_float else told.words + chip.on_arrays(told.entries) + weights
    return RuleCost(
        rule=entry.name,
        lacks=tuple(problem.allowed for problem in lacks),
        forward_passes=told.forward_passes,
        backward_reads=told.backward_samples * (len(chip.shapes) - 1),
        array_reads=None if reads is None else reads.array_reads,
        conversions=None if reads is None else reads.conversions,
        multiplications=_multiplications(told, chip),
        stored=told.stored,
        weights=weights,
        word_writes=words,
        cell_writes=words * chip.cells_a_weight,
        random_numbers=told.random_numbers,
    )


def _reads(told: StepCost, chip: Chip) -> Counts:
    """What all reads of a step come to on the chip."""
    reads = chip.forward(told.forward_passes)
    if told.backward_samples:
        reads = reads.plus(chip.backward(told.backward_samples))
    return reduce(Counts.plus, (chip.auxiliary(shape, samples) for shape, samples in told.auxiliary), reads)


def _multiplications(told: StepCost, chip: Chip) -> int:
    """Weight x value of every read, and those in digital."""
    in_arrays = told.forward_passes * weights_of(chip.shapes) + told.backward_samples * weights_of(chip.shapes[1:])
    in_arrays += sum(rows * cols * samples for (rows, cols), samples in told.auxiliary)
    return in_arrays + told.multiplications
