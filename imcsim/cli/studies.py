"""The commands that take a study file: run it, say what a run would take, check it."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import json
import math
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imcsim.cli.codes import DONE, SOME_FAILED
from imcsim.errors import SpecError

if TYPE_CHECKING:
    from imcsim.study.plan import Plan, Point
    from imcsim.study.run import Progress
    from imcsim.study.table import StudyTable

MOST_WORKERS = 1024
QUIET_S = 30.0  # without a line of progress


def run(options: argparse.Namespace) -> int:
    from imcsim.experiment.evaluate import WORK
    from imcsim.experiment.study_file import read_study
    from imcsim.figures import figures_are_current, figures_left_out, study_figures
    from imcsim.study import run as running
    from imcsim.study.needed import format_needed, needed
    from imcsim.study.summary import format_summary
    from imcsim.study.table import read_table
    from imcsim.study.yields import format_yields, yields

    workers = _workers(options)
    plan = read_study(options.study, options.set, quick=options.quick)
    _warn(plan)
    folder: Path = options.out or Path("results") / plan.name
    if options.dry_run and options.only is not None:
        raise SpecError.of("--dry-run", "tells of whole studies", f"--only {options.only}", "leave one of them out")
    if options.dry_run:
        return _dry_run(plan, folder, workers, as_json=options.json)
    chosen = None if options.only is None else _point(plan, options.only)
    start = _executor(options, workers)
    _interrupt_on_sigterm()
    with _progress(plan) as progress, _profile(folder, wanted=options.profile):
        outcome = running.run(plan, folder, WORK, progress, start, workers, chosen and [chosen.id])
    if outcome.left_behind:
        told = "process {pid} on {host}, since {since}".format(**outcome.left_behind)
        print(f"imcsim: {folder} was left behind by a run that died ({told}); taken up from there", file=sys.stderr)
    if outcome.deaths:
        print(f"imcsim: {outcome.deaths} workers died; their points ran again", file=sys.stderr)
    for name in outcome.damaged:
        print(f"imcsim: {folder / name} was damaged and made again", file=sys.stderr)
    results = folder / "study.h5"
    table = read_table(results)
    written = [] if figures_are_current(table, folder, results) else [str(p) for p in study_figures(table, folder)]
    if left_out := figures_left_out(table):
        told = f"{left_out} more combinations of what is swept have no figure"
        print(f"imcsim: {told}: give [plot] a series, or sweep less at once", file=sys.stderr)
    summary = table.summary()
    good = None if summary.yields is None else yields(summary, summary.yields)
    wanted = None if summary.searched is None else needed(summary, summary.searched.asked)
    if options.json:
        counts = {name: getattr(outcome, name) for name in ("points", "computed", "reused", "failed", "missing")}
        beside = {} if good is None else {"yield": good.plain()}
        beside |= {} if wanted is None else {"needed": wanted.plain()}
        print(json.dumps({"folder": str(folder), **counts, **summary.plain(), **beside}, indent=1))
    else:
        print(format_summary(summary) if chosen is None else _result_of(outcome.plan or plan, chosen, table))
        if good is not None and chosen is None:
            print(format_yields(good))
        if wanted is not None and chosen is None:
            print(format_needed(wanted))
        if outcome.computed + outcome.failed + outcome.missing == 0:
            print(f"\nNothing to do: all {outcome.points} points were in {folder}")
        else:
            missing = f", {outcome.missing} missing" if outcome.missing else ""
            print(f"\n{outcome.computed} points computed, {outcome.reused} reused, {outcome.failed} failed{missing}")
        print("\n".join([str(results), *written]))
    if outcome.failed:
        print(f"imcsim: {outcome.failed} points failed: {folder / 'failures.jsonl'} says why", file=sys.stderr)
    return SOME_FAILED if outcome.failed else DONE


def check(options: argparse.Namespace) -> int:
    from imcsim.experiment.study_file import read_study

    plan = read_study(options.study, options.set, quick=options.quick)
    _warn(plan)
    count = plan.replicates
    if options.json:
        points = [{**plan.cells[p.cell].coordinates, **p._asdict(), "cell": p.cell} for p in plan.points]
        print(json.dumps({"config": plan.config, "points": len(points), "list": points}, indent=1))
        return DONE
    print(f"{plan.name}: sound")
    for axis in plan.axes:
        print(f"  {axis.path}: {_listed([str(value) for value in axis.coordinates()])}")
    trainings = sorted({cell.trainings or count.trainings for cell in plan.cells})
    many = " or ".join(map(str, trainings))
    dies = "a die of its own each" if count.own_dies else f"{count.dies} dies"
    print(f"  {len(plan.cells)} cells x {many} trainings x {dies} x {count.reads} reads = {len(plan.points)} points")
    for reason, cells in Counter(gap.reason for gap in plan.gaps).items():
        print(f"  {cells} cells cannot be: {reason}")
    if plan.search is not None:
        print(f"  at most so many: a search along {plan.search.along} evaluates the cells that it needs")
    if count.target_ci is not None:
        print(f"  and more where an interval is wider than {100 * count.target_ci:g} points to either side")
    for note in plan.notes:
        print(f"  {note}")
    return DONE


def _listed(values: list[str]) -> str:
    """Values in a line: the first and the last where they are many."""
    if len(values) <= 20:
        return ", ".join(values)
    return f"{', '.join(values[:5])}, ..., {values[-1]} ({len(values)} values)"


def _workers(options: argparse.Namespace) -> int:
    """How many processes to use; SpecError where the options contradict each other."""
    from imcsim.study.workers import physical_cores

    if options.workers is not None and not 1 <= options.workers <= MOST_WORKERS:
        allowed = f"must be an integer from 1 to {MOST_WORKERS}"
        raise SpecError.of("--workers", allowed, given=str(options.workers))
    if options.profile and options.workers not in (None, 1):
        raise SpecError.of("--profile", "watches one process", f"--workers {options.workers}", "leave one of them out")
    if options.scheduler is not None:
        _check_scheduler(options)
    elif options.insecure:
        raise SpecError.of("--insecure", "is of schedulers", remedy="name one: --scheduler tcp://HOST:PORT")
    return 1 if options.profile else options.workers or physical_cores()


def _check_scheduler(options: argparse.Namespace) -> None:
    """Raise SpecError where the cluster asked for cannot be, or contradicts other options."""
    from imcsim.study.cluster import LOCAL, check_scheduler

    check_scheduler(options.scheduler, insecure=options.insecure)
    others = {"--profile": options.profile, "--dry-run": options.dry_run, "--only": options.only is not None}
    if options.scheduler != LOCAL:
        others["--workers"] = options.workers is not None
    if beside := [name for name, given in others.items() if given]:
        told = f"has no meaning together with {' and '.join(beside)}"
        raise SpecError.of("--scheduler", told, options.scheduler, "leave one of them out")


def _executor(options: argparse.Namespace, workers: int) -> Callable[[], Executor]:
    """What runs the points: this process, processes of this machine, or a cluster."""
    from imcsim.study.workers import Here, Workers

    if options.scheduler is not None:
        from imcsim.study.cluster import Cluster

        return functools.partial(Cluster, options.scheduler, workers)
    return Here if workers == 1 or options.only is not None else functools.partial(Workers, workers)


def _dry_run(plan: Plan, folder: Path, workers: int, *, as_json: bool) -> int:
    from imcsim.experiment.evaluate import WORK
    from imcsim.study.estimate import estimate

    print(f"imcsim: measuring a few points of {plan.name}", file=sys.stderr, flush=True)
    found = estimate(plan, folder, WORK)
    if as_json:
        told = {"workers": workers, **dataclasses.asdict(found), "work_s": found.work_s}
        print(json.dumps({name: None if _is_nan(value) else value for name, value in told.items()}, indent=1))
        return DONE
    most = "at most " if plan.search is not None else ""
    least = " or more" if plan.replicates.target_ci is not None else ""
    print(f"{plan.name}: {most}{found.missing}{least} of {found.points} points to do in {folder}")
    if found.missing:
        print(
            f"  a point: {_duration(found.point_s)}; {found.artifacts} artifacts: {_duration(found.artifacts_s)} in all"
        )
        print(f"  expected: {_duration(found.work_s / workers)} on {workers} workers, {found.disk_bytes / 1e6:.1f} MB")
    return DONE


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _duration(seconds: float) -> str:
    if math.isnan(seconds):
        return "unknown, the sample failed"
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    if seconds < 100:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 6000 else f"{seconds / 3600:.3g} h"


def _point(plan: Plan, start: str) -> Point:
    """The point whose id begins so."""
    found = {point.id: point for point in plan.points if point.id.startswith(start.lower())}
    if len(found) != 1 or not start:
        several = f"{len(found)} points begin so" if found else "no point of this study has this id"
        remedy = "failures.jsonl and `imcsim check --json` tell the ids"
        raise SpecError.of("--only", several, given=f'"{start}"', remedy=remedy)
    return next(iter(found.values()))


def _result_of(plan: Plan, point: Point, table: StudyTable) -> str:
    """One point in words: where it stands, and its accuracies."""
    from imcsim.study.merge import tuned_name

    place = plan.points.index(point)
    replicate = {"training": point.training, "die": point.die, "read": point.read}
    at = {**plan.cells[point.cell].coordinates, **replicate}
    told = ("accuracy", "accuracy_float")
    found = {path: table.columns[path][place] for path in (*told, *(tuned_name(path) for path in plan.tuned))}
    lines = [f"  {path} = {value}" for path, value in {**at, **found}.items()]
    return "\n".join([f"point {point.id} of {plan.name}", *lines])


@contextlib.contextmanager
def _profile(folder: Path, *, wanted: bool) -> Iterator[None]:
    """Where wanted, print where the time of the body went, and keep all of it in a file for viewers of profiles."""
    if not wanted:
        yield
        return
    import cProfile
    import marshal
    import pstats

    from imcsim.study.store import write_atomic

    profile = cProfile.Profile()
    profile.enable()
    try:
        yield
    finally:
        profile.disable()
    profile.create_stats()  # of a run that came to its end: a folder that was refused is not ours to write in
    write_atomic(folder / "profile.pstats", marshal.dumps(profile.stats))
    pstats.Stats(profile, stream=sys.stderr).sort_stats("cumulative").print_stats("imcsim", 25)


def _interrupt_on_sigterm() -> None:
    """Let a request to end be what Ctrl-C is: what is finished is kept, merged and told."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, interrupt)


def _warn(plan: Plan) -> None:
    for warning in plan.warnings:
        print(f"imcsim: note: {warning}", file=sys.stderr)


class _progress:  # noqa: N801  # used as a function
    """A bar with the time left on a terminal, a line now and then elsewhere; both on stderr."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.bar: Any = None
        self.told_at = -math.inf
        self.tenths = -1

    def __enter__(self) -> Callable[[Progress], None]:
        return self.update

    def update(self, now: Progress) -> None:
        made = f"{now.artifacts} artifacts made" if now.artifacts else ""
        if sys.stderr.isatty():
            if self.bar is None:
                from tqdm import tqdm

                # what an earlier run left is there at once, and tells nothing of the time that is left
                self.bar = tqdm(total=now.total, initial=now.done, desc=self.plan.name, unit="point")
            self.bar.total = now.total  # a study may ask for more
            self.bar.set_postfix_str(made, refresh=False)
            self.bar.update(now.done - self.bar.n)
        elif now.done * 10 // max(1, now.total) > self.tenths or time.monotonic() - self.told_at > QUIET_S:
            self.tenths, self.told_at = now.done * 10 // max(1, now.total), time.monotonic()
            line = f"{self.plan.name}: {now.done} of {now.total} points{', ' if made else ''}{made}"
            print(line, file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
