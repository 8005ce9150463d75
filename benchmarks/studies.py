"""`python -m benchmarks.studies`: how busy a study keeps workers, and what 100,000 points cost beyond their work."""

from __future__ import annotations

import functools
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from imcsim.experiment.study_file import read_study
from imcsim.study import store
from imcsim.study.axes import Axis, Cell, Replicates
from imcsim.study.plan import Plan
from imcsim.study.run import Progress, run
from imcsim.study.work import Work
from imcsim.study.workers import Workers

WORKERS = 2
POINTS, POINT_S = 1_000, 0.020
LARGE = """
name = "large"
dataset = "iris"
[network]
hidden = [4]
[chip]
device = "sram8t_65nm"
[grid]
"chip.cell.read_noise_rel" = {noises}
"chip.cell.mismatch_sigma_rel" = {mismatches}
"chip.adc.bits" = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
"""


def busy_for(
    config: Mapping[str, Any], training: int, replicates: Sequence[tuple[int, int]], artifacts: store.Artifacts
) -> Iterator[Mapping[str, float]]:
    """Points that last `config["point_s"]`."""
    for die, _ in replicates:
        until = time.perf_counter() + config.get("point_s", 0.0)
        while time.perf_counter() < until:
            pass
        yield {"accuracy": 0.5 + 1e-6 * training + 1e-9 * die, "accuracy_float": 0.9}


def no_artifact(key: Mapping[str, Any], artifacts: store.Artifacts) -> Mapping[str, Any]:
    """These points need none."""
    raise NotImplementedError


WORK = Work(busy_for, no_artifact)


class _EnoughError(BaseException):
    """The study has come half-way."""


def main() -> None:
    """Print the table."""
    shares = [_busy_share() for _ in range(3)]
    print(f"{POINTS} points of {1000 * POINT_S:.0f} ms on {WORKERS} workers, their start included:")
    print(f"  busy {statistics.median(shares):.1%} of the time (median of {', '.join(f'{s:.1%}' for s in shares)})")
    print("100,000 points without work of their own:")
    with tempfile.TemporaryDirectory() as home:
        for line in _large(Path(home)):
            print(f"  {line}", flush=True)
    ours, theirs = (
        resource.getrusage(who).ru_maxrss / 2**20 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(f"  peak memory: {ours:.2f} GiB, of a worker {theirs:.2f} GiB")


def _busy_share() -> float:
    cells = tuple(Cell.of({"chip.adc.bits": n}, {"n": n, "point_s": POINT_S}) for n in range(POINTS))
    plan = Plan(
        name="busy",
        config={"name": "busy"},
        toml="",
        axes=(Axis("chip.adc.bits", tuple(range(POINTS))),),
        cells=cells,
        replicates=Replicates(),
        dataset_sha256="",
        chance=0.1,
        test_samples=400,
        plot=None,
    )
    with tempfile.TemporaryDirectory() as folder:
        seconds, _ = _timed(lambda: _run(plan, Path(folder) / "out"))
    return POINTS * POINT_S / (WORKERS * seconds)


def _large(home: Path) -> Iterator[str]:
    noises, mismatches = ([i / 1000 for i in range(n)] for n in (100, 100))
    (home / "study.toml").write_text(LARGE.format(noises=noises, mismatches=mismatches))
    planned, plan = _timed(lambda: read_study(home / "study.toml"))
    yield f"planned ({len(plan.cells)} cells):                    {planned:5.1f} s"
    halfway, _ = _timed(lambda: _half(plan, home / "out"))
    yield f"run half-way, interrupted and merged:        {halfway:5.1f} s"
    resumed, _ = _timed(lambda: _run(plan, home / "out"))
    yield f"resumed and merged:                          {resumed:5.1f} s"
    again, _ = _timed(lambda: _run(plan, home / "out"))
    yield f"nothing to do:                               {again:5.1f} s"
    yield f"in all:                                      {planned + halfway + resumed + again:5.1f} s"
    _a_file_a_point(plan, home / "files")
    merged, _ = _timed(lambda: _run(plan, home / "files"))
    yield f"merged, with a file for each of the points:  {merged:5.1f} s"


def _half(plan: Plan, folder: Path) -> None:
    def progress(so_far: Progress) -> None:
        if so_far.done > so_far.total // 2:
            raise _EnoughError

    try:
        run(plan, folder, WORK, progress, functools.partial(Workers, WORKERS), WORKERS)
    except _EnoughError:
        return


def _run(plan: Plan, folder: Path) -> None:
    run(plan, folder, WORK, _quiet, functools.partial(Workers, WORKERS), WORKERS)


def _a_file_a_point(plan: Plan, folder: Path) -> None:
    """What a study of long points leaves before it is merged; without waiting for the disk."""
    (folder / store.SHARDS).mkdir(parents=True)
    run(plan, folder, WORK, _quiet, only=[])
    values = {"accuracy": 0.5, "accuracy_float": 0.9}
    for point in plan.points:
        record = {"id": point.id, "training": 0, "die": 0, "read": 0, "values": values}
        (folder / store.SHARDS / f"{point.id}.json").write_bytes(store.sealed({"points": [record]}))


def _quiet(progress: Progress) -> None:
    """Show no progress."""


def _timed(call: Any) -> tuple[float, Any]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    sys.exit(main())
