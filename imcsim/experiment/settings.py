"""Changes of a study from outside its file: settings, the quick form, and which of them a problem comes from."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imcsim.errors import Problem, SpecError
from imcsim.specs.cells import ALTERNATIVES
from imcsim.specs.chip import ChipSpec
from imcsim.specs.codec import format_value, overlaid, parse_toml
from imcsim.specs.library import is_path

QUICK_EPOCHS = 10
QUICK_VALUES = 3
QUICK_TRAININGS = 2


def parse_setting(text: str, problems: list[Problem]) -> tuple[tuple[str, ...], Any] | None:
    """The key path and value of "path=value"; None where it is none, having added to `problems`."""
    key, equals, value = text.partition("=")
    keys = tuple(part.strip() for part in key.split("."))
    if not equals or not all(keys):
        problems.append(Problem((), "must be path=value", f'"{text}"', "as in chip.adc.bits=6", source="--set"))
        return None
    if keys[0] == "grid" and len(keys) > 1:
        keys = ("grid", ".".join(keys[1:]).strip('"'))
    try:
        (parsed,) = parse_toml(f"value = {value}").values()
    except (SpecError, ValueError):  # ValueError: more than one line
        if not re.fullmatch(r"[\w./~-]+", value.strip()):
            problems.append(Problem((".".join(keys),), "is not a TOML value", given=value, source="--set"))
            return None
        parsed = value.strip()
    if keys == ("chip", "device") and isinstance(parsed, str) and is_path(parsed):
        parsed = str(Path(parsed).absolute())  # typed at a prompt: relative to where one stands, not to the study
    return keys, parsed


def apply_setting(table: dict[str, Any], keys: tuple[str, ...], value: Any, problems: list[Problem]) -> None:
    """Put `value` at `keys` of the study's table; in place of the axis where the study sweeps that path."""
    path = ".".join(keys)
    grid = table.get("grid")
    if isinstance(grid, dict):
        if path in grid:
            swept_values = grid[path] if isinstance(grid[path], list) else []
            if isinstance(value, list) and all(isinstance(old, (int, float, str)) for old in swept_values):
                remedy = f"to sweep other values, set grid.{path}={format_value(value)}"
                problems.append(Problem(keys, "must be one value", format_value(value), remedy))
            else:
                grid[path] = [value]
            return
        unheard = [f"chip.cell.{other}" for other in ALTERNATIVES.get(keys[-1], ()) if keys[:-1] == ("chip", "cell")]
        for swept in grid:
            if swept in unheard:
                remedy = f'set "grid.{swept}" itself'
                problems.append(Problem(keys, f'would not be heard: the study sweeps "{swept}"', remedy=remedy))
                return
            if swept.startswith(path + ".") or path.startswith(swept + "."):
                remedy = f'set "grid.{swept}" itself'
                problems.append(
                    Problem(keys, f'cannot be set: the study sweeps "{swept}"', format_value(value), remedy)
                )
                return
    for key in keys[:-1]:
        inner = table.setdefault(key, {})
        if not isinstance(inner, dict):
            problems.append(Problem(keys, f'"{key}" is not a table', format_value(value)))
            return
        table = inner
    if keys[:-1] == ("chip", "cell"):  # what is set stands in place of what the file derives it from, or from it
        for other in ALTERNATIVES.get(keys[-1], ()):
            table.pop(other, None)
    table[keys[-1]] = value


def changed_chip(spec: ChipSpec, settings: Sequence[str]) -> ChipSpec:
    """The chip with settings "dotted.path=value" laid over it. Raises SpecError with all that is wrong with them."""
    problems: list[Problem] = []
    table: dict[str, Any] = {}
    for text in settings:
        if (change := parse_setting(text, problems)) is not None:
            apply_setting(table, *change, problems)
    changed = overlaid(spec, table, (), problems) if not problems else None
    if changed is None:
        raise SpecError(dataclasses.replace(problem, source=problem.source or "--set") for problem in problems)
    return changed


def thin_out(table: dict[str, Any]) -> None:
    """Make the study small: what is malformed stays as it is, to be reported as ever."""
    if isinstance(table.get("name"), str):
        table["name"] += "-quick"
    grid = table.get("grid")
    if isinstance(grid, dict):
        for path, values in grid.items():
            if isinstance(values, list) and len(values) > QUICK_VALUES:
                grid[path] = [values[0], values[len(values) // 2], values[-1]]
    replicates = table.setdefault("replicates", {})
    if isinstance(replicates, dict):
        _at_most(replicates, "trainings", QUICK_TRAININGS)
        _at_most(replicates, "dies", 1)
        _at_most(replicates, "reads", 1)
    if isinstance(table.setdefault("training", {}), dict):
        table["training"].setdefault("epochs", QUICK_EPOCHS)
        _at_most(table["training"], "epochs", QUICK_EPOCHS)


def _at_most(table: dict[str, Any], key: str, most: int) -> None:
    if isinstance(table.get(key), int) and table[key] > most:
        table[key] = most


def attributed(problem: Problem, file: str, written: Mapping[str, Any], settings: Sequence[tuple[str, ...]]) -> Problem:
    """The problem with its source: the setting that caused it, or the study file as it was written."""
    if problem.source:
        return problem
    swept = problem.path[:1] == ("grid",) and len(problem.path) > 1
    path = ".".join(problem.path[1:] if swept else problem.path)
    in_file = _holds(written, problem.path)
    for keys in settings:
        set_path = ".".join(keys[1:] if keys[0] == "grid" and len(keys) > 1 else keys)
        inside = path == set_path or path.startswith((set_path + ".", set_path + "[", f'"{set_path}"['))
        # of what the file does not hold, a setting is the cause that goes through it or stands beside it
        beside = keys[:-1] == problem.path[:-1] and len(keys) > 1 and not swept
        if inside or (not in_file and (set_path.startswith(path + ".") or beside)):
            return dataclasses.replace(problem, path=(path,), source="--set")
    return problem.within(source=file)


def _holds(table: Mapping[str, Any], path: Sequence[str]) -> bool:
    """Whether nested tables have a value at `path`."""
    inner: Any = table
    for key in path:
        if not isinstance(inner, Mapping) or key not in inner:
            return False
        inner = inner[key]
    return True
