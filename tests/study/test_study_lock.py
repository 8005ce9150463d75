"""One run at a time: a living process keeps the folder, a dead one does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import pytest

from imcsim.errors import SpecError
from imcsim.study import lock
from imcsim.study.lock import LOCK, holder, locked
from imcsim.study.run import run

HOLD = """
import sys
from pathlib import Path
from imcsim.study.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path):
    """A process that holds the lock of tmp_path."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_lock_is_held_and_gone(tmp_path):
    with locked(tmp_path) as left_behind:
        assert left_behind is None
        assert holder(tmp_path)["pid"] == os.getpid()
    assert holder(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_refused_with_who_holds_it(make_plan, evaluator, tmp_path, held):
    with pytest.raises(SpecError, match=rf"is in use by process {held.pid} on .*; wait for it, stop it, or give ano"):
        run(make_plan(), tmp_path, evaluator.work, lambda progress: None)
    assert evaluator.asked == []
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_a_lock_of_a_killed_process_is_taken_over_and_told(make_plan, evaluator, tmp_path, held):
    held.kill()
    held.wait()
    assert (tmp_path / LOCK).exists()
    assert holder(tmp_path) is None
    outcome = run(make_plan(), tmp_path, evaluator.work, lambda progress: None)
    assert outcome.left_behind["pid"] == held.pid
    assert not (tmp_path / LOCK).exists()


def test_a_lock_with_damaged_content_is_taken(tmp_path):
    (tmp_path / LOCK).write_bytes(b"\xff no JSON")
    with locked(tmp_path) as left_behind:
        assert left_behind is None
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()


def test_who_gets_a_lock_that_was_removed_meanwhile_asks_again(tmp_path, monkeypatch):
    acquire, tries = lock._acquire, []

    def overtaken(file):
        tries.append(file)
        if len(tries) == 1:  # between our opening of the file and our locking it, its holder removed it
            (tmp_path / LOCK).unlink()
        return acquire(file)

    monkeypatch.setattr(lock, "_acquire", overtaken)
    with locked(tmp_path):
        monkeypatch.undo()
        assert len(tries) == 2
        assert (tmp_path / LOCK).exists()
        with pytest.raises(SpecError, match="is in use"), locked(tmp_path):
            pass


def test_who_only_looks_refuses_nobody(tmp_path):
    looking = threading.Event()

    def look():
        while not looking.is_set():
            holder(tmp_path)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(300):
            with locked(tmp_path):
                pass
    finally:
        looking.set()
        thread.join()


def test_of_many_that_want_the_lock_at_once_one_at_a_time_has_it(tmp_path):
    inside, most, refused = [], [], []

    def want():
        for _ in range(50):
            try:
                with locked(tmp_path):
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
            except SpecError:
                refused.append(1)

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1}
    assert len(most) + len(refused) == 200
    assert list(tmp_path.iterdir()) == []
