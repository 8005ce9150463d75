"""Run a plan: evaluate what is missing, keep each result at once, merge them all."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from imcsim.errors import StorageError
from imcsim.study.adapt import adapted, begun
from imcsim.study.failures import Failures
from imcsim.study.folder import check_folder, note_extent, open_folder, recorded
from imcsim.study.interrupts import remembered
from imcsim.study.lock import locked
from imcsim.study.merge import study_file
from imcsim.study.plan import Plan, Point
from imcsim.study.schedule import Made, Scheduler, Settled
from imcsim.study.store import ARTIFACTS, SHARDS, Values, read_shards, remove_temporary, write_atomic
from imcsim.study.work import Asked, Work, check_loads
from imcsim.study.workers import Here

SAVE_S = 5.0  # how old the record of failures may grow while a run lasts
MERGE_S = 30.0  # how old study.h5 may grow, where merging takes a twentieth of it at most


class Progress(NamedTuple):
    """How far a run is: points that are done, found on disk included, of all; artifacts that it has made."""

    done: int
    total: int
    artifacts: int


@dataclass(frozen=True)
class Outcome:
    """What a run did: of its `points`, computed + reused + failed + missing, and the files it found damaged.

    A point counts as reused where its result was on disk or is that of another point of the same configuration, as
    missing where it was not asked for. `deaths` are those of workers; `left_behind` is who held the folder's lock and
    died. `plan` is what came of the study, where its results had a say in it.
    """

    points: int
    computed: int
    reused: int
    failed: int
    missing: int = 0
    damaged: tuple[str, ...] = ()
    deaths: int = 0
    left_behind: Mapping[str, Any] | None = None
    plan: Plan | None = field(default=None, compare=False, repr=False)


def run(
    plan: Plan,
    folder: Path,
    work: Work,
    progress: Callable[[Progress], None],
    start: Callable[[], Executor] = Here,
    slots: int = 1,
    only: Collection[str] | None = None,
) -> Outcome:
    """Evaluate the points of `plan` that `folder` lacks, and merge all results into its study.h5.

    `start()` gives the Executor, which takes up to `slots` jobs at a time, or as many as its own attribute `slots` says
    at any time; the default does all in this process. `only` are the ids of points to which the run is confined. What
    fails with an Exception is recorded in failures.jsonl and the rest goes on; the next run tries it again. `progress`
    is called before the first point is evaluated, and whenever something is done. What the plan makes of its results
    (study.adapt) is evaluated, too. An interrupt ends the run: what is
    finished is kept, and nothing has failed by it.

    Raises SpecError where the folder is another study's or in use, StorageError where results cannot be kept, OSError
    where workers do not start or cannot load `work`.
    """
    check_folder(plan, folder)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder) as left_behind:
        check_folder(plan, folder)  # what it held a moment ago was nobody's promise
        open_folder(plan, folder)
        going = _Run(begun(plan, only), folder, progress, only)
        known = len(going.results)
        deaths, damaged = 0, set[str]()
        try:
            missing = going.missing()
            going.tell()
            if missing:
                with remembered(), start() as executor, recorded(folder, getattr(executor, "circumstances", {})):
                    check_loads(executor, folder, work)
                    while missing:
                        scheduler = Scheduler(folder, work, asked_of(going.plan, missing), slots, going.shards)
                        going.shards = scheduler.known_shards  # which grow
                        going.follow(scheduler.settle(executor))
                        deaths, damaged = deaths + scheduler.died, damaged | scheduler.damaged
                        missing = going.missing()
        except StorageError:
            raise  # more writing would fail as well; what is finished is there
        except BaseException:
            going.shards = set()  # some may have been reported and not heard
            going.merge()  # so that it can be shown
            raise
        going.merge()
        going.remove_damaged()
    plan = going.plan
    failed = going.failures.ids if only is None else going.failures.ids & frozenset(only)
    computed, failures = len(going.results) - known, going.count(failed)
    reused = going.count(going.results) - computed
    found = [f"{SHARDS}/{name}" for name in going.damaged] + [f"{ARTIFACTS}/{name}" for name in sorted(damaged)]
    absent = len(plan.points) - computed - reused - failures
    return Outcome(len(plan.points), computed, reused, failures, absent, tuple(found), deaths, left_behind, plan)


class _Run:
    """What is known while a run lasts: results, failures, which shards they are from, and what is asked for so far."""

    def __init__(
        self, plan: Plan, folder: Path, progress: Callable[[Progress], None], only: Collection[str] | None
    ) -> None:
        self.plan, self.folder, self._only = plan, folder, only
        found = read_shards(folder / SHARDS)
        self.results, self.shards, self.damaged = found.results, set(found.sound), found.damaged
        self.failures = Failures(folder, plan)
        self.failures.settle(self.results)
        self._progress = progress
        self._tried: set[str] = set()
        self._artifacts = 0
        self._take(plan)

    def missing(self) -> list[Point]:
        """The points to evaluate next; where none is missing, those that the results so far call for.

        None is given twice: what failed will be tried again by the next run.
        """
        while True:
            missing = [one for one in missing_points(self.plan, self.results) if one.id not in self._tried]
            asked = missing if self._only is None else [point for point in missing if point.id in self._only]
            self._tried.update(point.id for point in asked)
            plan = self.plan if missing else adapted(self.plan, self.results)
            if plan is self.plan:
                return asked
            self._take(plan)
            note_extent(plan, self.folder)

    def _take(self, plan: Plan) -> None:
        self.plan = plan
        self._sharing = Counter(point.id for point in plan.points)
        self._done = self.count(self.results)

    def follow(self, outcomes: Iterable[Settled | Made]) -> None:
        """Keep account of what becomes of points, and let the files follow from time to time."""
        places = {point.id: point for point in self.plan.points}
        saved = merged = time.monotonic()
        merge_s = MERGE_S
        for outcome in outcomes:
            if isinstance(outcome, Made):
                self._artifacts += 1
            else:
                if outcome.values is not None:
                    self.results[outcome.id] = outcome.values
                    self.failures.settle([outcome.id])
                if outcome.failure is not None:
                    self.failures.add(outcome.id, outcome.failure, _whereabouts(self.plan, places[outcome.id]))
                self._done += self._sharing[outcome.id]
            now = time.monotonic()
            if now - saved > SAVE_S:
                self.failures.save()
                saved = now
            if now - merged > merge_s:
                self._write()
                merged = time.monotonic()
                merge_s = max(MERGE_S, 20 * (merged - now))
            self.tell()

    def tell(self) -> None:
        """Report progress."""
        self._progress(Progress(self._done, len(self.plan.points), self._artifacts))

    def merge(self) -> None:
        """Write study.h5 and the record of failures, of all that is on disk."""
        late = read_shards(self.folder / SHARDS, but=self.shards)  # finished, and not reported before an interrupt
        self.results.update(late.results)
        self.failures.settle(late.results)
        remove_temporary(self.folder / SHARDS)  # of workers that were killed
        remove_temporary(self.folder / ARTIFACTS)
        self.failures.save()
        self._write()

    def _write(self) -> None:
        path, data = self.folder / "study.h5", study_file(self.plan, self.results, self.failures.ids)
        if not path.exists() or path.read_bytes() != data:
            write_atomic(path, data)

    def remove_damaged(self) -> None:
        """Delete damaged shards that are not whole again: their points have been done in others, and it is told."""
        for name in read_shards(self.folder / SHARDS, but=self.shards).damaged:
            (self.folder / SHARDS / name).unlink()

    def count(self, ids: Collection[str]) -> int:
        """How many points of the plan have one of these ids."""
        return sum(self._sharing[id_] for id_ in ids)


def missing_points(plan: Plan, results: Mapping[str, Values]) -> list[Point]:
    """The points still to be evaluated; each id once, however many cells share it."""
    asked = {point.id: point for point in reversed(plan.points) if point.id not in results}
    # trainings outermost: a study cut short has the whole grid, with fewer trainings
    return sorted(asked.values(), key=lambda point: (point.training, point.cell, point.die, point.read))


def asked_of(plan: Plan, points: Sequence[Point]) -> list[Asked]:
    """`points` as workers are asked for them."""
    return [Asked(point.id, plan.cells[point.cell].text, point.training, point.die, point.read) for point in points]


def _whereabouts(plan: Plan, point: Point) -> dict[str, Any]:
    """Which point it is, in the study's own words."""
    replicate = {"training": point.training, "die": point.die, "read": point.read}
    return {**plan.cells[point.cell].coordinates, **replicate}
