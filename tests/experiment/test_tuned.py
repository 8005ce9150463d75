"""A cell finds its own values: by the rule, for the budget that was said, on validation samples, always the same."""

import dataclasses
import functools
import hashlib
import json
import re

import h5py
import numpy as np
import pytest
from evaluating import evaluate_now

from imcsim import datasets
from imcsim.experiment import evaluate as evaluation
from imcsim.experiment import trained, tuned
from imcsim.experiment.evaluate import WORK
from imcsim.experiment.study_file import read_study
from imcsim.experiment.tuned import tuned_key
from imcsim.network.mlp import NetworkSpec, initial_mlp
from imcsim.rng import child
from imcsim.study.run import run
from imcsim.study.store import Artifacts, MissingArtifactsError
from imcsim.study.summary import format_summary
from imcsim.study.table import read_table
from imcsim.study.workers import Workers
from imcsim.training import TrainingSpec, train

STUDY = """
name = "tuned"
dataset = "iris"

[network]
hidden = [6]

[training]
epochs = 9
batch_size = 8

[chip]
device = "sram_ideal"
cell.mismatch_sigma_rel = 0.1
cell.read_noise_rel = 0.1
dac.input_scale = "max"
array.weight_scale = "max"

{sections}

[tune]
{tune}
[tune.over]
{over}

[grid]
"chip.adc.bits" = {bits}
"""
RATES = '"training.learning_rate" = [1e-6, 1e-4, 0.05, 1e-5, 3e-6, 3e-5]'  # the third is a sane one
SANE = 0.05


@pytest.fixture
def study(tmp_path):
    """A plan of a study that tunes over these lines."""

    def read(over=RATES, *settings, bits="[8]", tune="", sections=""):
        text = STUDY.format(over=over, bits=bits, tune=tune, sections=sections)
        (tmp_path / "study.toml").write_text(text)
        return read_study(tmp_path / "study.toml", settings)

    return read


@pytest.fixture
def artifacts(tmp_path):
    (tmp_path / "artifacts").mkdir()
    return Artifacts(tmp_path / "artifacts")


def quiet(progress):
    pass


def make(key, artifacts, ordered=tuple):
    """The artifact of `key` with all that it needs, each made in the order of `ordered`."""
    while True:
        try:
            content = WORK.make(key, artifacts)
        except MissingArtifactsError as missing:
            for needed in ordered(missing.keys):
                make(needed, artifacts, ordered)
        else:
            artifacts.put(key, content)
            return artifacts.get(key)


def tuned_values(plan, artifacts, cell=0):
    return make(tuned_key(plan.cells[cell].config), artifacts)


@pytest.fixture
def trainings(monkeypatch):
    """The epochs of each training that is done."""
    epochs = []

    def spy(*arguments):
        result = train(*arguments)
        epochs.append(len(result.loss_per_epoch))
        return result

    monkeypatch.setattr(trained, "train", spy)
    return epochs


# ---- the rule


def test_the_sane_learning_rate_among_absurd_ones_wins(study, artifacts):
    assert tuned_values(study(), artifacts)["winner"] == {"training.learning_rate": SANE}


def test_the_record_is_what_the_rule_makes_of_its_scores(study, artifacts):
    record = tuned_values(study(tune="reduction = 2"), artifacts)["rungs"]
    assert [(len(rung["candidates"]), rung["epochs"]) for rung in record] == [(6, 4), (3, 9)]
    first, last = record
    assert first["candidates"] == list(range(6))
    # the three best, equals in the order of the candidates
    ranked = sorted(zip(first["accuracy"], [0, -1, -2, -3, -4, -5], strict=True), reverse=True)
    assert last["candidates"] == sorted(-place for _, place in ranked[:3])
    assert max(last["accuracy"]) == last["accuracy"][last["candidates"].index(2)]


def test_of_equal_candidates_the_first_wins(study, artifacts):
    # a rate so small that no weight moves by a bit that the chip would see
    found = tuned_values(study('"training.learning_rate" = [3e-12, 1e-12, 2e-12]'), artifacts)
    assert len(set(found["rungs"][0]["accuracy"])) == 1
    assert found["winner"] == {"training.learning_rate": 3e-12}


def test_what_is_spent_is_what_was_said(study, artifacts, trainings, monkeypatch):
    samples = []

    def spy(z, labels):
        samples.append(len(labels))
        return accuracy(z, labels)

    accuracy = tuned.accuracy
    monkeypatch.setattr(tuned, "accuracy", spy)
    plan = study(tune="trainings = 2\ndies = 3\nreads = 2", bits="[4, 8]")
    for cell in (0, 1):
        tuned_values(plan, artifacts, cell)
    epochs_said, samples_said = map(int, re.search(r"(\d+) epochs trained, (\d+) samples read", plan.notes[0]).groups())
    assert epochs_said == 2 * (6 * 3 + 2 * 9)
    assert sum(samples) == 2 * samples_said
    alone = Artifacts(artifacts.folder.with_name("alone"))
    alone.folder.mkdir()
    trainings.clear()
    tuned_values(plan, alone, 0)
    assert sum(trainings) == epochs_said
    # the first rung of the second cell, which differs in its ADC alone, needs no training of its own
    trainings.clear()
    tuned_values(plan, alone, 1)
    assert 3 not in trainings


def test_a_score_is_the_mean_over_trainings_dies_and_reads(study, artifacts, monkeypatch):
    found = []

    def spy(z, labels):
        found.append(accuracy(z, labels))
        return found[-1]

    accuracy = tuned.accuracy
    monkeypatch.setattr(tuned, "accuracy", spy)
    plan = study('"training.learning_rate" = [0.02, 0.03]', tune="trainings = 2\ndies = 3\nreads = 2")
    (record,) = tuned_values(plan, artifacts)["rungs"]
    np.testing.assert_allclose(record["accuracy"], np.reshape(found, (2, 12)).mean(axis=1), rtol=1e-12)
    assert len(set(found[:12])) > 1


# ---- always the same


def test_the_winner_is_the_same_in_any_order_of_evaluation(study, artifacts, tmp_path):
    plan = study(tune="trainings = 2")
    turned = Artifacts(tmp_path / "turned")
    turned.folder.mkdir()
    key = tuned_key(plan.cells[0].config)
    assert make(key, artifacts) == make(key, turned, ordered=lambda keys: keys[::-1])


def sha256(folder):
    return hashlib.sha256((folder / "study.h5").read_bytes()).hexdigest()


def test_the_file_is_the_same_on_one_worker_on_two_and_after_a_run_that_was_cut_short(study, tmp_path, monkeypatch):
    plan = study(bits="[3, 8]", sections="[replicates]\ntrainings = 2\n")
    outcome = run(plan, tmp_path / "here", WORK, quiet)
    assert (outcome.computed, outcome.failed) == (4, 0)
    run(plan, tmp_path / "workers", WORK, quiet, start=functools.partial(Workers, 2), slots=2)

    class CutShortError(BaseException):
        pass

    begun = []

    def cut_short(*arguments):
        begun.append(arguments)
        if len(begun) == 5:
            raise CutShortError
        return train(*arguments)

    monkeypatch.setattr(trained, "train", cut_short)
    with pytest.raises(CutShortError):
        run(plan, tmp_path / "resumed", WORK, quiet)
    run(plan, tmp_path / "resumed", WORK, quiet)
    names = {
        folder: sorted(p.name for p in (tmp_path / folder / "artifacts").iterdir()) for folder in ("here", "resumed")
    }
    assert names["here"] == names["resumed"]
    made = sum('"weights"' in path.read_text() for path in (tmp_path / "here" / "artifacts").iterdir())
    assert len(begun) == made + 1  # what was cut short, and no more, was trained again
    assert sha256(tmp_path / "here") == sha256(tmp_path / "workers") == sha256(tmp_path / "resumed")


# ---- validation


def test_tuning_never_sees_a_test_sample(study, artifacts, tmp_path, monkeypatch):
    plan = study()
    data = datasets.load("iris")
    found = tuned_values(plan, artifacts)

    def with_data(**changes):
        other = Artifacts(tmp_path / "-".join(changes))
        other.folder.mkdir()
        monkeypatch.setattr(datasets, "load", lambda name: dataclasses.replace(data, **changes))
        return tuned_values(plan, other)

    assert with_data(x_test=data.x_test[::-1] / 2, y_test=(data.y_test + 1) % 3) == found
    # negative control: other labels of training samples do tell
    assert with_data(y_train=(data.y_train + data.x_train[:, 0].round().astype(int)) % 3)["rungs"] != found["rungs"]


@pytest.fixture
def streams(monkeypatch):
    """The addresses of the random streams that are drawn from."""
    used = []

    def spy(seed, *path):
        used.append((seed, *path))
        return child(seed, *path)

    for module in (trained, tuned, evaluation):
        monkeypatch.setattr(module, "child", spy)
    return used


def test_tuning_shares_no_stream_with_the_evaluation(study, artifacts, streams):
    plan = study(tune="dies = 2\ntrainings = 2")
    tuned_values(plan, artifacts)
    tuning = set(streams)
    names = {"initial weights", "data order", "calibration", "die", "compensation", "read"}
    assert {path[2] for path in tuning} == names
    assert all(path[1] == "tune" for path in tuning)
    streams.clear()
    evaluate_now(plan.cells[0], 0, [(0, 0), (1, 0)], artifacts)
    assert streams
    assert tuning.isdisjoint(streams)


# ---- what becomes of the winner


def test_the_winner_is_trained_on_the_whole_training_part_and_evaluated(study, artifacts):
    plan = study()
    (values,) = evaluate_now(plan.cells[0], 1, [(0, 0)], artifacts)
    assert values["tuned"] == {"training.learning_rate": SANE}
    data = datasets.load("iris")
    start = initial_mlp(NetworkSpec(hidden=(6,)), 4, 3, child(0, "initial weights", 1))
    expected = train(start, data, TrainingSpec(epochs=9, batch_size=8, learning_rate=SANE), child(0, "data order", 1))
    assert values["accuracy_float"] == expected.accuracy_test


def test_a_tuned_cell_is_evaluated_as_the_same_cell_that_was_given_the_value(study, artifacts, tmp_path):
    plan = study(bits="[4]", tune="dies = 2")
    text = (tmp_path / "study.toml").read_text()
    (tmp_path / "given.toml").write_text(text[: text.index("[tune]")] + text[text.index("[grid]") :])
    given = read_study(tmp_path / "given.toml", [f"training.learning_rate={SANE}"])
    replicates = [(0, 0), (0, 1), (1, 0)]
    found, expected = (evaluate_now(p.cells[0], 0, replicates, artifacts) for p in (plan, given))
    assert [{**values, "tuned": {"training.learning_rate": SANE}} for values in expected] == found


def test_what_was_found_stands_in_the_file_the_table_and_the_text(study, tmp_path):
    over = '"training.learning_rate" = [1e-6, 0.05]\n"chip.array.weight_scale" = ["mse", "max"]'
    plan = study(over, bits="[4, 8]")
    run(plan, tmp_path / "out", WORK, quiet)
    with h5py.File(tmp_path / "out" / "study.h5") as file:
        rates = file["tuned training.learning_rate"][()]
        scales = file["tuned chip.array.weight_scale"].asstr()[()]
        assert file["cube/tuned training.learning_rate"].shape == (2, 1, 1, 1)
        assert json.loads(file.attrs["tuned"]) == ["training.learning_rate", "chip.array.weight_scale"]
    assert rates.tolist() == [SANE, SANE]
    summary = read_table(tmp_path / "out" / "study.h5").summary()
    for row, scale in zip(summary.rows, scales, strict=True):
        assert row.tuned == {"training.learning_rate": SANE, "chip.array.weight_scale": scale}
    lines = format_summary(summary).splitlines()
    assert "tuned training.learning_rate" in lines[1]
    assert lines[2].split()[:3] == ["4", "0.05", scales[0]]
    head, first, _ = (line.split(",") for line in summary.csv().splitlines())
    assert first[head.index("tuned training.learning_rate")] == "0.05"


# ---- divergence

DIVERGING = ("training.optimizer=sgd", "training.loss=mse", "network.hidden=[]", "training.epochs=200")


def test_a_candidate_that_diverges_is_the_worst_and_fails_nothing(study, artifacts):
    plan = study('"training.learning_rate" = [10.0, 1e-9, 0.1]', *DIVERGING, tune="trainings = 2")
    found = tuned_values(plan, artifacts)
    assert found["rungs"][0]["accuracy"][0] is None
    assert None not in found["rungs"][0]["accuracy"][1:]
    assert found["winner"] == {"training.learning_rate": 0.1}


def test_where_all_diverge_the_points_fail_and_say_so_and_other_cells_go_on(study, tmp_path):
    over = '"training.learning_rate" = [9.0, 10.0]'
    outcome = run(study(over, *DIVERGING), tmp_path / "out", WORK, quiet)
    assert (outcome.computed, outcome.failed) == (0, 1)
    record = json.loads((tmp_path / "out" / "failures.jsonl").read_text())
    assert re.search(
        "tuning: every candidate diverged that was trained for 200 epochs, 2 in all; give tune.over other values. "
        "The first: training diverged: .* learning_rate = 9.0",
        record["error"],
    )


# ---- trainings that are stopped

STOP = "[stop]\nafter_epochs = 2\naccuracy_below = {}\n"


def test_a_stopped_training_is_evaluated_with_the_weights_it_has(study, artifacts, trainings):
    plan = study('"training.batch_size" = [16, 32]', sections=STOP.format(1.0))
    (values,) = evaluate_now(plan.cells[0], 0, [(0, 0)], artifacts)
    assert values["stopped"] is True
    assert 9 not in trainings
    assert trainings[-1] == 2
    batch_size = values["tuned"]["training.batch_size"]
    start = initial_mlp(NetworkSpec(hidden=(6,)), 4, 3, child(0, "initial weights", 0))
    two = train(start, datasets.load("iris"), TrainingSpec(epochs=2, batch_size=batch_size), child(0, "data order", 0))
    assert values["accuracy_float"] == two.accuracy_test


def test_a_training_that_is_not_hopeless_is_what_it_is_without_the_rule(study, artifacts, tmp_path):
    found = []
    for name, sections in (("with", STOP.format(0.0)), ("without", "")):
        own = Artifacts(tmp_path / name)
        found.append(evaluate_now(study(sections=sections).cells[0], 0, [(0, 0)], own))
    assert found[0] == found[1]
    assert "stopped" not in found[0][0]


def test_a_stopped_candidate_keeps_the_score_it_has(study, artifacts, trainings):
    (record,) = tuned_values(study(sections=STOP.format(0.5), tune="min_epochs = 9"), artifacts)["rungs"]
    epochs = list(trainings)
    assert sorted(set(epochs)) == [2, 9]  # hopeless ones and others
    (of_two,) = tuned_values(study(RATES, "training.epochs=2", tune="min_epochs = 2"), artifacts)["rungs"]
    for place, trained_for in enumerate(epochs):
        if trained_for == 2:
            assert record["accuracy"][place] == of_two["accuracy"][place]


def test_stopped_points_are_marked_in_the_file_and_counted_in_words(study, tmp_path):
    plan = study('"training.batch_size" = [16, 32]', bits="[4, 8]", sections=STOP.format(1.0))
    outcome = run(plan, tmp_path / "out", WORK, quiet)
    assert (outcome.computed, outcome.failed) == (2, 0)
    with h5py.File(tmp_path / "out" / "study.h5") as file:
        assert file["status"][()].tolist() == [3, 3]
        assert not np.isnan(file["accuracy"][()]).any()
    text = format_summary(read_table(tmp_path / "out" / "study.h5").summary())
    assert "stopped early: 2 points, whose trainings were given up; the means hold them" in text
