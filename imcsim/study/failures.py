"""failures.jsonl: what went wrong with the points that failed, one line each, until they succeed."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from imcsim.study.canonical import canonical_json
from imcsim.study.plan import Plan
from imcsim.study.store import write_atomic
from imcsim.study.work import Failure

FAILURES = "failures.jsonl"
KEYS = {"point", "at", "error", "traceback"}


def read_failures(folder: Path) -> list[dict[str, Any]]:
    """The failures recorded in `folder`: point, at, error and traceback of each; none where the record is damaged.

    Its points have no results either, so that they are tried again by the next run.
    """
    try:
        lines = (folder / FAILURES).read_text(encoding="utf-8").splitlines()
        records = [dict(json.loads(line)) for line in lines]
        if all(record.keys() >= KEYS for record in records):
            return records
    except (FileNotFoundError, ValueError, TypeError):
        pass
    return []


class Failures:
    """The failures of the points of a `plan` recorded in `folder`, those of earlier runs included."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._path = folder / FAILURES
        found = read_failures(folder)
        possible = plan.possible_ids if found else ()  # which may be many more than it has
        self._records = {record["point"]: record for record in found if record["point"] in possible}

    @property
    def ids(self) -> frozenset[str]:
        """The ids of the points that failed."""
        return frozenset(self._records)

    def add(self, point: str, failure: Failure, at: Mapping[str, Any]) -> None:
        """Record that `point` failed; `at` tells a reader which it is."""
        self._records[point] = {"point": point, "at": dict(at), **failure._asdict()}

    def settle(self, points: Collection[str]) -> None:
        """Forget the failures of `points`, which have succeeded since."""
        for point in self._records.keys() & set(points):
            del self._records[point]

    def save(self) -> None:
        """Let the file follow; where nothing has failed there is none."""
        if not self._records:
            self._path.unlink(missing_ok=True)
            return
        data = "".join(f"{canonical_json(record)}\n" for record in self._records.values()).encode()
        if not self._path.exists() or self._path.read_bytes() != data:
            write_atomic(self._path, data)
