"""Device models: TOML files that give a chip's numbers, each with its unit, source and valid range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imcsim.errors import Problem, SpecError, did_you_mean
from imcsim.specs.chip import ChipSpec
from imcsim.specs.codec import InlineTable, build, choose, format_toml, read_toml, to_table
from imcsim.specs.fields import Spec, fields_of, kind_of

ASSUMED = "assumed"  # the source of a number that nobody published


@dataclass(frozen=True, kw_only=True)
class Note(Spec):
    """Where a number comes from: unit (SI, "1" for a ratio), source, reason, and the range in which it is believed.

    `interval`: of a number that was fitted the ends of its 95 % interval; of a list a pair for each.
    """

    source: str
    unit: str = ""
    reason: str = ""
    valid: tuple[float, ...] | None = None
    interval: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class DeviceModel:
    """A device model as its file has it: the design and, for every number (by dotted path), a note."""

    name: str
    title: str
    description: str
    spec: ChipSpec
    notes: Mapping[str, Note]

    def to_toml(self) -> str:
        """The text of the file that `read_device` would read back as this model."""
        texts: dict[str, Any] = {"name": self.name, "title": self.title, "description": self.description}
        return format_toml(texts | self._quantities(self.spec, ()))

    def _quantities(self, spec: Spec, path: tuple[str, ...]) -> dict[str, Any]:
        """The table of a spec and those inside it, every number with its note."""
        fields = {field.name: field for field in fields_of(type(spec))}
        table: dict[str, Any] = {}
        for key, value in to_table(spec).items():
            note = self.notes.get(".".join((*path, key)))
            if key in fields and fields[key].specs:
                table[key] = self._quantities(getattr(spec, key), (*path, key))
            elif isinstance(value, (str, bool)):
                table[key] = value
            elif note is not None:
                table[key] = InlineTable(_quantity(value, note))
            elif value != fields[key].default:
                table[key] = InlineTable(_quantity(value, Note(source="not stated", unit=fields[key].limits.unit)))
        return table


def load(name_or_path: str | Path) -> ChipSpec:
    """The chip of a device model: a name that `device_names()` lists, or the path of a TOML file.

    Raises SpecError with everything that is wrong with the file.
    """
    return read_device(name_or_path).spec


def device_names() -> list[str]:
    """The device models that come with imcsim."""
    return sorted(path.stem for path in device_folder().glob("*.toml"))


def device_folder() -> Path:
    """Where the device models are: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "device_models"
    return installed if installed.is_dir() else package.parent / "device_models"


def read_device(name_or_path: str | Path) -> DeviceModel:
    """Read and check a device model, by name or path. Raises SpecError."""
    path = _path_of(name_or_path)
    table = read_toml(path)
    problems: list[Problem] = []
    texts = {key: table.pop(key, "") for key in ("name", "title", "description")}
    for key, value in texts.items():
        if not isinstance(value, str) or (key == "name" and not value):
            problems.append(Problem((key,), "must be a string" + (", not empty" if key == "name" else "")))
    notes: dict[str, Note] = {}
    components = {field.name: field for field in fields_of(ChipSpec)}
    plain: dict[str, Any] = {}
    for key, value in table.items():
        if key in components and isinstance(value, Mapping):
            cls = choose(components[key], value, (key,), problems)
            plain[key] = _plain(cls, value, (key,), notes, problems) if cls else None
        else:
            plain[key] = value
    told = {problem.path for problem in problems}
    found: list[Problem] = []
    spec = build(ChipSpec, {key: value for key, value in plain.items() if value is not None}, (), found)
    # a value that is already told to be wrong is not told to be missing, nor a component whose kind is
    problems += [p for p in found if not p.allowed.startswith("is missing") or not {p.path, (*p.path, "kind")} & told]
    if problems or spec is None:
        raise SpecError(problem.within(source=str(path)) for problem in problems)
    return DeviceModel(**texts, spec=spec, notes=notes)


def is_path(name_or_path: str) -> bool:
    """Whether a device is given by the path of its file, not by name."""
    return name_or_path.endswith(".toml") or "/" in name_or_path or "\\" in name_or_path


def _path_of(name_or_path: str | Path) -> Path:
    if isinstance(name_or_path, Path) or is_path(name_or_path):
        return Path(name_or_path)
    if name_or_path not in device_names():
        remedy = (
            f"{did_you_mean(name_or_path, device_names())}; a file of your own is given by its path, ending in .toml"
        )
        raise SpecError.of((), f'no device model "{name_or_path}"', remedy=remedy)
    return device_folder() / f"{name_or_path}.toml"


def _plain(
    cls: type[Spec], table: Mapping[str, Any], at: tuple[str, ...], notes: dict[str, Note], problems: list[Problem]
) -> dict[str, Any]:
    """The values of the table of a component and of those inside it, their notes taken off and checked."""
    fields = {field.name: field for field in fields_of(cls)}
    values: dict[str, Any] = {}
    for key, entry in table.items():
        path = (*at, key)
        if key in fields and fields[key].specs and isinstance(entry, Mapping):
            inner = choose(fields[key], entry, path, problems)
            if inner is not None:
                values[key] = _plain(inner, entry, path, notes, problems)
            continue
        if isinstance(entry, (str, bool)) or key not in fields or (key == "kind" and kind_of(cls)):
            values[key] = entry
            continue
        unit = fields[key].limits.unit
        if not isinstance(entry, Mapping):
            example = (
                f'{{ value = {entry}, unit = "{unit}", source = "..." }}'
                if unit
                else f'{{ value = {entry}, source = "..." }}'
            )
            problems.append(
                Problem(path, "a number needs its unit and source", given=str(entry), remedy=f"write {example}")
            )
            continue
        if "value" in entry:
            values[key] = entry["value"]
        else:
            problems.append(Problem(path, 'has no "value"'))
        note = build(Note, {name: item for name, item in entry.items() if name != "value"}, path, problems)
        if note is None:
            continue
        notes[".".join(path)] = note
        if note.unit != unit:
            given = f'unit "{note.unit}"' if note.unit else "no unit"
            problems.append(Problem(path, f'must be in "{unit}"' if unit else "has no unit", given=given))
        if not note.source.strip():
            problems.append(
                Problem(path, "needs a source", given='source = ""', remedy='"assumed", with a reason, is one')
            )
        if note.source == ASSUMED and not (note.reason and note.valid):
            problems.append(Problem(path, 'source = "assumed" needs a reason and a valid range'))
        problems.extend(_outside(values.get(key), note.valid, path))
    return values


def _outside(value: Any, valid: tuple[float, ...] | None, path: tuple[str, ...]) -> list[Problem]:
    if valid is None or isinstance(value, bool) or not isinstance(value, (int, float)):
        return []
    if len(valid) != 2 or valid[0] > valid[1]:
        return [Problem(path, "valid must be [lowest, highest]", given=str(list(valid)))]
    if not valid[0] <= value <= valid[1]:
        return [Problem(path, f"lies outside its own valid range {list(valid)}", given=str(value))]
    return []


def _quantity(value: Any, note: Note) -> dict[str, Any]:
    table = {"value": value, "unit": note.unit, "source": note.source, "reason": note.reason}
    ranges = {"valid": note.valid, "interval": note.interval}
    return {key: item for key, item in table.items() if item != ""} | {
        key: item for key, item in ranges.items() if item
    }
