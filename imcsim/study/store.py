"""What a study keeps on disk: files replaced whole, sealed with their own SHA-256, checked whenever they are read."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imcsim.errors import DataError
from imcsim.study.canonical import canonical_json, digest, restored
from imcsim.version import MODEL_VERSION

__all__ = [
    "Artifacts",
    "Values",
    "canonical_json",
    "is_temporary",
    "read_shards",
    "sealed",
    "unsealed",
    "write_atomic",
    "write_shard",
]

Values = Mapping[str, float]


def write_atomic(path: Path, data: bytes) -> None:
    """Put `data` at `path`, whole or not at all: who reads it sees the old file or the new, whenever we are killed."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
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


def sealed(body: Any) -> bytes:
    """`body` in canonical JSON together with its SHA-256."""
    text = canonical_json(body)
    return f'{{"body":{text},"sha256":"{hashlib.sha256(text.encode()).hexdigest()}"}}\n'.encode()


def unsealed(data: bytes) -> Any:
    """The body of what `sealed` made; DataError where a single byte differs."""
    try:
        body = json.loads(data)["body"]
        intact = sealed(body) == data
    except (ValueError, KeyError, TypeError):
        intact = False
    if not intact:
        raise DataError.of((), "does not match its own SHA-256")
    return body


def write_shard(folder: Path, points: Sequence[Mapping[str, Any]]) -> None:
    """Store the results of one call of the evaluator: `points` of keys id, training, die, read and values.

    The name is made of the ids alone, so that points done again take the place of a damaged shard.
    """
    name = digest([point["id"] for point in points])[:32]
    write_atomic(folder / f"{name}.json", sealed({"points": points}))


def read_shards(folder: Path) -> tuple[dict[str, Values], tuple[str, ...]]:
    """The values of every point in the shards of `folder`, by id, and the names of the damaged shards."""
    results: dict[str, Values] = {}
    damaged = []
    for path in sorted(folder.glob("*.json")):
        try:
            points: Iterable[Mapping[str, Any]] = unsealed(path.read_bytes())["points"]
        except DataError:
            damaged.append(path.name)
        else:
            results |= {point["id"]: point["values"] for point in points}
    return results, tuple(damaged)


@dataclass(frozen=True)
class Artifacts:
    """What several points share (trained weights, say), each made once and kept in `folder` under its content's name.

    `damaged` gathers the names of files that failed their check and were made again.
    """

    folder: Path
    damaged: list[str] = field(default_factory=list)

    def get_or_make(self, key: Mapping[str, Any], make: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """The artifact that `key` determines: read back, or made now and stored; scalars, lists, tables and arrays.

        `key` says everything that `make` depends on, apart from MODEL_VERSION, which is added here.
        """
        path = self.folder / f"{digest({'key': key, 'model_version': MODEL_VERSION})}.json"
        try:
            return _artifact(path.read_bytes())
        except FileNotFoundError:
            pass
        except DataError:
            self.damaged.append(path.name)
        data = sealed(make())
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data)
        return _artifact(data)  # not what `make` gave, but what every later call will read


def _artifact(data: bytes) -> Mapping[str, Any]:
    content: Mapping[str, Any] = restored(unsealed(data))
    return content
