"""The command that tells of the learning rules."""

from __future__ import annotations

import argparse
import dataclasses
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
    options = {path: {"default": value, "allowed": allowed} for path, value, allowed, _ in _options(entry.options)}
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
    }
    lines = [f"{entry.name}: {entry.summary}"]
    lines += [_wrapped(words, f"  {name:10}") for name, words in told.items()]
    for path, words in _explained(entry.options):
        lines.append(_wrapped(f"{path}: {words}" if path else words, f"  {'' if path else 'options':10}"))
    lines += ["", "In a study's file, each option at its default:", ""]
    lines += ["[training]", f'where = "{entry.where}"', f'rule = "{entry.name}"', "", "[training.rule_options]"]
    return "\n".join([*lines, *_as_toml(entry.options)])


def _explained(cls: type[Spec], path: str = "") -> Iterator[tuple[str, str]]:
    """What the options mean: the table they stand in, "" for the rule's own, and their docstrings.

    Those they build on come first, those inside them last.
    """
    from imcsim.specs.fields import Spec, fields_of, kind_of

    bases = [one for one in reversed(cls.__mro__) if issubclass(one, Spec) and one is not Spec]
    yield path, " ".join(" ".join((one.__doc__ or "").split()) for one in bases)
    for field in fields_of(cls):
        for inner in field.specs:
            kind = f' with kind = "{kind_of(inner)}"' if len(field.specs) > 1 else ""
            yield from _explained(inner, f"{path and path.partition(' ')[0] + '.'}{field.name}{kind}")


def _as_toml(cls: type[Spec]) -> list[str]:
    """A line an option, with what is allowed as a comment; commented out where the default is to leave it out.

    An option of a table that is left out is told with its default where the table is given.
    """
    from imcsim.specs.codec import format_value

    told = []
    for path, value, allowed, inside in _options(cls):
        line = f"# {path} is left out" if value is None else f"{path} = {format_value(value)}"
        if value is None and inside is not None:
            line = f"# {path} = {format_value(inside)}"
        told.append((line, allowed.removeprefix("must be ")))
    width = max((len(line) for line, _ in told), default=0)
    return [f"{line:{width}}  # {allowed}" for line, allowed in told]


def _wrapped(words: str, head: str) -> str:
    import textwrap

    return textwrap.fill(words, _WIDTH, initial_indent=head, subsequent_indent=" " * len(head))


def _options(cls: type[Spec], prefix: str = "", *, absent: bool = False) -> Iterator[tuple[str, Any, str, Any]]:
    """The fields of a spec class and of those inside it: dotted path, default, what is allowed in words.

    Last the default that it has where the table is given in which it stands.
    """
    from imcsim.specs.fields import fields_of, kind_of

    for field in fields_of(cls):
        default = _default_of(cls, field.name)
        if len(field.specs) > 1:
            kind = None if absent or default is None else kind_of(type(default))
            kinds = ", ".join(f'"{kind_of(inner)}"' for inner in field.specs)
            yield f"{prefix}{field.name}.kind", kind, f"must be one of {kinds}", kind
        for inner in field.specs:
            yield from _options(inner, f"{prefix}{field.name}.", absent=absent or not isinstance(default, inner))
        if not field.specs:
            inside = None if default is dataclasses.MISSING else default
            yield f"{prefix}{field.name}", None if absent else default, field.describe(), inside


def _default_of(cls: type[Spec], name: str) -> Any:
    """The default of a field, made where it is a table."""
    every = dataclasses.fields(cls)  # type: ignore[arg-type]  # every Spec is a dataclass
    field = next(one for one in every if one.name == name)
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
