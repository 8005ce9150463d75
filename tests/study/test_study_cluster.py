"""Points on a Dask cluster: the file of a serial run, whoever dies and whoever sees the folder; and clear errors."""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import counted
import pytest
from counted import left_over, quiet, sha256

from imcsim.errors import SpecError
from imcsim.study import carried, cluster
from imcsim.study.carried import Carrying, run_there
from imcsim.study.cluster import LOCAL, Cluster, check_scheduler
from imcsim.study.run import Outcome, run
from imcsim.study.store import read_shards
from imcsim.study.work import evaluate_points
from imcsim.study.workers import Workers

pytest.importorskip("distributed", reason="needs imcsim[dask]")

POINTS = 200
TWO = functools.partial(Cluster, LOCAL, 2)


def test_a_cluster_gives_the_file_of_one_process(plan, begun, serial, tmp_path):
    outcome = run(plan(), tmp_path / "dask", counted.WORK, quiet, start=TWO)
    assert outcome == Outcome(POINTS, POINTS, 0, 0)
    assert set(begun().values()) == {1}
    assert len(list((tmp_path / "record").glob("*.txt"))) == 2  # both took part, and this process did not
    assert sha256(tmp_path / "dask") == serial
    assert left_over(tmp_path / "dask") == []
    [ran] = json.loads((tmp_path / "dask" / "manifest.json").read_text())["runs"]
    assert [machine["workers"] for machine in ran["workers"]] == [2]


def test_a_worker_that_is_killed_is_replaced_and_the_file_is_the_same(plan, begun, serial, tmp_path):
    place = [3, 1, 2, 0]
    outcome = run(plan(dies_once_at=place), tmp_path / "killed", counted.WORK, quiet, start=TWO)
    assert outcome == Outcome(POINTS, POINTS, 0, 0, deaths=1)
    assert begun()[tuple(place)] == 2
    assert sha256(tmp_path / "killed") == serial


def test_a_poison_point_fails_alone(plan, begun, tmp_path):
    bad = [3, 0, 2, 0]
    outcome = run(plan(dies_at=[bad], raises_at=[[7, 1, 4, 1]]), tmp_path / "out", counted.WORK, quiet, start=TWO)
    assert (outcome.computed, outcome.failed) == (POINTS - 2, 2)
    assert begun()[tuple(bad)] >= 3  # alone; and once or more among others
    records = [json.loads(line) for line in (tmp_path / "out" / "failures.jsonl").read_text().splitlines()]
    assert sorted(record["error"].partition(":")[0] for record in records) == ["ValueError", "its worker died 3 times"]


DRIVER = """
import functools, sys
sys.path.insert(0, {tests!r})
import counted
from pathlib import Path
from imcsim.study.cluster import LOCAL, Cluster
from imcsim.study.run import run

if __name__ == "__main__":
    run(counted.plan_of({record!r}, point_s=0.005), Path({folder!r}), counted.WORK,
        lambda progress: print(progress.done, flush=True), start=functools.partial(Cluster, LOCAL, 2))
"""


def test_a_run_whose_client_is_killed_goes_on_there_with_what_is_missing(plan, serial, tmp_path):
    told = {"tests": str(Path(__file__).parent), "record": str(tmp_path / "record"), "folder": str(tmp_path / "out")}
    (tmp_path / "driver.py").write_text(DRIVER.format(**told))
    with subprocess.Popen([sys.executable, tmp_path / "driver.py"], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        assert any(int(line) >= POINTS // 2 for line in driver.stdout)
        driver.send_signal(signal.SIGKILL)
    finished = len(read_shards(tmp_path / "out" / "shards").results)
    again = counted.plan_of(tmp_path / "record", point_s=0.005)
    outcome = run(again, tmp_path / "out", counted.WORK, quiet, start=TWO)
    assert finished >= POINTS // 2
    assert outcome.left_behind is not None
    assert outcome.reused >= finished  # a worker may end what it was at
    assert outcome.computed == POINTS - outcome.reused
    run(again, tmp_path / "alone", counted.WORK, quiet)
    assert sha256(tmp_path / "out") == sha256(tmp_path / "alone")
    assert left_over(tmp_path / "out") == []


class Apart(Workers):
    """Worker processes that do not see the study's folder: it never had the mark that they look for."""

    def __init__(self, scratch, count):
        self.scratch, self.carrying = scratch, None
        super().__init__(count)

    def submit(self, fn, /, *args):
        folder, *rest = args
        if self.carrying is None:
            self.carrying = Carrying(folder, functools.partial(super().submit, _in_own_folder, self.scratch))
        return self.carrying.submit(fn, *rest)


def _in_own_folder(scratch, fn, *args):
    own = scratch / f"worker{os.getpid()}"
    own.mkdir(exist_ok=True)
    return fn(*args, scratch=own)


@pytest.fixture
def apart(tmp_path):
    """apart(count): starts workers that do not see the study's folder."""
    return lambda count: functools.partial(Apart, tmp_path, count)


def test_where_workers_do_not_see_the_folder_results_come_back_and_artifacts_follow_them(
    plan, begun, serial, tmp_path, apart
):
    assert run(plan(), tmp_path / "apart", counted.WORK, quiet, start=apart(2)) == Outcome(POINTS, POINTS, 0, 0)
    assert set(begun().values()) == {1}  # each training is made by one worker and sent to the other
    assert sha256(tmp_path / "apart") == serial
    assert len(list((tmp_path / "apart" / "artifacts").iterdir())) == 2
    assert left_over(tmp_path / "apart") == []


def test_artifacts_of_an_earlier_run_are_sent_and_not_made_again(plan, begun, serial, tmp_path, apart):
    run(plan(), tmp_path / "apart", counted.WORK, quiet)
    for path in (tmp_path / "apart" / "shards").iterdir():
        path.unlink()
    outcome = run(plan(), tmp_path / "apart", counted.WORK, quiet, start=apart(1))
    assert outcome.computed == POINTS
    assert begun()["training", 0] == begun()["training", 1] == 1
    assert sha256(tmp_path / "apart") == serial


def test_a_damaged_artifact_is_not_sent_but_made_again(plan, serial, tmp_path, apart):
    run(plan(), tmp_path / "apart", counted.WORK, quiet)
    for path in [*(tmp_path / "apart" / "shards").iterdir(), *(tmp_path / "apart" / "artifacts").iterdir()]:
        path.write_bytes(path.read_bytes()[:-9])
    run(plan(), tmp_path / "apart", counted.WORK, quiet, start=apart(2))
    assert sha256(tmp_path / "apart") == serial


def test_points_whose_worker_dies_apart_are_done_again(plan, serial, tmp_path, apart):
    outcome = run(plan(dies_once_at=[3, 1, 2, 0]), tmp_path / "apart", counted.WORK, quiet, apart(2))
    assert (outcome.computed, outcome.deaths) == (POINTS, 1)
    assert sha256(tmp_path / "apart") == serial


def test_a_worker_of_other_source_is_refused(tmp_path):
    errand = carried.Errand(str(tmp_path), "mark", "0" * 64)
    with pytest.raises(OSError, match="another imcsim"):
        run_there(errand, evaluate_points, (), {}, scratch=tmp_path)


@pytest.mark.parametrize("path", ["shards/../../x.json", "manifest.json", "shards/x.py", "artifacts/a/b.json"])
def test_a_file_that_is_none_of_a_study_is_not_written(path):
    with pytest.raises(ValueError, match="none of a study"):
        carried._inside(path)


@pytest.mark.parametrize(
    "address", ["", "here", "tcp://", "tcp://host", "tcp://host:99999", "http://host:80", "host:1"]
)
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(SpecError, match=r"tcp://HOST:PORT or tls://HOST:PORT"):
        check_scheduler(address, insecure=True)


@pytest.mark.parametrize("address", ["tcp://10.0.0.7:8786", "tcp://node7:8786", "tcp://[2001:db8::1]:8786"])
def test_another_machine_without_certificates_must_be_asked_for(address):
    with pytest.raises(SpecError, match="--insecure"):
        check_scheduler(address, insecure=False)
    check_scheduler(address, insecure=True)
    check_scheduler(address.replace("tcp", "tls"), insecure=False)


@pytest.mark.parametrize("address", [LOCAL, "tcp://127.0.0.1:8786", "tcp://localhost:8786", "tcp://[::1]:8786"])
def test_this_machine_needs_no_certificates(address):
    check_scheduler(address, insecure=False)


def test_a_scheduler_that_is_not_there_is_an_error_and_nothing_is_lost(plan, serial, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "ANSWER_S", 0.5)
    run(plan(), tmp_path / "out", counted.WORK, quiet)
    shard = sorted((tmp_path / "out" / "shards").iterdir())[0]
    shard.unlink()
    before = read_shards(tmp_path / "out" / "shards").results
    with pytest.raises(SpecError, match=r"no Dask scheduler .* answers there"):
        run(plan(), tmp_path / "out", counted.WORK, quiet, start=functools.partial(Cluster, "tcp://127.0.0.1:9"))
    assert read_shards(tmp_path / "out" / "shards").results == before
    assert left_over(tmp_path / "out") == []
    run(plan(), tmp_path / "out", counted.WORK, quiet)
    assert sha256(tmp_path / "out") == serial


def test_a_server_that_is_no_scheduler_is_an_error(monkeypatch):
    monkeypatch.setattr(cluster, "ANSWER_S", 0.5)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(SpecError, match=r"no Dask scheduler .* answers there \([^)]"),
    ):
        Cluster(f"tcp://127.0.0.1:{silent.getsockname()[1]}")


def test_a_scheduler_without_workers_is_an_error(monkeypatch):
    import distributed

    monkeypatch.setattr(cluster, "WORKERS_S", 0.2)
    with (
        distributed.LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address=None) as empty,
        pytest.raises(SpecError, match="no worker"),
    ):
        Cluster(empty.scheduler_address)


class Talking:
    """What a client of a scheduler and one worker says; `changed` says it otherwise."""

    def __init__(self, **changed):
        self.changed = changed

    def get_versions(self):
        def packages(who):
            return {"packages": {"python": "3.11.7.final.0", "distributed": "2026.8.0", **self.changed.get(who, {})}}

        return {"client": packages(""), "scheduler": packages("scheduler"), "workers": {"tcp://w": packages("worker")}}

    def run(self, function, *args, **kwargs):
        if function is cluster._known:
            us = cluster._known()
            return {
                "tcp://w": {**us, **self.changed.get("known", {}), "versions": {**us["versions"], **self.libraries}}
            }
        return {"tcp://w": self.changed.get("imcsim", cluster.__version__)}

    @property
    def libraries(self):
        return self.changed.get("libraries", {})


def test_a_worker_with_the_same_versions_is_taken():
    [machine] = cluster._checked_workers(Talking(worker={"python": "3.11.2.final.0"}), "tcp://s")
    assert machine["workers"] == 1


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {"scheduler": {"distributed": "2024.1.0"}},
            "distributed is 2024.1.0 there, and 2026.8.0 here, at the scheduler",
        ),
        ({"worker": {"python": "3.12.1.final.0"}}, "python is 3.12.1.final.0 there"),
        ({"imcsim": ModuleNotFoundError("imcsim")}, "imcsim is not installed there, at tcp://w"),
        ({"imcsim": "0.0.1"}, "imcsim is 0.0.1 there"),
        ({"libraries": {"numpy": "1.26.0"}}, "numpy is 1.26.0 there"),
        ({"known": {"source": "0" * 64}}, "has other source there"),
    ],
)
def test_other_versions_are_refused_by_name(changed, told):
    with pytest.raises(SpecError, match=told):
        cluster._checked_workers(Talking(**changed), "tcp://s")


def test_workers_of_a_cluster_have_one_thread_each(tmp_path):
    with Cluster(LOCAL, 1) as one:
        assert one.submit(_threads, tmp_path).result().finished == {"threads": {"numba": 1, "blas": [1]}}


def _threads(folder):
    from imcsim.study.work import Report

    counted.threads()  # the first time, it loads them
    return Report(finished={"threads": counted.threads()})


def test_an_interrupt_cancels_what_has_not_begun(plan, tmp_path):
    def interrupt(progress):
        if progress.done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(plan(point_s=0.01), tmp_path / "out", counted.WORK, interrupt, start=TWO)
    assert len(read_shards(tmp_path / "out" / "shards").results) < POINTS
    assert not (tmp_path / "out" / "failures.jsonl").exists()
    assert os.listdir(tmp_path / "out").count("study.h5") == 1
