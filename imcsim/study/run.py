"""Run a plan: evaluate what is missing, keep each result at once, merge them all."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from imcsim.study.failures import Failures
from imcsim.study.folder import ARTIFACTS, SHARDS, open_folder, recorded
from imcsim.study.merge import study_file
from imcsim.study.plan import Cell, Plan, Point
from imcsim.study.store import Artifacts, Values, read_shards, write_atomic, write_shard

__all__ = ["Evaluate", "Outcome", "open_folder", "run"]

# evaluate(cell, training, [(die, read), ...], artifacts) -> the values of each (die, read)
Evaluate = Callable[[Cell, int, Sequence[tuple[int, int]], Artifacts], Sequence[Mapping[str, float]]]


@dataclass(frozen=True)
class Outcome:
    """What a run did: of its `points`, computed + reused + failed, and the files of the folder it found damaged.

    A point counts as reused where its result was on disk or is that of another point of the same configuration.
    """

    points: int
    computed: int
    reused: int
    failed: int
    damaged: tuple[str, ...]


def run(plan: Plan, folder: Path, evaluate: Evaluate, progress: Callable[[int, int], None]) -> Outcome:
    """Evaluate the points of `plan` that `folder` lacks, and merge all results into its study.h5.

    `evaluate` is called for each cell and training with points missing, at most 16 at a time; what it returns is on
    disk before the next call. An Exception is recorded in failures.jsonl and the rest goes on; the next run tries those
    points again. `progress(done, total)` counts points, those found on disk included: before the first call and after
    each.
    """
    open_folder(plan, folder)
    results, damaged = read_shards(folder / SHARDS)
    artifacts = Artifacts(folder / ARTIFACTS)
    failures = Failures(folder)
    failures.settle(results)
    calls = list(_missing(plan, results))
    known = frozenset(results)
    sharing = Counter(point.id for point in plan.points)
    done, total = sum(sharing[id_] for id_ in known), len(plan.points)
    progress(done, total)
    try:
        with recorded(folder) if calls else contextlib.nullcontext():
            for call in calls:
                ids = [point.id for point in call.points]
                try:
                    values = _evaluated(call, evaluate, artifacts)
                except Exception as error:
                    failures.add(ids, error, _whereabouts(plan, call))
                else:
                    _keep(folder, call, values)
                    results.update(zip(ids, values, strict=True))
                    failures.settle(ids)
                done += sum(sharing[id_] for id_ in ids)
                progress(done, total)
    finally:
        # interrupted, too: what is there can be shown
        _replace_if_different(folder / "study.h5", study_file(plan, results, failures.ids))
    computed = len(results.keys() - known)
    failed = sum(sharing[id_] for id_ in failures.ids)
    mended = [f"{SHARDS}/{name}" for name in damaged] + [f"{ARTIFACTS}/{name}" for name in artifacts.damaged]
    return Outcome(total, computed, total - computed - failed, failed, tuple(mended))


# Points of one call, and so of one shard: what an interrupt may cost.
_PER_CALL = 16


class _Call(NamedTuple):
    """What one call of the evaluator is asked for: points of one cell and training."""

    cell: Cell
    training: int
    points: list[Point]


def _missing(plan: Plan, results: Mapping[str, Values]) -> Iterator[_Call]:
    """The calls still to be made; each id once, however many cells share it."""
    by_call: dict[tuple[int, int], dict[str, Point]] = {}
    asked = set(results)
    for point in plan.points:
        if point.id not in asked:
            asked.add(point.id)
            by_call.setdefault((point.training, point.cell), {})[point.id] = point
    # trainings outermost: a study cut short has the whole grid, with fewer trainings
    for training, cell in sorted(by_call):
        points = list(by_call[training, cell].values())
        for first in range(0, len(points), _PER_CALL):
            yield _Call(plan.cells[cell], training, points[first : first + _PER_CALL])


def _evaluated(call: _Call, evaluate: Evaluate, artifacts: Artifacts) -> list[Values]:
    """The values of each point of `call`, as they will be read back; ValueError where they are no results."""
    results = evaluate(call.cell, call.training, [(point.die, point.read) for point in call.points], artifacts)
    if len(results) != len(call.points):
        raise ValueError(f"evaluate: gave {len(results)} results for {len(call.points)} points")
    for values in results:
        if missing := {"accuracy", "accuracy_float"} - values.keys():
            raise ValueError(f"evaluate: gave no {' and no '.join(sorted(missing))}")
        for name, value in values.items():
            if not math.isfinite(value):
                raise ValueError(f"evaluate: {name} = {value}: must be a finite number")
    return [{name: float(value) for name, value in values.items()} for values in results]


def _keep(folder: Path, call: _Call, results: Sequence[Values]) -> None:
    points = [
        {"id": point.id, "training": point.training, "die": point.die, "read": point.read, "values": values}
        for point, values in zip(call.points, results, strict=True)
    ]
    write_shard(folder / SHARDS, points)


def _whereabouts(plan: Plan, call: _Call) -> dict[str, Any]:
    swept = {axis.path: axis.values[i] for axis, i in zip(plan.axes, call.cell.index, strict=True)}
    return {**swept, "training": call.training}


def _replace_if_different(path: Path, data: bytes) -> None:
    if not path.exists() or path.read_bytes() != data:
        write_atomic(path, data)
