"""failures.jsonl: what went wrong in the calls that failed, one line each, until their points succeed."""

from __future__ import annotations

import json
import traceback
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from imcsim.study.canonical import canonical_json
from imcsim.study.store import write_atomic


class Failures:
    """The failures recorded in `folder`, those of earlier runs included; the file follows every change."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "failures.jsonl"
        self._records: list[dict[str, Any]] = []
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
            self._records = [{**json.loads(line), "points": list(json.loads(line)["points"])} for line in lines]
        except FileNotFoundError:
            pass
        except (ValueError, TypeError, KeyError):
            # damaged, and no loss: its points have no results either, so that they are tried again
            self._path.unlink()

    @property
    def ids(self) -> frozenset[str]:
        """The ids of the points that failed."""
        return frozenset(id_ for record in self._records for id_ in record["points"])

    def add(self, points: Sequence[str], error: Exception, at: dict[str, Any]) -> None:
        """Record that `points` failed with `error`; `at` tells a reader which they are."""
        record = {
            "points": list(points),
            "at": at,
            "error": f"{type(error).__name__}: {error}",
            "traceback": "".join(traceback.format_exception(error)),
        }
        self._replace([*self._apart_from(points), record])

    def settle(self, points: Collection[str]) -> None:
        """Forget the failures of `points`, which have succeeded since."""
        self._replace(self._apart_from(points))

    def _apart_from(self, points: Collection[str]) -> list[dict[str, Any]]:
        return [record for record in self._records if not set(record["points"]) <= set(points)]

    def _replace(self, records: list[dict[str, Any]]) -> None:
        if records == self._records:
            return
        self._records = records
        if records:
            write_atomic(self._path, "".join(f"{canonical_json(record)}\n" for record in records).encode())
        else:
            self._path.unlink()
