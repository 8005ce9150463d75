"""What stands in a folder is told without touching it, while others are at work and after they died."""

from __future__ import annotations

import json
import shutil

import pytest

from imcsim.errors import SpecError
from imcsim.study.lock import locked
from imcsim.study.run import run
from imcsim.study.status import format_status, status

POINTS = 72


def quiet(progress):
    pass


def contents(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def test_a_finished_study(make_plan, evaluator, tmp_path):
    run(make_plan(), tmp_path, evaluator.work, quiet)
    before = contents(tmp_path)
    state = status(tmp_path)
    assert (state.name, state.points, state.finished, state.failed, state.missing) == ("small", POINTS, POINTS, 0, 0)
    assert (state.running, state.damaged, state.artifacts) == (None, (), 0)
    assert state.bytes == sum(len(data) for data in before.values() if data)
    text = format_status(state)
    assert text.startswith("small: 72 of 72 points finished, 0 failed, 0 missing\nnobody is at work; last run: from 20")
    assert "cut short" not in text
    assert contents(tmp_path) == before


def test_failures_are_counted_by_their_error_and_what_is_left_is_said_to_be_left(make_plan, evaluator, tmp_path):
    evaluator.fails = lambda place: place[0] == (0, 2)
    run(make_plan(), tmp_path, evaluator.work, quiet, only=[point.id for point in make_plan().points[:48]])
    state = status(tmp_path)
    assert (state.finished, state.failed, state.missing) == (36, 12, 24)
    assert state.errors == {"RuntimeError: out of luck": 12}
    text = format_status(state)
    assert "  12 x RuntimeError: out of luck\n" in text
    assert "the same `imcsim run` does what failed or is missing" in text


def test_a_run_that_was_cut_short_and_one_that_lasts(make_plan, evaluator, tmp_path):
    evaluator.error, evaluator.fails = KeyboardInterrupt, lambda place: len(evaluator.asked) == 10
    with pytest.raises(KeyboardInterrupt):
        run(make_plan(), tmp_path, evaluator.work, quiet)
    assert "on, cut short" in format_status(status(tmp_path))
    with locked(tmp_path):
        state = status(tmp_path)
        assert state.finished == 9
        text = format_status(state)
        assert "running: process" in text
        assert "the same `imcsim run`" not in text  # which would be refused


def test_a_damaged_shard_is_named(make_plan, evaluator, tmp_path):
    run(make_plan(), tmp_path, evaluator.work, quiet)
    path = next((tmp_path / "shards").iterdir())
    path.write_bytes(b"{")
    state = status(tmp_path)
    assert state.damaged == (f"shards/{path.name}",)
    assert f"damaged, its points will be done again: shards/{path.name}" in format_status(state)


def test_a_folder_of_an_earlier_version_is_said_to_be_one(make_plan, evaluator, tmp_path):
    run(make_plan(), tmp_path, evaluator.work, quiet)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    del manifest["points"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SpecError, match="was written by an earlier imcsim; run the study again"):
        status(tmp_path)
    run(make_plan(), tmp_path, evaluator.work, quiet)
    assert status(tmp_path).finished == POINTS


def test_a_folder_that_is_not_there_and_one_without_shards(make_plan, evaluator, tmp_path):
    with pytest.raises(SpecError, match="no such folder"):
        status(tmp_path / "nowhere")
    run(make_plan(), tmp_path, evaluator.work, quiet)
    shutil.rmtree(tmp_path / "shards")
    assert status(tmp_path).missing == POINTS


def test_a_folder_that_is_no_study_is_refused(make_plan, evaluator, tmp_path):
    run(make_plan(), tmp_path, evaluator.work, quiet)
    with pytest.raises(SpecError, match=r"holds no manifest\.json of a study"):
        status(tmp_path / "shards")
