"""The values that tuning finds for a cell: the scores of its candidates, rung by rung, as artifacts.

No test sample is ever seen: candidates are trained and scored on the training part of the data set alone, split again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from imcsim import datasets
from imcsim.datasets import DataSet
from imcsim.experiment.design import Design, built
from imcsim.experiment.learned import on_its_die, tuning_learning_key
from imcsim.experiment.reading import TimedDie, extrapolations
from imcsim.experiment.trained import divergence, on_chip, tuning_key
from imcsim.experiment.tune import TuneSpec, changed, read_config
from imcsim.rng import child, draw_key
from imcsim.specs.codec import to_table
from imcsim.study.halving import best, rungs
from imcsim.study.store import Artifacts
from imcsim.study.work import Key
from imcsim.training import accuracy


def tuned_key(config: Mapping[str, Any]) -> Key:
    """The artifact of the values that a cell of this configuration is tuned to; of copies, that of their original."""
    if "base" in config["tune"]:
        tune = {key: value for key, value in config["tune"].items() if key != "base"}
        config = {**config["tune"]["base"], "tune": tune}
    config = {**config, "training": {key: value for key, value in config["training"].items() if key != "copy"}}
    validated_on = datasets.load(config["dataset"]).for_tuning.sha256
    return {"kind": "tuned", "config": {**config, "dataset_sha256": validated_on}}


def make_tuned(key: Key, artifacts: Artifacts) -> Mapping[str, Any]:
    """The `winner`, values by path, and of every rung its epochs, the candidates' places and their accuracies.

    An accuracy is None where the training diverged or could not begin; where no candidate could, `refused` says why the
    first did not. Raises ArithmeticError where those of a whole rung diverged.
    """
    design, tuning = read_config(key["config"])
    if tuning is None:
        raise ValueError("make_tuned: a cell that tunes nothing")
    spec = tuning.spec
    ladder = rungs(len(tuning.candidates), design.training.epochs, spec.reduction, spec.min_epochs)
    left, record = tuple(range(len(tuning.candidates))), []
    for rung, go_on in zip(ladder, [*(rung.candidates for rung in ladder[1:]), 1], strict=True):
        keys = [_score_key(changed(design, tuning.candidates[place]), spec, rung.epochs) for place in left]
        scores = artifacts.get_all(keys)
        found = [score["accuracy"] for score in scores]
        if all("refused" in score for score in scores):
            return {"winner": {}, "refused": scores[0]["refused"]}
        if all(score is None for score in found):
            told = next(score["diverged"] for score in scores if "diverged" in score)
            raise ArithmeticError(
                f"tuning: every candidate diverged that was trained for {rung.epochs} epochs, {len(found)} in all; "
                f"give tune.over other values. The first: {told}"
            )
        record.append({"epochs": rung.epochs, "candidates": left, "accuracy": found})
        left = tuple(left[place] for place in best(found, go_on))
    return {"winner": tuning.candidates[left[0]], "rungs": record}


def _score_key(design: Design, spec: TuneSpec, epochs: int) -> Key:
    return {
        "kind": "score",
        "design": to_table(design),
        "dataset_sha256": datasets.load(design.dataset).for_tuning.sha256,
        "epochs": epochs,
        "trainings": spec.trainings,
        "dies": spec.dies,
        "reads": spec.reads,
    }


def make_score(key: Key, artifacts: Artifacts) -> Mapping[str, Any]:
    """The mean accuracy of a candidate on the chip, over trainings, dies and reads, on the validation samples.

    It is None, beside what was said of it, where a training diverged.
    """
    design, data = built(Design, key["design"]), datasets.load(key["design"]["dataset"]).for_tuning
    if design.training.where == "chip":
        return _score_of_dies_that_learned(design, key, artifacts, data)
    trainings = artifacts.get_all([tuning_key(design, k, key["epochs"]) for k in range(key["trainings"])])
    diverged = [trained["diverged"] for trained in trainings if "diverged" in trained]
    if diverged:
        return {"accuracy": None, "diverged": diverged[0]}
    found = []
    for training, trained in enumerate(trainings):
        # streams of its own: what is evaluated later has other dies, other weights and other noise
        with extrapolations([]):  # what is evaluated later tells of them
            network = on_chip(trained, design, data, child(design.seed, "tune", "calibration", training))
        for die in range(key["dies"]):
            die_key = draw_key(child(design.seed, "tune", "die", die))
            probing = child(design.seed, "tune", "compensation", training, die)
            manufactured = TimedDie(network, die_key, design.read, data.x_train, probing)
            for read in range(key["reads"]):
                z = manufactured.logits(data.x_test, child(design.seed, "tune", "read", training, die, read))
                found.append(accuracy(z, data.y_test))
    return {"accuracy": float(np.mean(found))}


def _score_of_dies_that_learned(design: Design, key: Key, artifacts: Artifacts, data: DataSet) -> Mapping[str, Any]:
    """As `make_score`, of a candidate that learns on each die."""
    places = list(np.ndindex(key["trainings"], key["dies"]))
    keys = [tuning_learning_key(design, training, die, key["epochs"]) for training, die in places]
    learned = artifacts.get_all(keys)
    if refused := [one["refused"] for one in learned if "refused" in one]:
        return {"accuracy": None, "refused": refused[0]}
    if diverged := [said for one in learned if (said := divergence(one["outcomes"]))]:
        return {"accuracy": None, **diverged[0]}
    found = []
    for (training, die), of_die, one in zip(places, keys, learned, strict=True):
        probing = child(design.seed, "tune", "compensation", training, die)
        timed = TimedDie(on_its_die(of_die, one), None, design.read, data.x_train, probing)
        for read in range(key["reads"]):
            z = timed.logits(data.x_test, child(design.seed, "tune", "read", training, die, read))
            found.append(accuracy(z, data.y_test))
    return {"accuracy": float(np.mean(found))}
