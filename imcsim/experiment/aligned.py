"""How well a rule's estimates follow the gradient of each die, measured without any learning on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from imcsim import datasets
from imcsim.datasets import DataSet
from imcsim.experiment.design import Design, built
from imcsim.experiment.trained import (
    CALIBRATION_SAMPLES,
    held_by,
    matrices_of,
    mlp_of,
    start_of,
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
from imcsim.rules.rule import Batch, LearningRule
from imcsim.specs.codec import to_table
from imcsim.study.canonical import digest
from imcsim.study.store import Artifacts
from imcsim.study.work import Key
from imcsim.training import StopSpec, TrainingSpec, accuracy

Array = np.ndarray[Any, Any]


def alignments(
    design: Design, training: int, replicates: Sequence[tuple[int, int]], artifacts: Artifacts
) -> Iterator[dict[str, Any]]:
    """Alignment of each (die, read) of `replicates`, and the accuracy of the weights that it is measured at.

    Batches, dies, their reads for the reference, and what rules draw are the same in every cell, as far as it can be.
    """
    spec, data, rule = design.alignment, datasets.load(design.dataset), _rule(design.training)
    assert spec is not None
    trained = _trained(design, training, artifacts)
    mlp = start_of(training_key(design, training), data) if trained is None else mlp_of(trained, design)
    matrices = None if trained is None else matrices_of(trained)
    told = {} if trained is None else trained.get("outcomes", {"stopped": True} if trained["stopped"] else {})
    for die, read in replicates:
        measured = _measured(design, mlp, matrices, training, die, data)
        rng = child(design.seed, "alignment", training, die, read)
        options: dict[str, Any] = {"draws": spec.draws, "reference": measured.reference}
        if spec.at == "learnt":  # what it drew when it began to learn
            options["state"] = rule.init(measured.network, child(draw_key(_course(design.seed, training)), "rule"))
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


def make_learnt(key: Key) -> Mapping[str, Any]:
    """The weights that a rule has learnt on an ideal chip, their accuracy on the test part, and whether it was stopped.

    Raises ArithmeticError where it diverged.
    """
    data, recipe = datasets.load(key["dataset"]), built(TrainingSpec, key["recipe"])
    stop = built(StopSpec, key["stop"]) if "stop" in key else None
    network = IdealNetwork(start_of(key, data), recipe.loss)
    # float weights have neither ranges nor a write resolution
    spec = dataclasses.replace(recipe, calibrate_every_epochs=None, rounding=None)
    learned = learn(network, _rule(recipe), data, spec, _course(key["seed"], key["training"]), stop)
    if learned.diverged_at is not None:
        raise ArithmeticError(f"{recipe.rule} diverged in epoch {learned.diverged_at}; lower learning_rate")
    return {**held_by(learned.network), "accuracy": learned.accuracy_test, "stopped": learned.stopped}


def _course(seed: int, training: int) -> np.random.Generator:
    """What learning on an ideal chip draws from."""
    return child(seed, "learning on an ideal chip", training)


def _rule(training: TrainingSpec) -> LearningRule:
    return learning_rule(training.rule, training.rule_options or {})


def _trained(design: Design, training: int, artifacts: Artifacts) -> Mapping[str, Any] | None:
    """The artifact of the weights to be measured at; None where they are the initial ones."""
    assert design.alignment is not None
    match design.alignment.at:
        case "initial":
            return None
        case "trained":
            return artifacts.get(
                training_key(dataclasses.replace(design, training=_backprop(design.training), alignment=None), training)
            )
        case "learnt":
            return artifacts.get({**training_key(design, training), "kind": "learnt"})


def _backprop(recipe: TrainingSpec) -> TrainingSpec:
    """The same recipe in float."""
    in_float: dict[str, Any] = {"where": "digital", "rule": "backprop", "rule_options": None}
    return dataclasses.replace(recipe, **in_float, calibrate_every_epochs=None, rounding=None)


class _Measured(NamedTuple):
    """A die with weights on it, and what all rules are compared with there."""

    network: LearningChip
    batch: Batch
    gradient: tuple[Array, ...]
    accuracy: float

    def reference(self, *_: Any) -> tuple[Array, ...]:
        return self.gradient


_KEPT: dict[str, _Measured] = {}  # the last dies: the next cell may differ in the rule alone
_MOST_WEIGHTS = 4_000_000  # of all of them, each with its cells and what was made of them: some 100 MB


def _measured(
    design: Design, mlp: MLP, matrices: tuple[Array, ...] | None, training: int, die: int, data: DataSet
) -> _Measured:
    spec, seed = design.alignment, design.seed
    assert spec is not None
    weights = [digest({"": one}) for one in (*mlp.weights, *mlp.biases, *(matrices or ()))]
    config = {name: value for name, value in to_table(design).items() if name not in ("alignment", "training")}
    of = {"loss": design.training.loss, "samples": spec.samples, "passes": spec.passes, "training": training}
    name = digest({"design": config, "weights": weights, **of, "die": die})
    if name not in _KEPT:
        if (len(_KEPT) + 1) * sum(one.size for one in mlp.weights) > _MOST_WEIGHTS:
            _KEPT.clear()
        streams = {what: child(seed, what, training, die) for what in ("program", "calibrate", "reference", "accuracy")}
        key = draw_key(child(seed, "die", die))
        network = learning_chip(mlp, design.chip, design.training.loss, key, streams["program"])
        if matrices is not None:
            changes = tuple(one - held for one, held in zip(matrices, network.decorrelation or (), strict=True))
            network = network.decorrelate(changes, child(seed, "decorrelate", training, die))
        first = slice(CALIBRATION_SAMPLES)
        network = network.calibrated(data.x_train[first], data.y_train[first], streams["calibrate"])
        samples = min(spec.samples, len(data.x_train))
        chosen = child(seed, "batch", training).choice(len(data.x_train), samples, replace=False)
        batch = Batch(data.x_train[chosen], data.y_train[chosen])
        gradient = die_gradient(spec.passes)(network, batch, streams["reference"])
        z = network.forward(data.x_test, streams["accuracy"]).z[-1]
        _KEPT[name] = _Measured(network, batch, gradient, accuracy(z, data.y_test))
    return _KEPT[name]
