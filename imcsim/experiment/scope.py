"""[scope]: larger studies within a study's file, each a table of changes that `--set scope=NAME` lays over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imcsim.errors import Problem, did_you_mean
from imcsim.specs.codec import format_value

SCOPE = "scope"


def apply_scope(
    table: dict[str, Any], settings: Sequence[tuple[tuple[str, ...], Any]], problems: list[Problem]
) -> list[tuple[tuple[str, ...], Any]]:
    """Lay the scope that the settings ask for, if any, over the study in `table`, which loses its scopes.

    Returns the other settings. The name of the study gains that of the scope.
    """
    scopes = table.pop(SCOPE, {})
    if not isinstance(scopes, Mapping) or not all(isinstance(one, Mapping) for one in scopes.values()):
        problems.append(Problem((SCOPE,), "must be tables of changes, each under [scope.NAME]", format_value(scopes)))
        scopes = {}
    for keys, name in settings:
        if keys != (SCOPE,):
            continue
        if name not in scopes:
            known = list(scopes)
            remedy = did_you_mean(str(name), known) if known else "the study has no [scope.NAME]"
            problems.append(Problem((SCOPE,), "no such scope", format_value(name), remedy, source="--set"))
            continue
        _lay(table, scopes[name])
        if isinstance(table.get("name"), str):
            table["name"] += f"-{name}"
    return [(keys, value) for keys, value in settings if keys != (SCOPE,)]


def _lay(table: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Put what `changes` say in place of what `table` says; of tables in both, field by field."""
    for key, value in changes.items():
        inner = table.get(key)
        if isinstance(inner, dict) and isinstance(value, Mapping):
            _lay(inner, value)
        else:
            table[key] = value
