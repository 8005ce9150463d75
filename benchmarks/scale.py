"""`python -m benchmarks.scale`: what a point and a job cost beside the work itself, for docs/scale.md."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from imcsim.study.axes import Axis, Cell, Replicates
from imcsim.study.cluster import LOCAL, Cluster
from imcsim.study.merge import study_file
from imcsim.study.plan import Plan
from imcsim.study.run import asked_of, missing_points
from imcsim.study.schedule import Scheduler
from imcsim.study.store import ARTIFACTS, SHARDS, read_shards, write_shard
from imcsim.study.work import Report, Work

POINTS = (100_000, 1_000_000)
REPLICATES = 10  # of each cell
SLOTS = 1000
JOBS = 2000
VALUES = {"accuracy": 0.9512, "accuracy_float": 0.9721}


def plan_of(points: int) -> Plan:
    """A study of so many points, REPLICATES a cell, each cell with the text of a small configuration."""
    cells = points // REPLICATES
    axis = Axis("chip.adc.bits", tuple(range(cells)))
    text = "x" * 2000
    return Plan(
        name="scale",
        config={"name": "scale"},
        toml="",
        axes=(axis,),
        cells=tuple(Cell.of({axis.path: n}, {"n": n, "rest": text}) for n in axis.values),
        replicates=Replicates(dies=REPLICATES),
        dataset_sha256="",
        chance=0.1,
        test_samples=400,
        plot=None,
    )


class Echo(Executor):
    """A thousand workers that answer at once, as if each point had taken a second."""

    slots = SLOTS

    def __init__(self) -> None:
        self.jobs = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """The finished future of a job's report."""
        del fn, kwargs
        self.jobs += 1
        points = args[2]
        report = Report(finished={point.id: VALUES for point in points}, seconds=float(len(points)))
        future: Future[Any] = Future()
        future.set_result(report)
        return future


def measured(points: int) -> None:
    """Print what so many points cost the process that hands them out."""
    base = _gib()
    started = time.perf_counter()
    plan = plan_of(points)
    each = len(plan.points)
    print(f"{each} points of {len(plan.cells)} cells: planned in {_since(started)}, {_gib() - base:.2f} GiB")
    work, echo = Work(print, print), Echo()  # type: ignore[arg-type]  # nobody calls them
    with tempfile.TemporaryDirectory() as home:
        for name in (SHARDS, ARTIFACTS):
            (Path(home) / name).mkdir()
        started = time.perf_counter()
        asked = asked_of(plan, missing_points(plan, {}))
        scheduler = Scheduler(Path(home), work, asked, SLOTS)
        settled = {one.id: VALUES for one in scheduler.settle(echo)}  # type: ignore[union-attr]
        spent = time.perf_counter() - started
        print(
            f"  handed out to {SLOTS} workers in {echo.jobs} jobs: {spent:.1f} s, {1e6 * spent / each:.0f} us a point"
        )
        started = time.perf_counter()
        for start in range(0, each, 1000):
            records = [
                {"id": p.id, "training": 0, "die": p.die, "read": 0, "values": VALUES}
                for p in plan.points[start:][:1000]
            ]
            write_shard(Path(home) / SHARDS, records)
        print(f"  1000 points a shard: written in {_since(started)}")
        size = sum(path.stat().st_size for path in (Path(home) / SHARDS).iterdir())
        started = time.perf_counter()
        found = read_shards(Path(home) / SHARDS)
        print(f"  read again: {_since(started)}; {size / each:.0f} bytes a point")
        started = time.perf_counter()
        data = study_file(plan, found.results or settled, frozenset())
        print(f"  merged: {_since(started)}; {len(data) / each:.0f} bytes a point; peak {_gib():.2f} GiB")


def job_cost() -> None:
    """Print what a job costs on a Dask cluster."""
    with tempfile.TemporaryDirectory() as home, Cluster(LOCAL, 2) as cluster:
        folder = Path(home)
        for name in (SHARDS, ARTIFACTS):
            (folder / name).mkdir()
        cluster.submit(nothing, folder).result()
        started = time.perf_counter()
        for _ in range(100):
            cluster.submit(nothing, folder).result()
        alone = (time.perf_counter() - started) / 100
        started = time.perf_counter()
        for future in [cluster.submit(nothing, folder) for _ in range(JOBS)]:
            future.result()
        each = (time.perf_counter() - started) / JOBS
    print(f"a job on Dask: {1000 * alone:.1f} ms from asking to answer, {1000 * each:.2f} ms of {JOBS} at once")


def nothing(folder: Path) -> Report:
    """A job without work."""
    del folder
    return Report()


def _gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _since(started: float) -> str:
    return f"{time.perf_counter() - started:.1f} s"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measured(int(sys.argv[1]))
    else:
        job_cost()
        for count in POINTS:  # each in a process of its own, whose memory is its own
            subprocess.run([sys.executable, "-m", "benchmarks.scale", str(count)], check=True)
