"""The dotted paths of a design: which there are, what they hold, and whether a value fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from imcsim.errors import Problem
from imcsim.experiment.design import Design
from imcsim.specs.codec import DEFAULT_KINDS, component, format_value
from imcsim.specs.fields import Field, Spec, fields_of
from imcsim.training import option_classes

SWEPT = ("chip", "network", "training", "read")  # what a path of [grid] may start with
RULE_OPTIONS = "training.rule_options"


def swept_heads(design: Design) -> tuple[str, ...]:
    """What a path of [grid] may start with in a study of `design`."""
    return SWEPT if design.alignment is None else (*SWEPT, "alignment")


def known_paths(design: Design) -> list[str]:
    """Every dotted path that a study of `design` can sweep, whole components included."""
    return [path for head in swept_heads(design) for path in _below(getattr(design, head), head)]


def _below(spec: Spec, prefix: str) -> Iterator[str]:
    for field in fields_of(type(spec)):
        path = f"{prefix}.{field.name}"
        yield path
        value = getattr(spec, field.name)
        if path == RULE_OPTIONS:  # of any rule: which a cell has, it tells
            yield from dict.fromkeys(inner for cls in option_classes() for inner in _of_class(cls, path))
        elif isinstance(value, Spec):
            yield from _below(value, path)


def _of_class(cls: type[Spec], prefix: str) -> Iterator[str]:
    for field in fields_of(cls):
        path = f"{prefix}.{field.name}"
        yield path
        for inner in field.specs:
            yield from _of_class(inner, path)


def value_at(spec: Spec, path: str) -> Any:
    """The value at a dotted path of a spec; None where it has no such field."""
    value: Any = spec
    for key in path.split("."):
        value = getattr(value, key, None)
    return value


def field_at(design: Design, path: str) -> Field:
    """The field at a known path; of an option that several rules have, that of the design's own or of the first."""
    return _fields_at(design, path)[0]


def _fields_at(design: Design, path: str) -> list[Field]:
    """The field at a known path, of an option of rules one for each rule that has it, the design's own first."""
    head, _, name = path.rpartition(".")
    holder = value_at(design, head)
    holders = [type(holder)] if isinstance(holder, Spec) else []
    if head.startswith(RULE_OPTIONS):
        holders += [cls for one in option_classes() for cls in _held(one, head.removeprefix(RULE_OPTIONS))]
    return [field for cls in holders for field in fields_of(cls) if field.name == name]


def _held(cls: type[Spec], path: str) -> list[type[Spec]]:
    """The classes of the components at a path ".a.b" below a class."""
    name, _, rest = path.removeprefix(".").partition(".")
    if not name:
        return [cls]
    inside = [inner for field in fields_of(cls) if field.name == name for inner in field.specs]
    return [one for inner in inside for one in _held(inner, rest)]


def fitted(design: Design, path: str, value: Any) -> tuple[Any, list[Problem]]:
    """`value` as the field at a known path holds it (0 and 0.0 for a float are one), and what is wrong with it."""
    fields = _fields_at(design, path)
    field = fields[0]
    if not field.specs:
        checked = [field.checked(value) for field in fields]
        converted, problem = next((one for one in checked if one[1] is None), checked[0])
        plain = list(converted) if isinstance(converted, tuple) else converted
        return plain, [] if problem is None else [problem]
    if not isinstance(value, Mapping):
        return value, [Problem((), "must be a table", given=format_value(value))]
    if path.startswith(RULE_OPTIONS):
        return value, []  # whether it fits, the rule of each cell tells
    problems: list[Problem] = []
    component(field, value_at(design, path), value, (), problems)
    # a whole component: its kind is part of what it is
    return ({"kind": DEFAULT_KINDS[field.name], **value} if field.name in DEFAULT_KINDS else value), problems


def leaves(path: str, values: Any) -> Iterator[str]:
    """The dotted paths of the values in nested tables."""
    if not isinstance(values, Mapping):
        yield path
        return
    for key, value in values.items():
        yield from leaves(f"{path}.{key}" if path else key, value)
