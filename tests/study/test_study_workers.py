"""Which cores a study takes."""

from __future__ import annotations

import os

import pytest

from imcsim.study import workers


@pytest.mark.parametrize(
    ("quota", "cores"), [("", 4), ("max 100000", 4), ("250000 100000", 2), ("50000 100000", 1), ("900000 100000", 4)]
)
def test_second_threads_of_a_core_do_not_count_and_a_quota_does(monkeypatch, quota, cores):
    siblings = {
        f"/sys/devices/system/cpu/cpu{n}/topology/thread_siblings_list": f"{n % 4},{n % 4 + 4}" for n in range(8)
    }
    files = {**siblings, "/sys/fs/cgroup/cpu.max": quota}
    monkeypatch.setattr(workers.os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(workers, "_text", lambda path: files.get(path, ""))
    assert workers.physical_cores() == cores


def test_where_the_system_tells_nothing_every_processor_counts(monkeypatch):
    monkeypatch.setattr(workers.os, "sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    monkeypatch.setattr(workers, "_text", lambda path: "")
    assert workers.physical_cores() == 3
    monkeypatch.delattr(workers.os, "sched_getaffinity")
    assert workers.physical_cores() == os.cpu_count()
