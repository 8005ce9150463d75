"""Studies of alignment: rules' estimates against the gradient of each die, from the file to the points."""

from __future__ import annotations

import numpy as np
import pytest
from evaluating import evaluate_now

from imcsim import datasets
from imcsim.errors import SpecError
from imcsim.experiment import aligned
from imcsim.experiment.study_file import read_study
from imcsim.experiment.trained import start_of, training_key
from imcsim.experiment.tune import read_config
from imcsim.network.mlp import NetworkSpec, initial_mlp
from imcsim.rng import child
from imcsim.study.store import Artifacts

STUDY = """
name = "aligned"
dataset = "iris"
[network]
hidden = [12, 8]
activation = "tanh"
[training]
where = "chip"
rule = "hardware_in_the_loop"
epochs = 30
optimizer = "adam"
learning_rate = 0.01
[alignment]
at = "initial"
draws = 8
passes = 8
[chip]
device = "sram_ideal"
[chip.array]
cell_bits = 7
[chip.dac]
kind = "one_shot"
bits = 8
signed = true
out_of_range = "clip"
[chip.adc]
kind = "ideal"
"""


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    return Artifacts(tmp_path_factory.mktemp("artifacts"))


@pytest.fixture
def plan(tmp_path):
    """The plan of such a study with the text `grid` for its end, changed by settings."""

    def read(grid, *settings):
        (tmp_path / "study.toml").write_text(STUDY + grid)
        return read_study(tmp_path / "study.toml", settings)

    return read


@pytest.fixture
def wrong(plan):
    """What is told to be wrong with such a study."""

    def read(grid, *settings):
        with pytest.raises(SpecError) as caught:
            plan(grid, *settings)
        return str(caught.value)

    return read


def cosines(plan, artifacts, training=0, die=0):
    """The cosines (layers,) of each cell."""
    return np.array([evaluate_now(cell, training, [(die, 0)], artifacts)[0]["cosine"] for cell in plan.cells])


def test_points_have_a_value_for_each_layer(plan, artifacts):
    study = plan('[grid]\n"training.rule" = ["dfa"]')
    assert [quantity.name for quantity in study.quantities] == ["cosine", "single_cosine", "snr_db"]
    assert study.quantities[0].along.places == (1, 2, 3)
    values = evaluate_now(study.cells[0], 0, [(0, 0), (1, 0)], artifacts)
    assert [np.shape(value["cosine"]) for value in values] == [(3,), (3,)]
    assert values[0]["accuracy_float"] is None


def test_backprop_on_a_chip_that_hardly_errs_is_aligned_and_random_feedback_is_not(plan, artifacts):
    found = cosines(plan('[grid]\n"training.rule" = ["hardware_in_the_loop", "fa"]'), artifacts)
    assert found[0].min() > 0.999
    assert found[1, -1] > 0.999  # the last layer learns from its own error
    assert found[1, :-1].max() < 0.9


def test_mismatch_that_no_rule_knows_of_costs_the_cosine_of_the_last_layer_what_a_closed_form_says(plan, artifacts):
    # each cell moves by its own 1 + sigma x of what is written, of which a rule knows nothing: 1 / sqrt(1 + sigma^2)
    sigma = 0.3
    study = plan(f'[grid]\n"chip.cell.mismatch_sigma_rel" = [{sigma}]', "network.hidden=[60]")
    found = [cosines(study, artifacts, die=die)[0, -1] for die in range(8)]
    assert abs(np.mean(found) - 1 / np.sqrt(1 + sigma**2)) < 5 * np.std(found, ddof=1) / np.sqrt(len(found))
    assert abs(np.mean(found) - 1.0) > 5 * np.std(found, ddof=1) / np.sqrt(len(found))


def test_weights_that_a_rule_has_learnt_are_aligned_with_its_own_matrices(plan, artifacts):
    study = plan('[grid]\n"alignment.at" = ["initial", "trained", "learnt"]', "training.rule=fa")
    initial, trained, learnt = np.array([cosines(study, artifacts, training=k)[:, 0] for k in range(8)]).T

    def errors_above(some, others):
        difference = some - others
        return difference.mean() / (difference.std(ddof=1) / np.sqrt(len(difference)))

    assert errors_above(learnt, trained) > 5
    assert errors_above(initial, trained) < 5  # whose weights know nothing of the matrices either


def test_rules_share_the_reference_and_have_what_they_have_alone(plan, artifacts):
    study = plan('[grid]\n"training.rule" = ["dfa", "usf"]', "chip.cell.read_noise_rel=0.1")
    aligned._KEPT.clear()
    together = cosines(study, artifacts)
    assert len(aligned._KEPT) == 1
    aligned._KEPT.clear()
    alone = plan('[grid]\n"training.rule" = ["usf"]', "chip.cell.read_noise_rel=0.1")
    np.testing.assert_array_equal(together[1], cosines(alone, artifacts)[0])


def test_initial_weights_are_those_that_trainings_start_from(plan):
    study = plan('[grid]\n"training.rule" = ["dfa"]')
    design, _ = read_config(study.cells[0].config)
    key = training_key(design, 1)
    spec = NetworkSpec(hidden=(12, 8), activation="tanh")
    start = initial_mlp(spec, 4, 3, child(0, "initial weights", 1))
    found = start_of(key, datasets.load("iris"))
    for own, expected in zip(found.weights, start.weights, strict=True):
        np.testing.assert_array_equal(own, expected)


RULES = '[grid]\n"training.rule" = ["dfa"]'


def test_what_makes_no_sense_with_alignment_is_told(wrong):
    assert 'rule = "dfaa": must be the name of a learning rule' in wrong(
        '[grid]\n"chip.adc" = [{ kind = "ideal" }]', "training.rule=dfaa"
    )
    assert "has no meaning with [alignment]: nothing is learnt" in wrong(
        RULES + '\n[tune]\ncandidates = 2\n[tune.over]\n"training.epochs" = [3, 4]'
    )
    assert 'chip.dac.out_of_range = "error": inputs outgrow' in wrong(RULES, "chip.dac.out_of_range=error")
    assert "[alignment] draws = 1: must be" in wrong(RULES, "alignment.draws=1").replace(
        "--set: alignment.", "[alignment] "
    )
    assert "is of a rule that learns on the chip" in wrong(
        '[grid]\n"chip.adc" = [{ kind = "ideal" }]', "training.where=digital", "training.rule=backprop"
    )
    assert "needs a transposed read" in wrong('[grid]\n"training.rule" = ["on_chip_backprop"]')


def test_columns_that_droop_are_told_of(tmp_path):
    (tmp_path / "study.toml").write_text(
        'name = "a"\ndataset = "iris"\n[network]\nhidden = [4]\n[training]\nwhere = "chip"\nrule = "dfa"\n[alignment]\n'
        '[chip]\ndevice = "sram8t_65nm"\n[grid]\n"chip.adc.bits" = [6]\n'
    )
    with pytest.raises(SpecError, match="no matrix tells what a column gives that droops"):
        read_study(tmp_path / "study.toml")


def test_a_study_without_alignment_cannot_vary_it(sweep):
    with pytest.raises(SpecError, match=r"\[variants.a\] alignment: cannot vary"):
        sweep('[variants.a]\nalignment.at = "initial"\n[variants.b]\n')
