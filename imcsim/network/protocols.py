"""What a network is to a learning rule: reads, losses and writes; never the cells."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from imcsim.rng import Generators
from imcsim.updates import Update

Array = np.ndarray[Any, Any]


class Reads(NamedTuple):
    """What a pass of samples showed, a layer each: inputs, sums (bias included) and outputs, (..., samples, units)."""

    a_in: tuple[Array, ...]
    z: tuple[Array, ...]
    a_out: tuple[Array, ...]


class LayerUpdate(NamedTuple):
    """What is added to the weights (inputs, outputs) of a layer, and to its biases (outputs,)."""

    weights: Update
    biases: Array


Updates = tuple[LayerUpdate, ...]


class Counts(NamedTuple):
    """What learning asked of a chip, on which comparisons rest.

    A forward pass is one sample through the whole network, a backward read one sample through a transposed layer; an
    array read is tile x slice x cycle x sample; a conversion is one ADC output. A cell write is a cell whose target
    changed, a word write a weight whose code changed. Random numbers are those that the rule drew;
    stochastic rounding draws one more for each weight at each write.
    """

    forward_passes: int = 0
    backward_reads: int = 0
    array_reads: int = 0
    conversions: int = 0
    cell_writes: int = 0
    word_writes: int = 0
    random_numbers: int = 0

    def plus(self, other: Counts) -> Counts:
        """The sum of two."""
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))

    def less(self, other: Counts) -> Counts:
        """What came since `other`."""
        return Counts(*(a - b for a, b in zip(self, other, strict=True)))


class NodeProbes(NamedTuple):
    """K perturbations of the sums of every layer, (K, samples, units) or (K, 1, units); None: not of that layer.

    Of an ensemble the members stand between: (K, members, samples, units).
    """

    nodes: tuple[Array | None, ...]


class WeightProbes(NamedTuple):
    """Perturbations of weights and biases, one after the other; they may be made only as they are needed."""

    weights: Iterable[Updates]


class NodesInTurn(NamedTuple):
    """Every node by itself, first layer first: `step` is added to its sums of all samples; K is the number of nodes."""

    step: float


class WeightsInTurn(NamedTuple):
    """Every weight and bias by itself: what `steps` has for it is added to it; K is the number of both.

    A number a layer, or (inputs + 1, outputs): of every weight and, in the last row, of the biases. First layer first;
    of a layer the weights (inputs, outputs), row by row, and then the biases.
    """

    steps: tuple[float | Array, ...]


Probes = NodeProbes | WeightProbes | NodesInTurn | WeightsInTurn


class Probed(NamedTuple):
    """What K perturbations showed, and the network after the last was taken back.

    `losses` are (K, samples), or (K, 1) where the loss ADC converts the mean; of an ensemble (K, members, samples).
    `counts` are of all that was asked for: the passes, and the writes there and back.
    """

    losses: Array
    network: Any
    counts: Counts


class Network(Protocol):
    """A network that can be read and written.

    It may be an ensemble: then arrays have its members ahead, (members, samples, units), counts are those of one
    member, and `rng` may be a sequence of generators, one a member, so that each has the bits it has alone.
    """

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(inputs, outputs) of every layer."""

    @property
    def activation(self) -> str:
        """Of the hidden layers: a name of ACTIVATIONS."""

    def forward(
        self, x: Array, rng: Generators, *, nodes: tuple[Array | None, ...] | None = None, now_s: float = 0.0
    ) -> Reads:
        """Run x (samples, inputs) through the network; `nodes` is added to the sums of each layer, None: nothing."""

    def loss(self, reads: Reads, target: Array, rng: Generators) -> Array:
        """The loss of each sample, (samples,), or of their mean, (1,), as the loss ADC reads it."""

    def loss_gradient(self, reads: Reads, target: Array) -> Array:
        """dL/dz of the last layer's sums as they were read, (samples, outputs): digital."""

    def write(self, updates: Updates, rng: Generators, *, now_s: float = 0.0) -> Self:
        """The network after the update, as far as its write path lets it through."""

    def probe(self, x: Array, target: Array, probes: Probes, rng: Generators, *, now_s: float = 0.0) -> Probed:
        """The losses of x (samples, inputs) under perturbations, each a pass of its own.

        Those of nodes are added to the sums. Those of weights go through the write path, and are written back.
        """

    def counts(self) -> Counts:
        """What has been written since the network was programmed."""

    def cost(self, samples: int) -> Counts:
        """What a forward pass of so many samples asks for."""


class TransposeReadable(Network, Protocol):
    """A network whose layers can be read backward."""

    def backward(self, layer: int, error: Array, rng: Generators, *, now_s: float = 0.0) -> Array:
        """W^T e through the cells: error (samples, outputs of the layer) -> (samples, inputs of the layer)."""

    def backward_cost(self, layer: int, samples: int) -> Counts:
        """What a backward read of so many samples asks for."""


class WrittenWeights(Network, Protocol):
    """A network whose controller knows what it last wrote."""

    @property
    def written(self) -> tuple[Array, ...]:
        """The weights (inputs, outputs) of every layer as last written, not as the cells hold them."""

    @property
    def biases(self) -> tuple[Array, ...]:
        """The biases (outputs,) of every layer: digital."""

    @property
    def loss_name(self) -> str:
        """What the loss is: a name of LOSSES."""


class ReadsEachLoss(Network, Protocol):
    """A network whose loss ADC converts the loss of each sample, not the mean of the batch."""

    @property
    def each_loss(self) -> bool:
        """True."""


class Decorrelating(Network, Protocol):
    """A network that owns a matrix R ahead of each layer: a' = R a enters it, and is what `Reads.a_in` shows."""

    @property
    def decorrelation(self) -> tuple[Array, ...] | None:
        """R^T (inputs, inputs) of every layer as last written, read as weights are: a' = a R^T. None: the identity."""

    def decorrelate(self, changes: tuple[Array, ...], rng: Generators, *, now_s: float = 0.0) -> Self:
        """The network with `changes` added to these matrices, as far as their write path lets them through."""


class NoisyReads(Network, Protocol):
    """A network two reads of which show the same samples differently."""

    @property
    def noisy_reads(self) -> bool:
        """True."""


class Auxiliary(Protocol):
    """A matrix (rows, cols) on a crossbar of its own, beside those of the layers."""

    def mvm(self, x: Array, rng: Generators, *, now_s: float = 0.0) -> Array:
        """Read the array: x (samples, rows) -> (samples, cols)."""

    def cost(self, samples: int) -> Counts:
        """What a read of so many samples asks for."""


class AuxiliaryCrossbars(Network, Protocol):
    """A network that has room for matrices beside its layers."""

    def auxiliary(self, name: str, matrix: Array, rng: Generators) -> Auxiliary:
        """A crossbar called `name`, manufactured with the die and programmed with `matrix` (rows, cols)."""
