"""Files of another layout, brought in by a mapping: a TOML file that says where each field stands in them.

[drift.conductance]
path = "retention/conductance"     # their dataset, or several, joined along the first axis
unit = "uS"                        # of theirs; without it the attribute units of their dataset

[drift.target]
value = [10, 20]                   # numbers in place of a dataset
unit = "uS"
repeat = [512, 512]                # the first number 512 times, then the second
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import DataError, Problem, SpecError, did_you_mean
from imcsim.measurements import guard
from imcsim.measurements.checks import Given, sound
from imcsim.measurements.files import ABOUT, Measurements, digest
from imcsim.measurements.groups import GROUPS
from imcsim.specs.codec import read_toml

Array = NDArray[Any]

KEYS = {
    "path": "the path of their dataset, or a list of paths",
    "value": "numbers, in place of a dataset",
    "range": "two whole numbers, in place of a dataset: the first, and the one after the last",
    "sum": "whether several datasets are added up",
    "unit": "the unit of their numbers",
    "scale": "a factor on their numbers, ahead of the unit",
    "transpose": "the order in which their axes are to stand",
    "stack": "whether several datasets are laid beside each other on a new first axis",
    "repeat": "how often each number along the first axis is repeated",
}


def read_mapped(path: str | Path, mapping: str | Path) -> Measurements:
    """The measurements of an HDF5 file of any layout, as the TOML file `mapping` finds them in it.

    Raises SpecError for what is wrong with the mapping, DataError for what is wrong with the file.
    """
    path, source = Path(path), str(mapping)
    table = read_toml(Path(mapping))
    held = guard.contents(path)
    datasets = {one.path for one in held.values() if one.is_dataset}
    problems: list[Problem] = []
    about = {one: table.pop(one, {}) for one in ABOUT}
    entries = dict(_entries(table, datasets, problems))
    if not entries and not problems:
        problems.append(Problem((), f"names no group of measurements; known: {', '.join(GROUPS)}"))
    if problems:
        raise SpecError(problem.within(source=source) for problem in problems)
    content = guard.arrays(path, sorted({one for entry in entries.values() for one in _paths(entry)}))
    given: dict[str, dict[str, Given]] = {}
    for (group, field), entry in entries.items():
        found = _given(entry, content, held)
        if isinstance(found, Problem):
            problems.append(found.within(group, field, source=source))
        else:
            given.setdefault(group, {})[field] = found
    groups = {}
    if not problems:
        for name, fields in given.items():
            group = sound(GROUPS[name], fields, None, problems)
            if group is not None:
                groups[name] = group
    if problems:
        raise DataError(problem.within(source=f"{path} by {source}") for problem in problems)
    return Measurements(groups=groups, **about, source=path.name, sha256=digest(path))


def _entries(
    table: Mapping[str, Any], datasets: set[str], problems: list[Problem]
) -> dict[tuple[str, str], dict[str, Any]]:
    """What the mapping says of each field, by group and field; what cannot be is told."""
    entries = {}
    for group, fields in table.items():
        if group not in GROUPS or not isinstance(fields, Mapping):
            problems.append(
                Problem((group,), f'unknown group "{group}"', remedy=did_you_mean(group, [*GROUPS, *ABOUT]))
            )
            continue
        known = GROUPS[group].quantities()
        for field, entry in fields.items():
            where = (group, field)
            if field not in known:
                problems.append(Problem(where, f'unknown field "{field}"', remedy=did_you_mean(field, known)))
            elif not isinstance(entry, Mapping):
                problems.append(
                    Problem(where, "must be a table", str(entry), 'write { path = "..." } or { value = ... }')
                )
            else:
                wrong = [*_problems(entry, datasets)]
                problems.extend(problem.within(*where) for problem in wrong)
                if not wrong:
                    entries[where] = dict(entry)
    return entries


def _problems(entry: Mapping[str, Any], datasets: set[str]) -> list[Problem]:
    problems = [
        Problem((key,), f'unknown key "{key}"', remedy=did_you_mean(key, KEYS)) for key in entry if key not in KEYS
    ]
    if sum(key in entry for key in ("path", "value", "range")) != 1:
        problems.append(Problem(("path",), "give either path, value or range"))
    if "range" in entry and (not _whole_list(entry["range"]) or len(entry["range"]) != 2):
        problems.append(Problem(("range",), f"must be {KEYS['range']}", str(entry["range"])))
    if "path" in entry:
        names = entry["path"] if isinstance(entry["path"], list) else [entry["path"]]
        if not names or not all(isinstance(name, str) for name in names):
            problems.append(Problem(("path",), "must be the path of a dataset, or a list of them", str(entry["path"])))
        else:
            problems += [
                Problem(
                    ("path",), f'there is no dataset "{name}" in the file', remedy=did_you_mean(name, sorted(datasets))
                )
                for name in names
                if name.strip("/") not in datasets
            ]
    for key, kind in (("unit", str), ("scale", (int, float)), ("stack", bool), ("sum", bool)):
        if key in entry and (not isinstance(entry[key], kind) or (key == "scale" and isinstance(entry[key], bool))):
            problems.append(Problem((key,), f"must be {KEYS[key]}", str(entry[key])))
    for key in ("transpose", "repeat"):
        if key in entry and not _whole_list(entry[key]):
            problems.append(Problem((key,), f"must be a list of whole numbers: {KEYS[key]}", str(entry[key])))
    return problems


def _whole_list(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in value
    )


def _paths(entry: Mapping[str, Any]) -> list[str]:
    names = entry.get("path", [])
    return [name.strip("/") for name in (names if isinstance(names, list) else [names])]


def _given(entry: Mapping[str, Any], content: Mapping[str, Array], held: Mapping[str, guard.Stored]) -> Given | Problem:
    """The numbers of a field as the mapping has them, in the unit it tells or their dataset does."""
    names = _paths(entry)
    unit = entry.get("unit", "")
    if names:
        parts = [content[name] for name in names]
        told = [str(held[name].attributes.get("units", "")) for name in names]
        if not unit and len({*told}) > 1:
            return Problem(
                ("path",), f"the datasets are in different units: {', '.join(told)}", remedy="map them apart"
            )
        unit = unit or told[0]
    elif "range" in entry:
        parts = [np.arange(*entry["range"], dtype=np.float64)]
    else:
        try:
            parts = [np.asarray(entry["value"], np.float64)]
        except (TypeError, ValueError):
            return Problem(("value",), "must be numbers", str(entry["value"]))
    if "transpose" in entry:
        order = entry["transpose"]
        if any(sorted(order) != list(range(part.ndim)) for part in parts):
            allowed = f"must name each of the {parts[0].ndim} axes once, from 0"
            return Problem(("transpose",), allowed, str(order))
        parts = [part.transpose(order) for part in parts]
    try:
        values = _joined(parts, entry)
    except ValueError as error:
        return Problem(("path",), f"the datasets do not fit together: {error}")
    if "repeat" in entry:
        counts = entry["repeat"]
        if values.ndim == 0 or len(counts) not in (1, len(values)):
            return Problem(
                ("repeat",), f"must be one number, or {len(values) if values.ndim else 'one'} of them", str(counts)
            )
        values = np.repeat(values, counts if len(counts) > 1 else counts[0], axis=0)
    if "scale" in entry:
        values = np.asarray(values, np.float64) * entry["scale"]
    return Given(values, unit, names[0] if names else "")


def _joined(parts: list[Array], entry: Mapping[str, Any]) -> Array:
    """Several arrays as one: added up, on a new first axis, or one after the other along the first."""
    if entry.get("sum"):
        return np.asarray(sum(parts))
    if entry.get("stack"):
        return np.stack(_padded(parts))
    return np.concatenate(_padded(parts)) if len(parts) > 1 else parts[0]


def _padded(parts: list[Array]) -> list[Array]:
    """Arrays that are to be joined along the first axis, the last of all as long as the longest, filled with NaN."""
    if len({part.shape[-1] for part in parts if part.ndim}) <= 1 or parts[0].ndim < 2:
        return parts
    longest = max(part.shape[-1] for part in parts)
    return [
        np.concatenate([part, np.full((*part.shape[:-1], longest - part.shape[-1]), np.nan)], axis=-1) for part in parts
    ]
