"""[read]: how long after programming the chip is read, what undoes its drift until then, and the reads themselves."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from imcsim.cells.drift import check_time
from imcsim.errors import ExtrapolationWarning, Problem, SpecError
from imcsim.network.on_chip import ChipNetwork
from imcsim.rng import Generators
from imcsim.specs.cells import Cell
from imcsim.specs.fields import Spec, kind_of, limited
from imcsim.specs.resistive import ResistiveCell

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class ReadSpec(Spec):
    """The chip is read `now_s` after it was programmed, its drift compensated by the outputs to so many `probes`.

    Probes are the first training samples, read right after the write and again at `now_s`; every layer's outputs are
    scaled by what they lost of their mean magnitude: one factor ("global"), or one a column.
    """

    now_s: float = limited(0.0, low=0, high=1e12, unit="s")
    compensation: Literal["none", "global", "per_column"] = "none"
    probes: int = limited(64, low=1, high=100_000)


def read_problems(read: ReadSpec, cell: Cell, samples: int) -> Iterable[Problem]:
    """What is wrong with such reads of a chip of this cell, `samples` of training at hand."""
    if read.probes > samples:
        allowed = f"must be at most {samples}: probes are training samples"
        yield Problem(("read", "probes"), allowed, str(read.probes))
    if isinstance(cell, ResistiveCell):
        yield from _of_time(read.now_s, cell)
        return
    remedy, named = "leave it out, or use a cell that drifts", f'chip.cell (kind = "{kind_of(type(cell))}")'
    if read.now_s > 0:
        allowed = f"{named} has no drift, so that time changes nothing"
        yield Problem(("read", "now_s"), allowed, f"{read.now_s:g}", remedy)
    if read.compensation != "none":
        allowed = f"{named} has no drift, so that there is nothing to undo"
        yield Problem(("read", "compensation"), allowed, f'"{read.compensation}"', remedy)


def _of_time(now_s: float, cell: ResistiveCell) -> Iterable[Problem]:
    if now_s > 0 and cell.drift is None:
        allowed = "chip.cell has no drift: what it holds some time after its write is not known"
        remedy = 'read it at 0, or give chip.cell.drift (kind = "none" for a cell that keeps its state)'
        yield Problem(("read", "now_s"), allowed, f"{now_s:g}", remedy)
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExtrapolationWarning)
            check_time(cell, now_s)
    except SpecError as error:
        for problem in error.problems:
            remedy = problem.remedy.replace("cell.valid", "chip.cell.valid")
            yield Problem(("read", "now_s"), problem.allowed, f"{now_s:g}", remedy)


class TimedDie:
    """A programmed network on the die of `key`, read when and as `read` says: its drift undone by probes of `x_train`.

    Without a key it is on its die; of many keys on an ensemble of dies, which takes generators of as many and gives
    (members, samples, outputs). `extrapolated` says whether what was written or read so far lies beyond what the device
    model was measured for: states and times, which are those of all dies.
    """

    def __init__(
        self, network: ChipNetwork, key: int | Sequence[int] | None, read: ReadSpec, x_train: Array, probing: Generators
    ) -> None:
        self._read = read
        self._beyond: list[str] = []
        with extrapolations(self._beyond):
            self._network = network if key is None else network.on_die(key)
            if read.compensation != "none":
                by_column = read.compensation == "per_column"
                probes = x_train[: read.probes]
                self._network = self._network.compensate(probes, probing, now_s=read.now_s, per_column=by_column)

    @property
    def extrapolated(self) -> bool:
        return bool(self._beyond)

    def logits(self, x: Array, rng: Generators) -> Array:
        """The network's outputs (samples, outputs) for x (samples, inputs)."""
        with extrapolations(self._beyond):
            return self._network.logits(x, rng, now_s=self._read.now_s)


@contextlib.contextmanager
def extrapolations(found: list[str]) -> Iterator[None]:
    """Add to `found` what the body warns of extrapolated device models, instead of showing it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ExtrapolationWarning)
        yield
    for one in caught:
        if issubclass(one.category, ExtrapolationWarning):
            found.append(str(one.message))
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno, source=one.source)
