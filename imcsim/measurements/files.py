"""The measurement file: groups of datasets with units, in HDF5; all that is wrong with one is told at once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from imcsim.errors import DataError, Problem, did_you_mean
from imcsim.measurements import guard
from imcsim.measurements.checks import Given, sound
from imcsim.measurements.groups import GROUPS, Group

FORMAT = "imcsim-measurement"
FORMAT_VERSION = 1
VALID = "valid"
ABOUT = ("sample", "instrument")  # groups that hold attributes alone: what was measured, and how

G = TypeVar("G", bound=Group)


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """What was measured: groups by name, what is known of sample and instrument, the file's name and SHA-256."""

    groups: Mapping[str, Group]
    sample: Mapping[str, Any]
    instrument: Mapping[str, Any]
    source: str
    sha256: str

    def of(self, cls: type[G]) -> G:
        """The group of a class. Raises DataError where the file has none."""
        found = self.groups.get(cls.name)
        if not isinstance(found, cls):
            has = ", ".join(self.groups)
            raise DataError.of((cls.name,), f"is not in the file, which has {has}", source=self.source)
        return found


def read(path: str | Path) -> Measurements:
    """The measurements of a file in the layout of imcsim (docs/measurements.md).

    It is read in a process of its own, under limits of memory and time. Raises DataError with all that is wrong.
    """
    path = Path(path)
    held = guard.contents(path)
    root = held[""].attributes
    if root.get("format") != FORMAT:
        given = str(root["format"]) if "format" in root else ""
        remedy = "a file of another layout is read by a mapping: --map map.toml (docs/measurements.md)"
        raise DataError.of(("format",), f'must be "{FORMAT}", an attribute of the root', given, remedy, str(path))
    if root.get("format_version") != FORMAT_VERSION:
        given = str(root.get("format_version", "none"))
        raise DataError.of(("format_version",), f"must be {FORMAT_VERSION}", given, source=str(path))
    problems: list[Problem] = []
    names = [one.path for one in held.values() if one.is_dataset]
    wanted = [name for name in names if _is_known(name, problems)]
    content = guard.arrays(path, wanted)
    groups = {}
    for name, cls in GROUPS.items():
        if name in held:
            fields = {
                one.split("/")[1]: Given(content[one], _text(held[one].attributes.get("units", "")), one)
                for one in wanted
                if one.split("/")[0] == name and one.split("/")[1] != VALID
            }
            group = sound(cls, fields, content.get(f"{name}/{VALID}"), problems)
            if group is not None:
                groups[name] = group
    if not groups and not problems:
        problems.append(Problem((), f"holds no group of measurements; known: {', '.join(GROUPS)}"))
    if problems:
        raise DataError(problem.within(source=str(path)) for problem in problems)
    about = {one: dict(held[one].attributes) if one in held else {} for one in ABOUT}
    return Measurements(groups=groups, **about, source=path.name, sha256=digest(path))


def write(
    path: str | Path,
    groups: Iterable[Group],
    *,
    sample: Mapping[str, Any] | None = None,
    instrument: Mapping[str, Any] | None = None,
) -> None:
    """Write groups of measurements, their numbers in SI units and NaN where they are missing, to a new file at `path`.

    `sample` and `instrument` are texts and numbers that say what was measured, and how. Raises DataError, and writes
    nothing, where a group is not sound.
    """
    import h5py

    path = Path(path)
    groups = list(groups)
    problems: list[Problem] = []
    for group in groups:
        given = {name: Given(np.asarray(value), group.unit_of(name), name) for name, value in group.present.items()}
        sound(type(group), given, None, problems)
    if problems:
        raise DataError(problem.within(source=str(path)) for problem in problems)
    with h5py.File("measurements.h5", "w", driver="core", backing_store=False, libver="earliest") as file:
        file.attrs.update(format=FORMAT, format_version=FORMAT_VERSION)
        for name, about in zip(ABOUT, (sample, instrument), strict=True):
            file.create_group(name).attrs.update(about or {})
        for group in groups:
            _write_group(file.create_group(group.name), group)
        file.flush()
        image = file.id.get_file_image()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(image)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_group(target: Any, group: Group) -> None:
    for name, value in group.present.items():
        field = group.quantities()[name]
        array = np.asarray(value)
        stored = target.create_dataset(
            name, data=array, **({"compression": "gzip", "shuffle": True} if array.ndim else {})
        )
        stored.attrs["description"] = field.what
        stored.attrs["units"] = group.unit_of(name) or "1"
        if name == group.masked:
            mask = np.isfinite(array).astype(np.uint8)
            target.create_dataset(VALID, data=mask, compression="gzip").attrs["description"] = (
                f"1 where {name} is known"
            )


def _is_known(name: str, problems: list[Problem]) -> bool:
    """Whether a dataset has a place in the layout; what is in no known group is left alone, a misspelt one told."""
    top, _, field = name.partition("/")
    if top not in GROUPS:
        near = did_you_mean(top, GROUPS)
        if near.startswith("did you mean"):
            problems.append(Problem((top,), f'unknown group "{top}"', remedy=near))
        return False
    known = {*GROUPS[top].quantities(), *([VALID] if GROUPS[top].masked else [])}
    if field not in known:
        problems.append(Problem((top, field), f'unknown dataset "{field}"', remedy=did_you_mean(field, known)))
        return False
    return True


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)
