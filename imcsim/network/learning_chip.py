"""A chip that learns: what a rule may read of it, and the paths by which its weights and biases are written."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from imcsim.compound import CompoundArray
from imcsim.converters.loss import read_loss
from imcsim.crossbar import Crossbar
from imcsim.errors import CapabilityError, Problem, SpecError
from imcsim.manufacturing import manufacture
from imcsim.network.activations import ACTIVATIONS
from imcsim.network.capabilities import lacking
from imcsim.network.chip_probes import probe_chip
from imcsim.network.losses import LOSSES
from imcsim.network.mlp import MLP
from imcsim.network.on_chip import ChipNetwork, calibrate, manufactured_network
from imcsim.network.passes import layer_by_layer
from imcsim.network.protocols import Counts, Probed, Probes, Reads, Updates
from imcsim.network.read_cost import read_cost
from imcsim.network.write_path import kept_at_first, resolution, through, written_back
from imcsim.rng import child, draw_key
from imcsim.specs.chip import ChipSpec
from imcsim.specs.dac import DAC
from imcsim.specs.decorrelation import DecorrelationArrays

Array = np.ndarray[Any, Any]

FEEDBACK_SAMPLES = 256  # normal errors, by which the ranges of feedback arrays are chosen


@dataclass(frozen=True, eq=False)
class LearningChip:
    """A network on one die that can be read forward, backward where it has transposed reads, and written.

    `loss_name` is a name of LOSSES. `kept` are, a layer each, what accumulators hold beyond the codes, None where there
    are none; `die_key` is the key of the die, of which feedback arrays are manufactured as well.
    """

    chip: ChipNetwork
    loss_name: str
    die_key: int
    kept: tuple[Array | None, ...]

    @property
    def spec(self) -> ChipSpec:
        """The design of the first layer; those of the others differ in the sign of their inputs at most."""
        return self.chip.layers[0].die.spec

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        return tuple(layer.die.shape for layer in self.chip.layers)

    @property
    def activation(self) -> str:
        return self.chip.activation

    @property
    def written(self) -> tuple[Array, ...]:
        """Raises CapabilityError for pulsed devices, the first write of which leaves nobody knowing what they hold."""
        self._refuse("written")
        return tuple(layer.written for layer in self.chip.layers)

    @property
    def biases(self) -> tuple[Array, ...]:
        return self.chip.biases

    @property
    def write_resolution(self) -> tuple[Array, ...]:
        """The smallest step that the write path of each layer resolves. Raises CapabilityError for pulsed devices."""
        self._refuse("write_resolution")
        codes = resolution(self.spec.write, self.spec.array)
        return tuple(codes * layer.scale[0] for layer in self.chip.layers)

    @property
    def weight_lsb(self) -> tuple[float, ...]:
        """From a weight code to the next, a layer each. Raises CapabilityError for pulsed devices, which have none."""
        self._refuse("write_resolution")
        codes = 2.0 if self.spec.array.weight_bits == 1 else 1.0  # -1 and 1
        return tuple(codes * float(layer.scale[0]) for layer in self.chip.layers)

    @property
    def loss_lsb(self) -> float | None:
        """From a code of the loss ADC to the next; None: losses are read exactly."""
        return None if self.spec.loss_adc is None else self.spec.loss_adc.lsb

    @property
    def each_loss(self) -> bool:
        """True. Raises CapabilityError where the loss ADC converts the mean of the batch."""
        self._refuse("each_loss")
        return True

    @property
    def decorrelation(self) -> tuple[Array, ...] | None:
        """The matrices ahead of the layers as last written; None where the design has none."""
        matrices = self.chip.decorrelation
        return None if matrices is None else tuple(matrix.written for matrix in matrices)

    @property
    def decorrelate(self) -> Callable[..., LearningChip]:
        """Add to those matrices: see `Decorrelating`. Raises CapabilityError where the design has none."""
        self._refuse("decorrelate")
        return self._decorrelate

    def _decorrelate(self, changes: tuple[Array, ...], rng: np.random.Generator, *, now_s: float = 0.0) -> LearningChip:
        key, chip = draw_key(rng), self.chip
        assert chip.decorrelation is not None
        matrices = tuple(
            matrix.add(change, child(key, "decorrelate", index), now_s=now_s)
            for index, (matrix, change) in enumerate(zip(chip.decorrelation, changes, strict=True))
        )
        return dataclasses.replace(self, chip=dataclasses.replace(chip, decorrelation=matrices))

    @property
    def noisy_reads(self) -> bool:
        """True. Raises CapabilityError where two reads of the same samples show the same."""
        self._refuse("noisy_reads")
        return True

    def forward(
        self, x: Array, rng: np.random.Generator, *, nodes: tuple[Array | None, ...] | None = None, now_s: float = 0.0
    ) -> Reads:
        key, chip = draw_key(rng), self.chip

        def read(layer: int, a: Array) -> tuple[Array, Array]:
            a = chip.entering(layer, a, key, now_s)
            return a, chip.sums(layer, a, key, now_s)

        return layer_by_layer(len(chip.layers), x, read, chip.outputs, nodes)

    def loss(self, reads: Reads, target: Array, rng: np.random.Generator) -> Array:
        exact = np.asarray(LOSSES[self.loss_name].value(reads.z[-1], target))
        return exact if self.spec.loss_adc is None else read_loss(self.spec.loss_adc, exact, rng)

    def loss_gradient(self, reads: Reads, target: Array) -> Array:
        return np.asarray(LOSSES[self.loss_name].gradient(reads.z[-1], target))

    @property
    def backward(self) -> Callable[..., Array]:
        """W^T e through the cells, as ChipNetwork.backward. CapabilityError where the design has no transposed read."""
        self._refuse("backward")
        return self.chip.backward

    @property
    def auxiliary(self) -> Callable[[str, Array, np.random.Generator], FeedbackArray]:
        """A matrix on an array of its own: see `_auxiliary`. Raises CapabilityError where errors have no converters."""
        self._refuse("auxiliary")
        return self._auxiliary

    def _refuse(self, name: str) -> None:
        """Raise CapabilityError where the design lacks what is asked for by this name."""
        if (problem := lacking(self.spec).get(name)) is not None:
            raise CapabilityError([problem])

    def _auxiliary(self, name: str, matrix: Array, rng: np.random.Generator) -> FeedbackArray:
        """The array `name` of this die, programmed with `matrix` (rows, cols), its ranges those of normal errors."""
        spec, key = self.spec.of_feedback, draw_key(rng)
        assert spec is not None
        die = manufacture(spec, matrix.shape[::-1], draw_key(child(self.die_key, "auxiliary", name)))
        errors = child(key, "errors").standard_normal((FEEDBACK_SAMPLES, len(matrix)))
        return FeedbackArray(die.program(matrix.T, child(key, "program")).calibrate_t(errors))

    def write(self, updates: Updates, rng: np.random.Generator, *, now_s: float = 0.0) -> LearningChip:
        key, layers, kept = draw_key(rng), [], []
        for index, (layer, update) in enumerate(zip(self.chip.layers, updates, strict=True)):
            stream = child(key, "write", index)
            written, rest = through(self.spec.write, layer, self.kept[index], update.weights, stream, now_s)
            layers.append(written)
            kept.append(rest)
        biases = tuple(b + update.biases for b, update in zip(self.chip.biases, updates, strict=True))
        chip = dataclasses.replace(self.chip, layers=tuple(layers), biases=biases)
        return dataclasses.replace(self, chip=chip, kept=tuple(kept))

    def probe(self, x: Array, target: Array, probes: Probes, rng: np.random.Generator, *, now_s: float = 0.0) -> Probed:
        return probe_chip(self, x, target, probes, rng, now_s, self._written_back)

    def _written_back(
        self, probed: LearningChip, probe: Updates, rng: np.random.Generator, now_s: float
    ) -> LearningChip:
        """The chip after its own codes were written over those of a probe; its accumulators never took the probe."""
        key = draw_key(rng)
        layers = tuple(
            written_back(after, before, update.weights, child(key, "write back", index), now_s)
            for index, (after, before, update) in enumerate(
                zip(probed.chip.layers, self.chip.layers, probe, strict=True)
            )
        )
        return dataclasses.replace(self, chip=dataclasses.replace(self.chip, layers=layers))

    def counts(self) -> Counts:
        """What was written since the die was manufactured, and the reads that transfers of compound arrays took."""
        of_matrices = (matrix.counts() for matrix in self.chip.decorrelation or ())
        return reduce(Counts.plus, (*(_counts_of(layer) for layer in self.chip.layers), *of_matrices))

    def cost(self, samples: int) -> Counts:
        reads = (read_cost(layer.die.plan, samples) for layer in self.chip.layers)
        return reduce(Counts.plus, (*reads, *self._cost_of_matrices(samples)), Counts(forward_passes=samples))

    def _cost_of_matrices(self, samples: int) -> Iterator[Counts]:
        return (matrix.cost(samples) for matrix in self.chip.decorrelation or ())

    def backward_cost(self, layer: int, samples: int) -> Counts:
        turned = self.chip.layers[layer].die.transposed
        if turned is None:
            raise CapabilityError.of("transpose", "the design has no transposed read")
        return read_cost(turned.plan, samples).plus(Counts(backward_reads=samples))

    def calibrated(self, x: Array, target: Array, rng: np.random.Generator) -> LearningChip:
        """The chip with input steps and ranges chosen on samples x (samples, inputs), as they arrive through it.

        Those of transposed reads on the errors of the samples, as backprop sends them down.
        """
        key = draw_key(rng)
        chip = calibrate(self.chip, x, child(key, "forward"))
        network = dataclasses.replace(self, chip=chip)
        if self.spec.transpose is None or len(chip.layers) == 1:
            return network
        reads = network.forward(x, child(key, "read"))
        error = self.loss_gradient(reads, target)
        for layer in reversed(range(1, len(chip.layers))):
            chip = chip.calibrate_backward(layer, error)
            if layer > 1:
                signal = chip.backward(layer, error, child(key, "backward", layer))
                if chip.decorrelation is not None:
                    signal = signal @ chip.decorrelation[layer].written.T
                error = signal * ACTIVATIONS[self.activation].derivative(reads.a_out[layer - 1])
        return dataclasses.replace(self, chip=chip)

    def calibration_cost(self, samples: int) -> Counts:
        """What `calibrated` reads of the chip for so many samples.

        Forward, a pass that ends ahead of the last layer's array, whose ranges need its inputs alone; for errors, a
        whole pass, and those back through the layers above the second, for what arrives there. A single layer is not
        read at all, but for a matrix on arrays ahead of it.
        """
        above, matrices = len(self.shapes) - 1, list(self._cost_of_matrices(samples))
        if not above:
            return reduce(Counts.plus, matrices, Counts())
        reads = [read_cost(layer.die.plan, samples) for layer in self.chip.layers[:above]] + matrices
        asked = reduce(Counts.plus, reads, Counts(forward_passes=samples))
        if self.spec.transpose is None:
            return asked
        backward = (self.backward_cost(layer, samples) for layer in range(2, len(self.shapes)))
        return reduce(Counts.plus, backward, asked.plus(self.cost(samples)))


class FeedbackArray(NamedTuple):
    """A matrix (rows, cols) on an array of its own: it holds the transpose, and is read by its transposed read."""

    crossbar: Crossbar

    def mvm(self, x: Array, rng: np.random.Generator, *, now_s: float = 0.0) -> Array:
        return self.crossbar.mvm_t(x, rng, now_s=now_s)

    def cost(self, samples: int) -> Counts:
        turned = self.crossbar.die.transposed
        assert turned is not None
        return read_cost(turned.plan, samples)


def learning_chip(mlp: MLP, spec: ChipSpec, loss_name: str, key: int, rng: np.random.Generator) -> LearningChip:
    """A network programmed on the die of `key` (64 bits), to learn down a loss, a name of LOSSES.

    It is to be calibrated before it is read. Raises SpecError for a chip whose inputs would be refused once they have
    outgrown the range that was calibrated, and for the keys of an ensemble.
    """
    if problems := list(_problems(spec, loss_name, key)):
        raise SpecError(problems)
    chip = manufactured_network(mlp, spec, key, rng)
    programmed = zip(chip.layers, mlp.weights, strict=True)
    return LearningChip(chip, loss_name, key, tuple(kept_at_first(spec.write, *layer) for layer in programmed))


def _problems(spec: ChipSpec, loss_name: str, key: Any) -> Iterator[Problem]:
    if loss_name not in LOSSES:
        yield Problem(("loss_name",), f"must be one of {', '.join(LOSSES)}", f'"{loss_name}"')
    if not isinstance(key, int | np.integer):
        remedy = "make a learning_chip of each key, and give learn the list of them"
        yield Problem(("key",), "must be the key of one die: ensembles do not learn", f"{key!r:.40}", remedy)
    converters: dict[tuple[str, ...], DAC] = {("dac",): spec.dac}
    for name, read in (("transpose", spec.transpose), ("feedback", spec.feedback)):
        if read is not None and read.input_step == "calibrated":
            converters[name, "dac"] = read.dac
    if isinstance(spec.decorrelation, DecorrelationArrays):
        converters["decorrelation", "dac"] = spec.decorrelation.dac
    for path, dac in converters.items():
        if dac.out_of_range == "error":
            allowed = "inputs outgrow the range that was calibrated while a network learns"
            yield Problem((*path, "out_of_range"), allowed, '"error"', 'set it to "clip"')


def _counts_of(layer: Crossbar | CompoundArray) -> Counts:
    if isinstance(layer, Crossbar):
        return Counts(cell_writes=layer.wear.total, word_writes=layer.wear.word_writes)
    fast, slow = layer.wear
    if layer.fast is None or fast is None:
        return Counts(cell_writes=slow.total, word_writes=slow.word_writes)
    writes = Counts(cell_writes=slow.total + fast.total, word_writes=slow.word_writes + fast.word_writes)
    return writes.plus(read_cost(layer.fast.die.plan, layer.transfers))
