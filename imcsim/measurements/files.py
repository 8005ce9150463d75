"""The measurement file: groups of datasets with units, in HDF5; written, and read with all its faults told at once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    """What was measured: the groups by name, what is known of sample and instrument, the file's name and SHA-256."""

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
    held, content = guard.load(path, [f"{name}/{field}" for name, cls in GROUPS.items() for field in _fields(cls)])
    _check_format(held[""].attributes, str(path))
    problems: list[Problem] = []
    known = {one.path: one for one in held.values() if one.is_dataset and _is_known(one.path, problems)}
    groups = {}
    for name, cls in GROUPS.items():
        fields = {one.path.split("/")[1]: one for one in known.values() if one.path.split("/")[0] == name}
        mask = fields.pop(VALID, None)
        given = {field: Given(content[one.path], one.units, one.path) for field, one in fields.items()}
        if name in held and not held[name].is_dataset:
            group = sound(cls, given, content[mask.path] if mask else None, problems)
            if group is not None:
                groups[name] = group
    if not groups and not problems:
        problems.append(Problem((), f"holds no group of measurements; known: {', '.join(GROUPS)}"))
    if problems:
        raise DataError(problem.within(source=str(path)) for problem in problems)
    about = {one: dict(held[one].attributes) if one in held else {} for one in ABOUT}
    return Measurements(groups=groups, **about, source=path.name, sha256=digest(path))


def is_measurement(root: Mapping[str, Any]) -> bool:
    """Whether the attributes of a file's root say that it has the layout of imcsim."""
    return root.get("format") == FORMAT


def _check_format(root: Mapping[str, Any], source: str) -> None:
    if not is_measurement(root):
        remedy = "a file of another layout is read by a mapping: --map MAP.toml (docs/measurements.md)"
        raise DataError.of(
            ("format",), f'must be "{FORMAT}", an attribute of the root', str(root.get("format", "")), remedy, source
        )
    if root.get("format_version") != FORMAT_VERSION:
        given = str(root.get("format_version", "none"))
        raise DataError.of(("format_version",), f"must be {FORMAT_VERSION}", given, source=source)


def _fields(cls: type[Group]) -> list[str]:
    """The datasets that a group of a class may have."""
    return [*cls.quantities(), *([VALID] if cls.masked else [])]


def _is_known(path: str, problems: list[Problem]) -> bool:
    """Whether a dataset has a place in the layout; what is misspelt is told, what is in no known group left alone."""
    top, _, field = path.partition("/")
    if top not in GROUPS:
        near = did_you_mean(top, GROUPS)
        if near.startswith("did you mean"):
            problems.append(Problem((top,), f'unknown group "{top}"', remedy=near))
        return False
    if not field:
        problems.append(Problem((top,), "must be a group", "a dataset"))
        return False
    known = _fields(GROUPS[top])
    if field not in known:
        problems.append(Problem((top, field), f'unknown dataset "{field}"', remedy=did_you_mean(field, known)))
    return field in known


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
    path, groups = Path(path), list(groups)
    about = {name: dict(one or {}) for name, one in zip(ABOUT, (sample, instrument), strict=True)}
    problems = [*_unfit(groups, about)]
    if problems:
        raise DataError(problem.within(source=str(path)) for problem in problems)
    image = _image(groups, about)
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


def _unfit(groups: Sequence[Group], about: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """What cannot be written, or would not be read again."""
    problems: list[Problem] = []
    if not groups:
        yield Problem((), "must have at least one group of measurements")
    names = [group.name for group in groups]
    yield from (Problem((name,), "is there more than once") for name in GROUPS if names.count(name) > 1)
    for group in groups:
        given = {name: Given(np.asarray(value), group.unit_of(name), "") for name, value in group.present.items()}
        sound(type(group), given, None, problems)
    yield from problems
    for name, attributes in about.items():
        for key, value in attributes.items():
            if not isinstance(value, str | int | float):
                yield Problem((name, key), "must be text or a number", repr(value))


def _image(groups: Sequence[Group], about: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The bytes of the file, made in memory."""
    import h5py

    with h5py.File("measurements.h5", "w", driver="core", backing_store=False, libver="earliest") as file:
        file.attrs.update(format=FORMAT, format_version=FORMAT_VERSION)
        for name, attributes in about.items():
            file.create_group(name).attrs.update(attributes)
        for group in groups:
            _write_group(file.create_group(group.name), group)
        file.flush()
        image: bytes = file.id.get_file_image()
    return image


def _write_group(target: Any, group: Group) -> None:
    for name, value in group.present.items():
        array = np.asarray(value)
        packed = {"compression": "gzip", "shuffle": True} if array.ndim else {}
        stored = target.create_dataset(name, data=array, **packed)
        stored.attrs["description"] = group.quantities()[name].what
        stored.attrs["units"] = group.unit_of(name) or "1"
        known = np.isfinite(array)
        if name == group.masked and not known.all():
            mask = target.create_dataset(VALID, data=known.astype(np.uint8), compression="gzip")
            mask.attrs.update(description=f"1 where {name} is known", units="1")
