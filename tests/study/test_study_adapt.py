"""Studies that look at their results: bits found by a search, means made as sure as asked; and both go on anywhere."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
from counted import quiet, sha256

from imcsim.errors import SpecError
from imcsim.study.adapt import _bisected, _waves
from imcsim.study.axes import Axis, Cell, Replicates
from imcsim.study.needed import Reaches, ends, format_needed, needed
from imcsim.study.plan import Plan
from imcsim.study.questions import SearchSpec
from imcsim.study.run import run
from imcsim.study.status import status
from imcsim.study.summary import format_summary
from imcsim.study.table import read_table
from imcsim.study.work import Work
from imcsim.study.workers import Workers

BITS, WEIGHTS = tuple(range(1, 17)), tuple(range(2, 9))
SEARCH = SearchSpec(along="chip.adc.bits", within=0.01)
IN_FLOAT = 0.97


def evaluate(config, training, replicates, artifacts):
    """Losses that halve with every bit, a threshold for each number of weight bits, and the luck of each draw."""
    for die, read in replicates:
        rng = np.random.default_rng([config["bits"], config["weights"], training, die, read])
        lost = 0.01 * 2.0 ** (config["needs"] - 0.5 - config["bits"]) + config["noise"] * rng.normal()
        yield {"accuracy": float(np.clip(IN_FLOAT - lost, 0, 1)), "accuracy_float": IN_FLOAT}


def make(key, artifacts):
    raise NotImplementedError


WORK = Work(evaluate, make)


def plan_of(*, search=None, noise=0.0, needs=lambda weights: 10 - weights // 2, weights=WEIGHTS, **replicates):
    """Bits x weights; needs(weights) bits stay within a point of float."""
    axes = (Axis("chip.array.weight_bits", weights), Axis("chip.adc.bits", BITS))
    cells = [
        Cell.of(
            {axes[0].path: w, axes[1].path: b},
            {"weights": w, "bits": b, "needs": needs(w), "noise": noise},
        )
        for w in weights
        for b in BITS
    ]
    return Plan(
        name="adaptive",
        config={"name": "adaptive", "search": str(search)},
        toml="",
        axes=axes,
        cells=tuple(cells),
        replicates=Replicates(**{"trainings": 3, "dies": 3, **replicates}),
        dataset_sha256="d" * 64,
        chance=0.1,
        test_samples=400,
        plot=None,
        search=search,
    )


def summary_of(folder):
    return read_table(folder / "study.h5").summary()


def answers(found):
    return [(one.coordinates, one.value, one.at_best, one.surely) for one in found.found]


@pytest.mark.parametrize("noise", [0.0, 0.002, 0.004])
def test_a_search_finds_what_the_whole_grid_finds_with_a_third_of_its_points(tmp_path, noise):
    whole = run(plan_of(noise=noise, trainings=5), tmp_path / "whole", WORK, quiet)
    part = run(plan_of(noise=noise, trainings=5, search=SEARCH), tmp_path / "part", WORK, quiet)
    found = needed(summary_of(tmp_path / "part"), SEARCH)
    assert answers(found) == answers(needed(summary_of(tmp_path / "whole"), SEARCH))
    assert part.points == part.computed <= whole.points / 3
    told = format_needed(found)
    assert f"searched: {part.points // 15} of 112 cells were evaluated" in told


def test_what_is_needed_is_what_was_planted(tmp_path):
    run(plan_of(search=SEARCH), tmp_path, WORK, quiet)
    found = needed(summary_of(tmp_path), SEARCH)
    assert [one.value for one in found.found] == [10 - weights // 2 for weights in WEIGHTS]
    assert [one.coordinates["chip.array.weight_bits"] for one in found.found] == list(WEIGHTS)


def test_what_no_value_reaches_is_told_so(tmp_path):
    run(plan_of(search=SEARCH, needs=lambda weights: 40 if weights == 4 else 1), tmp_path, WORK, quiet)
    found = needed(summary_of(tmp_path), SEARCH)
    assert [one.text for one in found.found] == ["1", "1", "not reached", "1", "1", "1", "1"]


def test_one_slice_alone_takes_as_many_cells_as_halving(tmp_path):
    outcome = run(plan_of(search=SEARCH, weights=(4,)), tmp_path, WORK, quiet)
    assert outcome.points <= 5 * 9  # of 17 answers, after ceil(log2(17)) looks, of 3 x 3 points


def test_an_interval_ends_where_no_value_reaches_it_at_best_and_where_one_surely_does():
    never, maybe, nearly, surely = (
        Reaches(False, False, False),
        Reaches(False, True, False),
        Reaches(True, True, False),
        Reaches(True, True, True),
    )
    known = dict(enumerate([never, maybe, maybe, nearly, nearly, surely, nearly]))
    assert ends(known, 7, 3) == (1, 5)
    assert ends({3: nearly}, 7, 3) == (3, 7)


@pytest.mark.parametrize("count", [1, 2, 7, 16])
@pytest.mark.parametrize("guess", [None, 0, 3, 16])
def test_bisection_finds_every_answer_from_every_guess(count, guess):
    for first in range(count + 1):
        known = {}
        for _ in range(count + 1):
            place, found = _bisected(known, count, None if guess is None else min(guess, count))
            if place is None:
                break
            assert place not in known
            known[place] = place >= first
        assert found == first
        if guess is not None and min(guess, count) == first:
            assert len(known) <= 2  # a guess that is right is confirmed at once


@pytest.mark.parametrize("count", [0, 1, 2, 9, 100])
def test_waves_have_each_number_once(count):
    assert sorted(number for wave in _waves(count) for number in wave) == list(range(count))


def test_means_are_made_as_sure_as_asked(tmp_path):
    plan = plan_of(noise=0.01, weights=(4,), target_ci=0.003, most_trainings=60, most_dies=60)
    run(plan, tmp_path, WORK, quiet)
    summary = summary_of(tmp_path)
    assert all(row.accuracy.high - row.accuracy.low <= 0.006 for row in summary.rows)
    assert "asked for: 0.3 points to either side of 16 means; none is wider" in format_summary(summary)
    assert len({row.values.shape for row in summary.rows}) > 1  # some took more than others
    assert all(row.values.size < 3600 for row in summary.rows)


def test_growing_ends_at_the_most_and_says_so(tmp_path):
    plan = plan_of(noise=0.05, weights=(4,), dies=1, target_ci=0.001, most_trainings=6)
    run(plan, tmp_path, WORK, quiet)
    summary = summary_of(tmp_path)
    assert {row.values.shape for row in summary.rows} == {(6, 1, 1)}
    assert "16 are wider, with as many replicates as the study allows" in format_summary(summary)


def test_what_makes_the_width_is_what_grows(tmp_path):
    def of_dies(config, training, replicates, artifacts):
        for die, _ in replicates:
            luck = np.random.default_rng(die).normal(), np.random.default_rng([training, die]).normal()
            yield {"accuracy": 0.9 + 0.01 * luck[0] + 0.001 * luck[1], "accuracy_float": IN_FLOAT}

    plan = plan_of(weights=(4,), target_ci=0.004, most_trainings=60, most_dies=60)
    run(plan, tmp_path, Work(of_dies, make), quiet)
    assert {row.values.shape[0] for row in summary_of(tmp_path).rows} == {3}


BOTH = {"search": SEARCH, "noise": 0.004, "target_ci": 0.003, "most_trainings": 12}


def test_workers_and_an_interrupt_come_to_the_same_file(tmp_path):
    run(plan_of(**BOTH), tmp_path / "one", WORK, quiet)
    run(plan_of(**BOTH), tmp_path / "two", WORK, quiet, start=functools.partial(Workers, 2))

    def interrupt(progress):
        if progress.done > 300:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(plan_of(**BOTH), tmp_path / "cut", WORK, interrupt)
    assert 0 < len(summary_of(tmp_path / "cut").rows) < 112
    outcome = run(plan_of(**BOTH), tmp_path / "cut", WORK, quiet)
    assert outcome.reused > 300
    assert sha256(tmp_path / "one") == sha256(tmp_path / "two") == sha256(tmp_path / "cut")
    again = run(plan_of(**BOTH), tmp_path / "cut", WORK, quiet)
    assert (again.computed, again.reused) == (0, again.points)
    state = status(tmp_path / "cut")
    assert (state.points, state.finished, state.missing) == (again.points, again.points, 0)


def test_one_point_alone_is_evaluated_whether_or_not_the_search_would_have_asked_for_it(tmp_path):
    plan = plan_of(search=SEARCH)
    point = plan.points[5]  # of one bit, far from the answer
    outcome = run(plan, tmp_path, WORK, quiet, only=[point.id])
    assert (outcome.computed, outcome.failed) == (1, 0)
    assert np.isfinite(read_table(tmp_path / "study.h5").columns["accuracy"]).sum() == 1
    run(plan, tmp_path, WORK, quiet)
    run(plan_of(search=SEARCH), tmp_path / "undisturbed", WORK, quiet)
    assert sha256(tmp_path) == sha256(tmp_path / "undisturbed")


def test_possible_points_are_those_of_every_cell_as_often_as_it_may_be_repeated():
    plan = plan_of(weights=(4,), target_ci=0.01, most_trainings=6)
    assert len(plan.possible_ids) == 16 * 6 * 3
    more = dataclasses.replace(plan, cells=tuple(dataclasses.replace(cell, trainings=8) for cell in plan.cells))
    assert {point.id for point in more.points} <= more.possible_ids


def test_a_point_alone_leaves_what_grew_as_it_is(tmp_path):
    plan = plan_of(noise=0.01, weights=(4,), target_ci=0.003, most_trainings=20)
    run(plan, tmp_path, WORK, quiet)
    before = sha256(tmp_path)
    run(plan, tmp_path, WORK, quiet, only=[plan.points[0].id])
    assert sha256(tmp_path) == before


def test_a_search_takes_up_what_the_whole_grid_left(tmp_path):
    run(plan_of(), tmp_path, WORK, quiet)
    outcome = run(plan_of(search=SEARCH), tmp_path, WORK, quiet)
    assert (outcome.computed, outcome.reused) == (0, outcome.points)
    assert outcome.points < 112 * 9


def test_points_that_fail_are_not_asked_for_again_and_again(tmp_path):
    def failing(config, training, replicates, artifacts):
        if config["bits"] > 8:
            raise ValueError("no luck")
        yield from evaluate(config, training, replicates, artifacts)

    outcome = run(plan_of(search=SEARCH, weights=(2, 3)), tmp_path, Work(failing, make), quiet)
    assert outcome.failed > 0
    assert [one.text for one in needed(summary_of(tmp_path), SEARCH).found] == ["not reached", "not reached"]


def test_intervals_asked_for_hold_the_mean_nearly_as_often_as_they_say():
    """Looking at results while they come in makes them too sure of themselves: how much, docs/statistics.md tells."""
    from imcsim.study.adapt import _grown
    from imcsim.study.statistics import mean_interval

    rng, held, tries = np.random.default_rng(5), 0, 1500
    replicates = Replicates(trainings=5, target_ci=0.005, most_trainings=200)
    for _ in range(tries):
        values = rng.normal(0.9, 0.01, size=(200, 1))
        cell = Cell({}, "")
        while (grown := _grown(cell, replicates, values[: cell.trainings or 5])) is not cell:
            cell = grown
        interval = mean_interval(values[: cell.trainings or 5])
        held += interval.low <= 0.9 <= interval.high
    assert 0.88 < held / tries < 0.97


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"target_ci": 0.01}, "needs to know what to repeat"),
        ({"most_trainings": 9}, "has no meaning without target_ci"),
        ({"trainings": 2, "target_ci": 0.01, "most_trainings": 9}, "at least 3"),
        ({"trainings": 9, "target_ci": 0.01, "most_trainings": 9}, "less than most_trainings"),
        ({"own_dies": True, "trainings": 3, "target_ci": 0.01, "most_dies": 9}, "no meaning with own_dies"),
        ({"target_ci": 60.0, "most_trainings": 9, "trainings": 3}, "target_ci"),
    ],
)
def test_replicates_that_cannot_grow_are_refused(given, told):
    with pytest.raises(SpecError, match=told):
        Replicates(**given)


def test_a_search_along_what_is_not_swept_is_refused():
    with pytest.raises(SpecError, match=r"search.along.*must be a swept path of numbers.*did you mean"):
        plan_of(search=SearchSpec(along="chip.adc.bit"))
