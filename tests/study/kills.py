"""Kill workers and drivers at random instants and look at what is left: `python tests/study/kills.py 200` (Linux).

After every kill the folder must be readable, hold every point that was ever finished or told to be, with its right
value; a study that gets to its end must have the study.h5 of one that nobody disturbed.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import counted
import h5py

from imcsim.study.merge import is_intact
from imcsim.study.run import run
from imcsim.study.status import status
from imcsim.study.store import is_temporary, read_shards
from imcsim.study.workers import Workers

CELLS, POINT_S = 30, 0.01  # 600 points
LONGEST_S = 2.5  # between two kills: some come while processes still start, some when the study is at its end


@dataclass
class Tally:
    """What was done, and what must stay zero."""

    kills_of_drivers: int = 0
    kills_of_workers: int = 0
    studies_finished: int = 0
    unreadable_folders: int = 0
    damaged_shards: int = 0
    lost_points: int = 0
    wrong_values: int = 0
    wrong_files: int = 0
    temporary_files_left: int = 0
    failed_points: int = 0

    @property
    def kills(self):
        return self.kills_of_drivers + self.kills_of_workers


def torture(home, kills, seed):
    """The tally of so many kills; `home` is an empty folder."""
    luck, tally = random.Random(seed), Tally()
    (home / "record").mkdir()
    plan = counted.plan_of(home / "record", cells=CELLS, point_s=POINT_S)
    undisturbed = counted.plan_of(home / "record", cells=CELLS)
    run(undisturbed, home / "undisturbed", counted.WORK, lambda progress: None)
    reference = _sha256(home / "undisturbed")
    while tally.kills < kills:
        folder = home / f"study{tally.studies_finished}"
        _until_finished(folder, home, plan, kills, luck, tally)
        if (folder / "study.h5").exists() and len(read_shards(folder / "shards").results) == len(plan.points):
            tally.studies_finished += 1
            tally.wrong_files += _sha256(folder) != reference
            left = [path for path in folder.rglob("*") if is_temporary(path) or path.name == "study.lock"]
            tally.temporary_files_left += len(left)
    return tally


def _until_finished(folder, home, plan, kills, luck, tally):
    """Run the study in `folder` again and again, killing, until it is through or there have been enough kills."""
    finished = {}
    while True:
        driver = subprocess.Popen(
            [sys.executable, __file__, "--drive", str(folder), str(home / "record")],
            stdout=subprocess.PIPE,
        )
        told = 0
        while driver.poll() is None and tally.kills < kills:
            until = time.monotonic() + luck.uniform(0, LONGEST_S)
            while driver.poll() is None and (left := until - time.monotonic()) > 0:
                told = max(told, _told(driver, left))
            if driver.poll() is None:
                _kill(driver, luck, tally)
                _inspect(folder, plan, finished, told, tally)  # while the others are still at work
        workers = _workers(driver.pid)
        told = max(told, _told(driver, 0))
        rest, _ = driver.communicate()
        told = max([told, *(int(line) for line in rest.splitlines())])
        for pid in workers:
            _wait(pid)
        _inspect(folder, plan, finished, told, tally)
        if driver.returncode == 0:
            return
        if driver.returncode != -signal.SIGKILL:
            raise AssertionError(f"the driver ended with {driver.returncode}")


def _kill(driver, luck, tally):
    """Kill the driver or one of its workers."""
    workers = _workers(driver.pid)
    if workers and luck.random() < 0.5:
        os.kill(luck.choice(workers), signal.SIGKILL)
        tally.kills_of_workers += 1
    else:
        driver.kill()
        driver.wait()
        tally.kills_of_drivers += 1
        for pid in workers:
            _wait(pid)


def _inspect(folder, plan, finished, told, tally):
    """Look at the folder; `finished` are the values seen before, by id, and `told` how many the driver said were."""
    if not (folder / "manifest.json").exists():
        return
    try:
        state = status(folder)
        if (folder / "study.h5").exists():
            if not is_intact((folder / "study.h5").read_bytes()):
                raise ValueError("study.h5 is damaged")
            with h5py.File(folder / "study.h5") as file:
                len(file["accuracy"])
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        tally.unreadable_folders += 1
        return
    tally.damaged_shards += len(state.damaged)
    tally.failed_points += state.failed
    values = {id_: values["accuracy"] for id_, values in read_shards(folder / "shards").results.items()}
    tally.lost_points += len(finished.keys() - values.keys()) + max(0, told - len(values))
    places = {p.id: (plan.cells[p.cell].coordinates["chip.adc.bits"], *p[2:]) for p in plan.points}
    tally.wrong_values += sum(value != counted.accuracy_at(*places[id_]) for id_, value in values.items())
    finished.update(values)


def _told(driver, timeout):
    """The last number of finished points that the driver told within so many seconds."""
    if not select.select([driver.stdout], [], [], timeout)[0]:
        return 0
    lines = os.read(driver.stdout.fileno(), 1 << 16).split()
    return max((int(line) for line in lines[:-1]), default=0)


def _workers(pid):
    """The worker processes of a driver."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _wait(pid):
    """Wait until a process that is no child of ours has ended, as it must when its driver has."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    if not select.select([descriptor], [], [], 60)[0]:
        raise AssertionError(f"worker {pid} outlives its driver")
    os.close(descriptor)


def _sha256(folder):
    return hashlib.sha256((folder / "study.h5").read_bytes()).hexdigest()


def _drive(folder, record):
    plan = counted.plan_of(record, cells=CELLS, point_s=POINT_S)
    start = functools.partial(Workers, 2)
    run(plan, Path(folder), counted.WORK, lambda progress: print(progress.done, flush=True), start, 2)


if __name__ == "__main__":
    if sys.argv[1] == "--drive":
        _drive(*sys.argv[2:])
    else:
        with tempfile.TemporaryDirectory() as home:
            found = torture(Path(home), int(sys.argv[1]), seed=int(sys.argv[2]) if len(sys.argv) > 2 else 0)
        print(json.dumps(dataclasses.asdict(found), indent=1))
