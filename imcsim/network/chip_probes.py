"""Nodes and weights of a chip perturbed one by one, in one call: passes draw their noise, and recompute what changes.

The analog sums of the first layer are held, as its inputs are the same in all passes; where nothing is drawn, so are
those of every layer. The layers above a perturbation read the samples of many passes as one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from imcsim.converters.loss import read_loss
from imcsim.crossbar import Crossbar
from imcsim.held import Held
from imcsim.kernels.digital import activate_sums, losses_of_sums
from imcsim.kernels.in_turn import ACTIVATIONS
from imcsim.kernels.in_turn import LOSSES as IN_KERNEL
from imcsim.mapping import quantise_weights
from imcsim.network.losses import LOSSES, wanted
from imcsim.network.on_chip import ChipNetwork
from imcsim.network.probing import how_many, in_turn, one_by_one, probed, together
from imcsim.network.protocols import (
    LayerUpdate,
    NodeProbes,
    NodesInTurn,
    Probed,
    Probes,
    Updates,
    WeightProbes,
    WeightsInTurn,
)
from imcsim.rng import child, draw_key
from imcsim.updates import Dense

Array = np.ndarray[Any, Any]

Stream = tuple[int, *tuple[str | int, ...]]  # the address of a stream: a key, and a path under it

MOST_SUMS = 1 << 19  # of columns, of the passes that are read together: 4 MB, which caches hold


def probe_chip(
    network: Any,
    x: Array,
    target: Array,
    probes: Probes,
    rng: np.random.Generator,
    now_s: float,
    written_back: Callable[..., Any],
) -> Probed:
    """What LearningChip.probe gives: in bulk where that is the same, else in turn."""
    chip = network.chip
    held = all(isinstance(layer, Crossbar) and layer.holds for layer in chip.layers)
    in_bulk = held and chip.decorrelation is None
    if in_bulk and isinstance(probes, WeightsInTurn) and _settled(network):
        key, steps = draw_key(rng), _all_steps(network.shapes, probes)
        moved = network.write(steps, child(key, "write"), now_s=now_s)
        after = written_back(moved, steps, child(key, "write back"), now_s)
        losses = Passes(after, x, target, now_s).with_each_weight(moved, key)
        return probed(network, after, np.concatenate([*losses]), x)
    if in_bulk and isinstance(probes, NodesInTurn) and not chip.draws:
        losses = Passes(network, x, target, now_s).with_each_node(probes.step, draw_key(rng))
        return probed(network, network, np.concatenate([*losses]), x)
    if in_bulk and not isinstance(probes, WeightsInTurn | WeightProbes):
        nodes = one_by_one(network, probes)
        assert isinstance(nodes, NodeProbes)
        many = how_many(network, x, nodes)
        losses = Passes(network, x, target, now_s).with_nodes(nodes.nodes, many, draw_key(rng))
        return probed(network, network, np.concatenate([*losses]), x)
    if held and isinstance(probes, NodeProbes | NodesInTurn) and not chip.draws:
        nodes = one_by_one(network, probes)
        assert isinstance(nodes, NodeProbes)
        return together(network, x, target, nodes, rng)
    return in_turn(network, x, target, probes, rng, now_s, written_back)


@dataclass(frozen=True, eq=False)
class Passes:
    """Many passes of samples x (samples, inputs) through a LearningChip: their losses as its loss ADC has them."""

    network: Any
    x: Array
    target: Array
    now_s: float

    def with_each_weight(self, moved: Any, key: int) -> Iterator[Array]:
        """Losses of passes that find one weight or bias each as `moved` has it, in the order of WeightsInTurn."""
        at_once = self._at_once
        for layer, (inputs, outputs) in enumerate(self.network.shapes):
            for start in range(0, (inputs + 1) * outputs, at_once):
                place = np.arange(start, min(start + at_once, (inputs + 1) * outputs))
                row, column = np.divmod(place, outputs)
                stream = draw_key(child(key, "weights", layer, start))
                held = self._entering(layer, len(place), stream)
                found = np.where(row < inputs, row, -1)
                read = moved.chip.layers[layer].changed_in(held, found, column, child(stream, "changed"))
                yield self._losses(layer, read, self._biases(moved, layer, row, column), (stream,))

    def with_each_node(self, step: float, key: int) -> Iterator[Array]:
        """Losses of passes of which each finds `step` added to the sums of a node, as NodesInTurn; nothing is drawn.

        A node moves one input of the layer above it.
        """
        chip, layers = self._chip, _crossbars(self._chip)
        read, last = layers[0].mvm(self.x, child(key, "read"), now_s=self.now_s), len(layers) - 1
        for layer, above in enumerate(layers[1:]):
            z = read + chip.biases[layer]
            held, moved = above.hold(chip.outputs(layer, z)), above.hold(chip.outputs(layer, z + step))
            for nodes in self._together(z.shape[1]):
                *_, read = together = held.read_moved(moved, np.append(nodes, -1))
                biases = chip.biases[layer + 1][None]
                yield self._losses(layer + 1, together[:-1], biases, (key, "nodes", layer, int(nodes[0])))
        for nodes in self._together(read.shape[1]):
            each = np.zeros((len(nodes), 1, read.shape[1]))
            each[np.arange(len(nodes)), 0, nodes] = step
            unmoved = np.repeat(read[None], len(nodes), axis=0)
            of_last = (*[None] * last, each)
            yield self._losses(last, unmoved, chip.biases[last][None], (key, "nodes", last, int(nodes[0])), of_last)

    def _together(self, units: int) -> Iterator[Array]:
        """The units of a layer, as many in one part as passes are read together."""
        at_once = self._at_once
        return (np.arange(start, min(start + at_once, units)) for start in range(0, units, at_once))

    def with_nodes(self, nodes: tuple[Array | None, ...], many: int, key: int) -> Iterator[Array]:
        """Losses of so many passes whose sums are perturbed, as NodeProbes has them."""
        at_once = self._at_once
        for start in range(0, many, at_once):
            part = tuple(None if one is None else np.asarray(one)[start : start + at_once] for one in nodes)
            stream = draw_key(child(key, "nodes", start))
            read = self._sums(min(at_once, many - start), stream)
            yield self._losses(0, read, self._chip.biases[0][None], (stream,), part)

    def _sums(self, passes: int, key: int) -> Array:
        """The products of the first layer in each pass; read once where nothing is drawn."""
        if self._chip.draws:
            return self._first.read(passes, child(key, "held"))
        read = _crossbars(self._chip)[0].mvm(self.x, child(key, "held"), now_s=self.now_s)
        return np.repeat(read[None], passes, axis=0)

    def _entering(self, layer: int, passes: int, key: int) -> Held:
        """What enters a layer, held: the same in all passes, or, where noise is drawn below, of each its own."""
        if layer == 0:
            return self._first
        if layer in self._alike:
            return self._alike[layer]
        chip, alike = self._chip, not self._chip.draws
        z = self._first.read(1 if alike else passes, child(key, "held")) + chip.biases[0]
        for below in range(1, layer):
            z = chip.sums(below, chip.outputs(below - 1, z), key, self.now_s)
        held = _crossbars(chip)[layer].hold(chip.outputs(layer - 1, z))
        if alike:
            self._alike[layer] = held
        return held

    def _losses(
        self, layer: int, z: Array, biases: Array, stream: Stream, nodes: tuple[Array | None, ...] | None = None
    ) -> Array:
        """The losses of products z (passes, samples, outputs) of a layer, without its biases (1 or passes, outputs).

        `nodes` is added to the sums of this layer and of those above; `stream` is where noise is drawn from. z is
        overwritten.
        """
        chip, last = self._chip, len(self._chip.layers) - 1
        for here in range(layer, last):
            outputs = self._outputs(here, z, biases, _added(nodes, here))
            z = _crossbars(chip)[here + 1].mvm(outputs, child(*stream, "read", here + 1), now_s=self.now_s)
            biases = chip.biases[here + 1][None]
        added, name, adc = _added(nodes, last), self.network.loss_name, self.network.spec.loss_adc
        if name in IN_KERNEL:
            z = np.ascontiguousarray(z)
            losses = np.asarray(losses_of_sums(z, biases, added, self._target, IN_KERNEL.index(name)))
        else:
            losses = LOSSES[name].value(z + _sums_of(biases, added), self.target)
        return losses if adc is None else read_loss(adc, losses, child(*stream, "loss"))

    def _outputs(self, layer: int, z: Array, biases: Array, added: Array) -> Array:
        """What the neurons of a hidden layer make of z + biases + added."""
        chip = self._chip
        if chip.neurons[layer] is not None:
            return chip.outputs(layer, z + _sums_of(biases, added))
        z = np.ascontiguousarray(z)
        activate_sums(z, biases, added, ACTIVATIONS.index(chip.activation))
        return z

    @cached_property
    def _target(self) -> Array:
        """What the outputs should be, (outputs, samples)."""
        return np.ascontiguousarray(wanted(self.target, self.network.shapes[-1][1]).T, np.float64)

    def _biases(self, moved: Any, layer: int, row: Array, column: Array) -> Array:
        """The biases of each pass, (passes, outputs)."""
        inputs = self.network.shapes[layer][0]
        biases = np.repeat(self._chip.biases[layer][None], len(row), axis=0)
        of_bias = np.flatnonzero(row == inputs)
        biases[of_bias, column[of_bias]] = moved.biases[layer][column[of_bias]]
        return biases

    @property
    def _chip(self) -> ChipNetwork:
        chip: ChipNetwork = self.network.chip
        return chip

    @cached_property
    def _first(self) -> Held:
        return _crossbars(self._chip)[0].hold(self.x)

    @cached_property
    def _alike(self) -> dict[int, Held]:
        """What enters layers above the first, where it is the same in all passes."""
        return {}

    @cached_property
    def _at_once(self) -> int:
        """How many passes are read together: in memory are codes of the first layer, values of each cycle above."""
        of_layers = []
        for index, layer in enumerate(_crossbars(self._chip)):
            plan = layer.die.plan
            parts = plan.tiling.tiles * plan.tiling.groups * plan.cycles_a_read[0] if index else 1
            of_layers.append(parts * len(plan.slice_of))
        return max(1, MOST_SUMS // (len(self.x) * max(of_layers)))


def _added(nodes: tuple[Array | None, ...] | None, layer: int) -> Array:
    """What is added to the sums of a layer, (passes, 1 or samples, outputs); no entries where nothing is."""
    found = None if nodes is None else nodes[layer]
    return np.zeros((0, 0, 0)) if found is None else np.ascontiguousarray(found, np.float64)


def _sums_of(biases: Array, added: Array) -> Array:
    """Biases and what is added, as passes take them: (1 or passes, 1 or samples, outputs)."""
    return biases[:, None] + added if added.size else biases[:, None]


def _all_steps(shapes: tuple[tuple[int, int], ...], probes: WeightsInTurn) -> Updates:
    """All of the steps at once: as weights and biases do not know each other, each moves as it does by itself."""
    updates = []
    for (inputs, outputs), step in zip(shapes, probes.steps, strict=True):
        each = np.broadcast_to(np.asarray(step, np.float64), (inputs + 1, outputs))
        updates.append(LayerUpdate(Dense(each[:-1]), each[-1]))
    return tuple(updates)


def _settled(network: Any) -> bool:
    """Whether a write of nothing writes nothing: codes are those nearest to what accumulators hold."""
    for layer, kept in zip(_crossbars(network.chip), network.kept, strict=True):
        if kept is not None:
            bits = layer.die.spec.array.weight_bits
            if not np.array_equal(quantise_weights(layer.codes + kept, 1.0, bits), layer.codes):
                return False
    return True


def _crossbars(chip: ChipNetwork) -> tuple[Crossbar, ...]:
    return tuple(layer for layer in chip.layers if isinstance(layer, Crossbar))
