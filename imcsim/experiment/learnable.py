"""Whether a chip can learn as a training says, told of their designs: before a study runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from imcsim.errors import Lack, Problem
from imcsim.network.capabilities import WORDS, lacking
from imcsim.rules.library import RULES
from imcsim.specs.chip import ChipSpec
from imcsim.specs.codec import format_value
from imcsim.specs.compound import Transferring
from imcsim.training import TrainingSpec


def learning_problems(training: TrainingSpec, chip: ChipSpec, classes: int) -> Iterator[Problem]:
    """What is wrong with such a training on such a chip, on data of so many classes."""
    if training.where != "chip" and chip.compound is not None:
        allowed = f'is written while it learns: there is none on the chip with training.where = "{training.where}"'
        yield Problem(("chip", "compound"), allowed, remedy='leave it out, or set training.where = "chip"')
    if training.where == "digital":
        return
    entry, options, lacks = RULES[training.rule], training.rule_options, lacking(chip)
    for problem in entry.unfit(options, classes):
        yield problem.within("training", "rule_options")
    if training.where == "ideal":
        # all else is of the ideal network; these are programmed with the weights
        asked = [("decorrelate", "rule")] if "decorrelate" in entry.requires(options) else []
    else:
        asked = [(name, "rule") for name in entry.requires(options)]
        asked += [("written", "weight_decay")] if training.weight_decay else []
        asked += [("write_resolution", "rounding")] if training.rounding is not None else []
    for name, field in asked:
        if name in lacks:
            given = format_value(getattr(training, field))
            allowed = f"needs {WORDS[name]}: {lacks[name].allowed}"
            kind = Lack if field == "rule" else Problem
            yield kind(("training", field), allowed, given, _remedy(name, field, lacks[name]))
    if training.where == "ideal":
        return
    if isinstance(chip.compound, Transferring) and training.optimizer != "sgd":
        allowed = "makes a matrix of an update, and the fast array of chip.compound is written by its factors"
        remedy = 'set optimizer = "sgd", or chip.compound.kind = "mixed_precision"'
        yield Problem(("training", "optimizer"), allowed, f'"{training.optimizer}"', remedy)
    if chip.dac.out_of_range == "error":
        allowed = "inputs outgrow the range that was calibrated while a network learns"
        yield Problem(("chip", "dac", "out_of_range"), allowed, '"error"', 'set it to "clip"')


def learnable(training: TrainingSpec, chip: ChipSpec) -> dict[str, Any]:
    """A training of as many epochs and a chip that suit each other, as near as can be: to check what else is said."""
    if chip.compound is None:
        return {"chip": chip, "training": TrainingSpec(epochs=training.epochs)}
    clipping = chip.replace("dac.out_of_range", "clip") if chip.dac.out_of_range == "error" else chip
    plain = TrainingSpec(where="chip", rule="fa", optimizer="sgd", epochs=training.epochs)
    return {"chip": clipping, "training": plain}


def _remedy(name: str, field: str, problem: Problem) -> str:
    if field != "rule":
        return "leave it out"
    if name == "written":
        others = [one for one, entry in RULES.items() if name not in entry.requires(entry.options())]
        return f"use a rule that does without: {', '.join(others)}"
    remedy = problem.remedy.replace("[", "[chip.").removesuffix(" to the chip")
    return f'{remedy}, or set rule_options.feedback_on = "digital"' if name == "auxiliary" else remedy
