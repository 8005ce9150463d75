"""Trained weights: artifacts that all points, cells and candidates share that need the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imcsim import datasets
from imcsim.datasets import DataSet
from imcsim.experiment.curves import outcomes
from imcsim.experiment.design import Design, built
from imcsim.learning import learn
from imcsim.network.ideal import IdealNetwork
from imcsim.network.mlp import MLP, NetworkSpec, initial_mlp, logits
from imcsim.network.noisy import InjectionSpec, NoisyNetwork
from imcsim.network.on_chip import ChipNetwork, calibrate, program
from imcsim.rng import child
from imcsim.rules.hardware_aware import hardware_aware
from imcsim.rules.library import learning_rule
from imcsim.specs.codec import to_table
from imcsim.study.work import Key
from imcsim.training import DivergenceError, StopSpec, TrainingSpec, accuracy, train

CALIBRATION_SAMPLES = 256  # of the training part: enough for the ranges of a layer, little beside the test set


def training_key(design: Design, training: int) -> Key:
    """The artifact of the weights that are evaluated: trained on the whole training part."""
    return artifact_key("training", design, training, datasets.load(design.dataset))


def tuning_key(design: Design, training: int, epochs: int) -> Key:
    """The artifact of weights that a candidate is scored by: without the validation samples, for `epochs`."""
    key = artifact_key("tuning training", design, training, datasets.load(design.dataset).for_tuning)
    return {**key, "recipe": {**key["recipe"], "epochs": epochs}}


def artifact_key(kind: str, design: Design, training: int, data: DataSet) -> Key:
    """What determines a training of the design on `data`, wherever it is done."""
    copy = design.training.copy
    return {
        "kind": kind,
        "dataset": design.dataset,
        "dataset_sha256": data.sha256,
        "seed": design.seed,
        "training": training if copy is None else f"{training} of copy {copy}",  # what its streams are called by
        "network": to_table(design.network),
        "recipe": to_table(design.training),
        **({"stop": to_table(design.stop)} if design.stop else {}),
    }


def make_training(key: Key) -> Mapping[str, Any]:
    """The weights of `training_key`, their accuracy on the test part, and whether the training was stopped."""
    return _trained(key, datasets.load(key["dataset"]))


def make_tuning_training(key: Key) -> Mapping[str, Any]:
    """The weights of `tuning_key`; of a training that diverged, what it said of that."""
    trained = _trained(key, datasets.load(key["dataset"]).for_tuning, "tune")
    if "said" in trained:
        return {"diverged": trained["said"]}
    return divergence(trained.get("outcomes", {})) or trained


def divergence(outcomes: Mapping[str, Any]) -> Mapping[str, str]:
    """In words where learning diverged; empty where it did not."""
    epoch = outcomes.get("diverged_at")
    return {} if epoch is None else {"diverged": f"learning diverged in epoch {epoch}; lower learning_rate"}


def _trained(key: Key, data: DataSet, *streams: str) -> Mapping[str, Any]:
    recipe = built(TrainingSpec, key["recipe"])
    stop = built(StopSpec, key["stop"]) if "stop" in key else None
    start = start_of(key, data, *streams)
    order = child(key["seed"], *streams, "data order", key["training"])
    if isinstance(recipe.rule_options, InjectionSpec):
        noisy = NoisyNetwork(start, recipe.loss, injected=recipe.rule_options)
        learned = learn(noisy, hardware_aware(), data, recipe, order, stop)
        mlp: MLP = learned.network.mlp
        of_test = accuracy(logits(mlp, data.x_test), data.y_test)
        return {**parameters(mlp), "accuracy": of_test, "outcomes": outcomes(learned, on_chip=False)}
    if recipe.where == "ideal":
        rule = learning_rule(recipe.rule, recipe.rule_options or {})
        own = child(key["seed"], *streams, "learning", key["training"])
        # batches, and what the rule draws at first, are those of learning on a chip
        learned = learn(IdealNetwork(start, recipe.loss), rule, data, recipe, own, stop, order)
        told = outcomes(learned, on_chip=True)
        return {**held_by(learned.network), "accuracy": learned.accuracy_test, "outcomes": told}
    try:
        trained = train(start, data, recipe, order, stop)
    except DivergenceError as told:
        of_test = accuracy(logits(told.mlp, data.x_test), data.y_test)
        return {**parameters(told.mlp), "accuracy": of_test, "outcomes": {"diverged_at": told.epoch}, "said": str(told)}
    return {
        **parameters(trained.mlp),
        "accuracy": trained.accuracy_test,
        "loss_per_epoch": trained.loss_per_epoch,
        "stopped": trained.stopped,
    }


def start_of(key: Key, data: DataSet, *streams: str) -> MLP:
    """The initial weights of a training, the same wherever and by whatever rule it is done."""
    drawn = child(key["seed"], *streams, "initial weights", key["training"])
    return initial_mlp(built(NetworkSpec, key["network"]), data.x_train.shape[1], data.classes, drawn)


def parameters(mlp: MLP) -> dict[str, Any]:
    """A network as artifacts hold it."""
    return {"weights": by_layer(mlp.weights), "biases": by_layer(mlp.biases)}


def held_by(network: IdealNetwork) -> dict[str, Any]:
    """The same of a network that learned, with the matrices ahead of its layers, where it has any."""
    matrices = network.decorrelation
    return {**parameters(network.mlp), **({} if matrices is None else {"decorrelation": by_layer(matrices)})}


def by_layer(arrays: Sequence[Any]) -> dict[str, Any]:
    """Arrays of every layer as artifacts hold them."""
    return {str(i): array for i, array in enumerate(arrays)}


def of_layers(held: Mapping[str, Any]) -> tuple[Any, ...]:
    """The inverse of `by_layer`."""
    return tuple(held[str(i)] for i in range(len(held)))


def mlp_of(trained: Mapping[str, Any], design: Design) -> MLP:
    """The network of an artifact."""
    return MLP(of_layers(trained["weights"]), of_layers(trained["biases"]), design.network.activation)


def matrices_of(trained: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """The matrices ahead of the layers of an artifact, None where it has none."""
    return of_layers(trained["decorrelation"]) if "decorrelation" in trained else None


def on_chip(trained: Mapping[str, Any], design: Design, data: DataSet, rng: np.random.Generator) -> ChipNetwork:
    """The weights and matrices of a training on the nominal die of the design's chip, its ranges calibrated."""
    network = program(mlp_of(trained, design), design.chip, rng, matrices_of(trained))
    return calibrate(network, data.x_train[:CALIBRATION_SAMPLES], rng)
