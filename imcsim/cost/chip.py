"""What reads of a network on a design ask for, told by its floorplans: no die is manufactured."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import reduce

from imcsim.errors import Problem
from imcsim.floorplan import floorplan
from imcsim.network.capabilities import lacking
from imcsim.network.on_chip import layer_specs, matrix_specs
from imcsim.network.protocols import Counts
from imcsim.network.read_cost import read_cost
from imcsim.rules.entry import Shapes
from imcsim.specs.chip import ChipSpec
from imcsim.specs.decorrelation import DecorrelationArrays


@dataclass(frozen=True)
class Chip:
    """Layers of `shapes` (inputs, outputs) on a design; `spec` None: the ideal chip, an array a layer, a cell a weight.

    What it counts is what a LearningChip, or an IdealNetwork, of these shapes counts when it is read.
    """

    shapes: Shapes
    spec: ChipSpec | None
    activation: str

    def forward(self, samples: int) -> Counts:
        """Of so many samples through the whole network."""
        if self.spec is None:
            return Counts(forward_passes=samples, array_reads=samples * len(self.shapes))
        layers = zip(layer_specs(self.spec, self.activation, len(self.shapes)), self.shapes, strict=True)
        arrays = [*layers, *self._matrices(self.spec)]
        return reduce(Counts.plus, (_read(*array, samples) for array in arrays), Counts(forward_passes=samples))

    def _matrices(self, spec: ChipSpec) -> Iterable[tuple[ChipSpec, tuple[int, int]]]:
        """The designs and shapes of decorrelation matrices that stand on arrays ahead of the layers."""
        designs = matrix_specs(spec, self.activation, len(self.shapes))
        return ((design, (inputs, inputs)) for design, (inputs, _) in zip(designs, self.shapes, strict=True) if design)

    def on_arrays(self, entries: int) -> int:
        """Those of so many entries of decorrelation matrices that are words: all, or none where they are digital."""
        on_arrays = self.spec is not None and isinstance(self.spec.decorrelation, DecorrelationArrays)
        return entries if on_arrays else 0

    def backward(self, samples: int) -> Counts:
        """Of so many samples read backward through every layer above the first."""
        above = self.shapes[1:]
        reads = Counts(backward_reads=samples * len(above))
        if self.spec is None:
            return reads._replace(array_reads=samples * len(above))
        turned = self.spec.transposed
        assert turned is not None
        return reduce(Counts.plus, (_read(turned, shape[::-1], samples) for shape in above), reads)

    def auxiliary(self, shape: tuple[int, int], samples: int) -> Counts:
        """Of so many samples through a matrix (rows, cols) on an array of its own."""
        if self.spec is None:
            return Counts(array_reads=samples)
        of_feedback = self.spec.of_feedback
        assert of_feedback is not None
        assert of_feedback.transposed is not None
        return _read(of_feedback.transposed, shape, samples)

    def lacking(self, required: Collection[str]) -> tuple[Problem, ...]:
        """What the design has not of what a rule requires, in words."""
        if self.spec is None:
            return ()
        lacks = lacking(self.spec)
        return tuple(lacks[name] for name in required if name in lacks)

    @property
    def cells_a_weight(self) -> int:
        """How many cells a weight is stored in."""
        if self.spec is None:
            return 1
        layout = floorplan(self.spec, (1, 1)).layout
        return layout.polarities * layout.slices

    def scaled(self, shapes: Iterable[tuple[int, int]]) -> Chip:
        """Another network on the same design."""
        return Chip(tuple(shapes), self.spec, self.activation)


@functools.lru_cache(maxsize=1024)  # networks have few different shapes, and rules ask for all of them
def _read(spec: ChipSpec, shape: tuple[int, int], samples: int) -> Counts:
    return read_cost(floorplan(spec, shape), samples)
