"""How well a rule's estimates follow the gradient of each die, measured without any training on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from imcsim import datasets
from imcsim.datasets import DataSet
from imcsim.experiment.design import Design
from imcsim.experiment.trained import (
    CALIBRATION_SAMPLES,
    artifact_of,
    beginning,
    initial_weights,
    trained_weights,
    training_key,
)
from imcsim.learning import learn
from imcsim.network.ideal import IdealNetwork
from imcsim.network.learning_chip import LearningChip, learning_chip
from imcsim.network.mlp import MLP
from imcsim.rng import child, draw_key
from imcsim.rules.alignment import gradient_alignment
from imcsim.rules.library import learning_rule
from imcsim.rules.reference import die_gradient
from imcsim.rules.rule import Batch
from imcsim.specs.codec import to_table
from imcsim.study.canonical import digest
from imcsim.study.store import Artifacts
from imcsim.study.work import Key
from imcsim.training import accuracy

Array = np.ndarray[Any, Any]


def alignments(
    design: Design, training: int, replicates: Sequence[tuple[int, int]], artifacts: Artifacts
) -> Iterator[dict[str, Any]]:
    """Alignment of each (die, read) of `replicates`, and the accuracy of the weights that it is measured at.

    Batches, dies, their reads for the reference, and what rules draw are the same in every cell, as far as it can be.
    """
    spec, data = design.alignment, datasets.load(design.dataset)
    assert spec is not None
    rule, trained = learning_rule(spec.rule), _trained(design, training, artifacts)
    mlp = initial_weights(design, training, data) if trained is None else trained_weights(trained, design)
    told = {} if trained is None or not trained["stopped"] else {"stopped": True}
    for die, read in replicates:
        measured = _measured(design, mlp, training, die, data)
        rng = child(design.seed, "alignment", training, die, read)
        options: dict[str, Any] = {"draws": spec.draws, "reference": measured.reference}
        if spec.at == "learnt":  # what it began with, as `begin` lets it
            options["state"] = rule.init(measured.network, child(_course_key(design.seed, training), "rule"))
        found = gradient_alignment(rule, measured.network, measured.batch, rng, **options)
        with np.errstate(divide="ignore"):
            snr_db = 10 * np.log10(found.snr)
        yield {
            "accuracy": measured.accuracy,
            "accuracy_float": None if trained is None else float(trained["accuracy"]),
            "cosine": found.cosine,
            "single_cosine": found.single_cosine,
            "snr_db": snr_db,
            **told,
        }


def learnt_key(design: Design, training: int) -> Key:
    """The artifact of the weights that the rule itself has learnt on an ideal chip."""
    assert design.alignment is not None
    return {**training_key(design, training), "kind": "learnt", "rule": design.alignment.rule}


def make_learnt(key: Key) -> Mapping[str, Any]:
    """The weights of `learnt_key`, their accuracy on the test part, and whether the learning was stopped."""
    data, seed, training = datasets.load(key["dataset"]), key["seed"], key["training"]
    start, recipe, stop = beginning(key, data)
    network = IdealNetwork(start, recipe.loss)
    rng = child(seed, "learning", training)
    learned = learn(network, learning_rule(key["rule"]), data, recipe, rng, stop)
    if learned.diverged_at is not None:
        raise ArithmeticError(f"rule {key['rule']} diverged in epoch {learned.diverged_at}: lower the learning rate")
    return artifact_of(learned.network.mlp, learned.accuracy_test, stopped=learned.stopped)


def _course_key(seed: int, training: int) -> int:
    """The key of the course that `make_learnt` takes."""
    return draw_key(child(seed, "learning", training))


def _trained(design: Design, training: int, artifacts: Artifacts) -> Mapping[str, Any] | None:
    assert design.alignment is not None
    match design.alignment.at:
        case "initial":
            return None
        case "trained":
            return artifacts.get(training_key(design, training))
        case "learnt":
            return artifacts.get(learnt_key(design, training))


class _Measured(NamedTuple):
    """A die with weights on it, and what all rules are compared with there."""

    network: LearningChip
    batch: Batch
    gradient: tuple[Array, ...]
    accuracy: float

    def reference(self, *_: Any) -> tuple[Array, ...]:
        return self.gradient


_KEPT: dict[str, _Measured] = {}  # the last dies: the next cell may differ in the rule alone
_MOST_KEPT = 256


def _measured(design: Design, mlp: MLP, training: int, die: int, data: DataSet) -> _Measured:
    spec, seed = design.alignment, design.seed
    assert spec is not None
    config = {name: value for name, value in to_table(design).items() if name != "alignment"}
    rule = spec.rule if spec.at == "learnt" else ""
    of_spec = {**to_table(spec), "rule": rule, "draws": 0}
    name = digest({"design": config, "alignment": of_spec, "training": training, "die": die})
    if name not in _KEPT:
        if len(_KEPT) >= _MOST_KEPT:
            _KEPT.clear()
        streams = {what: child(seed, what, training, die) for what in ("program", "calibrate", "reference", "accuracy")}
        key = draw_key(child(seed, "die", die))
        network = learning_chip(mlp, design.chip, design.training.loss, key, streams["program"])
        first = slice(CALIBRATION_SAMPLES)
        network = network.calibrated(data.x_train[first], data.y_train[first], streams["calibrate"])
        samples = min(spec.samples, len(data.x_train))
        chosen = child(seed, "batch", training).choice(len(data.x_train), samples, replace=False)
        batch = Batch(data.x_train[chosen], data.y_train[chosen])
        gradient = die_gradient(spec.passes)(network, batch, streams["reference"])
        z = network.forward(data.x_test, streams["accuracy"]).z[-1]
        _KEPT[name] = _Measured(network, batch, gradient, accuracy(z, data.y_test))
    return _KEPT[name]
