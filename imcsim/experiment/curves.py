"""What a point tells of how its network learned by a rule: learning curves, what was asked of the chip, divergence."""

from __future__ import annotations

from typing import Any

import numpy as np

from imcsim.learning import Learned
from imcsim.network.protocols import Counts
from imcsim.study.quantities import Dimension, Quantity

LOSS, ACCURACY, ACCURACY_TEST = "epoch_loss", "epoch_accuracy", "epoch_accuracy_test"

_COUNTS = Counts._fields
_WORDS = {
    "forward_passes": "samples through the whole network",
    "backward_reads": "samples through a transposed layer",
    "array_reads": "reads of arrays: tiles x slices x cycles x samples",
    "conversions": "outputs of ADCs",
    "cell_writes": "cells whose target changed, or pulses",
    "word_writes": "weights whose code changed",
    "random_numbers": "random numbers that the rule drew",
}


def learning_quantities(epochs: int) -> tuple[Quantity, ...]:
    """The quantities of a study where networks learn by rules, for `epochs` at most."""
    along = Dimension("epoch", tuple(range(1, epochs + 1)), "epoch, from 1")
    return (
        Quantity(LOSS, "mean loss of the training samples after the epoch", along=along),
        Quantity(ACCURACY, "accuracy on the training samples after the epoch", along=along),
        Quantity(ACCURACY_TEST, "accuracy on the test samples after the epoch", along=along),
        *(Quantity(f"epoch_{name}", f"{_WORDS[name]}, up to the end of the epoch", along=along) for name in _COUNTS),
        *(Quantity(name, f"{_WORDS[name]}, of all learning") for name in _COUNTS),
        Quantity("stored", "scalars that the rule held at once beside the weights"),
        Quantity("diverged_at", "epoch in which learning diverged"),
    )


def outcomes(learned: Learned, *, on_chip: bool) -> dict[str, Any]:
    """What a run of learning adds to the values of its points; counts are those of a chip, or of the ideal one."""
    history = learned.history
    curves = {LOSS: history.loss, ACCURACY: history.accuracy, ACCURACY_TEST: history.accuracy_test}
    found: dict[str, Any] = {name: np.array(curve) for name, curve in curves.items()}
    if on_chip:
        for name in _COUNTS:
            found[f"epoch_{name}"] = np.array([getattr(so_far, name) for so_far in learned.history.counts], np.float64)
            found[name] = getattr(learned.counts, name)
        found["stored"] = learned.stored
    if learned.diverged_at is not None:
        found["diverged_at"] = learned.diverged_at
    if learned.stopped:
        found["stopped"] = True
    return found
