"""The command that tells what a step of every learning rule costs on the network and chip of a study."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from imcsim.cli.codes import DONE
from imcsim.errors import SpecError

if TYPE_CHECKING:
    from imcsim.cost.report import Row
    from imcsim.experiment.design import Design
    from imcsim.rules.entry import RuleEntry
    from imcsim.specs.fields import Spec
    from imcsim.study.plan import Plan

MOST_SAMPLES = 1_000_000


def cost(options: argparse.Namespace) -> int:
    from imcsim.cost.chip import Chip
    from imcsim.cost.report import MARK, as_plain, as_text
    from imcsim.experiment.study_file import read_study
    from imcsim.experiment.tune import read_config
    from imcsim.rules.entry import units_of, weights_of

    plan = read_study(options.study, options.set, quick=options.quick)
    design, _ = read_config(plan.cells[0].config)
    samples = design.training.batch_size if options.samples is None else options.samples
    if not 1 <= samples <= MOST_SAMPLES:
        raise SpecError.of("--samples", f"must be an integer from 1 to {MOST_SAMPLES}", given=str(samples))
    spec = None if design.training.where == "ideal" else design.chip
    chip = Chip(_shapes(design), spec, design.network.activation)
    rows = _rows(plan, chip, samples, options.rules)
    at = {path: value for path, value in plan.cells[0].coordinates.items() if not path.startswith("training.rule")}
    if options.json:
        told = {"study": plan.name, "shapes": chip.shapes, "samples": samples, "at": at}
        print(json.dumps({**told, "rules": [as_plain(row) for row in rows]}, indent=1))
        return DONE
    sizes = "-".join(str(size) for size in (chip.shapes[0][0], *(outputs for _, outputs in chip.shapes)))
    print(f"{plan.name}: {sizes}, N = {weights_of(chip.shapes):,} weights, n = {units_of(chip.shapes):,} nodes")
    if at:
        print(f"the first point of what it sweeps: {', '.join(f'{path} = {value}' for path, value in at.items())}")
    if spec is None:
        print('learning is on the ideal chip (where = "ideal"): an array a layer, a cell a weight, no conversions')
    print(f"{samples} samples a step; {MARK} what the study learns by; {_NOTE}\n")
    print(as_text(rows))
    return DONE


_NOTE = "words and cells are written at most"


def _shapes(design: Design) -> tuple[tuple[int, int], ...]:
    """The (inputs, outputs) of the layers of a design's network."""
    import itertools

    from imcsim import datasets

    data = datasets.load(design.dataset)
    return tuple(itertools.pairwise((data.x_train.shape[1], *design.network.hidden, data.classes)))


def _rows(plan: Plan, chip: Any, samples: int, asked: Sequence[str] | None) -> list[Row]:
    """Every rule with its defaults, or those asked for; the study's own with the options it gives them."""
    from imcsim.cost.growth import growth_of
    from imcsim.cost.report import Row
    from imcsim.cost.step import cost_of
    from imcsim.rules.library import RULES, rule_entry

    own = _own(plan)
    entries: list[tuple[RuleEntry, Spec]] = []
    for name in RULES if asked is None else asked:
        entry = rule_entry(name)
        entries += [(entry, one) for rule, one in own if rule == name] or [(entry, entry.options())]
    if asked is None:  # float rules of the study, which no chip learns by
        entries = [(rule_entry(rule), one) for rule, one in own if rule not in RULES] + entries
    mine = [(rule_entry(rule), one) for rule, one in own]
    return [
        Row(cost_of(entry, one, chip, samples), growth_of(entry, one, chip), (entry, one) in mine)
        for entry, one in entries
    ]


def _own(plan: Plan) -> list[tuple[str, Spec]]:
    """The rules by which some cell learns, with their options."""
    from imcsim.experiment.design import built
    from imcsim.rules.library import rule_entry
    from imcsim.training import TrainingSpec

    found: list[tuple[str, Spec]] = []
    for training in {
        json.dumps(cell.config["training"], sort_keys=True): cell.config["training"] for cell in plan.cells
    }.values():
        spec = built(TrainingSpec, training)
        one = spec.rule, spec.rule_options or rule_entry(spec.rule).options()
        if one not in found:
            found.append(one)
    return found
