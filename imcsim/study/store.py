"""What a study keeps on disk: files replaced whole, sealed with their own SHA-256, checked whenever they are read."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from imcsim.errors import DataError, StorageError
from imcsim.study.canonical import canonical_json, digest, restored
from imcsim.version import MODEL_VERSION

SHARDS = "shards"  # the folders inside a study's own
ARTIFACTS = "artifacts"

Values = Mapping[str, Any]

_HEAD, _MIDDLE, _TAIL = b'{"body":', b',"sha256":"', b'"}\n'
_SEAL_BYTES = len(_MIDDLE) + 64 + len(_TAIL)


class MissingArtifactsError(Exception):
    """What a point or an artifact needs is not there yet: `keys` say what to make first."""

    def __init__(self, keys: Sequence[Mapping[str, Any]]) -> None:
        self.keys = tuple(keys)
        super().__init__(self.keys)


def write_atomic(path: Path, data: bytes) -> None:
    """Put `data` at `path`, whole or not at all: who reads it sees the old file or the new, whenever we are killed.

    Raises StorageError where it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise StorageError(error.errno, error.strerror, str(path)) from error
        raise
    # not every platform can open a folder: there the new name lasts as soon as its file system makes it
    with contextlib.suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def is_temporary(path: Path) -> bool:
    """Whether `path` is what a killed `write_atomic` left behind."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def remove_temporary(folder: Path) -> None:
    """Delete what killed writers left in `folder`; nobody may be writing there."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def sealed(body: Any) -> bytes:
    """`body` in canonical JSON together with its SHA-256."""
    text = canonical_json(body).encode()
    return _HEAD + text + _MIDDLE + hashlib.sha256(text).hexdigest().encode() + _TAIL


def unsealed(data: bytes) -> Any:
    """The body of what `sealed` made; DataError where a single byte differs."""
    text = data[len(_HEAD) : -_SEAL_BYTES]
    seal = _MIDDLE + hashlib.sha256(text).hexdigest().encode() + _TAIL
    if data != _HEAD + text + seal:
        raise DataError.of((), "does not match its own SHA-256")
    return json.loads(text)


def checked_values(values: Values) -> dict[str, Any]:
    """`values` of a point as they will be read back, arrays too; ValueError where they are no result.

    What was `refused`, as its text says why, has no accuracies.
    """
    if missing := {"accuracy", "accuracy_float"} - values.keys():
        raise ValueError(f"evaluate: gave no {' and no '.join(sorted(missing))}")
    checked = dict(values)
    for name in ("accuracy", "accuracy_float"):
        if values[name] is None and (name == "accuracy_float" or values.get("refused")):
            continue  # weights without a counterpart in float, or none at all
        checked[name] = float(values[name])
        if not math.isfinite(checked[name]):
            raise ValueError(f"evaluate: {name} = {values[name]}: must be a finite number")
    back: dict[str, Any] = restored(json.loads(canonical_json(checked)))
    return back


def write_shard(folder: Path, points: Sequence[Mapping[str, Any]]) -> str:
    """Store the results of `points` (keys id, training, die, read and values) in a file of its own; its name.

    The name is made of the ids alone, so that points done again take the place of a damaged shard.
    """
    name = f"{digest([point['id'] for point in points])[:32]}.json"
    write_atomic(folder / name, sealed({"points": points}))
    return name


class Shards(NamedTuple):
    """What was read from shards: values by the id of their point; the names of sound shards, and of damaged ones."""

    results: dict[str, Values]
    sound: list[str]
    damaged: list[str]


def read_shards(folder: Path, but: Collection[str] = ()) -> Shards:
    """The shards of `folder` without those of the names `but`."""
    shards = Shards({}, [], [])
    for name in sorted(_names(folder).difference(but)):
        try:
            points = unsealed(_read(folder / name))["points"]
            found = {str(point["id"]): checked_values(point["values"]) for point in points}
        except (DataError, ValueError, TypeError, KeyError, AttributeError):
            shards.damaged.append(name)
        else:
            shards.sound.append(name)
            shards.results.update(found)
    return shards


def _names(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.name.endswith(".json")}
    except FileNotFoundError:
        return set()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(error.errno, error.strerror, str(path)) from error


def artifact_name(key: Mapping[str, Any]) -> str:
    """The file name of the artifact that `key` determines."""
    return f"{digest({'key': key, 'model_version': MODEL_VERSION})}.json"


@dataclass(frozen=True)
class Artifacts:
    """What several points share (trained weights, say), each made once and kept in `folder` under its content's name.

    A key is a table that says everything its artifact depends on, apart from MODEL_VERSION, which is added here.
    `damaged` gathers the names of files that failed their check; to their readers they are missing.
    """

    folder: Path
    damaged: list[str] = field(default_factory=list)

    def get(self, key: Mapping[str, Any]) -> Mapping[str, Any]:
        """The content of one artifact; MissingArtifactsError where it is not there, StorageError where it is kept."""
        return self.get_all([key])[0]

    def get_all(self, keys: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The contents of several artifacts; MissingArtifactsError names all that are not there."""
        found = [self._find(artifact_name(key)) for key in keys]
        if missing := [key for key, content in zip(keys, found, strict=True) if content is None]:
            raise MissingArtifactsError(missing)
        return [content for content in found if content is not None]

    def put(self, key: Mapping[str, Any], content: Mapping[str, Any]) -> None:
        """Keep `content`: scalars, texts, lists, tables and arrays."""
        write_atomic(self.folder / artifact_name(key), sealed(content))

    def _find(self, name: str) -> Mapping[str, Any] | None:
        try:
            content: Mapping[str, Any] = restored(unsealed(_read(self.folder / name)))
        except FileNotFoundError:
            return None
        except DataError:
            self.damaged.append(name)
            return None
        return content
