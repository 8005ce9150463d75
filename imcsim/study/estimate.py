"""What a run would take: points, time and disk, from a sample that is measured and thrown away."""

from __future__ import annotations

import itertools
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imcsim.study.canonical import canonical_json
from imcsim.study.folder import check_folder
from imcsim.study.plan import Plan
from imcsim.study.run import asked_of, missing_points
from imcsim.study.schedule import Scheduler
from imcsim.study.store import ARTIFACTS, SHARDS, Artifacts, MissingArtifactsError, artifact_name, read_shards
from imcsim.study.work import FLUSH_S, Asked, Report, Work, make_artifact
from imcsim.study.workers import Here

SAMPLE_S = 10.0  # how long sampling goes on; one point is always measured
SAMPLE = 8  # points, spread over the study
PROBED = 2000  # cells and trainings asked for what they need
BLOCK = 4096  # bytes: what a small file takes


@dataclass(frozen=True)
class Estimate:
    """What a run would do: `missing` of its `points`, `artifacts` to make first; bytes on disk.

    `point_s` are the seconds of a point on one worker, NaN where the sample failed; `artifacts_s` those of all
    artifacts together.
    """

    points: int
    missing: int
    artifacts: int
    point_s: float
    artifacts_s: float
    disk_bytes: int

    @property
    def work_s(self) -> float:
        """Seconds of work on one worker."""
        return self.missing * self.point_s + self.artifacts_s


def estimate(plan: Plan, folder: Path, work: Work) -> Estimate:
    """What `run` would do in `folder`, which is not touched.

    Raises SpecError where the folder could not be used.
    """
    check_folder(plan, folder)
    known = read_shards(folder / SHARDS).results if (folder / SHARDS).is_dir() else {}
    missing = asked_of(plan, missing_points(plan, known))
    if not missing:
        return Estimate(len(plan.points), 0, 0, 0.0, 0.0, 0)
    needed = _artifacts_needed(missing, folder, work)
    with tempfile.TemporaryDirectory() as scratch:
        timed = _measured([missing[len(missing) * i // SAMPLE] for i in range(SAMPLE)], Path(scratch), work)
    point_s = statistics.median(timed.point_s) if timed.point_s else math.nan
    share = needed / max(1, len(timed.asked_for))
    record = 200 + statistics.fmean(len(canonical_json(values)) for values in timed.values) if timed.values else 200
    disk = (
        len(missing)
        * (record + BLOCK * min(1.0, point_s / FLUSH_S if timed.point_s else 1.0))  # a file each, or shared
        + len(plan.points) * 16 * (len(plan.axes) + len(plan.tuned) + 7)  # study.h5: columns of 8 bytes, twice
        + share * timed.artifact_bytes
    )
    return Estimate(len(plan.points), len(missing), needed, point_s, share * sum(timed.artifact_s), round(disk))


@dataclass
class _Timed(Executor):
    """Runs jobs here and writes down how long they took, and the artifacts that points asked for at first."""

    point_s: list[float] = field(default_factory=list)
    artifact_s: list[float] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    asked_for: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    artifact_bytes: int = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """The finished future of one of a scheduler's jobs."""
        future = Here().submit(fn, *args, **kwargs)
        report: Report = future.result()
        if fn is make_artifact:
            self.artifact_s.append(report.seconds)
            return future
        first = {id_: keys for id_, keys in report.blocked.items() if id_ not in self.seen}
        self.asked_for.update(artifact_name(key) for keys in first.values() for key in keys)
        self.seen.update(first)
        if done := len(report.finished) + len(report.failed):
            self.point_s.append(report.seconds / done)
            self.values.extend(report.finished.values())
        return future


def _measured(sample: Sequence[Asked], scratch: Path, work: Work) -> _Timed:
    """The sample, run until SAMPLE_S are over; the first point twice, as the first time loads and compiles."""
    began = time.monotonic()
    timed = _run(sample[:1], scratch / "first", work)
    if time.monotonic() - began < SAMPLE_S / 2:
        began = time.monotonic()
        timed = _Timed()
        for point in sample:
            _run([point], scratch / "again", work, timed)
            if time.monotonic() - began > SAMPLE_S:
                break
    return timed


def _run(points: Sequence[Asked], folder: Path, work: Work, timed: _Timed | None = None) -> _Timed:
    timed = timed or _Timed()
    for name in (SHARDS, ARTIFACTS):
        (folder / name).mkdir(parents=True, exist_ok=True)
    list(Scheduler(folder, work, points, slots=1).settle(timed))
    timed.artifact_bytes = sum(path.stat().st_size for path in (folder / ARTIFACTS).iterdir())
    return timed


class _Nothing(Artifacts):
    """Artifacts of which none is there, so that who asks for one is not evaluated."""

    def _find(self, name: str) -> None:
        del name


def _artifacts_needed(points: Sequence[Asked], folder: Path, work: Work) -> int:
    """How many artifacts points ask for at first that `folder` lacks; of many points an upper bound."""
    groups = [list(group) for _, group in itertools.groupby(points, lambda point: (point.text, point.training))]
    probed = groups[:: -(-len(groups) // PROBED)]
    names: set[str] = set()
    for group in probed:
        replicates = [(point.die, point.read) for point in group]
        try:
            next(iter(work.evaluate(json.loads(group[0].text), group[0].training, replicates, _Nothing(folder))))
        except MissingArtifactsError as missing:
            names.update(artifact_name(key) for key in missing.keys)
        except Exception:  # the run will tell
            continue
        else:  # it needs none, and was evaluated: that is enough of it
            break
    lacking = sum(not (folder / ARTIFACTS / name).exists() for name in names)
    return round(lacking * len(groups) / len(probed))
