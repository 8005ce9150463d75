"""What a worker does with the points it is given: evaluate them one by one, keep what is finished, report the rest."""

from __future__ import annotations

import itertools
import json
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor
from dataclasses import dataclass, field
from pathlib import Path
from pickle import PickleError
from typing import Any, NamedTuple

from imcsim.errors import StorageError
from imcsim.study.interrupts import raise_lost
from imcsim.study.store import ARTIFACTS, SHARDS, Artifacts, MissingArtifactsError, Values, checked_values, write_shard

# Results younger than this wait for others, to share a file with them: what a killed worker may lose.
FLUSH_S = 0.05

# What a job should last at least: long beside handing it out, short beside a study.
JOB_S = 0.5

Key = Mapping[str, Any]

# evaluate(config, training, [(die, read), ...], artifacts) -> the values of each (die, read), as they are found
Evaluate = Callable[[Mapping[str, Any], int, Sequence[tuple[int, int]], Artifacts], Iterable[Values]]
# make(key, artifacts) -> the content of the artifact that the key determines
Make = Callable[[Key, Artifacts], Mapping[str, Any]]


class Work(NamedTuple):
    """What a study is about: two functions of a module, so that a worker process finds them by name.

    `evaluate` yields for each (die, read) at least the floats accuracy and accuracy_float, None where the weights have
    no counterpart in float; `stopped` where its training was cut short by the study's rule, `diverged_at` with the
    epoch where it diverged, `refused` with the reason where it could not begin, and no accuracies, `tuned` with the
    values that tuning found, `extrapolated` where a device model was used beyond what it was measured for; and the
    quantities that its plan declares (study.quantities). Both may call for artifacts that are not there yet: what they
    need is made first, then they are called again from the start.
    """

    evaluate: Evaluate
    make: Make


def check_loads(executor: Executor, folder: Path, work: Work) -> None:
    """Raise OSError where the workers of `executor` cannot load `work`: better once than at every point."""
    remedy = 'put its functions into a module, and guard a script with `if __name__ == "__main__":`; or use one worker'
    for _ in range(3):
        try:
            executor.submit(_loaded, folder, work).result()
        except BrokenExecutor as error:
            died = error
        except (PickleError, AttributeError, TypeError, ImportError) as error:
            raise OSError(f"workers cannot load what they are to evaluate ({error}); {remedy}") from error
        else:
            return
    raise OSError(f"workers die when they load what they are to evaluate; {remedy}") from died


def _loaded(folder: Path, work: Work) -> Report:
    """A job that a worker can be given only if it has loaded `work`; as all jobs, it begins with the study's folder."""
    del folder, work
    return Report()


class Asked(NamedTuple):
    """A point as a worker needs it."""

    id: str
    text: str  # the configuration of its cell
    training: int
    die: int
    read: int


class Failure(NamedTuple):
    """What went wrong, as text: exceptions do not all survive the way between processes."""

    error: str
    traceback: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """`error` in a line, and with its traceback."""
        return cls(f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error)))


@dataclass
class Report:
    """What became of the points or the artifact of one job, by id or name; `seconds` is the time it took.

    Points it does not speak of were not begun.
    """

    finished: dict[str, Values] = field(default_factory=dict)
    failed: dict[str, Failure] = field(default_factory=dict)
    blocked: dict[str, tuple[Key, ...]] = field(default_factory=dict)
    shards: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, later: Report) -> None:
        """Take in what became of the rest of the same job."""
        self.finished |= later.finished
        self.failed |= later.failed
        self.blocked |= later.blocked
        self.shards += later.shards
        self.damaged += later.damaged
        self.seconds += later.seconds


def evaluate_points(folder: Path, work: Work, points: Sequence[Asked], job_s: float) -> Report:
    """Evaluate `points` in order; what is finished is on disk when this returns, or is interrupted.

    They should last `job_s`; what is left after four times as long is left to others. Raises StorageError where
    results cannot be kept.
    """
    report, started = Report(), time.monotonic()
    artifacts = Artifacts(folder / ARTIFACTS, report.damaged)
    with _Shards(folder / SHARDS, report) as shards:
        evaluation = _Evaluation(work, artifacts, shards, report, until=started + 4 * job_s)
        for (text, training), group in itertools.groupby(points, lambda point: (point.text, point.training)):
            evaluation.group(text, training, list(group))
            if evaluation.is_over():
                break
    report.seconds = time.monotonic() - started
    return report


def make_artifact(folder: Path, work: Work, name: str, key: Key) -> Report:
    """Make the artifact of `key`, whose file is called `name`."""
    report, started = Report(), time.monotonic()
    artifacts = Artifacts(folder / ARTIFACTS, report.damaged)
    try:
        artifacts.put(key, work.make(key, artifacts))
    except MissingArtifactsError as missing:
        report.blocked[name] = missing.keys
    except StorageError:
        raise
    except (Exception, SystemExit) as error:
        raise_lost()
        report.failed[name] = Failure.of(error)
    else:
        report.finished[name] = {}
        raise_lost()
    report.seconds = time.monotonic() - started
    return report


class _Shards:
    """Writes results to shards: each as soon as it is older than FLUSH_S, the last ones at the end."""

    def __init__(self, folder: Path, report: Report) -> None:
        self.folder = folder
        self.report = report
        self.waiting: list[dict[str, Any]] = []
        self.flushed = time.monotonic()

    def __enter__(self) -> _Shards:
        return self

    def keep(self, point: Asked, values: Values) -> None:
        replicate = {"training": point.training, "die": point.die, "read": point.read}
        self.waiting.append({"id": point.id, **replicate, "values": values})
        if time.monotonic() - self.flushed >= FLUSH_S:
            self.flush()

    def flush(self) -> None:
        if self.waiting:
            self.report.shards.append(write_shard(self.folder, self.waiting))
            self.report.finished.update((point["id"], point["values"]) for point in self.waiting)
            self.waiting = []
        self.flushed = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.flush()


@dataclass(frozen=True)
class _Evaluation:
    """Evaluates the points of one job, no further than `until`, a time of the monotonic clock."""

    work: Work
    artifacts: Artifacts
    shards: _Shards
    report: Report
    until: float

    def group(self, text: str, training: int, points: list[Asked]) -> None:
        """Evaluate points of one cell and training; after one that fails, the rest is asked for anew."""
        config = json.loads(text)
        while points:
            asked = [(point.die, point.read) for point in points]
            try:
                for values in _checked(self.work.evaluate(config, training, asked, self.artifacts), len(asked)):
                    self.shards.keep(points.pop(0), values)
                    raise_lost()
                    if self.is_over():
                        return
            except MissingArtifactsError as missing:
                self.report.blocked.update((point.id, missing.keys) for point in points)
                return
            except StorageError:
                raise
            except (Exception, SystemExit) as error:  # nobody but the user ends a study
                raise_lost()  # which may well be why
                if not points:
                    raise
                self.report.failed[points.pop(0).id] = Failure.of(error)
                if self.is_over():
                    return

    def is_over(self) -> bool:
        """Whether the job has lasted long enough."""
        return time.monotonic() > self.until


def _checked(results: Iterable[Values], count: int) -> Iterable[Values]:
    """Each of `results` as it will be read back; ValueError where one is none, or they are not `count`."""
    given = 0
    for values in results:
        given += 1
        if given > count:
            break
        yield checked_values(values)
    if given != count:
        raise ValueError(f"evaluate: gave {'more' if given > count else given} results for {count} points")
