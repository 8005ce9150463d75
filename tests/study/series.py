"""A study whose points have a number and a series beside their accuracies; workers import it by its name."""

from __future__ import annotations

import numpy as np

from imcsim.study.axes import Axis, Cell, Replicates
from imcsim.study.plan import Plan
from imcsim.study.quantities import Dimension, Quantity

EPOCHS = Dimension("epoch", (1, 2, 3), "epoch, from 1")
QUANTITIES = (
    Quantity("steps", "steps taken"),
    Quantity("diverged_at", "epoch in which learning diverged"),
    Quantity("loss", "mean loss of the training samples", "nat", EPOCHS),
)
AXES = (Axis("training.epochs", (1, 3)),)


def plan_of(axes=AXES, quantities=QUANTITIES, **told):
    """A study over the number of epochs: 2 trainings x 2 dies x 2 reads of each."""
    return Plan(
        name="series",
        config={"name": "series"},
        toml='name = "series"\n',
        axes=axes,
        cells=tuple(Cell.of({axes[0].path: n}, {"epochs": n, **told}) for n in axes[0].values),
        replicates=Replicates(trainings=2, dies=2, reads=2),
        dataset_sha256="d" * 64,
        chance=0.1,
        test_samples=400,
        plot=None,
        quantities=quantities,
    )


def loss_at(epoch, training, die):
    """The loss after an epoch: no two are alike."""
    return 1.0 / (1 + epoch) + 0.01 * training + 0.001 * die


def evaluate(config, training, replicates, artifacts):
    """A series as long as the cell's epochs; diverges where the configuration says so."""
    del artifacts
    for die, _ in replicates:
        values = {
            "accuracy": 0.5 + 0.1 * training + 0.01 * die,
            "accuracy_float": config.get("in_float", 0.9),
            "steps": 10 * config["epochs"],
            "loss": np.array([loss_at(epoch, training, die) for epoch in range(config["epochs"])]),
            "at": [training, die],
            "epochs": config["epochs"],
        }
        yield {**values, "diverged_at": 2} if [training, die] == config.get("diverges") else values


def make(key, artifacts):
    """Nothing: points need no artifact."""
    del key, artifacts
    return {}
