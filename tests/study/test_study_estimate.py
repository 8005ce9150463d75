"""What a run would take is counted and measured, and nothing is left of the measurement."""

from __future__ import annotations

import counted
import pytest

from imcsim.errors import SpecError
from imcsim.study.estimate import estimate
from imcsim.study.run import run
from imcsim.study.work import Work


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "record").mkdir()
    return counted.plan_of(tmp_path / "record", point_s=0.01)


def test_points_and_artifacts_are_counted_and_points_are_timed(plan, tmp_path):
    found = estimate(plan, tmp_path / "out", counted.WORK)
    assert (found.points, found.missing, found.artifacts) == (200, 200, 2)
    assert found.point_s >= 0.01
    assert found.work_s >= 200 * 0.01
    assert found.disk_bytes > 200 * 100
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_not_counted_again(plan, tmp_path):
    ids = [point.id for point in plan.points if point.training == 0]
    run(plan, tmp_path / "out", counted.WORK, lambda progress: None, only=ids)
    found = estimate(plan, tmp_path / "out", counted.WORK)
    assert (found.missing, found.artifacts) == (100, 1)
    run(plan, tmp_path / "out", counted.WORK, lambda progress: None)
    found = estimate(plan, tmp_path / "out", counted.WORK)
    assert (found.missing, found.artifacts, found.work_s) == (0, 0, 0.0)


def test_counting_what_is_needed_evaluates_nothing_that_could_be(plan, tmp_path):
    ids = [point.id for point in plan.points[::2]]
    run(plan, tmp_path / "out", counted.WORK, lambda progress: None, only=ids)
    before = len(counted.evaluations(tmp_path / "record"))
    estimate(plan, tmp_path / "out", counted.WORK)
    begun = counted.evaluations(tmp_path / "record")[before:]
    assert len([place for place in begun if place[0] != "training"]) <= 9  # the sample, its first point twice


def test_the_time_of_artifacts_that_need_others_is_that_of_all(make_plan, tmp_path):
    def evaluate(config, training, replicates, artifacts):
        artifacts.get({"tuned": config["at"]})
        for _ in replicates:
            yield {"accuracy": 0.5, "accuracy_float": 0.5}

    made = []

    def make(key, artifacts):
        if "tuned" in key:
            artifacts.get_all([{"score": [*key["tuned"], k]} for k in range(4)])
        made.append(key)
        return {}

    found = estimate(make_plan(), tmp_path / "out", Work(evaluate, make))
    assert found.artifacts == 6  # a tuning for each cell
    assert found.artifacts_s > 0
    assert {len(key) for key in made} == {1}


def test_a_sample_that_fails_leaves_the_time_open(make_plan, evaluator, tmp_path):
    evaluator.fails = lambda place: True
    assert estimate(make_plan(), tmp_path / "out", evaluator.work).points == 72


def test_the_folder_of_another_study_is_refused_at_once(plan, make_plan, evaluator, tmp_path):
    run(make_plan(), tmp_path / "out", evaluator.work, lambda progress: None)
    with pytest.raises(SpecError, match="holds results of another study"):
        estimate(plan, tmp_path / "out", Work(evaluator.evaluate, counted.make))
