"""Nodes and weights of the ideal network one by one, in one call: see kernels.in_turn for what is recomputed."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from imcsim.network.losses import wanted
from imcsim.network.protocols import NodesInTurn, Reads, WeightsInTurn

Array = np.ndarray[Any, Any]


def losses_one_by_one(network: Any, reads: Reads, target: Array, probes: NodesInTurn | WeightsInTurn) -> Array:
    """Exact losses under each perturbation, (K, samples), or of an ensemble (K, members, samples).

    `reads` are of the unperturbed pass of the network, float64 without any error.
    """
    from imcsim.kernels.in_turn import ACTIVATIONS, Clean, losses_in_turn
    from imcsim.kernels.in_turn import LOSSES as IN_KERNEL

    alone = reads.z[-1].ndim == 2
    members, samples = 1 if alone else len(reads.z[-1]), reads.z[-1].shape[-2]
    outputs = wanted(target, network.shapes[-1][1])
    clean = Clean(
        inputs=_stacked(reads.a_in[:1] if isinstance(probes, WeightsInTurn) else (), members, samples),
        hidden=_stacked(reads.a_in[1:], members, samples),
        sums=_stacked(reads.z, members, samples),
        weights=_flat([w.reshape(*w.shape[:-2], -1) for w in network.mlp.weights[1:]], members),
        biases=_flat(network.mlp.biases, members),
        units=np.array([network.shapes[0][0], *(outputs for _, outputs in network.shapes)]),
        target=_stacked((outputs,), 1 if outputs.ndim == 2 else len(outputs), samples),
        activation=ACTIVATIONS.index(network.activation),
        loss=IN_KERNEL.index(network.loss_name),
    )
    places = _places(network.shapes, weights=isinstance(probes, WeightsInTurn))
    losses = losses_in_turn(clean, *places, _steps(network.shapes, probes, len(places[0])))
    return np.asarray(losses[:, 0] if alone else losses)


def serves(network: Any) -> bool:
    """Whether the kernel knows the network: its functions, and nothing between its sums and the next layer beside them.

    Circuits for neurons, decorrelation and other losses take passes of their own.
    """
    from imcsim.kernels.in_turn import ACTIVATIONS, LOSSES

    known = network.loss_name in LOSSES and network.activation in ACTIVATIONS
    return bool(known and network.neurons is None and network.decorrelation is None)


def _stacked(layers: tuple[Array, ...], members: int, samples: int) -> Array:
    """Values (..., samples, units) of layers, a unit a row: (members, units of all layers, samples)."""
    units = [one.shape[-1] for one in layers]
    out = np.empty((members, sum(units), samples))
    for one, end, many in zip(layers, np.cumsum(units), units, strict=True):
        out[:, end - many : end] = np.swapaxes(one, -1, -2)
    return out


def _flat(layers: Sequence[Array], members: int) -> Array:
    """Values (..., many) of layers side by side: (members, all of them)."""
    each = (np.broadcast_to(one, (members, one.shape[-1])) for one in layers)
    return np.concatenate([np.zeros((members, 0)), *each], axis=1)


@functools.cache
def _places(shapes: tuple[tuple[int, int], ...], *, weights: bool) -> tuple[Array, Array, Array]:
    """Layer, row and unit of each perturbation, (K,) each; row -1: the sums themselves, as biases are added to them."""
    found = []
    for layer, (inputs, outputs) in enumerate(shapes):
        rows = np.append(np.arange(inputs if weights else 0), -1)
        row, unit = np.meshgrid(rows, np.arange(outputs), indexing="ij")
        found.append((np.full(row.size, layer), row.ravel(), unit.ravel()))
    layers, rows, units = (np.concatenate(one) for one in zip(*found, strict=True))
    return layers, rows, units


def _steps(shapes: tuple[tuple[int, int], ...], probes: NodesInTurn | WeightsInTurn, many: int) -> Array:
    """The step of each perturbation, (K,)."""
    if isinstance(probes, NodesInTurn):
        return np.full(many, float(probes.step))
    each = (np.broadcast_to(one, (i + 1, o)).ravel() for one, (i, o) in zip(probes.steps, shapes, strict=True))
    return np.concatenate([np.asarray(one, np.float64) for one in each])
