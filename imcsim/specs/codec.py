"""TOML text <-> tables <-> specs: strict, and every problem at once."""

from __future__ import annotations

import json
import re
import tomllib
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from imcsim.errors import Problem, SpecError, did_you_mean
from imcsim.specs.fields import Field, Spec, fields_of, kind_of

MAX_BYTES = 1_000_000  # a key of many dotted parts takes quadratic time to parse; no honest file comes near
MAX_NESTING = 32
_PART = r"""(?:[A-Za-z0-9_-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"(?<![A-Za-z0-9_-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{MAX_NESTING},}}")

# The kind that a component's table means when it names none and the component does not have such fields.
DEFAULT_KINDS = {"adc": "uniform", "dac": "bit_serial", "wires": "resistive"}

T = TypeVar("T", bound=Spec)


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file; SpecError where there is none, or it is not TOML."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)  # no more of it: it may have no end
    except FileNotFoundError:
        raise SpecError.of((), "no such file", source=str(path)) from None
    except ValueError as error:  # a name that no file can have
        raise SpecError.of((), f"cannot be read: {error}", source=str(path)) from None
    except OSError as error:
        raise SpecError.of((), f"cannot be read: {error.strerror}", source=str(path)) from None
    if len(raw) > MAX_BYTES:
        raise SpecError.of((), f"is larger than {MAX_BYTES} bytes", source=str(path))
    try:
        return parse_toml(raw.decode("utf-8-sig"))  # some editors put a mark first
    except UnicodeDecodeError:
        raise SpecError.of((), "is not UTF-8 text", source=str(path)) from None
    except SpecError as error:
        raise SpecError(problem.within(source=str(path)) for problem in error.problems) from None


def parse_toml(text: str) -> dict[str, Any]:
    """The table that `text` holds; SpecError where it is not TOML or nested beyond reason."""
    if _LONG_KEY.search(text):
        raise SpecError.of((), f"a key of more than {MAX_NESTING} parts")
    try:
        table = tomllib.loads(text)
    except ValueError as error:  # an integer of thousands of digits is one, too
        raise SpecError.of((), f"not valid TOML: {error}") from None
    except RecursionError:
        raise SpecError.of((), "not valid TOML: nested too deeply") from None
    level: list[Any] = [table]
    for _ in range(MAX_NESTING):
        level = [item for value in level for item in _inside(value) if isinstance(item, (dict, list))]
    if level:
        raise SpecError.of((), f"not valid TOML: nested too deeply, beyond {MAX_NESTING} levels")
    return table


def _inside(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else list(value)


def build(
    cls: type[T],
    table: Mapping[str, Any],
    path: tuple[str, ...],
    problems: list[Problem],
    kept: Mapping[str, Any] = types.MappingProxyType({}),
) -> T | None:
    """The spec that `table` describes, or None, having added to `problems` all that is wrong with it.

    `path` is where the table stands, for the messages. `kept` are the values of other fields, known to be sound.
    """
    before = len(problems)
    fields = {field.name: field for field in fields_of(cls)}
    values = dict(kept)
    for key, value in table.items():
        if key == "kind" and kind_of(cls):
            continue
        if key not in fields:
            problems.append(Problem((*path, key), f'unknown key "{key}"', remedy=did_you_mean(key, fields)))
            continue
        values[key] = _value(cls, fields[key], value, {**kept, **table}, (*path, key), problems)
    for name, field in fields.items():
        if name not in table and name not in kept and field.required:
            problems.append(Problem((*path, name), f"is missing; {field.describe()}"))
    if len(problems) > before:
        return None
    try:
        return cls(**values)
    except SpecError as error:
        problems.extend(problem.within(*path) for problem in error.problems)
        return None


def choose(field: Field, table: Mapping[str, Any], path: tuple[str, ...], problems: list[Problem]) -> type[Spec] | None:
    """Which of the spec classes that `field` may hold `table` means, by its "kind"."""
    classes: tuple[type[Spec], ...] = field.specs
    only = kind_of(classes[0]) if len(classes) == 1 else None
    if only == "":
        return classes[0]
    kinds = {kind_of(cls): cls for cls in classes}
    kind = table.get("kind", DEFAULT_KINDS.get(field.name, only))
    if isinstance(kind, str) and kind in kinds:
        return kinds[kind]
    allowed = "must be one of " + ", ".join(f'"{name}"' for name in kinds)
    if kind is None:
        problems.append(Problem((*path, "kind"), f"is missing; {allowed}"))
        return None
    near = did_you_mean(kind, kinds) if isinstance(kind, str) else ""
    problems.append(Problem((*path, "kind"), allowed, given=format_value(kind), remedy=near))
    return None


def overlaid(spec: T, changes: Mapping[str, Any], path: tuple[str, ...], problems: list[Problem]) -> T | None:
    """`spec` with the nested table `changes` laid over it, or None, having added to `problems` what is wrong.

    A component's table of the same kind changes the fields it names; of another kind it replaces the component. One
    that names no kind means the kind that the component has, or the default kind where that lacks the fields.
    """
    before = len(problems)
    fields = {field.name: field for field in fields_of(type(spec))}
    kept = {name: getattr(spec, name) for name in fields if name not in changes}
    table = dict(changes)
    set_aside = {name for key, value in changes.items() for name in spec.overriding(key, value)}
    for key, value in changes.items():
        field = fields.get(key)
        if field is not None and field.specs and isinstance(value, Mapping):
            current = getattr(spec, key)
            if field.specs == (Spec,) and (current is None or key in set_aside):
                continue  # a class that other fields tell: it is built with them
            table[key] = component(field, current, value, (*path, key), problems) or current
            if table[key] is None:  # its problems are told
                del table[key]
        else:
            for name in spec.overriding(key, value):
                kept.pop(name, None)
    whole = build(type(spec), table, path, problems, kept)
    return whole if len(problems) == before else None


def component(
    field: Field, current: Spec | None, changes: Mapping[str, Any], path: tuple[str, ...], problems: list[Problem]
) -> Spec | None:
    """The component `current`, which `field` holds, with the table `changes` laid over it as `overlaid` says.

    Where it holds None, the component that `changes` describe.
    """
    if current is None:
        chosen = choose(field, changes, path, problems)
        return build(chosen, changes, path, problems) if chosen is not None else None
    if field.specs == (Spec,):  # a class that other fields tell, which stay
        return overlaid(current, changes, path, problems)
    # without a kind it stays what it is, if that has such fields
    stays = changes.keys() <= {inner.name for inner in fields_of(type(current))}
    kind = kind_of(type(current)) if stays else DEFAULT_KINDS.get(field.name, kind_of(type(current)))
    cls = choose(field, {"kind": kind, **changes}, path, problems)
    if cls is type(current):
        inner = {name: item for name, item in changes.items() if name != "kind" or not kind_of(cls)}
        return overlaid(current, inner, path, problems)
    return build(cls, changes, path, problems) if cls is not None else None


def overlay(spec: T, changes: Mapping[str, Any]) -> T:
    """`spec` with nested tables of changes laid over it, all at once: what TOML would say of it.

        overlay(chip, {"array": {"mapping": "offset", "weight_bits": 4}, "adc": {"kind": "sar", "bits": 6}})

    Raises SpecError with all that is wrong.
    """
    problems: list[Problem] = []
    changed = overlaid(spec, changes, (), problems)
    if changed is None:
        raise SpecError(problems)
    return changed


def to_table(spec: Spec) -> dict[str, Any]:
    """The table that describes `spec` wholly; fields that are None are left out, as TOML has no null."""
    table: dict[str, Any] = {"kind": kind_of(type(spec))} if kind_of(type(spec)) else {}
    for field in fields_of(type(spec)):
        value = getattr(spec, field.name)
        if isinstance(value, Spec):
            table[field.name] = to_table(value)
        elif isinstance(value, tuple):
            table[field.name] = list(value)
        elif value is not None:
            table[field.name] = value
    return table


def format_value(value: Any) -> str:
    """A TOML value as text: numbers in their shortest exact form."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # JSON escapes what TOML does, but one
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(format_value(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{format_key(key)} = {format_value(item)}" for key, item in value.items()) + "}"
    return repr(value)


def format_key(key: str) -> str:
    """A TOML key, quoted where it must be."""
    bare = key and all(c.isascii() and (c.isalnum() or c in "_-") for c in key)
    return key if bare else format_value(key)


class InlineTable(dict[str, Any]):
    """A table that the text holds in one line."""


class Blocks(list[Any]):
    """Tables that the text holds one below the other, each under its own [[head]]."""


def format_toml(table: Mapping[str, Any], path: tuple[str, ...] = (), *, item: bool = False) -> str:
    """The TOML text of nested tables, plain values first; an `item` is one of several tables of the same path."""
    blocks = {
        key: value
        for key, value in table.items()
        if (isinstance(value, Mapping) and not isinstance(value, InlineTable)) or (isinstance(value, Blocks) and value)
    }
    lines = [f"{format_key(key)} = {format_value(value)}" for key, value in table.items() if key not in blocks]
    name = ".".join(format_key(part) for part in path)
    head = [f"[[{name}]]"] if item else [f"[{name}]"] if path and (lines or not table) else []
    texts = ["\n".join([*head, *lines])] if head or lines else []
    for key, value in blocks.items():
        if isinstance(value, Blocks):
            texts += [format_toml(one, (*path, key), item=True).rstrip("\n") for one in value]
        else:
            texts.append(format_toml(value, (*path, key)).rstrip("\n"))
    return "\n\n".join(texts) + "\n"


def _value(
    owner: type[Spec],
    field: Field,
    value: Any,
    beside: Mapping[str, Any],
    path: tuple[str, ...],
    problems: list[Problem],
) -> Any:
    if field.specs and not isinstance(value, Spec):
        if not isinstance(value, Mapping):
            problems.append(Problem(path, "must be a table", given=format_value(value)))
            return None
        try:
            told = owner.component_class(field.name, beside)
        except SpecError as error:
            problems.extend(problem.within(*path[:-1]) for problem in error.problems)
            return None
        cls = told or choose(field, value, path, problems)
        return build(cls, value, path, problems) if cls else None
    converted, problem = field.checked(value)
    if problem is not None:
        problems.append(problem.within(*path))
    return converted
