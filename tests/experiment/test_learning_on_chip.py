"""Learning on the chip in a study: each training on each die, kept whole, whatever reads it later."""

from __future__ import annotations

import dataclasses
import functools
import json

import h5py
import numpy as np
import pytest
from evaluating import evaluate_now

from imcsim import datasets
from imcsim.descent import DescentSpec
from imcsim.errors import DataError
from imcsim.experiment import learned as learning_artifacts
from imcsim.experiment.evaluate import WORK
from imcsim.experiment.kept import held_by, state_of
from imcsim.experiment.learned import learning_key, on_its_die
from imcsim.experiment.study_file import read_study
from imcsim.experiment.tune import read_config
from imcsim.experiment.tuned import tuned_key
from imcsim.figures import study_figures
from imcsim.learning import learn
from imcsim.network.ideal import IdealNetwork
from imcsim.network.learning_chip import learning_chip
from imcsim.network.mlp import MLP, NetworkSpec, initial_mlp, logits
from imcsim.network.noisy import InjectionSpec, NoisyNetwork
from imcsim.network.protocols import LayerUpdate
from imcsim.rng import child, draw_key
from imcsim.rules.hardware_aware import hardware_aware
from imcsim.rules.library import learning_rule
from imcsim.specs.codec import overlay
from imcsim.specs.library import load
from imcsim.study.canonical import canonical_json, restored
from imcsim.study.run import run
from imcsim.study.status import format_status, status
from imcsim.study.store import Artifacts
from imcsim.study.summary import format_summary
from imcsim.study.table import read_table
from imcsim.study.workers import Workers
from imcsim.training import accuracy
from imcsim.updates import Outer

STUDY = """
name = "learning"
dataset = "iris"
[network]
hidden = [6]
[training]
where = "chip"
rule = "hardware_in_the_loop"
epochs = 3
batch_size = 40
learning_rate = 0.05
[chip]
device = "sram_ideal"
cell.mismatch_sigma_rel = 0.2
cell.read_noise_rel = 0.1
write.accumulator_bits = 20
dac.input_scale = "max"
array.weight_scale = "max"
"""
BITS = '[grid]\n"chip.adc.bits" = [8]\n'


@pytest.fixture
def plan_of(tmp_path):
    def read(sections=BITS, *settings):
        (tmp_path / "study.toml").write_text(STUDY + sections)
        return read_study(tmp_path / "study.toml", settings)

    return read


@pytest.fixture
def artifacts(tmp_path):
    return Artifacts(tmp_path / "artifacts")


def quiet(progress):
    pass


def values_of(plan, artifacts, replicates=((0, 0),), training=0, cell=0):
    return evaluate_now(plan.cells[cell], training, list(replicates), artifacts)


def learned_by_hand(training=0, die=0, rule="hardware_in_the_loop", epochs=3):
    """What the study does of one training on one die, in Python."""
    data = datasets.load("iris")
    start = initial_mlp(NetworkSpec(hidden=(6,)), 4, 3, child(0, "initial weights", training))
    chip = overlay(
        load("sram_ideal"),
        {
            "cell": {"mismatch_sigma_rel": 0.2, "read_noise_rel": 0.1},
            "write": {"accumulator_bits": 20},
            "dac": {"input_scale": "max"},
            "array": {"weight_scale": "max"},
        },
    )
    key = draw_key(child(0, "die", die))
    network = learning_chip(start, chip, "cross_entropy", key, child(0, "programming", training, die))
    spec = DescentSpec(epochs=epochs, batch_size=40, learning_rate=0.05, calibrate_every_epochs=1)
    streams = child(0, "learning", training, die), None, child(0, "data order", training)
    return learn(network, learning_rule(rule), data, spec, *streams)


# ---- what is learned


def test_a_point_is_what_the_die_reads_of_the_test_samples_after_it_learned(plan_of, artifacts):
    learned, data = learned_by_hand(training=1, die=2), datasets.load("iris")
    (values,) = values_of(plan_of(), artifacts, [(2, 0)], training=1)
    z = learned.network.chip.logits(data.x_test, child(0, "read", 1, 2, 0))
    assert values["accuracy"] == accuracy(z, data.y_test)
    np.testing.assert_array_equal(values["epoch_loss"], learned.history.loss)
    np.testing.assert_array_equal(values["epoch_accuracy"], learned.history.accuracy)
    assert {name: values[name] for name in learned.counts._fields} == learned.counts._asdict()
    last = learned.history.counts[-1]
    assert {name: values[f"epoch_{name}"][-1] for name in last._fields} == last._asdict()


def test_the_float_accuracy_is_that_of_the_weights_as_last_written(plan_of, artifacts):
    network, data = learned_by_hand().network, datasets.load("iris")
    (values,) = values_of(plan_of(), artifacts)
    written = MLP(network.written, network.biases, network.activation)
    assert values["accuracy_float"] == accuracy(logits(written, data.x_test), data.y_test)


def test_reads_of_a_die_share_its_learning_and_differ_in_their_noise(plan_of, artifacts):
    plan = plan_of(BITS, "chip.cell.read_noise_rel=1.0")
    values = values_of(plan, artifacts, [(0, read) for read in range(4)])
    assert len({tuple(one["epoch_loss"]) for one in values}) == 1
    assert len({one["accuracy"] for one in values}) > 1
    assert len(list(artifacts.folder.iterdir())) == 1


def test_dies_learn_apart_from_the_same_start_and_the_same_batches(plan_of, artifacts, monkeypatch):
    seen = []

    def spy(network, rule, data, spec, rng, stop, shared, observe):
        seen.append((network.written, draw_key(rng), draw_key(shared)))
        return learn(network, rule, data, spec, child(seen[-1][1]), stop, child(seen[-1][2]), observe)

    monkeypatch.setattr(learning_artifacts, "learn", spy)
    plan = plan_of('[grid]\n"training.rule" = ["dfa", "usf"]\n')
    for cell in (0, 1):
        values_of(plan, artifacts, [(0, 0), (1, 0)], cell=cell)
    starts, own, shared = zip(*seen, strict=True)
    assert all(np.array_equal(one, other) for start in starts for one, other in zip(start, starts[0], strict=True))
    assert len(set(shared)) == 1
    assert len(set(own)) == 2  # a die each, whatever the rule
    other = plan_of('[grid]\n"training.rule" = ["dfa"]\n')
    values_of(other, artifacts, [(0, 0)], training=1)
    assert seen[-1][2] not in shared


def test_a_point_is_the_same_alone_and_in_company_in_any_order(plan_of, artifacts):
    plan, replicates = plan_of(), [(0, 0), (0, 1), (1, 0)]
    together = values_of(plan, artifacts, replicates)
    turned = values_of(plan, artifacts, replicates[::-1])[::-1]
    alone = [values_of(plan, artifacts, [one])[0] for one in replicates]
    assert [one["accuracy"] for one in together] == [one["accuracy"] for one in turned]
    assert [one["accuracy"] for one in together] == [one["accuracy"] for one in alone]


def test_the_artifact_depends_on_the_chip_the_rule_and_the_die_and_not_on_the_reads(plan_of):
    base = plan_of()

    def key(plan, die=0):
        return learning_key(read_config(plan.cells[0].config)[0], 0, die)

    assert key(plan_of(BITS, "read.probes=5")) == key(base)
    for settings in ("chip.cell.read_noise_rel=0.2", "training.rule=dfa", "training.epochs=4", "seed=1"):
        assert key(plan_of(BITS, settings)) != key(base)
    assert key(base, die=1) != key(base)


# ---- kept and read again

CHIPS = {
    "sram": {},
    "transposed": {"transpose": {"dac": {"signed": True}}, "feedback": {"dac": {"signed": True}}},
    "neurons": {"neurons": {"gain_sigma_rel": 0.1, "offset_in_sigma": 0.1}},
}


def learned_chip(spec):
    start = initial_mlp(NetworkSpec(hidden=(6,)), 4, 3, child(0, "start"))
    network = learning_chip(start, spec, "cross_entropy", 5, child(0, "programming"))
    data = datasets.load("iris")
    learned = network.calibrated(data.x_train, data.y_train, child(0, "calibration"))
    for step in range(2):
        learned = learned.write(updates_of(network, step), child(0, "write", step))
    return network, learned, data


def updates_of(network, step):
    """Factors of 3 samples a layer, as any array takes them."""
    found = []
    for layer, shape in enumerate(network.shapes):
        rows, cols = (child(0, "update", step, layer, k).normal(0, 0.3, (3, n)) for k, n in enumerate(shape))
        found.append(LayerUpdate(Outer(rows, cols), np.full(shape[1], 0.1)))
    return tuple(found)


def assert_kept(spec):
    fresh, learned, data = learned_chip(spec)
    kept = held_by(restored(json.loads(canonical_json(state_of(learned)))), fresh)
    one, other = (network.chip.logits(data.x_test, child(0, "read")) for network in (learned, kept))
    np.testing.assert_array_equal(one, other)
    before = fresh.calibrated(data.x_train, data.y_train, child(0, "calibration"))
    assert (one != before.chip.logits(data.x_test, child(0, "read"))).any()
    assert kept.counts() == learned.counts()
    further = learned_chip(spec)[1].write, kept.write
    one, other = (
        write(updates_of(fresh, 2), child(0, "more")).chip.logits(data.x_test, child(0, "read")) for write in further
    )
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", CHIPS)
def test_a_die_that_learned_is_kept_to_the_bit(name):
    assert_kept(overlay(load("sram8t_65nm"), {"cell": {"read_noise_rel": 0.1}, **CHIPS[name]}))


@pytest.mark.parametrize("device", ["pcm", "pulsed_generic"])
def test_resistive_and_pulsed_cells_that_learned_are_kept_to_the_bit(device):
    assert_kept(load(device))


def test_a_compound_array_that_learned_is_kept_to_the_bit():
    scheme = {"kind": "tiki_taka_v2", "transfer_rate": 0.1, "reference": "exact"}
    assert_kept(overlay(load("pulsed_generic"), {"compound": scheme}))


@pytest.mark.parametrize(
    "state",
    [
        {"of": "os:environ", "fields": {}},
        {"of": "imcsim.rng:child", "fields": {}},
        {"of": "imcsim.nowhere:Record", "fields": {}},
        {"of": "imcsimilar.module:Record", "fields": {}},
        {"of": "x"},
        ["a"],
    ],
)
def test_a_state_that_names_what_is_no_record_is_refused(state):
    with pytest.raises(DataError):
        held_by(state, None)


def test_what_is_no_data_is_not_kept():
    with pytest.raises(TypeError, match="a generator cannot be kept"):
        state_of((one for one in ()), "x")


# ---- time and drift


def test_a_chip_that_learned_drifts_and_is_compensated(plan_of, artifacts):
    grid = '[grid]\n"read.now_s" = [0.0, 8e4]\n"read.compensation" = ["none", "global"]\n'
    settings = ("chip.device=pcm", "training.rule=dfa")
    text = STUDY.replace("cell.mismatch_sigma_rel = 0.2\ncell.read_noise_rel = 0.1\n", "")
    path = artifacts.folder.with_name("drift.toml")
    path.write_text(text + grid)
    plan = read_study(path, settings)
    dies = [values_of(plan, artifacts, cell=cell)[0] for cell in range(4)]
    assert len(list(artifacts.folder.iterdir())) == 1  # it learned once
    assert len({tuple(one["epoch_loss"]) for one in dies}) == 1
    design, _ = read_config(plan.cells[0].config)
    key = learning_key(design, 0, 0)
    network, x = on_its_die(key, artifacts.get(key)), datasets.load("iris").x_test
    at_once, later = (network.logits(x, child(0, "read"), now_s=now_s) for now_s in (0.0, 8e4))
    # conductances decay as t^-nu
    assert np.abs(later - network.biases[-1]).mean() < 0.9 * np.abs(at_once - network.biases[-1]).mean()


# ---- in float, aware of the hardware


def test_hardware_aware_training_is_learning_through_the_errors_it_is_told(plan_of, artifacts):
    sections = BITS + "[training.rule_options]\nweight_noise_rel = 0.1\nweight_bits = 4\n"
    plan = plan_of(sections, "training.where=digital", "training.rule=hardware_aware")
    (values,) = values_of(plan, artifacts)
    data = datasets.load("iris")
    start = initial_mlp(NetworkSpec(hidden=(6,)), 4, 3, child(0, "initial weights", 0))
    noisy = NoisyNetwork(start, "cross_entropy", injected=InjectionSpec(weight_noise_rel=0.1, weight_bits=4))
    spec = DescentSpec(epochs=3, batch_size=40, learning_rate=0.05)
    learned = learn(noisy, hardware_aware(), data, spec, child(0, "data order", 0))
    np.testing.assert_array_equal(values["epoch_loss"], learned.history.loss)
    assert values["accuracy_float"] == accuracy(logits(learned.network.mlp, data.x_test), data.y_test)
    assert "forward_passes" not in values  # nothing was asked of a chip


def test_learning_on_the_ideal_network_is_that_of_its_rule_with_the_batches_of_a_chip(plan_of, artifacts):
    ideal, asked = "training.where=ideal", '[grid]\n"training.rule" = ["wp_sequential"]\n'
    (values,) = values_of(plan_of(asked, ideal), artifacts)
    data = datasets.load("iris")
    start = initial_mlp(NetworkSpec(hidden=(6,)), 4, 3, child(0, "initial weights", 0))
    spec, rule = DescentSpec(epochs=3, batch_size=40, learning_rate=0.05), learning_rule("wp_sequential")
    streams = child(0, "learning", 0), None, child(0, "data order", 0)
    learned = learn(IdealNetwork(start, "cross_entropy"), rule, data, spec, *streams)
    np.testing.assert_array_equal(values["epoch_loss"], learned.history.loss)
    assert values["accuracy_float"] == learned.accuracy_test
    assert values["forward_passes"] == 3 * 120 * (1 + 5 * 6 + 7 * 3), "of the ideal chip"
    (exact,) = values_of(plan_of('[grid]\n"training.rule" = ["on_chip_backprop"]\n', ideal), artifacts)
    np.testing.assert_allclose(values["epoch_loss"], exact["epoch_loss"], rtol=0.02)


def test_float_training_keeps_the_key_of_its_artifact(plan_of):
    plan = plan_of(BITS, "training.where=digital", "training.rule=backprop")
    assert plan.cells[0].config["training"].keys() == {
        *("epochs", "batch_size", "optimizer", "learning_rate", "where", "rule", "loss")
    }
    assert plan.quantities == ()


# ---- a run


def test_the_file_is_the_same_on_one_worker_and_on_two_and_has_learning_curves(plan_of, tmp_path):
    sections = (
        '[replicates]\ntrainings = 2\ndies = 2\n[grid]\n"training.rule" = ["dfa", "usf"]\n"training.epochs" = [1, 2]\n'
    )
    plan = plan_of(sections)
    outcome = run(plan, tmp_path / "here", WORK, quiet)
    assert (outcome.computed, outcome.failed) == (16, 0)
    run(plan, tmp_path / "workers", WORK, quiet, start=functools.partial(Workers, 2), slots=2)
    path = tmp_path / "here" / "study.h5"
    assert path.read_bytes() == (tmp_path / "workers" / "study.h5").read_bytes()
    with h5py.File(path) as file:
        assert file["epoch_loss"].shape == (16, 2)
        assert file["cube/epoch_loss"].shape == (2, 2, 2, 2, 1, 2)
        ended = np.isnan(file["epoch_loss"][()])
        np.testing.assert_array_equal(ended[:, 0], False)
        np.testing.assert_array_equal(ended[:, 1], file["training.epochs"][()] == 1)
    row = read_table(path).summary().rows[0]
    assert row.numbers["forward_passes"] == 2 * 120  # all samples calibrate, and learn
    assert "forward_passes" in read_table(path).summary().csv()


def test_learning_that_diverges_is_an_outcome_and_no_failure(plan_of, tmp_path, monkeypatch):
    def diverging(*arguments):
        found = learn(*arguments)
        cut = dataclasses.replace(found.history, loss=found.history.loss[:1], accuracy=found.history.accuracy[:1])
        return dataclasses.replace(found, diverged_at=2, history=cut)

    monkeypatch.setattr(learning_artifacts, "learn", diverging)
    plan = plan_of('[replicates]\ndies = 2\n[grid]\n"training.epochs" = [3]\n')
    outcome = run(plan, tmp_path / "out", WORK, quiet)
    assert (outcome.computed, outcome.failed) == (2, 0)
    table = read_table(tmp_path / "out" / "study.h5")
    assert table.columns["diverged_at"].tolist() == [2.0, 2.0]
    assert np.isfinite(table.columns["accuracy"]).all()
    np.testing.assert_array_equal(np.isnan(table.columns["epoch_loss"]), [[False, True, True]] * 2)
    assert "diverged: 2 points" in format_summary(table.summary())
    assert "(2 of them diverged)" in format_status(status(tmp_path / "out"))


@pytest.mark.parametrize("rule", ["backprop", "hardware_aware"])
def test_training_in_float_at_an_absurd_rate_diverges_as_an_outcome(rule, plan_of, artifacts):
    settings = ("training.where=digital", f"training.rule={rule}", "training.optimizer=sgd", "training.loss=mse")
    plan = plan_of(BITS, *settings, "training.learning_rate=10.0", "training.epochs=200")
    (values,) = values_of(plan, artifacts)
    assert 1 <= values["diverged_at"] <= 200
    assert 0 <= values["accuracy"] <= 1


def test_pulsed_devices_have_no_float_accuracy(plan_of, tmp_path):
    text = STUDY[: STUDY.index("[chip]")] + '[chip]\ndevice = "pulsed_generic"\n'
    path = tmp_path / "pulsed.toml"
    path.write_text(text + BITS)
    plan = read_study(path, ["training.rule=dfa", "training.epochs=1", "training.optimizer=sgd"])
    run(plan, tmp_path / "out", WORK, quiet)
    table = read_table(tmp_path / "out" / "study.h5")
    assert table.columns["status"].tolist() == [1]
    assert np.isnan(table.columns["accuracy_float"]).all()
    assert any(path.name == "learning_curves.png" for path in study_figures(table, tmp_path))


# ---- tuning


def test_a_learning_rate_is_tuned_by_dies_that_learned_on_other_samples(plan_of, artifacts, monkeypatch):
    seen = []

    def spy(network, rule, data, spec, rng, stop, shared, observe):
        seen.append((network.die_key, len(data.x_train), spec.epochs))
        return learn(network, rule, data, spec, rng, stop, shared, observe)

    monkeypatch.setattr(learning_artifacts, "learn", spy)
    tune = '[tune]\ndies = 2\nreduction = 2\n[tune.over]\n"training.learning_rate" = [1e-9, 0.1, 1e-8, 1e-7]\n'
    plan = plan_of(tune + BITS, "training.epochs=8")
    assert "candidates x epochs 4 x 4 then 2 x 8: 64 epochs trained" in plan.notes[0]
    (values,) = values_of(plan, artifacts)
    assert values["tuned"] == {"training.learning_rate": 0.1}
    data = datasets.load("iris")
    tuned, last = seen[:-1], seen[-1]
    assert sum(epochs for *_, epochs in tuned) == 64
    assert {samples for _, samples, _ in tuned} == {len(data.for_tuning.x_train)}
    assert last == (draw_key(child(0, "die", 0)), len(data.x_train), 8)
    assert last[0] not in {key for key, *_ in tuned}
    assert artifacts.get(tuned_key(plan.cells[0].config))["winner"] == values["tuned"]


def test_a_candidate_whose_learning_diverges_is_the_worst(plan_of, artifacts, monkeypatch):
    def diverging(network, rule, data, spec, rng, stop, shared, observe):
        found = learn(network, rule, data, spec, rng, stop, shared, observe)
        return dataclasses.replace(found, diverged_at=1) if spec.learning_rate > 0.1 else found

    monkeypatch.setattr(learning_artifacts, "learn", diverging)
    plan = plan_of('[tune.over]\n"training.learning_rate" = [0.2, 1e-9]\n' + BITS)
    (values,) = values_of(plan, artifacts)
    assert values["tuned"] == {"training.learning_rate": 1e-9}
