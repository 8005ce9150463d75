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
    from imcsim.rules.library import IN_FLOAT, RULES, rule_entry

    if options.name is None:
        summaries = {name: entry.summary for name, entry in (RULES | IN_FLOAT).items()}
        width = max(map(len, summaries))
        lines = [f"{name:{width}}  {summaries[name]}" for name in RULES]
        lines += ["", 'in float, with where = "digital", then programmed:']
        lines += [f"{name:{width}}  {summaries[name]}" for name in IN_FLOAT]
        lines += ["", "imcsim rules NAME: what a rule needs of the chip, its cost, its source, its options"]
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


_SYMBOLS = "B samples of a batch, L layers, n_l units of layer l, n_0 inputs, n_L outputs"
_WIDTH = 100


def _described(entry: RuleEntry) -> str:
    estimate = "its mean is the gradient" if entry.unbiased else "its mean is not the gradient"
    told = {
        "needs": entry.needs,
        "cost": entry.cost,
        "": f"({_SYMBOLS})",
        "estimate": estimate,
        "source": entry.source,
        "options": " ".join(_explained(entry.options)),
    }
    lines = [f"{entry.name}: {entry.summary}"]
    lines += [_wrapped(words, f"  {name:10}") for name, words in told.items()]
    lines += ["", "In a study's file, each option at its default:", ""]
    lines += ["[training]", f'where = "{entry.where}"', f'rule = "{entry.name}"', "", "[training.rule_options]"]
    return "\n".join([*lines, *_as_toml(entry.options)])


def _explained(cls: type[Spec]) -> Iterator[str]:
    """What the options mean, those they build on first, and those inside them: their docstrings, each a line."""
    from imcsim.specs.fields import Spec, fields_of

    for one in reversed(cls.__mro__):
        if issubclass(one, Spec) and one is not Spec:
            yield " ".join((one.__doc__ or "").split())
    for field in fields_of(cls):
        for inner in field.specs:
            yield from _explained(inner)


def _as_toml(cls: type[Spec]) -> list[str]:
    """A line an option, with what is allowed as a comment; commented out where the default is to leave it out."""
    from imcsim.specs.codec import format_value

    told = []
    for path, value, allowed in _options(cls):
        line = f"# {path} is left out" if value is None else f"{path} = {format_value(value)}"
        told.append((line, allowed.removeprefix("must be ")))
    width = max((len(line) for line, _ in told), default=0)
    return [f"{line:{width}}  # {allowed}" for line, allowed in told]


def _wrapped(words: str, head: str) -> str:
    import textwrap

    return textwrap.fill(words, _WIDTH, initial_indent=head, subsequent_indent=" " * len(head))


def _options(cls: type[Spec], prefix: str = "", *, absent: bool = False) -> Iterator[tuple[str, Any, str]]:
    """The fields of a spec class and of those inside it: dotted path, default, what is allowed in words."""
    from imcsim.specs.fields import fields_of, kind_of

    for field in fields_of(cls):
        if len(field.specs) > 1:
            kind = None if absent or field.default is None else kind_of(type(field.default))
            kinds = ", ".join(f'"{kind_of(inner)}"' for inner in field.specs)
            yield f"{prefix}{field.name}.kind", kind, f"must be one of {kinds}"
        for inner in field.specs:
            yield from _options(inner, f"{prefix}{field.name}.", absent=absent or not isinstance(field.default, inner))
        if not field.specs:
            yield f"{prefix}{field.name}", None if absent else field.default, field.describe()
