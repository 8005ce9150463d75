"""Decorrelation in a study: from the file to the points, its matrices kept with what was learned."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from evaluating import evaluate_now

from imcsim import datasets
from imcsim.errors import CapabilityError, SpecError
from imcsim.experiment.evaluate import WORK
from imcsim.experiment.learned import learning_key, on_its_die
from imcsim.experiment.study_file import read_study
from imcsim.experiment.trained import matrices_of, mlp_of, on_chip, training_key
from imcsim.experiment.tune import read_config
from imcsim.network.ideal import IdealNetwork
from imcsim.network.mlp import NetworkSpec, initial_mlp
from imcsim.network.on_chip import calibrate, program
from imcsim.rng import child
from imcsim.specs.library import load
from imcsim.study.store import Artifacts
from imcsim.training import accuracy

STUDY = """
name = "decorrelated"
dataset = "iris"
[network]
hidden = [8]
activation = "tanh"
[training]
where = "chip"
rule = "dbp"
rule_options = { decorrelation = { rate = 0.05 } }
epochs = 12
batch_size = 20
learning_rate = 0.02
[chip]
device = "sram_ideal"
write.accumulator_bits = 20
array = { weight_scale = "max", weight_headroom = 2.0 }
dac = { signed = true, input_scale = "max", out_of_range = "clip" }
"""
DIGITAL = '[chip.decorrelation]\nkind = "digital"\n'
ARRAYS = """
[chip.decorrelation]
kind = "arrays"
write = { accumulator_bits = 20 }
dac = { signed = true, out_of_range = "clip" }
adc = { bits = 10 }
"""
ONE_CELL = '[grid]\n"chip.adc.bits" = [8]\n'


@pytest.fixture
def plan_of(tmp_path):
    def read(sections, settings=()):
        (tmp_path / "study.toml").write_text(STUDY + sections)
        return read_study(tmp_path / "study.toml", settings)

    return read


@pytest.fixture
def artifacts(tmp_path):
    return Artifacts(tmp_path / "artifacts")


@pytest.mark.parametrize("section", [DIGITAL, ARRAYS], ids=["digital", "arrays"])
def test_what_a_study_reads_goes_through_the_matrices_that_were_learned(plan_of, artifacts, section):
    plan = plan_of(section + ONE_CELL)
    values = evaluate_now(plan.cells[0], 0, [(0, 0)], artifacts)[0]
    assert values["accuracy"] > 0.8, "a third would be chance"
    design, _ = read_config(plan.cells[0].config)
    key, data = learning_key(design, 0, 0), datasets.load("iris")
    network = on_its_die(key, WORK.make(key, artifacts))
    z = network.logits(data.x_test, child(design.seed, "read", 0, 0, 0))
    assert accuracy(z, data.y_test) == values["accuracy"]
    assert all(np.abs(one.written - np.eye(len(one.written))).max() > 0.05 for one in network.decorrelation)
    without = dataclasses.replace(network, decorrelation=None).logits(data.x_test, child(design.seed, "read", 0, 0, 0))
    assert np.abs(z - without).max() > 0.1 * np.abs(z).max()
    assert abs(values["accuracy_float"] - values["accuracy"]) < 0.1, "in float with the same matrices"


def test_matrices_on_arrays_cost_reads_and_writes(plan_of, artifacts):
    digital, arrays = (
        evaluate_now(plan_of(section + ONE_CELL).cells[0], 0, [(0, 0)], artifacts)[0] for section in (DIGITAL, ARRAYS)
    )
    assert arrays["array_reads"] > digital["array_reads"]
    assert arrays["word_writes"] > digital["word_writes"]
    assert arrays["forward_passes"] == digital["forward_passes"]


def test_a_chip_without_matrices_is_refused_with_the_table_to_add(plan_of):
    with pytest.raises(SpecError) as told:
        plan_of(ONE_CELL)
    text = str(told.value)
    assert 'rule = "dbp": needs decorrelation matrices' in text
    assert "[chip.decorrelation]" in text


def test_alignment_at_what_was_learnt_is_behind_the_matrices_that_were_learnt(plan_of, artifacts):
    section = '[alignment]\nat = "learnt"\ndraws = 2\npasses = 2\n'
    plan = plan_of(DIGITAL + section + '[grid]\n"chip.adc" = [{ kind = "ideal" }]\n')
    values = evaluate_now(plan.cells[0], 0, [(0, 0)], artifacts)[0]
    assert values["accuracy"] > 0.8
    assert abs(values["accuracy"] - values["accuracy_float"]) < 0.1
    assert values["cosine"].min() > 0.99


# ---- learnt on the ideal network, and then programmed

ELSEWHERE = ['training.where="ideal"']


@pytest.mark.parametrize("section", [DIGITAL, ARRAYS], ids=["digital", "arrays"])
def test_matrices_that_the_ideal_network_learned_are_programmed_with_its_weights(plan_of, artifacts, section):
    plan = plan_of(section + ONE_CELL, ELSEWHERE)
    values = evaluate_now(plan.cells[0], 0, [(0, 0)], artifacts)[0]
    assert values["accuracy"] > 0.8, "a third would be chance"
    assert abs(values["accuracy"] - values["accuracy_float"]) < 0.1
    design, _ = read_config(plan.cells[0].config)
    trained, data = artifacts.get(training_key(design, 0)), datasets.load("iris")
    learned = matrices_of(trained)
    assert all(np.abs(one - np.eye(len(one))).max() > 0.05 for one in learned)
    network = on_chip(trained, design, data, child(0, "calibration"))
    exact = IdealNetwork(mlp_of(trained, design), "cross_entropy", decorrelation=learned)
    wanted = exact.forward(data.x_test, child(0, "nothing is drawn")).z[-1]
    for programmed, matrix in zip(network.decorrelation, learned, strict=True):
        code = programmed.crossbar.scale[0] if section == ARRAYS else 0.0
        np.testing.assert_allclose(programmed.written, matrix, rtol=0, atol=code / 2 * (1 + 1e-9))

    def off(chip):
        return np.abs(chip.logits(data.x_test, child(0, "read")) - wanted).max() / np.abs(wanted).max()

    assert off(network) < 0.1
    plain = program(mlp_of(trained, design), design.chip, child(0, "program"))  # identities
    assert off(calibrate(plain, data.x_train, child(0, "calibration"))) > 0.2


def test_matrices_of_the_ideal_network_are_refused_where_the_chip_has_no_place_for_them(plan_of):
    with pytest.raises(SpecError, match=r'rule = "dbp": needs decorrelation matrices.*\[chip.decorrelation\]'):
        plan_of(ONE_CELL, ELSEWHERE)
    mlp = initial_mlp(NetworkSpec(hidden=(8,)), 4, 3, child(0, "weights"))
    with pytest.raises(CapabilityError, match="no matrices ahead of its layers"):
        program(mlp, load("sram_ideal"), child(0, "program"), (np.eye(4), np.eye(8)))
