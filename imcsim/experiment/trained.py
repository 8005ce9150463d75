"""Trained weights: artifacts that all points, cells and candidates share that need the same ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from imcsim import datasets
from imcsim.datasets import DataSet
from imcsim.experiment.design import Design, built
from imcsim.network.mlp import MLP, NetworkSpec, initial_mlp
from imcsim.network.on_chip import ChipNetwork, calibrate, program
from imcsim.rng import child
from imcsim.specs.codec import to_table
from imcsim.study.work import Key
from imcsim.training import StopSpec, TrainingSpec, train

CALIBRATION_SAMPLES = 256  # of the training part: enough for the ranges of a layer, little beside the test set


def training_key(design: Design, training: int) -> Key:
    """The artifact of the weights that are evaluated: trained on the whole training part."""
    return _key("training", design, training, datasets.load(design.dataset))


def tuning_key(design: Design, training: int, epochs: int) -> Key:
    """The artifact of weights that a candidate is scored by: without the validation samples, for `epochs`."""
    key = _key("tuning training", design, training, datasets.load(design.dataset).for_tuning)
    return {**key, "recipe": {**key["recipe"], "epochs": epochs}}


def _key(kind: str, design: Design, training: int, data: DataSet) -> Key:
    return {
        "kind": kind,
        "dataset": design.dataset,
        "dataset_sha256": data.sha256,
        "seed": design.seed,
        "training": training,
        "network": to_table(design.network),
        "recipe": to_table(design.training),
        **({"stop": to_table(design.stop)} if design.stop else {}),
    }


def make_training(key: Key) -> Mapping[str, Any]:
    """The weights of `training_key`, their accuracy on the test part, and whether the training was stopped."""
    return _trained(key, datasets.load(key["dataset"]))


def make_tuning_training(key: Key) -> Mapping[str, Any]:
    """The weights of `tuning_key`; of a training that diverged, what it said of that."""
    try:
        return _trained(key, datasets.load(key["dataset"]).for_tuning, "tune")
    except ArithmeticError as error:
        return {"diverged": str(error)}  # the worst of candidates, but a result


def _trained(key: Key, data: DataSet, *streams: str) -> Mapping[str, Any]:
    start, recipe, stop = beginning(key, data, *streams)
    trained = train(start, data, recipe, child(key["seed"], *streams, "data order", key["training"]), stop)
    made = artifact_of(trained.mlp, trained.accuracy_test, stopped=trained.stopped)
    return {**made, "loss_per_epoch": trained.loss_per_epoch}


def beginning(key: Key, data: DataSet, *streams: str) -> tuple[MLP, TrainingSpec, StopSpec | None]:
    """What a training of `key` starts from, its recipe, and when it is given up."""
    network, recipe = built(NetworkSpec, key["network"]), built(TrainingSpec, key["recipe"])
    stop = built(StopSpec, key["stop"]) if "stop" in key else None
    return _initial(network, data, key["seed"], *streams, training=key["training"]), recipe, stop


def artifact_of(mlp: MLP, accuracy_test: float, *, stopped: bool) -> dict[str, Any]:
    """Trained weights as artifacts hold them."""
    return {
        "weights": {str(i): w for i, w in enumerate(mlp.weights)},
        "biases": {str(i): b for i, b in enumerate(mlp.biases)},
        "accuracy": accuracy_test,
        "stopped": stopped,
    }


def initial_weights(design: Design, training: int, data: DataSet) -> MLP:
    """The weights that a training starts from."""
    return _initial(design.network, data, design.seed, training=training)


def _initial(network: NetworkSpec, data: DataSet, seed: int, *streams: str, training: int) -> MLP:
    rng = child(seed, *streams, "initial weights", training)
    return initial_mlp(network, data.x_train.shape[1], data.classes, rng)


def trained_weights(trained: Mapping[str, Any], design: Design) -> MLP:
    """The weights of a training."""
    weights, biases = (
        tuple(trained[name][str(i)] for i in range(len(trained[name]))) for name in ("weights", "biases")
    )
    return MLP(weights, biases, design.network.activation)


def on_chip(trained: Mapping[str, Any], design: Design, data: DataSet, rng: np.random.Generator) -> ChipNetwork:
    """The weights of a training on the nominal die of the design's chip, its ranges calibrated."""
    network = program(trained_weights(trained, design), design.chip, rng)
    return calibrate(network, data.x_train[:CALIBRATION_SAMPLES], rng)
