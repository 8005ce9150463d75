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

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from imcsim.errors import DataError, Problem, SpecError, did_you_mean
from imcsim.measurements import guard
from imcsim.measurements.checks import Given, sound
from imcsim.measurements.entry import given_by, missing_of, paths_of, problems_of
from imcsim.measurements.files import ABOUT, Measurements, digest
from imcsim.measurements.groups import GROUPS
from imcsim.specs.codec import read_toml

Entries = dict[tuple[str, str], Mapping[str, Any]]


def read_mapped(path: str | Path, mapping: str | Path) -> Measurements:
    """The measurements of an HDF5 file of any layout, as the TOML file `mapping` finds them in it.

    Raises SpecError for what is wrong with the mapping, DataError for what is wrong with the file.
    """
    path, source = Path(path), str(mapping)
    table = read_toml(Path(mapping))
    about = {one: table.pop(one, {}) for one in ABOUT}
    entries: Entries = {}
    _raise(SpecError, source, [*_problems_about(about), *_collect(table, entries)])
    held, content = guard.load(path, sorted({one for entry in entries.values() for one in paths_of(entry)}))
    lacking = [problem.within(*where) for where, entry in entries.items() for problem in missing_of(entry, held)]
    _raise(SpecError, source, lacking)
    problems: list[Problem] = []
    given: dict[str, dict[str, Given]] = {}
    for (group, field), entry in entries.items():
        found = given_by(entry, content, held)
        if isinstance(found, Problem):
            problems.append(found.within(group, field))
        else:
            given.setdefault(group, {})[field] = found
    _raise(SpecError, source, problems)
    found_groups = {name: sound(GROUPS[name], fields, None, problems) for name, fields in given.items()}
    _raise(DataError, f"{path} by {source}", problems)
    groups = {name: group for name, group in found_groups.items() if group is not None}
    return Measurements(groups=groups, **about, source=path.name, sha256=digest(path))


def _raise(kind: type[SpecError] | type[DataError], source: str, problems: list[Problem]) -> None:
    if problems:
        raise kind(problem.within(source=source) for problem in problems)


def _problems_about(about: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with the tables that tell of sample and instrument."""
    for name, told in about.items():
        if not isinstance(told, Mapping):
            yield Problem((name,), "must be a table", str(told))
            continue
        for key, value in told.items():
            if not isinstance(value, str | int | float):
                yield Problem((name, key), "must be text or a number", str(value))


def _collect(table: Mapping[str, Any], entries: Entries) -> Iterator[Problem]:
    """Puts into `entries` what the mapping says of each field, by group and field; tells what cannot be."""
    if not table:
        yield Problem((), f"names no group of measurements; known: {', '.join(GROUPS)}")
    for group, fields in table.items():
        if group not in GROUPS:
            yield Problem((group,), f'unknown group "{group}"', remedy=did_you_mean(group, [*GROUPS, *ABOUT]))
        elif not isinstance(fields, Mapping):
            yield Problem((group,), "must be a table of fields", str(fields))
        else:
            yield from _of_group(group, fields, entries)


def _of_group(group: str, fields: Mapping[str, Any], entries: Entries) -> Iterator[Problem]:
    known = GROUPS[group].quantities()
    for field, entry in fields.items():
        where = (group, field)
        if field not in known:
            yield Problem(where, f'unknown field "{field}"', remedy=did_you_mean(field, known))
        elif not isinstance(entry, Mapping):
            yield Problem(where, "must be a table", str(entry), 'write { path = "..." } or { value = ... }')
        else:
            entries[where] = entry
            yield from (problem.within(*where) for problem in problems_of(entry))
