"""A study loses nothing that is finished, does nothing twice, and comes out the same however often it is stopped."""

from __future__ import annotations

import hashlib
import json

import h5py
import numpy as np
import pytest

from imcsim.errors import StorageError
from imcsim.study.axes import Cell
from imcsim.study.run import Outcome, run
from imcsim.study.store import read_shards, sealed
from imcsim.study.work import Work, evaluate_points
from imcsim.study.workers import Here

POINTS = 72  # 6 cells x 2 trainings x 3 dies x 2 reads
GROUP = 6  # points of one cell and training


def quiet(progress):
    pass


def sha256(folder):
    return hashlib.sha256((folder / "study.h5").read_bytes()).hexdigest()


def kept(folder):
    """How many results are in the shards of `folder`."""
    return len(read_shards(folder / "shards")[0])


def records(folder):
    return [json.loads(line) for line in (folder / "failures.jsonl").read_text().splitlines()]


@pytest.fixture
def finished(make_plan, evaluator, tmp_path_factory):
    """The SHA-256 of study.h5 of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run(make_plan(), folder, evaluator.work, quiet)
    evaluator.asked.clear()
    return sha256(folder)


def test_a_run_asks_once_for_every_point_trainings_outermost(make_plan, evaluator, tmp_path):
    outcome = run(make_plan(), tmp_path, evaluator.work, quiet)
    expected = [(cell, t, d, r) for t in range(2) for cell in np.ndindex(2, 3) for d, r in np.ndindex(3, 2)]
    assert evaluator.asked == expected
    assert outcome == Outcome(POINTS, computed=POINTS, reused=0, failed=0)


def test_a_second_run_computes_nothing_and_touches_nothing(make_plan, evaluator, tmp_path):
    run(make_plan(), tmp_path, evaluator.work, quiet)
    paths = [path for path in tmp_path.rglob("*") if path.is_file()]
    before = {path: path.stat().st_mtime_ns for path in paths}
    evaluator.asked.clear()
    outcome = run(make_plan(), tmp_path, evaluator.work, quiet)
    assert (outcome, evaluator.asked) == (Outcome(POINTS, 0, POINTS, 0), [])
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


def test_progress_counts_the_points_that_are_done(make_plan, evaluator, tmp_path):
    seen = []
    run(make_plan(), tmp_path, evaluator.work, lambda progress: seen.append(progress[:2]))
    run(make_plan(), tmp_path, evaluator.work, lambda progress: seen.append(progress[:2]))
    assert seen == [*((done, POINTS) for done in range(POINTS + 1)), (POINTS, POINTS)]


@pytest.mark.parametrize("k", [2, 7, 20, 72])
def test_a_run_killed_at_every_kth_point_ends_with_the_same_file(make_plan, evaluator, tmp_path, finished, k):
    class KilledError(BaseException):
        pass

    evaluator.error, evaluator.fails = KilledError, lambda place: len(evaluator.asked) % k == 0
    interruptions = 0
    while True:
        try:
            run(make_plan(), tmp_path, evaluator.work, quiet)
            break
        except KilledError:
            interruptions += 1
    assert interruptions >= 1
    assert sha256(tmp_path) == finished
    assert len(evaluator.asked) == POINTS + interruptions  # what was killed, and no more, was asked for again


def test_a_keyboard_interrupt_passes_through_and_leaves_a_folder_to_resume(make_plan, evaluator, tmp_path, finished):
    evaluator.error, evaluator.fails = KeyboardInterrupt, lambda place: len(evaluator.asked) == 26
    with pytest.raises(KeyboardInterrupt):
        run(make_plan(), tmp_path, evaluator.work, quiet)
    assert kept(tmp_path) == 25
    assert {path.name for path in tmp_path.iterdir()} == {"artifacts", "manifest.json", "shards", "study.h5"}
    with h5py.File(tmp_path / "study.h5") as file:  # what is there can be shown
        assert np.bincount(file["status"][()]).tolist() == [POINTS - 25, 25]
    evaluator.fails = lambda place: False
    evaluator.asked.clear()
    outcome = run(make_plan(), tmp_path, evaluator.work, quiet)
    assert (outcome.computed, outcome.reused, len(evaluator.asked)) == (POINTS - 25, 25, POINTS - 25)
    assert sha256(tmp_path) == finished


@pytest.mark.parametrize("at", [1, 2, 30, POINTS])
def test_an_interrupt_between_a_report_and_its_account_leaves_all_of_it_in_the_file(make_plan, evaluator, tmp_path, at):
    def progress(now):
        if now.done == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(make_plan(), tmp_path, evaluator.work, progress)
    with h5py.File(tmp_path / "study.h5") as file:
        assert np.sum(file["status"][()] == 1) == kept(tmp_path) >= at


def test_a_failure_is_recorded_and_the_rest_goes_on(make_plan, evaluator, tmp_path):
    plan = make_plan()
    evaluator.fails = lambda place: place == ((0, 2), 0, 1, 1)
    outcome = run(plan, tmp_path, evaluator.work, quiet)
    assert outcome == Outcome(POINTS, POINTS - 1, 0, 1)
    [record] = records(tmp_path)
    [id_] = [point.id for point in plan.points if (point.cell, *point[2:]) == (2, 0, 1, 1)]
    assert record["point"] == id_
    assert record["at"] == {"chip.adc.bits": 4, "chip.adc": "sar", "training": 0, "die": 1, "read": 1}
    assert record["error"] == "RuntimeError: out of luck"
    assert "conftest.py" in record["traceback"]
    with h5py.File(tmp_path / "study.h5") as file:
        status = file["cube/status"][()]
        np.testing.assert_array_equal(status == 2, np.isnan(file["cube/accuracy"][()]))
    expected = np.ones((2, 3, 2, 3, 2), dtype=np.uint8)
    expected[0, 2, 0, 1, 1] = 2
    np.testing.assert_array_equal(status, expected)


def test_failed_points_are_tried_again_and_forgotten_when_they_succeed(make_plan, evaluator, tmp_path, finished):
    evaluator.fails = lambda place: place[0] in ((0, 2), (1, 1))
    assert run(make_plan(), tmp_path, evaluator.work, quiet).failed == 4 * GROUP
    evaluator.asked.clear()
    evaluator.fails = lambda place: place[0] == (1, 1)
    outcome = run(make_plan(), tmp_path, evaluator.work, quiet)
    assert (outcome.computed, outcome.failed, len(evaluator.asked)) == (2 * GROUP, 2 * GROUP, 4 * GROUP)
    assert len(records(tmp_path)) == 2 * GROUP
    evaluator.fails = lambda place: False
    assert run(make_plan(), tmp_path, evaluator.work, quiet).failed == 0
    assert not (tmp_path / "failures.jsonl").exists()
    assert sha256(tmp_path) == finished


def test_failures_outlast_a_run_that_is_interrupted_before_it_tries_them_again(make_plan, evaluator, tmp_path):
    evaluator.fails = lambda place: place[0] in ((0, 2), (1, 1))
    run(make_plan(), tmp_path, evaluator.work, quiet)
    before = (tmp_path / "failures.jsonl").read_text()
    evaluator.error, evaluator.fails = KeyboardInterrupt, lambda place: True
    with pytest.raises(KeyboardInterrupt):
        run(make_plan(), tmp_path, evaluator.work, quiet)
    assert (tmp_path / "failures.jsonl").read_text() == before


@pytest.mark.parametrize("damaged", [b'{"points": [', b"\xff\xfe", b"[1]\n", b'{"point": 1}\n7\n'])
def test_a_damaged_record_of_failures_costs_no_result(make_plan, evaluator, tmp_path, finished, damaged):
    evaluator.fails = lambda place: place[0] == (0, 2)
    run(make_plan(), tmp_path, evaluator.work, quiet)
    (tmp_path / "failures.jsonl").write_bytes(damaged)
    evaluator.fails = lambda place: False
    assert run(make_plan(), tmp_path, evaluator.work, quiet).computed == 2 * GROUP
    assert sha256(tmp_path) == finished


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: data.replace(b"0.9", b"0.8", 1)])
def test_the_points_of_a_damaged_shard_are_done_again(make_plan, evaluator, tmp_path, finished, damage):
    evaluator.error, evaluator.fails = KeyboardInterrupt, lambda place: len(evaluator.asked) == 26
    with pytest.raises(KeyboardInterrupt):
        run(make_plan(), tmp_path, evaluator.work, quiet)
    evaluator.fails = lambda place: False
    run(make_plan(), tmp_path, evaluator.work, quiet)  # so that there are several shards
    path = sorted((tmp_path / "shards").iterdir())[0]
    lost = len(json.loads(path.read_bytes())["body"]["points"])
    path.write_bytes(damage(path.read_bytes()))
    evaluator.asked.clear()
    outcome = run(make_plan(), tmp_path, evaluator.work, quiet)
    assert 0 < lost < POINTS
    assert outcome == Outcome(POINTS, lost, POINTS - lost, 0, damaged=(f"shards/{path.name}",))
    assert len(evaluator.asked) == lost
    assert (kept(tmp_path), sha256(tmp_path)) == (POINTS, finished)
    assert run(make_plan(), tmp_path, evaluator.work, quiet).damaged == ()


def test_a_damaged_shard_is_told_by_the_run_that_comes_to_its_end(make_plan, evaluator, tmp_path):
    run(make_plan(), tmp_path, evaluator.work, quiet)
    path = sorted((tmp_path / "shards").iterdir())[0]
    path.write_bytes(b"{")
    evaluator.error, evaluator.fails = KeyboardInterrupt, lambda place: True
    with pytest.raises(KeyboardInterrupt):
        run(make_plan(), tmp_path, evaluator.work, quiet)
    evaluator.fails = lambda place: False
    assert run(make_plan(), tmp_path, evaluator.work, quiet).damaged == (f"shards/{path.name}",)
    assert run(make_plan(), tmp_path, evaluator.work, quiet).damaged == ()


@pytest.mark.parametrize(
    "point",
    [
        7,
        {"id": "x"},
        {"id": "x", "values": {}},
        {"id": "x", "values": {"accuracy": "nan", "accuracy_float": 1}},
        {"id": "x", "values": []},
    ],
)
def test_a_sealed_shard_without_results_is_damaged(make_plan, evaluator, tmp_path, finished, point):
    run(make_plan(), tmp_path, evaluator.work, quiet)
    (tmp_path / "shards" / "strange.json").write_bytes(sealed({"points": [point]}))
    assert run(make_plan(), tmp_path, evaluator.work, quiet).damaged == ("shards/strange.json",)
    assert sha256(tmp_path) == finished


def test_a_point_that_asks_to_end_the_program_has_failed(make_plan, evaluator, tmp_path):
    evaluator.error, evaluator.fails = SystemExit, lambda place: place == ((0, 2), 0, 1, 1)
    assert run(make_plan(), tmp_path, evaluator.work, quiet) == Outcome(POINTS, POINTS - 1, 0, 1)


def test_failures_of_points_that_the_study_has_no_more_are_forgotten(make_plan, evaluator, tmp_path):
    evaluator.fails = lambda place: place[0] == (0, 2)
    run(make_plan(), tmp_path, evaluator.work, quiet)
    records_before = records(tmp_path)
    record = {**records_before[0], "point": "0" * 32}
    (tmp_path / "failures.jsonl").write_text("".join(json.dumps(one) + "\n" for one in [*records_before, record]))
    run(make_plan(), tmp_path, evaluator.work, quiet)
    assert len(records(tmp_path)) == 2 * GROUP


def test_a_damaged_merged_file_is_written_again(make_plan, evaluator, tmp_path, finished):
    run(make_plan(), tmp_path, evaluator.work, quiet)
    (tmp_path / "study.h5").write_bytes(b"")
    run(make_plan(), tmp_path, evaluator.work, quiet)
    assert sha256(tmp_path) == finished


def test_cells_of_the_same_configuration_are_evaluated_once(make_plan, evaluator, tmp_path):
    coordinates = [cell.coordinates for cell in make_plan().cells]
    plan = make_plan(cells=tuple(Cell.of(at, {"at": [0, i % 3]}) for i, at in enumerate(coordinates)))
    outcome = run(plan, tmp_path, evaluator.work, quiet)
    assert (outcome.computed, outcome.reused, len(evaluator.asked)) == (POINTS // 2, POINTS // 2, POINTS // 2)
    with h5py.File(tmp_path / "study.h5") as file:
        accuracy = file["cube/accuracy"][()]
    np.testing.assert_array_equal(accuracy[0], accuracy[1])


def test_a_run_confined_to_some_points_evaluates_no_other(make_plan, evaluator, tmp_path, finished):
    plan = make_plan()
    chosen = plan.points[17]
    outcome = run(plan, tmp_path, evaluator.work, quiet, only=[chosen.id])
    assert outcome == Outcome(POINTS, computed=1, reused=0, failed=0, missing=POINTS - 1)
    assert evaluator.asked == [((0, 1), chosen.training, chosen.die, chosen.read)]
    assert run(plan, tmp_path, evaluator.work, quiet).computed == POINTS - 1
    assert sha256(tmp_path) == finished


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ([{"accuracy": 0.5, "accuracy_float": 0.5}] * 0, "gave 0 results for"),
        ([{"accuracy": float("nan"), "accuracy_float": 0.5}] * 6, "must be a finite number"),
        ([{"accuracy": 0.5}] * 6, "gave no accuracy_float"),
        ([{"accuracy": "high", "accuracy_float": 0.5}] * 6, "could not convert string to float"),
        ([{"accuracy": 0.5, "accuracy_float": 0.5, "tuned": {"x": float("inf")}}] * 6, "not JSON compliant"),
    ],
)
def test_what_is_no_result_counts_as_a_failure(make_plan, tmp_path, returned, message):
    work = Work(lambda config, training, replicates, artifacts: returned, lambda key, artifacts: {})
    outcome = run(make_plan(), tmp_path, work, quiet)
    assert (outcome.failed, kept(tmp_path)) == (POINTS, 0)
    assert message in (tmp_path / "failures.jsonl").read_text()


def test_a_full_disk_is_no_failure_of_a_point(make_plan, evaluator, tmp_path, monkeypatch, finished):
    def full(folder, points):
        raise StorageError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("imcsim.study.work.write_shard", full)
        with pytest.raises(StorageError, match="No space left"):
            run(make_plan(), tmp_path, evaluator.work, quiet)
    assert not (tmp_path / "failures.jsonl").exists()
    run(make_plan(), tmp_path, evaluator.work, quiet)
    assert sha256(tmp_path) == finished


def trains(make, uses=lambda place: [{"training": place[1]}]):
    """Work whose points use artifacts: `make(key, artifacts)` gives them."""

    def evaluate(config, training, replicates, artifacts):
        for die, read in replicates:
            found = artifacts.get_all(uses((tuple(config["at"]), training, die, read)))
            yield {"accuracy": float(np.mean([content["w"] for content in found])), "accuracy_float": 1.0}

    return Work(evaluate, make)


def test_artifacts_are_made_once_for_the_points_that_need_them(make_plan, tmp_path):
    made = []
    work = trains(lambda key, artifacts: made.append(key["training"]) or {"w": np.ones(3)})
    assert run(make_plan(), tmp_path, work, quiet) == Outcome(POINTS, POINTS, 0, 0)
    assert made == [0, 1]


def test_artifacts_that_need_artifacts_are_made_after_them(make_plan, tmp_path):
    made = []

    def make(key, artifacts):
        deeper = [{"training": key["training"], "depth": key["depth"] - 1, "branch": b} for b in (0, 1)]
        below = artifacts.get_all(deeper if key["depth"] else [])
        made.append((key["training"], key["depth"], key["branch"]))
        return {"w": 1.0 + sum(content["w"] for content in below)}

    work = trains(make, lambda place: [{"training": place[1], "depth": 2, "branch": 0}])
    run(make_plan(), tmp_path, work, quiet)
    expected = {(t, depth, branch) for t in (0, 1) for depth, branch in [(2, 0), (1, 0), (1, 1), (0, 0), (0, 1)]}
    assert (set(made), len(made)) == (expected, len(expected))
    with h5py.File(tmp_path / "study.h5") as file:
        assert set(file["accuracy"][()]) == {1 + 2 * (1 + 2 * 1)}


def test_what_needs_an_artifact_that_cannot_be_made_fails_with_its_error(make_plan, tmp_path):
    def make(key, artifacts):
        if key["training"] == 1:
            raise ArithmeticError("diverged")
        return {"w": 1.0}

    assert run(make_plan(), tmp_path, trains(make), quiet) == Outcome(POINTS, POINTS // 2, 0, POINTS // 2)
    assert {record["error"] for record in records(tmp_path)} == {"ArithmeticError: diverged"}
    assert {record["at"]["training"] for record in records(tmp_path)} == {1}


def test_artifacts_that_need_each_other_fail_and_the_rest_goes_on(make_plan, tmp_path):
    def make(key, artifacts):
        if key["training"] == 1:
            artifacts.get({"training": 1, "side": not key.get("side", False)})
        return {"w": 1.0}

    assert run(make_plan(), tmp_path, trains(make), quiet).failed == POINTS // 2
    assert all("needs itself" in record["error"] for record in records(tmp_path))


def test_an_artifact_that_is_made_and_never_there_is_a_failure(make_plan, tmp_path):
    def make(key, artifacts):
        for path in artifacts.folder.iterdir():
            path.unlink()
        return {"w": 1.0}

    work = trains(make, lambda place: [{"training": place[1], "part": 0}, {"training": place[1], "part": 1}])
    assert run(make_plan(), tmp_path, work, quiet).failed == POINTS
    assert all("was made and is not there" in record["error"] for record in records(tmp_path))


def test_a_damaged_artifact_is_reported_and_made_again(make_plan, evaluator, tmp_path, finished):
    def evaluate(config, training, replicates, artifacts):
        artifacts.get({"training": training})
        yield from evaluator.evaluate(config, training, replicates, artifacts)

    work = Work(evaluate, lambda key, artifacts: {"w": key["training"]})
    evaluator.fails = lambda place: place == ((0, 2), 0, 0, 0)
    run(make_plan(), tmp_path, work, quiet)
    names = [path.name for path in (tmp_path / "artifacts").iterdir()]
    for name in names:
        (tmp_path / "artifacts" / name).write_bytes(b"")
    evaluator.fails = lambda place: False
    outcome = run(make_plan(), tmp_path, work, quiet)  # a point of training 0 alone
    assert len(names) == 2
    assert len(outcome.damaged) == 1
    assert set(outcome.damaged) <= {f"artifacts/{name}" for name in names}
    assert sha256(tmp_path) == finished


def test_points_that_last_longer_than_expected_are_given_back_and_done_all_the_same(
    make_plan, evaluator, tmp_path, finished
):
    jobs = []

    class Counting(Here):
        def submit(self, fn, /, *args):
            if fn is evaluate_points:
                jobs.append(len(args[2]))
                args = (*args[:-1], 0.0)  # every job is too long after its first point
            return super().submit(fn, *args)

    outcome = run(make_plan(), tmp_path, evaluator.work, quiet, Counting)
    assert outcome == Outcome(POINTS, POINTS, 0, 0)
    assert len(jobs) == POINTS
    assert max(jobs) > 1
    assert len(evaluator.asked) == POINTS  # given back before it was begun
    assert sha256(tmp_path) == finished
