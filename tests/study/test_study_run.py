"""A study loses nothing that is finished, does nothing twice, and comes out the same however often it is stopped."""

from __future__ import annotations

import hashlib
import json

import h5py
import numpy as np
import pytest

from imcsim.study.plan import Cell
from imcsim.study.run import Outcome, run

POINTS, CALLS, PER_CALL = 72, 12, 6  # 6 cells x 2 trainings, 3 dies x 2 reads a call


def quiet(done, total):
    pass


def sha256(folder):
    return hashlib.sha256((folder / "study.h5").read_bytes()).hexdigest()


def results(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in (folder / "shards").iterdir()}


@pytest.fixture
def finished(make_plan, evaluator, tmp_path_factory):
    """The SHA-256 of study.h5 of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run(make_plan(), folder, evaluator, quiet)
    evaluator.calls.clear()
    return sha256(folder)


def test_a_run_asks_once_for_every_cell_and_training(make_plan, evaluator, tmp_path):
    outcome = run(make_plan(), tmp_path, evaluator, quiet)
    replicates = tuple(np.ndindex(3, 2))
    expected = [(cell, training, replicates) for training in range(2) for cell in np.ndindex(2, 3)]
    assert evaluator.calls == expected  # trainings outermost
    assert outcome == Outcome(POINTS, computed=POINTS, reused=0, failed=0, damaged=())


def test_a_second_run_computes_nothing_and_touches_nothing(make_plan, evaluator, tmp_path):
    run(make_plan(), tmp_path, evaluator, quiet)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    evaluator.calls.clear()
    outcome = run(make_plan(), tmp_path, evaluator, quiet)
    assert (outcome, evaluator.calls) == (Outcome(POINTS, 0, POINTS, 0, ()), [])
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_progress_counts_the_points_that_are_done(make_plan, evaluator, tmp_path):
    seen = []
    run(make_plan(), tmp_path, evaluator, lambda done, total: seen.append((done, total)))
    run(make_plan(), tmp_path, evaluator, lambda done, total: seen.append((done, total)))
    assert seen == [*((PER_CALL * call, POINTS) for call in range(CALLS + 1)), (POINTS, POINTS)]


@pytest.mark.parametrize("k", [2, 3, 5, 12])
def test_a_run_killed_at_every_kth_call_ends_with_the_same_file(make_plan, evaluator, tmp_path, finished, k):
    class KilledError(BaseException):
        pass

    evaluator.error, evaluator.fails = KilledError, lambda call: call % k == 0
    interruptions = 0
    while True:
        try:
            run(make_plan(), tmp_path, evaluator, quiet)
            break
        except KilledError:
            interruptions += 1
    assert interruptions >= 1
    assert sha256(tmp_path) == finished
    assert len(evaluator.calls) == CALLS + interruptions  # what was killed, and no more, was asked for again


def test_a_keyboard_interrupt_passes_through_and_leaves_a_folder_to_resume(make_plan, evaluator, tmp_path, finished):
    evaluator.error, evaluator.fails = KeyboardInterrupt, lambda call: call == 5
    with pytest.raises(KeyboardInterrupt):
        run(make_plan(), tmp_path, evaluator, quiet)
    assert len(results(tmp_path)) == 4
    assert not (tmp_path / "failures.jsonl").exists()
    with h5py.File(tmp_path / "study.h5") as file:  # what is there can be shown
        assert np.bincount(file["status"][()]).tolist() == [POINTS - 4 * PER_CALL, 4 * PER_CALL]
    evaluator.fails = lambda call: False
    evaluator.calls.clear()
    outcome = run(make_plan(), tmp_path, evaluator, quiet)
    assert (outcome.computed, outcome.reused, len(evaluator.calls)) == (POINTS - 4 * PER_CALL, 4 * PER_CALL, CALLS - 4)
    assert sha256(tmp_path) == finished


def test_a_failure_is_recorded_and_the_rest_goes_on(make_plan, evaluator, tmp_path, finished):
    plan = make_plan()
    evaluator.fails = lambda call: call == 3
    outcome = run(plan, tmp_path, evaluator, quiet)
    assert outcome == Outcome(POINTS, POINTS - PER_CALL, 0, PER_CALL, ())
    [record] = [json.loads(line) for line in (tmp_path / "failures.jsonl").read_text().splitlines()]
    assert record["points"] == [point.id for point in plan.points if (point.cell, point.training) == (2, 0)]
    assert record["at"] == {"chip.adc.bits": 4, "chip.adc": "sar", "training": 0}
    assert record["error"] == "RuntimeError: out of luck"
    assert "conftest.py" in record["traceback"]
    with h5py.File(tmp_path / "study.h5") as file:
        status = file["cube/status"][()]
        np.testing.assert_array_equal(status == 2, np.isnan(file["cube/accuracy"][()]))
    expected = np.ones((2, 3, 2, 3, 2), dtype=np.uint8)
    expected[0, 2, 0] = 2
    np.testing.assert_array_equal(status, expected)


def test_failed_points_are_tried_again_and_forgotten_when_they_succeed(make_plan, evaluator, tmp_path, finished):
    evaluator.fails = lambda call: call in (3, 7)
    run(make_plan(), tmp_path, evaluator, quiet)
    evaluator.calls.clear()
    evaluator.fails = lambda call: call == 2
    outcome = run(make_plan(), tmp_path, evaluator, quiet)
    assert (outcome.computed, outcome.failed, len(evaluator.calls)) == (PER_CALL, PER_CALL, 2)
    assert len((tmp_path / "failures.jsonl").read_text().splitlines()) == 1
    evaluator.fails = lambda call: False
    assert run(make_plan(), tmp_path, evaluator, quiet).failed == 0
    assert not (tmp_path / "failures.jsonl").exists()
    assert sha256(tmp_path) == finished


def test_failures_outlast_a_run_that_is_interrupted_before_it_tries_them_again(make_plan, evaluator, tmp_path):
    evaluator.fails = lambda call: call in (3, 7)
    run(make_plan(), tmp_path, evaluator, quiet)
    before = (tmp_path / "failures.jsonl").read_text()
    evaluator.error, evaluator.fails = KeyboardInterrupt, lambda call: True
    with pytest.raises(KeyboardInterrupt):
        run(make_plan(), tmp_path, evaluator, quiet)
    assert (tmp_path / "failures.jsonl").read_text() == before


def test_a_damaged_record_of_failures_costs_no_result(make_plan, evaluator, tmp_path, finished):
    evaluator.fails = lambda call: call == 3
    run(make_plan(), tmp_path, evaluator, quiet)
    (tmp_path / "failures.jsonl").write_bytes(b'{"points": [')
    evaluator.fails = lambda call: False
    assert run(make_plan(), tmp_path, evaluator, quiet).computed == PER_CALL
    assert sha256(tmp_path) == finished


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: data.replace(b"0.9", b"0.8", 1)])
def test_the_points_of_a_damaged_shard_are_done_again(make_plan, evaluator, tmp_path, finished, damage):
    run(make_plan(), tmp_path, evaluator, quiet)
    before = results(tmp_path)
    path = sorted((tmp_path / "shards").iterdir())[4]
    path.write_bytes(damage(path.read_bytes()))
    evaluator.calls.clear()
    outcome = run(make_plan(), tmp_path, evaluator, quiet)
    assert outcome == Outcome(POINTS, PER_CALL, POINTS - PER_CALL, 0, (f"shards/{path.name}",))
    assert len(evaluator.calls) == 1
    assert (results(tmp_path), sha256(tmp_path)) == (before, finished)


def test_a_damaged_merged_file_is_written_again(make_plan, evaluator, tmp_path, finished):
    run(make_plan(), tmp_path, evaluator, quiet)
    (tmp_path / "study.h5").write_bytes(b"")
    run(make_plan(), tmp_path, evaluator, quiet)
    assert sha256(tmp_path) == finished


def test_cells_of_the_same_configuration_are_evaluated_once(make_plan, evaluator, tmp_path):
    plan = make_plan(cells=tuple(Cell(index, {"at": index[1]}) for index in np.ndindex(2, 3)))
    outcome = run(plan, tmp_path, evaluator, quiet)
    assert (outcome.computed, outcome.reused, len(evaluator.calls)) == (POINTS // 2, POINTS // 2, CALLS // 2)
    with h5py.File(tmp_path / "study.h5") as file:
        accuracy = file["cube/accuracy"][()]
    np.testing.assert_array_equal(accuracy[0], accuracy[1])


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ([{"accuracy": 0.5, "accuracy_float": 0.5}], "1 results for 6 points"),
        ([{"accuracy": float("nan"), "accuracy_float": 0.5}] * 6, "must be a finite number"),
        ([{"accuracy": 0.5}] * 6, "gave no accuracy_float"),
        ([{"accuracy": 0.5, "accuracy_float": 0.5, "loss": "low"}] * 6, "must be real number"),
        ([{"accuracy": 0.5, "accuracy_float": 0.5, "loss": float("inf")}] * 6, "loss = inf: must be a finite number"),
    ],
)
def test_what_is_no_result_counts_as_a_failure(make_plan, tmp_path, returned, message):
    outcome = run(make_plan(), tmp_path, lambda *args: returned, quiet)
    assert (outcome.failed, results(tmp_path)) == (POINTS, {})
    assert message in (tmp_path / "failures.jsonl").read_text()


def test_a_full_disk_is_no_failure_of_a_point(make_plan, evaluator, tmp_path, monkeypatch):
    def full(folder, points):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("imcsim.study.run.write_shard", full)
    with pytest.raises(OSError, match="No space left"):
        run(make_plan(), tmp_path, evaluator, quiet)
    assert not (tmp_path / "failures.jsonl").exists()


def test_artifacts_are_shared_by_the_points_that_need_them(make_plan, tmp_path):
    made = []

    def evaluate(cell, training, replicates, artifacts):
        weights = artifacts.get_or_make({"training": training}, lambda: made.append(training) or {"w": np.ones(3)})
        return [{"accuracy": float(weights["w"].mean()), "accuracy_float": 1.0} for _ in replicates]

    run(make_plan(), tmp_path, evaluate, quiet)
    assert made == [0, 1]


def test_a_damaged_artifact_is_reported(make_plan, evaluator, tmp_path):
    def evaluate(cell, training, replicates, artifacts):
        artifacts.get_or_make({"training": training}, lambda: {"w": training})
        return evaluator(cell, training, replicates, artifacts)

    evaluator.fails = lambda call: call == 3
    run(make_plan(), tmp_path, evaluate, quiet)
    names = [path.name for path in (tmp_path / "artifacts").iterdir()]
    for name in names:
        (tmp_path / "artifacts" / name).write_bytes(b"")
    outcome = run(make_plan(), tmp_path, evaluate, quiet)  # the third call of training 0 alone
    assert len(names) == 2
    assert len(outcome.damaged) == 1
    assert set(outcome.damaged) <= {f"artifacts/{name}" for name in names}
