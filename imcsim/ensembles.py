"""Learning of an ensemble: hundreds of small networks, each by itself, in one run.

    learned = learn_together(network, rule, data, DescentSpec(epochs=1000, batch_size=1), rng, shared)
    learned.losses[-1] < 0.02  # (members,): which have solved it

All members are shown the same batches; what one learns depends on its own weights and stream, whatever the others do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from imcsim.datasets import DataSet
from imcsim.descent import DescentSpec, transforms_of
from imcsim.errors import SpecError
from imcsim.kernels.blas import single_threaded_blas
from imcsim.network.protocols import Counts, Network
from imcsim.rng import Generators, child, children, draw_key, draw_keys
from imcsim.rules.rule import Batch, LearningRule, chain, require
from imcsim.training import batches

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class LearnedTogether:
    """The ensemble after learning, and what it asked for, a member.

    `losses` (assessments, members) are the mean losses of the training samples after so many `epochs` (assessments,),
    NaN once a member has diverged; reading them is not counted.
    """

    network: Any
    epochs: Array
    losses: Array
    counts: Counts


def learn_together(
    network: Network,
    rule: LearningRule,
    data: DataSet,
    spec: DescentSpec,
    rng: Generators,
    shared: np.random.Generator,
    *,
    assess_every_epochs: int = 1,
) -> LearnedTogether:
    """An ensemble, its members ahead in every array, after `spec.epochs` epochs of the rule with `spec` behind it.

    `rng` is of the members, such as a member_generator; a single generator draws the same for all. The order of samples
    depends on `shared` alone.
    """
    if network.shapes[0][0] != data.x_train.shape[1]:
        allowed = f"must have {data.x_train.shape[1]} inputs, as {data.name} does"
        raise SpecError.of("network", allowed, given=f"{network.shapes[0][0]} inputs")
    if spec.calibrate_every_epochs:
        require(network, "calibrated", "ranges to calibrate", "calibrate_every_epochs", remedy="leave it out")
    keys, common = draw_keys(rng), draw_key(shared)
    descending = chain(rule, *transforms_of(spec, math.ceil(len(data.x_train) / spec.batch_size)))
    state = descending.init(network, children(keys, "rule"))
    asked, assessed, losses = Counts(), [], []
    # what diverges overflows first: its loss tells
    with single_threaded_blas(), np.errstate(over="ignore", invalid="ignore"):
        for epoch in range(spec.epochs):
            order = child(common, "order", epoch)
            for number, rows in enumerate(batches(len(data.x_train), spec.batch_size, order)):
                batch = Batch(data.x_train[rows], data.y_train[rows])
                streams = children(keys, "step", epoch, number)
                updates, state, info = descending.step(network, state, batch, streams)
                asked = asked.plus(info.counts)
                before = network if info.network is None else info.network
                network = before.write(updates, children(keys, "write", epoch, number))
                asked = asked.plus(network.counts().less(before.counts()))
            if (epoch + 1) % assess_every_epochs == 0 or epoch + 1 == spec.epochs:
                reads = network.forward(data.x_train, children(keys, "assess", epoch, "read"))
                loss = network.loss(reads, data.y_train, children(keys, "assess", epoch, "loss"))
                assessed.append(epoch + 1)
                losses.append(loss.mean(axis=-1))
    return LearnedTogether(network, np.array(assessed), np.stack(losses), asked)
