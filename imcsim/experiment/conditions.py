"""Which cells a table `if` speaks of: those that have one of the values given on each of its paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imcsim.errors import Problem, did_you_mean
from imcsim.specs.codec import format_value

Condition = Mapping[str, Sequence[Any]]


def read_condition(
    asked: Any, where: tuple[str, ...], swept: Mapping[str, Sequence[Any]], problems: list[Problem]
) -> Condition:
    """The values that each path must have, of those that are `swept`; `problems` gathers what is wrong."""
    if not isinstance(asked, Mapping) or not asked:
        told = "must be a table of paths and the values they must have"
        given = "" if asked is None else format_value(asked)
        problems.append(Problem(where, told, given, "as in if = { level = [0, 2] }"))
        return {}
    condition = {path: value if isinstance(value, list) else [value] for path, value in asked.items()}
    for path, values in condition.items():
        if path not in swept:
            problems.append(Problem((*where, path), "names no swept path", remedy=did_you_mean(path, list(swept))))
            continue
        strange = [value for value in values if value not in swept[path]]
        problems.extend(Problem((*where, path), "is no value of this path", format_value(one)) for one in strange)
    return condition


def fulfils(coordinates: Mapping[str, Any], condition: Condition) -> bool:
    """Whether a cell at these coordinates fulfils the condition."""
    return all(path in coordinates and coordinates[path] in values for path, values in condition.items())
