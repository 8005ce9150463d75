"""The study of rules under non-idealities, in its quick form: what cannot change, whatever the numbers."""

from functools import partial
from pathlib import Path

import pytest

from imcsim.experiment.evaluate import WORK
from imcsim.experiment.study_file import read_study
from imcsim.figures import study_figures
from imcsim.study.run import run
from imcsim.study.table import read_table
from imcsim.study.workers import Workers

STUDIES = Path(__file__).parents[2] / "studies" / "rules_under_nonideality"


def nothing(_):
    pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quick")
    plan = read_study(STUDIES / "study.toml", quick=True)
    outcome = run(plan, folder, WORK, nothing, partial(Workers, 2), 2)
    assert (outcome.failed, outcome.missing) == (0, 0)
    return folder


@pytest.fixture(scope="module")
def accuracies(folder):
    rows = read_table(folder / "study.h5").summary().rows
    return {(row.coordinates["variant"], row.coordinates.get("ladder")): row.accuracy.mean for row in rows}


def test_hardware_in_the_loop_is_at_least_in_silico_under_static_mismatch(accuracies):
    assert accuracies["hardware in the loop", "static mismatch"] >= accuracies["in silico", "static mismatch"]


def test_read_noise_hurts_plain_node_perturbation_more_than_decorrelated(accuracies):
    lost = {
        rule: accuracies[rule, None] - accuracies[rule, "read noise"]
        for rule in ("node perturbation", "node perturbation, decorrelated")
    }
    assert lost["node perturbation"] > lost["node perturbation, decorrelated"]


def test_on_the_ideal_chip_all_rules_learn_and_backprop_best(accuracies):
    ideal = {variant: mean for (variant, ladder), mean in accuracies.items() if ladder is None}
    assert len(ideal) == 11
    assert min(ideal.values()) > 0.2
    assert ideal["hardware in the loop"] > 0.94
    assert ideal["SPSA"] < ideal["node perturbation"] < ideal["hardware in the loop"]


def test_no_level_of_backprop_in_the_loop_is_dead(accuracies):
    own = {ladder: mean for (variant, ladder), mean in accuracies.items() if variant == "hardware in the loop"}
    assert min(own.values()) > 0.8


def test_its_figures_are_drawn_from_the_merged_file(folder, tmp_path):
    names = {path.name for path in study_figures(read_table(folder / "study.h5"), tmp_path)}
    assert {"thresholds.png", "degradation.png", "costs.png", "gradient.png", "thresholds.csv"} <= names


@pytest.mark.parametrize("name", ["study", "chips", "sequential", "resistive", "pulsed"])
def test_every_study_of_the_folder_is_sound(name):
    plan = read_study(STUDIES / f"{name}.toml")
    assert plan.cells
    assert {gap.coordinates["variant"] for gap in plan.gaps} <= {"on-chip backprop", "hardware in the loop"}
