"""Some rows of a study: those that have one of the values asked for on each of some swept paths."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from imcsim.errors import SpecError, did_you_mean
from imcsim.study.summary import Summary

LACKS = "-"  # stands for rows that the path does not apply to


def selected(summary: Summary, conditions: Sequence[str]) -> Summary:
    """The rows that fulfil every condition "path=value,value": `--where level=0,2 --where tune.at=cell,-`.

    Raises SpecError for a path or a value that the study does not have, and where no row is left.
    """
    rows = summary.rows
    for condition in conditions:
        path, equals, given = condition.partition("=")
        if path not in summary.axes or not equals:
            allowed = "must be path=value, of a swept path"
            raise SpecError.of("--where", allowed, f'"{condition}"', did_you_mean(path, summary.axes))
        values = _values(given, {LACKS: None, **_known(summary, path)}, path)
        rows = tuple(row for row in rows if row.coordinates.get(path) in values)
    if not rows:
        raise SpecError.of("--where", "no row of the table is left", given=" ".join(conditions))
    return dataclasses.replace(summary, rows=rows)


def value_of(summary: Summary, path: str, given: str, asked_by: str) -> Any:
    """The value of `path` that a text means; SpecError where the study does not have it."""
    return _values(given, _known(summary, path), path, asked_by, several=False)[0]


def _known(summary: Summary, path: str) -> dict[str, Any]:
    return {str(value): value for value in summary.values(path) if value is not None}


def _values(
    given: str, known: dict[str, Any], path: str, asked_by: str = "--where", *, several: bool = True
) -> list[Any]:
    """The values in a text, between commas, some of which may themselves hold a comma."""
    parts, found = given.split(",") if several else [given], []
    while parts:
        for length in range(len(parts), 0, -1):
            text = ",".join(parts[:length]).strip()
            match = [value for name, value in known.items() if name == text or _writes(text, value)]
            if match:
                found.append(match[0])
                parts = parts[length:]
                break
        else:
            raise SpecError.of(
                asked_by,
                f"{path} has no such value",
                f'"{parts[0].strip()}"',
                did_you_mean(parts[0].strip(), list(known)),
            )
    return found


def _writes(text: str, value: Any) -> bool:
    """Whether `text` writes the number `value` in other words: 1e-1 for 0.1."""
    try:
        return not isinstance(value, (str, type(None))) and float(text) == value
    except (ValueError, TypeError):
        return False
