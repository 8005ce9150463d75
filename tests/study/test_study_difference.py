"""Two studies against each other."""

from __future__ import annotations

import numpy as np
import pytest
from counted import quiet

from imcsim.study.axes import Axis, Cell, Replicates
from imcsim.study.difference import difference, format_difference
from imcsim.study.plan import Plan
from imcsim.study.run import run
from imcsim.study.table import open_study
from imcsim.study.work import Work

BITS = (4, 5, 6, 7)


@pytest.fixture
def study(tmp_path):
    """study(name, shift=..., bits=..., **replicates): results whose accuracy at 5 bits is shifted."""

    def build(name, *, shift=0.0, luck=0, bits=BITS, toml="", fails=False, **replicates):
        def evaluate(config, training, places, artifacts):
            for die, _ in places:
                if fails and config["bits"] == 7:
                    raise ValueError("no luck")
                own = np.random.default_rng([config["bits"], training, die, luck]).normal()
                moved = shift if config["bits"] == 5 else 0.0
                yield {"accuracy": 0.9 + 0.002 * training + moved + 0.001 * own * bool(luck), "accuracy_float": 0.95}

        axis = Axis("chip.adc.bits", tuple(bits))
        plan = Plan(
            name=name,
            config={"name": name},
            toml=toml,
            axes=(axis,),
            cells=tuple(Cell.of({axis.path: b}, {"bits": b, "name": name}) for b in bits),
            replicates=Replicates(**{"trainings": 6, "dies": 2, **replicates}),
            dataset_sha256="d" * 64,
            chance=0.1,
            test_samples=400,
            plot=None,
        )
        run(plan, tmp_path / name, Work(evaluate, lambda key, artifacts: {}), quiet)
        return open_study(tmp_path / name)

    return build


def test_a_study_does_not_differ_from_itself(study):
    one = study("one")
    found = difference(one, one)
    assert (found.rows, found.equal, found.points, found.compared) == ((), 4, 0, 48)
    assert "the same versions, data and configuration" in format_difference(found, "a", "b")


def test_a_planted_difference_is_found_and_luck_is_not(study):
    found = difference(study("one", luck=1), study("two", luck=2, shift=0.02))
    assert found.points == found.compared == 48
    assert found.significant == 1
    [row] = [row for row in found.rows if row.p_holm < 0.05]
    assert row.coordinates == {"chip.adc.bits": 5}
    assert row.difference.low < 0.02 < row.difference.high
    assert "by more than luck (p of Holm below 5 %): 1 of 4 cells that differ" in format_difference(found, "a", "b")


def test_the_second_less_the_first_is_told(study):
    found = difference(study("one", luck=1), study("two", luck=1, shift=-0.01))
    assert found.equal == 3
    assert [round(row.difference.mean, 9) for row in found.rows] == [-0.01]


def test_cells_that_one_alone_has_are_named_and_more_replicates_compared_as_far_as_both_go(study):
    found = difference(study("one", bits=(4, 5, 6), trainings=3, dies=4), study("two", bits=(5, 6, 7)))
    assert found.only_first == ({"chip.adc.bits": 4},)
    assert found.only_second == ({"chip.adc.bits": 7},)
    assert (found.equal, found.compared) == (2, 2 * 3 * 2)
    told = format_difference(found, "a", "b")
    assert "only in a: 1 cells\n  bits 4" in told
    assert "only in b: 1 cells\n  bits 7" in told


def test_cells_without_results_are_counted_and_settings_that_differ_are_listed(study):
    first = study("one", toml="[chip.adc]\nbits = 4\n")
    found = difference(first, study("two", fails=True, toml="[chip.adc]\nbits = 5\nkind = 'sar'\n"))
    assert (found.unknown, found.equal) == (1, 3)
    assert ("chip.adc.bits", "4", "5") in found.settings
    told = format_difference(found, "a", "b")
    assert 'chip.adc.kind: absent -> "sar"' in told
    assert "name: one -> two" in told
    assert found.plain()["unknown"] == 1
