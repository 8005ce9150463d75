"""Changes of a study from outside its file: settings, the quick form, and which of them a problem comes from."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imcsim.errors import Problem, SpecError
from imcsim.experiment.written_grid import cap, fix, holders, put_values, swept_paths, thin
from imcsim.specs.cells import ALTERNATIVES
from imcsim.specs.chip import ChipSpec
from imcsim.specs.codec import format_value, overlaid, parse_toml
from imcsim.specs.library import is_path

QUICK_EPOCHS = 10
QUICK_TRAININGS = 2
QUICK_CANDIDATES = 6  # enough for a second rung


def parse_setting(text: str, problems: list[Problem]) -> tuple[tuple[str, ...], Any] | None:
    """The key path and value of "path=value"; None where it is none, having added to `problems`."""
    key, equals, value = text.partition("=")
    keys = tuple(part.strip() for part in key.split("."))
    if not equals or not all(keys):
        problems.append(Problem((), "must be path=value", f'"{text}"', "as in chip.adc.bits=6", source="--set"))
        return None
    if keys[0] == "grid" and len(keys) > 1:
        keys = ("grid", ".".join(keys[1:]).strip('"'))
    if keys[:2] == ("tune", "over") and len(keys) > 2:
        keys = ("tune", "over", ".".join(keys[2:]).strip('"'))
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
        if keys[0] == "grid" and len(keys) == 2:
            if not put_values(grid, keys[1], value):
                remedy = "edit its combinations, or set it to one value"
                problems.append(Problem(keys, "is swept by a list of combinations", format_value(value), remedy))
            return
        if path in (swept := swept_paths(grid)):
            if isinstance(value, list) and not isinstance(_example(grid, path), (list, dict)):
                remedy = f"to sweep other values, set grid.{path}={format_value(value)}"
                problems.append(Problem(keys, "must be one value", format_value(value), remedy))
            else:
                fix(grid, path, value)
            return
        if (problem := _unheard(keys, value, swept)) is not None:
            problems.append(problem)
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


def _example(grid: Mapping[str, Any], path: str) -> Any:
    """One of the values that `path` is swept over, in whatever form it is given."""
    holder = next(holder for holder in holders(grid) if path in holder.paths)
    if holder.kind == "list":
        return next(row[path] for row in holder.rows if path in row)
    values = holder.table[path]
    if isinstance(values, dict):
        values = next(iter(values.values()), None)
    return values[0] if isinstance(values, list) and values else None


def _unheard(keys: tuple[str, ...], value: Any, swept: Sequence[str]) -> Problem | None:
    """What is wrong with a setting beside what the study sweeps."""
    path = ".".join(keys)
    rivals = [f"chip.cell.{other}" for other in ALTERNATIVES.get(keys[-1], ()) if keys[:-1] == ("chip", "cell")]
    for other in swept:
        remedy = f'set "grid.{other}" itself'
        if other in rivals:
            return Problem(keys, f'would not be heard: the study sweeps "{other}"', remedy=remedy)
        if other.startswith(path + ".") or path.startswith(other + "."):
            return Problem(keys, f'cannot be set: the study sweeps "{other}"', format_value(value), remedy)
    return None


def check_settings(settings: Sequence[tuple[str, ...]], problems: list[Problem]) -> None:
    """Add to `problems` the settings, by their keys, of which the last would silently undo another."""
    paths = [".".join(keys[1:] if keys[0] == "grid" and len(keys) > 1 else keys) for keys in settings]
    for place, path in enumerate(paths):
        head, _, name = path.rpartition(".")
        for other in paths[:place]:
            other_head, _, other_name = other.rpartition(".")
            rivals = other_name in ALTERNATIVES.get(name, ()) or name in ALTERNATIVES.get(other_name, ())
            if rivals and head == other_head == "chip.cell":
                told = f"cannot be set together with {other}: a cell has one of the two"
                problems.append(Problem((path,), told, remedy="set one of them", source="--set"))


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
    if isinstance(table.get("grid"), dict):
        thin(table["grid"])
        cap(table["grid"], "training.epochs", QUICK_EPOCHS)
    variants = table.get("variants")
    for changes in variants.values() if isinstance(variants, dict) else ():
        if isinstance(changes, dict) and isinstance(changes.get("training"), dict):
            _at_most(changes["training"], "epochs", QUICK_EPOCHS)
    ladders = table.get("ladders")
    for ladder in ladders.values() if isinstance(ladders, dict) else ():
        if isinstance(ladder, dict):
            ladder.update({path: _middle(values) for path, values in ladder.items()})
    replicates = table.setdefault("replicates", {})
    if isinstance(replicates, dict):
        for name in ("more", "target_ci", "most_trainings", "most_dies"):
            replicates.pop(name, None)
        _at_most(replicates, "trainings", QUICK_TRAININGS)
        _at_most(replicates, "dies", 1)
        _at_most(replicates, "reads", 1)
    if isinstance(table.setdefault("training", {}), dict):
        table["training"].setdefault("epochs", QUICK_EPOCHS)
        _at_most(table["training"], "epochs", QUICK_EPOCHS)
    if isinstance(table.get("stop"), dict):
        _at_most(table["stop"], "after_epochs", QUICK_EPOCHS - 1)
    if isinstance(table.get("gradient"), dict):
        _at_most(table["gradient"], "after_epochs", QUICK_EPOCHS)
    tune = table.get("tune")
    if isinstance(tune, dict):
        if isinstance(tune.get("at"), list):
            tune["at"] = tune["at"][:1]
        tune.setdefault("candidates", QUICK_CANDIDATES)
        _at_most(tune, "candidates", QUICK_CANDIDATES)
        _at_most(tune, "min_epochs", QUICK_EPOCHS)
        for name in ("trainings", "dies", "reads"):
            _at_most(tune, name, 1)


def _middle(values: Any) -> Any:
    """The value in the middle of a list of them."""
    return [values[len(values) // 2]] if isinstance(values, list) and values else values


def _at_most(table: dict[str, Any], key: str, most: int) -> None:
    if isinstance(table.get(key), int) and table[key] > most:
        table[key] = most


def attributed(problem: Problem, file: str, written: Mapping[str, Any], settings: Sequence[tuple[str, ...]]) -> Problem:
    """The problem with its source: the setting that caused it, or the study file as it was written."""
    if problem.source:
        return problem
    if "if" in problem.path:  # what a condition asks for is the file's alone
        return problem.within(source=file)
    swept = problem.path[:1] == ("grid",) and len(problem.path) > 1
    path = problem.path[-1] if swept else ".".join(problem.path)
    in_file = _holds(written, problem.path)
    for keys in settings:
        set_path = ".".join(keys[1:] if keys[0] == "grid" and len(keys) > 1 else keys)
        inside = path == set_path or path.startswith((set_path + ".", set_path + "[", f'"{set_path}"'))
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
