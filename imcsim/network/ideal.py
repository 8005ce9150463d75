"""The ideal chip: continuous weights, float64, no converters and no noise; what rules and gradients are checked on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from imcsim.converters.loss import read_loss
from imcsim.errors import CapabilityError
from imcsim.network.bulk import losses_one_by_one, serves
from imcsim.network.capabilities import converts_the_mean
from imcsim.network.losses import BEHIND_NEURONS, LOSSES
from imcsim.network.mlp import MLP
from imcsim.network.neurons import Neurons, outputs
from imcsim.network.passes import layer_by_layer
from imcsim.network.probing import in_turn, one_by_one, together
from imcsim.network.protocols import Counts, NodeProbes, NodesInTurn, Probed, Probes, Reads, Updates, WeightsInTurn
from imcsim.rng import Generators
from imcsim.specs.loss_adc import LossADC
from imcsim.updates import dense

Array = np.ndarray[Any, Any]


class IdealCrossbar(NamedTuple):
    """An auxiliary matrix (..., rows, cols) on a crossbar of the ideal chip."""

    matrix: Array

    def mvm(self, x: Array, rng: Generators, *, now_s: float = 0.0) -> Array:
        del rng, now_s
        return np.asarray(x @ self.matrix)

    def cost(self, samples: int) -> Counts:
        return Counts(array_reads=samples)


@dataclass(frozen=True, eq=False)
class IdealNetwork:
    """A perceptron as a chip without any error: it can be read forward and backward, and knows what was written.

    A weight is a cell; `rewritten` is how many weights have changed their value since the network was made, of an
    ensemble in the member with the most. Its weights (members, inputs, outputs) and biases (members, outputs) may be an
    ensemble's: then samples are (samples, inputs), the same to all, or (members, samples, inputs), and reads are
    (members, samples, units). The loss may be read by an ADC.

    `decorrelation` are matrices (inputs, inputs), or (members, inputs, inputs), held and multiplied in digital: see
    `Decorrelating`.

    `neurons`, one a layer, are circuits in place of digital neurons, of which rules know nothing: those of the hidden
    layers, and of the last where the loss has neurons ahead of it (BEHIND_NEURONS).
    """

    mlp: MLP
    loss_name: str
    rewritten: int = 0
    loss_adc: LossADC | None = None
    decorrelation: tuple[Array, ...] | None = None
    neurons: tuple[Neurons | None, ...] | None = None

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        return tuple((w.shape[-2], w.shape[-1]) for w in self.mlp.weights)

    @property
    def activation(self) -> str:
        return self.mlp.activation

    @property
    def written(self) -> tuple[Array, ...]:
        return self.mlp.weights

    @property
    def biases(self) -> tuple[Array, ...]:
        return self.mlp.biases

    @property
    def each_loss(self) -> bool:
        """True. Raises CapabilityError where the loss ADC converts the mean of the batch."""
        if problem := converts_the_mean(self.loss_adc):
            raise CapabilityError([problem])
        return True

    @property
    def loss_lsb(self) -> float | None:
        """From a code of the loss ADC to the next; None: losses are read exactly."""
        return None if self.loss_adc is None else self.loss_adc.lsb

    def forward(
        self, x: Array, rng: Generators, *, nodes: tuple[Array | None, ...] | None = None, now_s: float = 0.0
    ) -> Reads:
        del rng, now_s  # nothing is drawn, and nothing drifts

        def read(layer: int, a: Array) -> tuple[Array, Array]:
            a = self._entering(layer, a)
            return a, self._sums(layer, a)

        return layer_by_layer(len(self.shapes), x, read, self._outputs, nodes)

    def _entering(self, layer: int, a: Array) -> Array:
        """What enters a layer of what the one below puts out."""
        return a if self.decorrelation is None else np.asarray(a @ self.decorrelation[layer])

    def _sums(self, layer: int, x: Array) -> Array:
        return np.asarray(x @ self.mlp.weights[layer] + self.mlp.biases[layer][..., np.newaxis, :])

    def _outputs(self, layer: int, z: Array) -> Array:
        return outputs(self.activation, None if self.neurons is None else self.neurons[layer], z)

    def loss(self, reads: Reads, target: Array, rng: Generators) -> Array:
        z, loss = reads.z[-1], LOSSES[self.loss_name]
        if self.neurons is not None and self.loss_name in BEHIND_NEURONS:
            activation, loss = BEHIND_NEURONS[self.loss_name]
            z = outputs(activation, self.neurons[-1], z)
        exact = np.asarray(loss.value(z, target))
        return exact if self.loss_adc is None else read_loss(self.loss_adc, exact, rng)

    def loss_gradient(self, reads: Reads, target: Array) -> Array:
        return np.asarray(LOSSES[self.loss_name].gradient(reads.z[-1], target))

    def backward(self, layer: int, error: Array, rng: Generators, *, now_s: float = 0.0) -> Array:
        del rng, now_s
        return np.asarray(error @ np.swapaxes(self.mlp.weights[layer], -1, -2))

    def auxiliary(self, name: str, matrix: Array, rng: Generators) -> IdealCrossbar:
        del name, rng
        return IdealCrossbar(matrix)

    def write(self, updates: Updates, rng: Generators, *, now_s: float = 0.0) -> Self:
        del rng, now_s
        weights = tuple(w + dense(u.weights) for w, u in zip(self.mlp.weights, updates, strict=True))
        biases = tuple(b + u.biases for b, u in zip(self.mlp.biases, updates, strict=True))
        return self._rewritten(MLP(weights, biases, self.activation))

    def decorrelate(self, changes: tuple[Array, ...], rng: Generators, *, now_s: float = 0.0) -> Self:
        del rng, now_s
        before = self.decorrelation or tuple(np.eye(inputs) for inputs, _ in self.shapes)
        after = tuple(matrix + change for matrix, change in zip(before, changes, strict=True))
        return dataclasses.replace(self, decorrelation=after)

    def probe(self, x: Array, target: Array, probes: Probes, rng: Generators, *, now_s: float = 0.0) -> Probed:
        if isinstance(probes, NodesInTurn | WeightsInTurn):
            if serves(self):
                return self._one_by_one(x, target, probes, rng)
            probes = one_by_one(self, probes)
        draws = self.loss_adc is not None and self.loss_adc.noise_lsb > 0
        if isinstance(probes, NodeProbes) and not draws:
            return together(self, x, target, probes, rng)
        return in_turn(self, x, target, probes, rng, now_s, self._written_back)

    def _one_by_one(self, x: Array, target: Array, probes: NodesInTurn | WeightsInTurn, rng: Generators) -> Probed:
        exact = losses_one_by_one(self, self.forward(x, rng), target, probes)
        if self.loss_adc is None:
            losses = exact
        else:  # a member's generator draws for all its passes
            losses = np.moveaxis(read_loss(self.loss_adc, np.moveaxis(exact, 0, -2), rng), -2, 0)
        counts, after = self.cost(len(losses) * x.shape[-2]), self
        if isinstance(probes, WeightsInTurn):  # written there and back, where the step is not lost to rounding
            steps = (
                np.broadcast_to(step, (i + 1, o))[:-1] for step, (i, o) in zip(probes.steps, self.shapes, strict=True)
            )
            moved = (w + step != w for w, step in zip(self.mlp.weights, steps, strict=True))
            words = 2 * sum(int(np.count_nonzero(one, axis=(-2, -1)).max()) for one in moved)
            counts = counts.plus(Counts(cell_writes=words, word_writes=words))
            after = dataclasses.replace(self, rewritten=self.rewritten + words)
        return Probed(losses, after, counts)

    def _written_back(self, probed: IdealNetwork, probe: Updates, rng: Generators, now_s: float) -> IdealNetwork:
        """The network after its own weights were written over those of a probe: to the bit, as subtracting is not."""
        del probe, rng, now_s
        return probed._rewritten(self.mlp)

    def _rewritten(self, mlp: MLP) -> Self:
        pairs = zip(mlp.weights, self.mlp.weights, strict=True)
        # of an ensemble those of one member, the one with the most
        changed = sum(int(np.count_nonzero(new != old, axis=(-2, -1)).max()) for new, old in pairs)
        return dataclasses.replace(self, mlp=mlp, rewritten=self.rewritten + changed)

    def counts(self) -> Counts:
        return Counts(cell_writes=self.rewritten, word_writes=self.rewritten)

    def cost(self, samples: int) -> Counts:
        return Counts(forward_passes=samples, array_reads=samples * len(self.shapes))

    def backward_cost(self, layer: int, samples: int) -> Counts:
        del layer
        return Counts(backward_reads=samples, array_reads=samples)
