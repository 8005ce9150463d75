"""The variants of a study: named tables of changes, each laid over the design; an axis before all that is swept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from imcsim.errors import Lack, Problem
from imcsim.experiment.design import Design, changed_design
from imcsim.experiment.paths import leaves, swept_heads
from imcsim.specs.cells import ALTERNATIVES
from imcsim.specs.chip import ChipSpec
from imcsim.specs.codec import format_value


def check_variants(
    variants: Mapping[str, Any],
    chips: Mapping[str, ChipSpec],
    swept: Iterable[str],
    design: Design,
    problems: list[Problem],
    *,
    gaps: bool,
) -> None:
    """Add to `problems` what is wrong with [variants], some with `chips` of their own, beside the paths `swept`.

    With `gaps` a chip may lack what the rule of a variant needs.
    """
    paths = list(dict.fromkeys(swept))
    for name, changes in variants.items():
        for path in paths:
            if (leaf := variant_leaf(changes, path)) is not None:
                remedy = "sweep it, or vary it"
                problems.append(
                    Problem(("variants", name, leaf), f'would not be heard: [grid] sweeps "{path}"', remedy=remedy)
                )
        where = ("variants", name)
        if not isinstance(changes, Mapping):
            problems.append(Problem(where, "must be a table of changes", given=format_value(changes)))
            continue
        heads = swept_heads(design)
        strange = [key for key in changes if key not in heads]
        problems.extend(Problem((*where, key), "cannot vary", remedy=f"vary {', '.join(heads)}") for key in strange)
        found: list[Problem] = []
        changed = {key: value for key, value in changes.items() if key in heads}
        changed_design(design, chips.get(name), changed, found)
        told = [problem for problem in found if not (gaps and isinstance(problem, Lack))]
        problems.extend(problem.within(*where) for problem in told)


def variant_leaf(changes: Any, path: str) -> str | None:
    """A path that a variant changes and that is `path`, holds it, lies inside it or is an alternative to it."""
    head, _, name = path.rpartition(".")
    rivals = {path, *(f"{head}.{other}" for other in ALTERNATIVES.get(name, ()) if head == "chip.cell")}
    for leaf in leaves("", changes) if isinstance(changes, Mapping) else ():
        if leaf in rivals or path.startswith(leaf + ".") or leaf.startswith(path + "."):
            return leaf
    return None
