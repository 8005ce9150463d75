"""Who does what next: points and the artifacts they need, over any Executor, each done once, whoever dies.

An artifact is made when somebody asked for it; who asked waits for it and is then asked again from the start.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from imcsim.study.interrupts import held
from imcsim.study.store import SHARDS, Values, artifact_name, read_shards
from imcsim.study.work import JOB_S, Asked, Failure, Key, Report, Work, evaluate_points, make_artifact

DEATHS = 3  # what kills its worker so often has failed
MOST = 1000  # points of a job
POLL_S = 0.1  # how long an interrupt may wait
HANDED_S = 0.02  # more than twice what a job on a cluster costs this process (docs/scale.md)
UNMEASURED = 16  # points of a job as long as nobody knows how long one lasts


class Settled(NamedTuple):
    """What became of a point: its values, or why it has none."""

    id: str
    values: Values | None = None
    failure: Failure | None = None


class Made(NamedTuple):
    """An artifact that was made, by the name of its file."""

    name: str


class _Job(NamedTuple):
    """What a worker is given: points, or one artifact to make. `asked` counts the artifacts that were made by then."""

    points: tuple[Asked, ...] = ()
    artifact: str = ""
    asked: int = 0


@dataclass(eq=False)
class _Waiting:
    """A job that cannot go on before the artifacts `missing` are there; points know their `order` in the study."""

    job: _Job
    missing: set[str]
    order: int = 0


class Scheduler:
    """Settles `points`, at most `slots` jobs at a time.

    `known_shards` are the names of those that have been read; `damaged` gathers the names of damaged artifacts, `died`
    counts workers.
    """

    def __init__(
        self, folder: Path, work: Work, points: Sequence[Asked], slots: int, known_shards: Iterable[str] = ()
    ) -> None:
        self.known_shards = set(known_shards)
        self.damaged: set[str] = set()
        self.died = 0
        self._folder, self._work, self._slots = folder, work, slots
        groups = itertools.groupby(points, lambda point: (point.training, point.text))
        # points of one cell and training need the same artifacts and share what they set up
        self._ready = [(order, deque(group)) for order, (_, group) in enumerate(groups)]
        self._order = {point.id: order for order, group in self._ready for point in group}
        self._first: deque[_Job] = deque()  # what goes first: artifacts, and points whose worker died
        self._waiting: dict[str, list[_Waiting]] = {}
        self._keys: dict[str, Key] = {}
        self._made: dict[str, int] = {}  # name -> how many were made before it
        self._lost: dict[str, Failure] = {}
        self._deaths: Counter[str] = Counter()  # of points and artifacts that had a worker to themselves
        self._suspects: set[str] = set()  # points whose worker died: each gets a worker to itself
        self._point_s = math.nan
        self._unmeasured = 1
        self._left = len(points)

    def settle(self, executor: Executor) -> Iterator[Settled | Made]:
        """What becomes of each point on `executor`, as soon as it is known; what is finished is on disk by then.

        Raises StorageError where results cannot be kept, and whatever else goes wrong outside the points.
        """
        running: dict[Future[Report], _Job] = {}
        try:
            while True:
                self._slots = getattr(executor, "slots", self._slots)  # a cluster grows and shrinks
                while len(running) < self._slots and (job := self._next()):
                    running[self._submit(executor, job)] = job._replace(asked=len(self._made))
                if not running:
                    break
                with held():  # each of the futures has a lock
                    done = wait(running, timeout=POLL_S, return_when=FIRST_COMPLETED).done
                for future in done:
                    for settled in self._collected(running.pop(future), future):
                        self._left -= isinstance(settled, Settled)
                        yield settled
        finally:
            for future in running:
                future.cancel()
        yield from self._stuck()

    def _next(self) -> _Job | None:
        if self._first:
            return self._first.popleft()
        taken: list[Asked] = []
        room = self._room()
        while self._ready and len(taken) < room:
            _, group = self._ready[0]
            while group and len(taken) < room:
                taken.append(group.popleft())
            if not group:
                heapq.heappop(self._ready)
        return _Job(tuple(taken)) if taken else None

    def _room(self) -> int:
        """How many points the next job takes: so many that it lasts, fewer at the end, so that all end together."""
        most = self._unmeasured if math.isnan(self._point_s) else self._job_s / max(self._point_s, self._job_s / MOST)
        return max(1, min(int(most), math.ceil(self._left / (2 * self._slots))))

    def _submit(self, executor: Executor, job: _Job) -> Future[Report]:
        if job.artifact:
            return executor.submit(make_artifact, self._folder, self._work, job.artifact, self._keys[job.artifact])
        return executor.submit(evaluate_points, self._folder, self._work, job.points, self._job_s)

    @property
    def _job_s(self) -> float:
        """How long a job should last, so that one process can keep all slots busy."""
        return max(JOB_S, HANDED_S * self._slots)

    def _collected(self, job: _Job, future: Future[Report]) -> Iterator[Settled | Made]:
        try:
            with held():
                report = future.result()
        except BrokenExecutor as error:
            yield from self._after_death(job, error)
            return
        self.known_shards.update(report.shards)
        self.damaged.update(report.damaged)
        if job.artifact:
            yield from self._artifact_done(job, report)
            return
        done = len(report.finished) + len(report.failed)
        if done:
            each = report.seconds / done
            self._point_s = each if math.isnan(self._point_s) else (self._point_s + each) / 2
        else:
            self._unmeasured = min(2 * self._unmeasured, UNMEASURED)
        yield from (Settled(id_, values=values) for id_, values in report.finished.items())
        yield from (Settled(id_, failure=failure) for id_, failure in report.failed.items())
        settled = {*report.finished, *report.failed, *report.blocked}
        for point in job.points:  # what the worker gave back, as its job grew long
            if point.id not in settled:
                heapq.heappush(self._ready, (self._order[point.id], deque([point])))
        blocked = (point for point in job.points if point.id in report.blocked)
        for order, group in itertools.groupby(blocked, lambda point: self._order[point.id]):
            points = tuple(group)
            yield from self._wait(job._replace(points=points), report.blocked[points[0].id], order)

    # Deaths

    def _after_death(self, job: _Job, error: BaseException) -> Iterator[Settled | Made]:
        """Points that are on disk are finished; each of the others is tried again with a worker to itself."""
        deaths = getattr(error, "deaths", 1)
        self.died += deaths
        why = Failure.of(error)
        told = f"its worker died {DEATHS} times: killed from outside, out of memory, or crashed ({why.error})"
        if job.artifact:
            self._deaths[job.artifact] += deaths
            if self._deaths[job.artifact] < DEATHS:
                self._first.append(job)
            else:
                yield from self._fail_artifact(job.artifact, Failure(told, why.traceback))
            return
        found = read_shards(self._folder / SHARDS, but=self.known_shards)
        for point in job.points:
            self._deaths[point.id] += deaths if len(job.points) == 1 else 0  # of several nobody knows which it was
            self._suspects.add(point.id)
            if point.id in found.results:
                yield Settled(point.id, values=found.results[point.id])
            elif self._deaths[point.id] < DEATHS:
                self._first.append(_Job((point,)))
            else:
                yield Settled(point.id, failure=Failure(told, why.traceback))

    # Artifacts

    def _artifact_done(self, job: _Job, report: Report) -> Iterator[Settled | Made]:
        name = job.artifact
        if name in report.blocked:
            yield from self._wait(job, report.blocked[name])
        elif name in report.failed:
            yield from self._fail_artifact(name, report.failed[name])
        else:
            self._made[name] = len(self._made)
            yield Made(name)
            for waiting in self._waiting.pop(name, []):
                waiting.missing.discard(name)
                if not waiting.missing:
                    self._again(waiting)

    def _again(self, waiting: _Waiting) -> None:
        if waiting.job.artifact or self._suspects.intersection(point.id for point in waiting.job.points):
            self._first.append(waiting.job)
        else:
            heapq.heappush(self._ready, (waiting.order, deque(waiting.job.points)))

    def _wait(self, job: _Job, keys: Iterable[Key], order: int = 0) -> Iterator[Settled | Made]:
        """Let `job` wait for the artifacts of `keys`, and see that they are made; its end where one cannot be had."""
        waiting = _Waiting(job, set(), order)
        for name, key in {artifact_name(key): key for key in keys}.items():
            failure = self._lost.get(name)
            if name in self._made:
                if self._made[name] >= job.asked:
                    continue  # made after the job had begun, and looked for it
                failure = Failure(f"artifact {name}: was made and is not there", "")
            if failure:
                yield from self._fail(job, failure)
                return
            waiting.missing.add(name)
            if name not in self._keys:
                self._keys[name] = key
                self._first.append(_Job(artifact=name))
        for name in waiting.missing:
            self._waiting.setdefault(name, []).append(waiting)
        if not waiting.missing:
            self._again(waiting)

    def _fail_artifact(self, name: str, failure: Failure) -> Iterator[Settled | Made]:
        self._lost[name] = failure
        for waiting in self._waiting.pop(name, []):
            for other in waiting.missing - {name}:
                if other in self._waiting:
                    self._waiting[other].remove(waiting)
            yield from self._fail(waiting.job, failure)

    def _fail(self, job: _Job, failure: Failure) -> Iterator[Settled | Made]:
        if job.artifact:
            yield from self._fail_artifact(job.artifact, failure)
        yield from (Settled(point.id, failure=failure) for point in job.points)

    def _stuck(self) -> Iterator[Settled | Made]:
        """Nothing runs any more: who waits still, waits for itself."""
        while self._waiting:
            name = next(iter(self._waiting))
            yield from self._fail_artifact(name, Failure(f"artifact {name}: needs itself", ""))
