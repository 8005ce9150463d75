"""Learning steps of 784-256-10, batch 64, beside backprop and gradient descent in plain float32 numpy.

A step is what `learn` makes of a batch: estimate, transforms, a look for what is not finite, write. The chip reads as
C2 does: one pair of 7-bit cells a weight, 8-bit converters in both directions, fresh read noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

import imcsim
from benchmarks.mvm import case_spec
from imcsim.kernels.blas import single_threaded_blas
from imcsim.network.learning_chip import LearningChip, learning_chip
from imcsim.network.mlp import MLP, NetworkSpec, initial_mlp
from imcsim.rng import child
from imcsim.rules.backprop import on_chip_backprop
from imcsim.rules.direct_feedback import direct_feedback_alignment
from imcsim.rules.feedback_alignment import feedback_alignment
from imcsim.rules.rule import Batch, LearningRule, Transform, in_order
from imcsim.rules.transforms import adam, scale_by_learning_rate
from imcsim.updates import finite

INPUTS, HIDDEN, CLASSES, BATCH, LEARNING_RATE = 784, 256, 10, 64, 0.1
TARGET = 5.0  # of T1

_CHIP = {
    "dac": {"out_of_range": "clip"},
    "transpose": {
        "dac": {"kind": "one_shot", "bits": 8, "signed": True},
        "adc": {"bits": 8, "range": "mse"},
    },
}


class Case(NamedTuple):
    """What is learnt with: a rule, a transform by its learning rate, and the write path."""

    what: str
    rule: Callable[[], LearningRule] = on_chip_backprop
    transform: Callable[[float], Transform] = scale_by_learning_rate
    write: Mapping[str, Any] = {}


CASES: Mapping[str, Case] = {
    "T1": Case("on-chip backprop and gradient descent, 8-bit converters, read noise"),
    "T1-adam": Case("T1 with Adam", transform=adam),
    "T1-accumulator": Case("T1 with accumulators of 16 bits", write={"accumulator_bits": 16}),
    "T1-stochastic": Case("T1 with stochastic rounding", write={"rounding": "stochastic"}),
    "T1-dfa": Case("direct feedback alignment in the place of backprop", rule=direct_feedback_alignment),
    "T1-fa": Case("feedback alignment in the place of backprop", rule=feedback_alignment),
}


def chip(case: Case) -> LearningChip:
    """The calibrated chip of a case."""
    spec = imcsim.overlay(imcsim.overlay(case_spec("C2"), _CHIP), {"write": dict(case.write)})
    made = learning_chip(start(), spec, "cross_entropy", 1, child(0, "benchmark", "program"))
    x, y = batch()
    return made.calibrated(x, y, child(0, "benchmark", "calibrate"))


def step(name: str) -> Callable[[], LearningChip]:
    """A step of a case, as `learn` takes it; each call goes on from the one before."""
    case, samples = CASES[name], batch()
    network: Any = chip(case)
    rule, behind = case.rule(), in_order(case.transform(LEARNING_RATE))
    state, descent, taken = rule.init(network, child(0, "rule")), behind.init(network), 0

    def one() -> Any:
        nonlocal network, state, descent, taken
        with single_threaded_blas():
            estimate, state, _ = rule.step(network, state, samples, child(0, "step", taken))
            updates, descent = behind.apply(estimate, descent, network, child(0, "descent", taken))
            assert all(finite(update.weights) and np.isfinite(update.biases).all() for update in updates)
            network = network.write(updates, child(0, "write", taken))
        taken += 1
        return network

    return one


def plain_step() -> Callable[[], tuple[Any, Any]]:
    """The unit: the same step of backprop and gradient descent in float32 numpy, in place."""
    x, y = batch()
    (w1, w2), (b1, b2) = ([a.astype(np.float32) for a in arrays] for arrays in (start().weights, start().biases))
    z1, z2 = np.empty((BATCH, HIDDEN), np.float32), np.empty((BATCH, CLASSES), np.float32)
    delta, change1, change2 = np.empty_like(z1), np.empty_like(w1), np.empty_like(w2)
    samples, rate = np.arange(BATCH), np.float32(LEARNING_RATE / BATCH)

    def one() -> tuple[Any, Any]:
        np.matmul(x, w1, out=z1)
        np.add(z1, b1, out=z1)
        np.maximum(z1, 0, out=z1)
        np.matmul(z1, w2, out=z2)
        np.add(z2, b2, out=z2)
        np.subtract(z2, z2.max(axis=1, keepdims=True), out=z2)  # softmax, less one at the label
        np.exp(z2, out=z2)
        np.divide(z2, z2.sum(axis=1, keepdims=True), out=z2)
        z2[samples, y] -= 1
        np.multiply(z2, rate, out=z2)
        np.matmul(z2, w2.T, out=delta)
        np.multiply(delta, z1 > 0, out=delta)
        np.matmul(z1.T, z2, out=change2)
        np.subtract(w2, change2, out=w2)
        np.subtract(b2, z2.sum(axis=0), out=b2)
        np.matmul(x.T, delta, out=change1)
        np.subtract(w1, change1, out=w1)
        np.subtract(b1, delta.sum(axis=0), out=b1)
        return w1, w2

    return one


def start() -> MLP:
    """The weights that a step begins with."""
    return initial_mlp(NetworkSpec(hidden=(HIDDEN,)), INPUTS, CLASSES, child(0, "benchmark", "weights"))


def batch() -> Batch:
    """Inputs in [0, 1] as float32, as of pixels, and their labels."""
    rng = child(0, "benchmark", "batch")
    return Batch(rng.random((BATCH, INPUTS), dtype=np.float32), rng.integers(0, CLASSES, BATCH))
