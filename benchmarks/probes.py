"""Losses of perturbations of 784-32-10, batch 100: all in one call, beside the passes issued one by one.

Weights and biases one by one (25,450: write, forward, loss, write back) or nodes (42: forward, loss). Of the passes
issued one by one a sample is timed, and scaled. The chips read as C1 does: one pair of 7-bit cells a weight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

import imcsim
from benchmarks.mvm import case_spec
from imcsim.network.learning_chip import LearningChip, learning_chip
from imcsim.network.mlp import NetworkSpec, initial_mlp
from imcsim.network.probing import in_turn, one_by_one
from imcsim.network.protocols import NodesInTurn, Probed, WeightProbes, WeightsInTurn
from imcsim.rng import child

INPUTS, HIDDEN, CLASSES, BATCH = 784, 32, 10, 100
SAMPLED = 20  # passes issued one by one
_CLIP = {"dac": {"out_of_range": "clip"}}
_NOISE = {**_CLIP, "cell": {"read_noise_rel": 0.02}, "adc": {"noise_lsb": 0.3}}
_SERIAL = {**_NOISE, "dac": {"kind": "bit_serial", "bits": 8, "out_of_range": "clip"}}


class Case(NamedTuple):
    """What is perturbed on which chip; `target`: how many times as fast the call is to be."""

    what: str
    changes: Mapping[str, Any]
    nodes: bool
    target: int


CASES: Mapping[str, Case] = {
    "T2": Case("weights, no noise, in one shot", _CLIP, False, 20),
    "T2-nodes": Case("nodes, no noise, in one shot", _CLIP, True, 20),
    "T2n": Case("weights, read noise and ADC noise at every conversion, in one shot", _NOISE, False, 5),
    "T2n-nodes": Case("nodes, the same", _NOISE, True, 5),
    "T2n-serial": Case("weights, noise as T2n, bit by bit", _SERIAL, False, 5),
    "T2n-serial-nodes": Case("nodes, the same", _SERIAL, True, 5),
}


@cache
def chip(name: str) -> LearningChip:
    """The calibrated chip of a case."""
    spec = imcsim.overlay(case_spec("C1"), CASES[name].changes)
    start = initial_mlp(NetworkSpec(hidden=(HIDDEN,)), INPUTS, CLASSES, child(0, "benchmark", "weights"))
    made = learning_chip(start, spec, "cross_entropy", 1, child(0, "benchmark", "program"))
    return made.calibrated(*batch(), child(0, "benchmark", "calibrate"))


def in_one_call(name: str) -> Callable[[], Probed]:
    """The losses of all perturbations of a case."""
    network, samples, probes = chip(name), batch(), perturbations(name)
    return lambda: network.probe(*samples, probes, child(0, "benchmark", "probe"))


def one_after_the_other(name: str) -> tuple[Callable[[], Probed], float]:
    """Perturbations of a case by themselves, of weights a sample of them; and how many times as many there are."""
    network, samples, probes = chip(name), batch(), perturbations(name)
    issued, times = one_by_one(network, probes), 1.0
    if isinstance(issued, WeightProbes):
        many = sum((inputs + 1) * outputs for inputs, outputs in network.shapes)
        some = list(islice(issued.weights, 0, many, many // SAMPLED))
        issued, times = WeightProbes(some), many / len(some)
    rng = ("benchmark", "in turn")
    return lambda: in_turn(network, *samples, issued, child(0, *rng), 0.0, network._written_back), times


def perturbations(name: str) -> NodesInTurn | WeightsInTurn:
    """A code of every weight and bias, or 0.01 of every node."""
    return NodesInTurn(0.01) if CASES[name].nodes else WeightsInTurn(chip(name).weight_lsb)


def batch() -> tuple[Any, Any]:
    """Inputs in [0, 1] as float32, as of pixels, and their labels."""
    rng = child(0, "benchmark", "batch")
    return rng.random((BATCH, INPUTS), dtype=np.float32), rng.integers(0, CLASSES, BATCH)
