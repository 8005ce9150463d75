"""What stands ahead of a layer and decorrelates its inputs: a matrix in digital, or on a crossbar of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from imcsim.crossbar import Crossbar, Die
from imcsim.network.protocols import Counts
from imcsim.network.read_cost import read_cost
from imcsim.network.write_path import kept_at_first, through
from imcsim.rng import Generators
from imcsim.specs.chip import ChipSpec
from imcsim.specs.learning import WritePath
from imcsim.updates import Dense

Array = np.ndarray[Any, Any]


class DigitalMatrix(NamedTuple):
    """R^T (inputs, inputs), held and multiplied in a digital computer."""

    written: Array

    @property
    def written_s(self) -> float:
        """When it was last written, for all that it matters."""
        return 0.0

    def mvm(self, x: Array, rng: Generators, *, now_s: float = 0.0) -> Array:
        """What enters the layer for x (samples, inputs)."""
        del rng, now_s
        return np.asarray(x @ self.written)

    def add(self, change: Array, rng: np.random.Generator, *, now_s: float = 0.0) -> DigitalMatrix:
        """The matrix after a change (inputs, inputs)."""
        del rng, now_s
        return DigitalMatrix(self.written + change)

    @property
    def draws(self) -> bool:
        """Whether a read draws noise."""
        return False

    def on_crossbar(self, what: Callable[[Crossbar], Crossbar]) -> DigitalMatrix:
        """Itself: there is no crossbar to do it to."""
        del what
        return self

    def cost(self, samples: int) -> Counts:
        """What a read of so many samples asks for."""
        del samples
        return Counts()

    def counts(self) -> Counts:
        """What has been written to cells."""
        return Counts()


class MatrixArray(NamedTuple):
    """R^T (inputs, inputs) on a crossbar, and what its accumulators hold beyond codes: see `through`."""

    crossbar: Crossbar
    path: WritePath
    kept: Array | None

    @property
    def written(self) -> Array:
        return self.crossbar.written

    @property
    def written_s(self) -> float:
        return self.crossbar.written_s

    def mvm(self, x: Array, rng: Generators, *, now_s: float = 0.0) -> Array:
        return self.crossbar.mvm(x, rng, now_s=now_s)

    def add(self, change: Array, rng: np.random.Generator, *, now_s: float = 0.0) -> MatrixArray:
        written, kept = through(self.path, self.crossbar, self.kept, Dense(change), rng, now_s)
        return self._replace(crossbar=written, kept=kept)

    @property
    def draws(self) -> bool:
        return self.crossbar.draws

    def on_crossbar(self, what: Callable[[Crossbar], Crossbar]) -> MatrixArray:
        return self._replace(crossbar=what(self.crossbar))

    def cost(self, samples: int) -> Counts:
        return read_cost(self.crossbar.die.plan, samples)

    def counts(self) -> Counts:
        wear = self.crossbar.wear
        return Counts(cell_writes=wear.total, word_writes=wear.word_writes)


Matrix = DigitalMatrix | MatrixArray


def programmed(
    specs: Sequence[ChipSpec | None],
    matrices: Sequence[Array],
    die: Callable[[ChipSpec, int], Die],
    rng: Callable[[int], np.random.Generator],
) -> tuple[Matrix, ...]:
    """Matrices R^T (inputs, inputs) ahead of the layers, on the die(spec, layer), where the spec is None in digital."""
    made: list[Matrix] = []
    for layer, (spec, matrix) in enumerate(zip(specs, matrices, strict=True)):
        if spec is None:
            made.append(DigitalMatrix(matrix))
        else:
            crossbar = die(spec, layer).program(matrix, rng(layer))
            made.append(MatrixArray(crossbar, spec.write, kept_at_first(spec.write, crossbar, matrix)))
    return tuple(made)
