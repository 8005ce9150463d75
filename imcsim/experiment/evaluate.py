"""Evaluate one cell of a study: train once, program, calibrate, and run the test set on each die."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imcsim import datasets
from imcsim.errors import SpecError
from imcsim.experiment.design import Design
from imcsim.network.mlp import MLP, initial_mlp
from imcsim.network.on_chip import calibrate, program
from imcsim.rng import child, draw_key
from imcsim.specs.codec import build, to_table
from imcsim.study.plan import Cell
from imcsim.study.store import Artifacts
from imcsim.training import accuracy, train

CALIBRATION_SAMPLES = 256  # of the training split: enough for the ranges of a layer, little beside the test set


def evaluate(
    cell: Cell, training: int, replicates: Sequence[tuple[int, int]], artifacts: Artifacts
) -> Sequence[Mapping[str, float]]:
    """The accuracies of each (die, read) of `replicates` with the weights of `training`.

    Streams are keyed by replicate alone, so that cells share initial weights, data order, dies and, as far as their
    designs agree, the noise of each read: differences between cells are not blurred by different draws.
    """
    design = _design(cell)
    data = datasets.load(design.dataset)
    trained = artifacts.get_or_make(_training_key(design, training, data), lambda: _train(design, training, data))
    weights, biases = (
        tuple(trained[name][str(i)] for i in range(len(trained[name]))) for name in ("weights", "biases")
    )
    mlp = MLP(weights, biases, design.network.activation)
    rng = child(design.seed, "calibration", training)
    network = calibrate(program(mlp, design.chip, rng), data.x_train[:CALIBRATION_SAMPLES], rng)
    results = []
    dies = {}
    for die, read in replicates:
        if die not in dies:
            dies[die] = network.on_die(draw_key(child(design.seed, "die", die)))
        z = dies[die].logits(data.x_test, child(design.seed, "read", training, die, read))
        results.append({"accuracy": accuracy(z, data.y_test), "accuracy_float": float(trained["accuracy"])})
    return results


def cell_config(design: Design) -> Mapping[str, Any]:
    """All that determines the results of a design, replicates and the model's version apart; JSON-able."""
    return {**to_table(design), "dataset_sha256": datasets.load(design.dataset).sha256}


def _design(cell: Cell) -> Design:
    problems: list[Any] = []
    table = {key: value for key, value in cell.config.items() if key != "dataset_sha256"}
    design = build(Design, table, (), problems)
    if design is None:
        raise SpecError(problems)
    return design


def _training_key(design: Design, training: int, data: datasets.DataSet) -> Mapping[str, Any]:
    return {
        "seed": design.seed,
        "training": training,
        "network": to_table(design.network),
        "recipe": to_table(design.training),
        "dataset_sha256": data.sha256,
    }


def _train(design: Design, training: int, data: datasets.DataSet) -> Mapping[str, Any]:
    start = initial_mlp(
        design.network, data.x_train.shape[1], data.classes, child(design.seed, "initial weights", training)
    )
    trained = train(start, data, design.training, child(design.seed, "data order", training))
    return {
        "weights": {str(i): w for i, w in enumerate(trained.mlp.weights)},
        "biases": {str(i): b for i, b in enumerate(trained.mlp.biases)},
        "accuracy": trained.accuracy_test,
        "loss_per_epoch": trained.loss_per_epoch,
    }
