"""What a chip that learns has of what rules may ask for, told of its design alone: before anything is manufactured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from imcsim.errors import Problem
from imcsim.noisy_reads import draws
from imcsim.specs.chip import ChipSpec
from imcsim.specs.loss_adc import LossADC
from imcsim.specs.pulsed import PulsedCell

# In words, by the name of the attribute of a network.
WORDS: Mapping[str, str] = {
    "written": "the weights as last written",
    "write_resolution": "a smallest step of the write path",
    "backward": "a transposed read",
    "auxiliary": "arrays for feedback matrices",
    "each_loss": "the loss of each sample",
    "decorrelate": "decorrelation matrices ahead of its layers",
    "noisy_reads": "noise at its reads",
}


def lacking(spec: ChipSpec) -> dict[str, Problem]:
    """What a LearningChip of this design has not: by the name of its attribute why, and what would give it."""
    return {problem.path[-1]: problem for problem in _lacking(spec)}


def _lacking(spec: ChipSpec) -> Iterator[Problem]:
    if spec.transpose is None:
        remedy = "add [transpose.dac], with signed = true, and [transpose.adc] to the chip"
        yield Problem(("transpose", "backward"), "the design has no transposed read", remedy=remedy)
    if spec.feedback is None:
        remedy = "add [feedback.dac], with signed = true, and [feedback.adc] to the chip"
        yield Problem(("feedback", "auxiliary"), "the design has no converters for arrays of feedback", remedy=remedy)
    if spec.decorrelation is None:
        remedy = 'add dac.signed = true and [decorrelation] with kind = "digital" or "arrays" to the chip'
        allowed = "the design has no matrices ahead of its layers"
        yield Problem(("decorrelation", "decorrelate"), allowed, remedy=remedy)
    if isinstance(spec.cell, PulsedCell):
        yield Problem(("cell", "written"), "nobody knows what pulses have written", remedy="read the array by mvm")
        yield Problem(("cell", "write_resolution"), "pulses are no steps of one size", remedy="leave rounding out")
    if problem := converts_the_mean(spec.loss_adc):
        yield problem
    of_matrices = spec.of_decorrelation()
    if not (draws(spec) or (of_matrices is not None and draws(of_matrices))):
        remedy = "give the cell read noise or the ADC noise_lsb"
        yield Problem(("cell", "noisy_reads"), "the design draws nothing at its reads", remedy=remedy)


def converts_the_mean(adc: LossADC | None) -> Problem | None:
    """What a loss ADC lacks that does not convert the loss of each sample."""
    if adc is None or adc.per_sample:
        return None
    remedy = "set per_sample = true in [loss_adc]"
    return Problem(("loss_adc", "each_loss"), "the loss ADC converts the mean of the batch", remedy=remedy)
