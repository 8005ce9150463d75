"""Spec: a frozen, keyword-only dataclass that is valid or not born; its fields know their range and unit."""

from __future__ import annotations

import dataclasses
import functools
import math
import numbers
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Self

from imcsim.errors import Problem, SpecError, did_you_mean


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a field may hold beside its type: closed range [low, high], unit (SI, "1" for a ratio)."""

    low: float | None = None
    high: float | None = None
    unit: str = ""


def limited(
    default: Any = dataclasses.MISSING, *, low: float | None = None, high: float | None = None, unit: str = ""
) -> Any:
    """A dataclass field whose values lie in [low, high] and carry `unit`."""
    return dataclasses.field(default=default, metadata={"limits": Limits(low, high, unit)})


class Spec:
    """Base of every spec: subclasses are `@dataclass(frozen=True, kw_only=True)`.

    Construction checks every field (type, range, finite; an int is welcome where a float is meant, a bool is not an
    int) and then `problems()`, what only several fields together can get wrong. Raises SpecError with all of them.
    """

    def __post_init__(self) -> None:
        found: list[Problem] = []
        for field in fields_of(type(self)):
            value, problem = field.checked(getattr(self, field.name))
            object.__setattr__(self, field.name, value)
            if problem is not None:
                found.append(problem.within(field.name))
        if not found:
            found = list(self.problems())
        if found:
            raise SpecError(found)

    def problems(self) -> Iterable[Problem]:
        """What is wrong with the fields taken together."""
        return ()

    def overriding(self, name: str, value: Any) -> dict[str, Any]:
        """The other fields that giving `value` to field `name` sets aside, and to what."""
        del name, value
        return {}

    @classmethod
    def component_class(cls, name: str, beside: Mapping[str, Any]) -> type[Spec] | None:
        """The class of the component in field `name` where `beside`, the values of other fields, tells it.

        None: its own kind tells. Raises SpecError where what would tell it is wrong, with what is not told elsewhere.
        """
        del name, beside
        return None

    def replace(self, path: str, value: Any) -> Self:
        """The spec with the field at the dotted `path` changed and checked: `spec.replace("adc.bits", 5)`."""
        head, _, rest = path.partition(".")
        known = {field.name for field in fields_of(type(self))}
        if head not in known:
            raise SpecError.of((), f'unknown field "{head}"', remedy=did_you_mean(head, sorted(known)))
        if rest:
            inner = getattr(self, head)
            if not isinstance(inner, Spec):
                raise SpecError.of(head, f'has no field "{rest}"', remedy=f"give {head} itself")
            try:
                value = inner.replace(rest, value)
            except SpecError as error:
                raise SpecError(problem.within(head) for problem in error.problems) from None
        changes = {**self.overriding(head, value), head: value}
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]  # every Spec is a dataclass


@dataclasses.dataclass(frozen=True)
class Field:
    """One field of a spec class: its name, its resolved type and limits."""

    name: str
    type: Any
    limits: Limits
    default: Any
    required: bool

    @functools.cached_property
    def optional(self) -> bool:
        return type(None) in _members(self.type)

    @functools.cached_property
    def specs(self) -> tuple[type[Spec], ...]:
        """The spec classes that this field may hold; empty for a plain value."""
        return tuple(member for member in _members(self.type) if isinstance(member, type) and issubclass(member, Spec))

    def checked(self, value: Any) -> tuple[Any, Problem | None]:
        """`value` in its canonical type (an int given for a float becomes one), and what is wrong with it."""
        if value is None and self.optional:
            return None, None
        if self.specs:
            if isinstance(value, self.specs):
                return value, None
            return value, Problem((), "must be " + " or ".join(s.__name__ for s in self.specs), given=_text(value))
        # what most fields of most specs hold, ahead of what is not cheap
        sound_float = type(value) is float is self.plain_type and self._low <= value <= self._high
        if sound_float or (isinstance(value, str) and value in self._choices):
            return value, None
        converted = _convert(self.plain_type, value, self.limits)
        if converted is _WRONG:
            return value, Problem((), self.describe(), given=_text(value))
        return converted, None

    def describe(self) -> str:
        """In words, what this field takes: "must be an integer from 1 to 16"."""
        if self.specs:
            return "must be a table"
        return f"must be {_noun(self.plain_type, self.limits)}"

    @functools.cached_property
    def _low(self) -> float:
        return -sys.float_info.max if self.limits.low is None else self.limits.low

    @functools.cached_property
    def _high(self) -> float:
        return sys.float_info.max if self.limits.high is None else self.limits.high

    @functools.cached_property
    def _choices(self) -> tuple[str, ...]:
        return typing.get_args(self.plain_type) if typing.get_origin(self.plain_type) is Literal else ()

    @functools.cached_property
    def plain_type(self) -> Any:
        """The type of what it holds, where that is one."""
        return next(member for member in _members(self.type) if member is not type(None))


def fields_of(cls: type[Spec]) -> tuple[Field, ...]:
    """The fields of a spec class, in order."""
    return _fields_of(cls)  # type: ignore[arg-type]  # mypy takes the class for one of its instances


@functools.cache  # studies ask for each of their cells
def _fields_of(cls: Any) -> tuple[Field, ...]:
    hints = typing.get_type_hints(cls)
    return tuple(
        Field(
            name=f.name,
            type=hints[f.name],
            limits=f.metadata.get("limits", Limits()),
            default=f.default,
            required=f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING,
        )
        for f in dataclasses.fields(cls)
    )


def kind_of(cls: type[Spec]) -> str:
    """The name by which a TOML file calls a spec class that is one of several; "" for one that stands alone."""
    return _kind_of(cls)  # type: ignore[arg-type]  # as above


@functools.cache
def _kind_of(cls: Any) -> str:
    if any(field.name == "kind" for field in fields_of(cls)):
        return ""  # a field like any other
    kind: str = getattr(cls, "kind", "")
    return kind


def _noun(kind: Any, limits: Limits) -> str:
    if typing.get_origin(kind) is Literal:
        return "one of " + ", ".join(f'"{choice}"' for choice in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return f"a list, each {_noun(typing.get_args(kind)[0], limits)}"
    noun = {bool: "true or false", str: "a string", int: "an integer", float: "a finite number"}[kind]
    if limits.low is not None and limits.high is not None:
        noun += f" from {_bound(limits.low)} to {_bound(limits.high)}"
    elif limits.low is not None:
        noun += f" of at least {_bound(limits.low)}"
    elif limits.high is not None:
        noun += f" of at most {_bound(limits.high)}"
    return noun + (f" ({limits.unit})" if limits.unit not in ("", "1") else "")


def _bound(limit: float) -> str:
    return str(limit) if isinstance(limit, int) else f"{limit:g}"


_WRONG = object()

_origin: Callable[[Any], Any] = functools.cache(typing.get_origin)
_arguments: Callable[[Any], tuple[Any, ...]] = functools.cache(typing.get_args)


def _members(kind: Any) -> tuple[Any, ...]:
    return (
        typing.get_args(kind)
        if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union
        else (kind,)
    )


def _convert(kind: Any, value: Any, limits: Limits) -> Any:
    origin = _origin(kind)
    if origin is Literal:
        return value if isinstance(value, str) and value in _arguments(kind) else _WRONG
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            return _WRONG
        items = tuple(_convert(_arguments(kind)[0], item, limits) for item in value)
        return _WRONG if _WRONG in items else items
    if kind in (bool, str):
        return value if isinstance(value, kind) else _WRONG
    if isinstance(value, bool) or not isinstance(value, numbers.Integral if kind is int else numbers.Real):
        return _WRONG
    # an integer of more than 64 bits is beyond what arrays and files hold
    number = kind(value) if not isinstance(value, numbers.Integral) or -(2**63) <= int(value) < 2**63 else math.inf
    inside = (limits.low is None or number >= limits.low) and (limits.high is None or number <= limits.high)
    return number if math.isfinite(number) and inside else _WRONG


def _text(value: Any) -> str:
    if isinstance(value, Spec):
        return type(value).__name__
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
