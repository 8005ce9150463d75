"""The command that tells of the learning rules."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from imcsim.cli.codes import DONE

if TYPE_CHECKING:
    from imcsim.rules.entry import RuleEntry
    from imcsim.specs.fields import Spec


def rules(options: argparse.Namespace) -> int:
    from imcsim.rules.library import RULES, rule_entry

    if options.name is None:
        summaries = {name: entry.summary for name, entry in RULES.items()}
        width = max(map(len, summaries))
        lines = [f"{name:{width}}  {summary}" for name, summary in summaries.items()]
        print(json.dumps(summaries, indent=1) if options.json else "\n".join(lines))
        return DONE
    entry = rule_entry(options.name)
    print(json.dumps(_plain(entry), indent=1) if options.json else _described(entry))
    return DONE


def _plain(entry: RuleEntry) -> dict[str, Any]:
    """What is told of a rule, and its options by their dotted path: default (none: null), and what is allowed."""
    told = {key: getattr(entry, key) for key in ("name", "summary", "needs", "cost", "source", "unbiased")}
    options = {path: {"default": value, "allowed": allowed} for path, value, allowed in _options(entry.options)}
    return {**told, "options": options}


def _described(entry: RuleEntry) -> str:
    from imcsim.specs.codec import format_value

    estimate = "its mean is the gradient" if entry.unbiased else "its mean is not the gradient"
    lines = [
        f"{entry.name}: {entry.summary}",
        f"  needs     {entry.needs}",
        f"  cost      {entry.cost}",
        f"  estimate  {estimate}",
        f"  source    {entry.source}",
    ]
    for path, value, allowed in _options(entry.options):
        default = "not given" if value is None else format_value(value)
        lines += ["", "[training.rule_options]"] if "" not in lines else []
        lines.append(f"  {path}: {allowed}; default: {default}")
    return "\n".join(lines)


def _options(cls: type[Spec], prefix: str = "", *, absent: bool = False) -> Iterator[tuple[str, Any, str]]:
    """The fields of a spec class and of those inside it: dotted path, default, what is allowed in words."""
    from imcsim.specs.fields import fields_of

    for field in fields_of(cls):
        for inner in field.specs:
            yield from _options(inner, f"{prefix}{field.name}.", absent=field.default is None)
        if not field.specs:
            yield f"{prefix}{field.name}", None if absent else field.default, field.describe()
