"""The dotted paths of a design: which there are, what they hold, and whether a value fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from imcsim.errors import Problem
from imcsim.experiment.design import Design
from imcsim.specs.codec import DEFAULT_KINDS, component, format_value
from imcsim.specs.fields import Field, Spec, fields_of

SWEPT = ("chip", "network", "training", "read")  # what a path of [grid] may start with


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
        if isinstance(value, Spec):
            yield from _below(value, path)


def value_at(spec: Spec, path: str) -> Any:
    """The value at a dotted path of a spec; None where it has no such field."""
    value: Any = spec
    for key in path.split("."):
        value = getattr(value, key, None)
    return value


def field_at(design: Design, path: str) -> Field:
    """The field at a known path."""
    head, _, name = path.rpartition(".")
    return next(field for field in fields_of(type(value_at(design, head))) if field.name == name)


def fitted(design: Design, path: str, value: Any) -> tuple[Any, list[Problem]]:
    """`value` as the field at a known path holds it (0 and 0.0 for a float are one), and what is wrong with it."""
    field = field_at(design, path)
    if not field.specs:
        converted, problem = field.checked(value)
        plain = list(converted) if isinstance(converted, tuple) else converted
        return plain, [] if problem is None else [problem]
    if not isinstance(value, Mapping):
        return value, [Problem((), "must be a table", given=format_value(value))]
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
