"""Points on worker processes: the same file as serially, whoever dies, and nothing done twice that was finished."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import counted
import pytest
from counted import left_over, quiet, sha256

from imcsim.errors import StorageError
from imcsim.study.run import Outcome, run
from imcsim.study.store import read_shards
from imcsim.study.workers import Workers

POINTS = 200
TWO = {"start": functools.partial(Workers, 2), "slots": 2}


def test_two_processes_give_the_file_of_one(plan, begun, serial, tmp_path):
    outcome = run(plan(), tmp_path / "two", counted.WORK, quiet, **TWO)
    assert outcome == Outcome(POINTS, POINTS, 0, 0)
    assert set(begun().values()) == {1}  # every point and both artifacts, each once
    assert len(begun()) == POINTS + 2
    assert len(list((tmp_path / "record").glob("*.txt"))) == 2  # both took part, and this process did not
    assert sha256(tmp_path / "two") == serial
    assert left_over(tmp_path / "two") == []


@pytest.mark.parametrize(
    "pool", [ThreadPoolExecutor, functools.partial(ProcessPoolExecutor, mp_context=get_context("spawn"))]
)
def test_any_executor_will_do(plan, serial, tmp_path, pool):
    run(plan(), tmp_path / "other", counted.WORK, quiet, start=functools.partial(pool, 2), slots=2)
    assert sha256(tmp_path / "other") == serial


def test_a_point_whose_worker_is_killed_is_run_again_and_the_file_is_the_same(plan, begun, serial, tmp_path):
    place = [3, 1, 2, 0]
    outcome = run(plan(dies_once_at=place), tmp_path / "killed", counted.WORK, quiet, **TWO)
    assert outcome == Outcome(POINTS, POINTS, 0, 0, deaths=1)
    assert begun()[tuple(place)] == 2
    assert sha256(tmp_path / "killed") == serial


def test_what_a_killed_worker_had_finished_is_not_done_again(plan, begun, tmp_path):
    place = [9, 1, 4, 1]  # the last of all; points older than 50 ms are on disk by then
    outcome = run(plan(dies_once_at=place, point_s=0.06), tmp_path / "out", counted.WORK, quiet, **TWO)
    assert (outcome.computed, outcome.deaths) == (POINTS, 1)
    assert {place: count for place, count in begun().items() if count > 1} == {tuple(place): 2}


def test_work_that_no_worker_can_load_ends_the_run_with_what_to_do(plan, tmp_path):
    work = counted.WORK._replace(evaluate=lambda *_: [])
    with pytest.raises(OSError, match=r"workers cannot load .*; put its functions into a module"):
        run(plan(), tmp_path / "out", work, quiet, **TWO)
    assert not (tmp_path / "out" / "failures.jsonl").exists()


def test_a_point_that_kills_its_worker_three_times_has_failed_and_the_rest_goes_on(plan, begun, tmp_path):
    bad = [[3, 0, 2, 0], [7, 1, 4, 1]]
    outcome = run(plan(dies_at=bad), tmp_path / "out", counted.WORK, quiet, **TWO)
    assert (outcome.computed, outcome.failed) == (POINTS - 2, 2)
    assert all(begun()[tuple(place)] in (3, 4) for place in bad)  # once among others, and three times alone
    assert outcome.deaths in (6, 7, 8)
    records = [json.loads(line) for line in (tmp_path / "out" / "failures.jsonl").read_text().splitlines()]
    assert all("its worker died 3 times" in record["error"] for record in records)
    names = ("chip.adc.bits", "training", "die", "read")
    assert sorted([record["at"][name] for name in names] for record in records) == bad


def test_an_exception_is_told_with_the_traceback_of_the_worker(plan, tmp_path):
    outcome = run(plan(raises_at=[[3, 0, 2, 0]]), tmp_path / "out", counted.WORK, quiet, **TWO)
    assert (outcome.failed, outcome.computed) == (1, POINTS - 1)
    [record] = [json.loads(line) for line in (tmp_path / "out" / "failures.jsonl").read_text().splitlines()]
    assert record["error"] == "ValueError: no value at [3, 0, 2, 0]"
    assert "counted.py" in record["traceback"]


def test_results_that_cannot_be_kept_end_the_run_and_fail_no_point(plan, serial, tmp_path):
    with pytest.raises(StorageError, match="shards"):
        run(plan(loses_the_folder_at=[3, 0, 2, 0]), tmp_path / "out", counted.WORK, quiet, **TWO)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["artifacts", "manifest.json"]
    (tmp_path / "record" / "shards").rename(tmp_path / "out" / "shards")
    assert run(plan(), tmp_path / "out", counted.WORK, quiet, **TWO).failed == 0
    assert sha256(tmp_path / "out") == serial


def test_workers_that_do_not_start_end_the_run_with_an_error(plan, tmp_path, monkeypatch):
    monkeypatch.setattr("imcsim.study.workers._begin", counted.make)  # no way to begin: it misses an argument
    with pytest.raises(OSError, match="worker processes do not start"):
        run(plan(), tmp_path / "out", counted.WORK, quiet, **TWO)
    monkeypatch.undo()
    assert run(plan(), tmp_path / "out", counted.WORK, quiet, **TWO).failed == 0


def test_workers_have_one_thread_each():
    with Workers(1) as workers:
        assert workers.submit(counted.threads).result() == {"numba": 1, "blas": [1]}


DRIVER = """
import functools, sys
sys.path.insert(0, {tests!r})
import counted
from pathlib import Path
from imcsim.study.run import run
from imcsim.study.workers import Workers

if __name__ == "__main__":
    plan = counted.plan_of({record!r}, point_s={point_s}, **{behaviour!r})
    print("begun", flush=True)
    run(plan, Path({folder!r}), counted.WORK, lambda progress: print(progress.done, flush=True),
        start=functools.partial(Workers, 2), slots=2)
"""


@pytest.fixture
def driver(tmp_path):
    """Starts a run in a process of its own."""
    (tmp_path / "record").mkdir(exist_ok=True)
    started = []

    def start(point_s=0.005, **behaviour):
        program = tmp_path / "driver.py"
        told = {
            "tests": str(Path(__file__).parent),
            "record": str(tmp_path / "record"),
            "folder": str(tmp_path / "out"),
        }
        program.write_text(DRIVER.format(point_s=point_s, behaviour=behaviour, **told))
        process = subprocess.Popen(
            [sys.executable, str(program)], stdout=subprocess.PIPE, text=True, stderr=subprocess.PIPE
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_for(process, done):
    """Read what the driver prints until so many points are done."""
    for line in process.stdout:
        if line.strip().isdigit() and int(line) >= done:
            return
    raise AssertionError(process.stderr.read())


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_whose_driver_is_killed_goes_on_with_exactly_what_is_missing(driver, begun, tmp_path, how):
    process = driver()
    wait_for(process, POINTS // 2)
    os.kill(process.pid, how)
    process.wait()
    workers = [int(path.stem) for path in (tmp_path / "record").glob("*.txt")]
    wait_until_gone(workers)
    finished = set(read_shards(tmp_path / "out" / "shards").results)
    before = begun()
    plan = counted.plan_of(tmp_path / "record", point_s=0.005)
    outcome = run(plan, tmp_path / "out", counted.WORK, quiet, **TWO)
    assert len(finished) >= POINTS // 2
    assert (outcome.computed, outcome.reused, outcome.failed) == (POINTS - len(finished), len(finished), 0)
    again = begun() - before
    missing = {(plan.cells[p.cell].coordinates["chip.adc.bits"], *p[2:]) for p in plan.points if p.id not in finished}
    assert {place for place in again if place[0] != "training"} == missing
    assert left_over(tmp_path / "out") == []
    run(plan, tmp_path / "serial", counted.WORK, quiet)
    assert sha256(tmp_path / "out") == sha256(tmp_path / "serial")


def test_an_interrupt_does_not_wait_for_a_point_that_hangs(driver, begun, tmp_path):
    process = driver(hangs_at=[3, 0, 2, 0])
    while not begun()[3, 0, 2, 0]:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    wait_until_gone(int(path.stem) for path in (tmp_path / "record").glob("*.txt"))
    assert left_over(tmp_path / "out") == []


def wait_until_gone(pids):
    """Wait for processes that are not our children."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        import select

        assert select.select([descriptor], [], [], 60)[0], f"process {pid} lives on"
        os.close(descriptor)
