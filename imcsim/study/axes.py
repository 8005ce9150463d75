"""What a study is made of: axes and their values, the cells of the grid, how often each is repeated."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import Problem, SpecError
from imcsim.specs.fields import Spec, limited
from imcsim.study.canonical import canonical_json

LEAST = 3  # trainings or dies, of which more are to be made: two differ by anything


@dataclass(frozen=True, kw_only=True)
class Replicates(Spec):
    """How often each cell of the grid is repeated: trainings x dies x reads.

    With `own_dies` each training has a die of its own: the die of its number. With `target_ci` a cell is repeated more
    often while its 95 % interval reaches further than that to either side of the mean, with up to `most_trainings` or
    `most_dies`.
    """

    trainings: int = limited(1, low=1, high=100_000)
    dies: int = limited(1, low=1, high=100_000)
    reads: int = limited(1, low=1, high=100_000)
    own_dies: bool = False
    target_ci: float | None = limited(None, low=1e-6, high=0.5)
    most_trainings: int | None = limited(None, low=1, high=100_000)
    most_dies: int | None = limited(None, low=1, high=100_000)

    def problems(self) -> Iterable[Problem]:
        if self.own_dies and self.dies > 1:
            yield Problem(("dies",), "must be 1 with own_dies: each training has one of its own", str(self.dies))
        if self.own_dies and self.most_dies is not None:
            remedy = "say most_trainings"
            yield Problem(("most_dies",), "has no meaning with own_dies", str(self.most_dies), remedy)
        growing = {"trainings": self.most_trainings, "dies": self.most_dies}
        for name, most in growing.items():
            if most is not None and self.target_ci is None:
                remedy = "say how wide an interval may be: target_ci = 0.005"
                yield Problem((f"most_{name}",), "has no meaning without target_ci", str(most), remedy)
            if most is not None and not LEAST <= (now := getattr(self, name)) < most:
                told = f"must be at least {LEAST} and less than most_{name}: what they differ by says how many it takes"
                yield Problem((name,), told, str(now))
        if self.target_ci is not None and not any(growing.values()):
            remedy = "say most_trainings, most_dies, or both"
            yield Problem(("target_ci",), "needs to know what to repeat, and how often", f"{self.target_ci:g}", remedy)

    def places(self, trainings: int, dies: int) -> Iterable[tuple[int, int, int]]:
        """The training, die and read of each point of a cell of so many trainings and dies."""
        for training, die, read in np.ndindex(trainings, dies, self.reads):
            yield training, training if self.own_dies else die, read


@dataclass(frozen=True)
class Axis:
    """A swept path ("chip.adc.bits") and its values, plain TOML values, each different."""

    path: str
    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise SpecError.of(("grid", self.path), "needs at least one value", given="[]")
        labels = self.coordinates().tolist()
        if len(set(labels)) < len(labels):
            twice = next(label for label, count in Counter(labels).items() if count > 1)
            raise SpecError.of(("grid", self.path), f"has a value twice: {twice}")

    def coordinates(self) -> NDArray[Any]:
        """The values as a column (n,): int64, float64, or a text for each."""
        return column(self.values)


def column(values: Sequence[Any]) -> NDArray[Any]:
    """Values of a path as a column (n,): int64, float64, or a text for each; None, where it has none, is NaN or ""."""
    given = [value for value in values if value is not None]
    if all(_is_number(value) for value in given):
        whole = len(given) == len(values) and all(isinstance(value, int) for value in given)
        return np.array([np.nan if v is None else v for v in values], dtype=np.int64 if whole else np.float64)
    labels = ["" if value is None else _label(value) for value in values]
    if len(set(labels)) < len({canonical_json(value) for value in values}):  # the text "6" beside the number 6
        labels = ["" if value is None else canonical_json(value) for value in values]
    return np.array(labels, dtype=np.str_)


@dataclass(frozen=True)
class Cell:
    """One cell of the grid: the swept values that apply to it, by path, and all that determines its results.

    `text` is the canonical JSON of the configuration, which leaves out the replicates alone. It is kept as text: the
    configurations of a hundred thousand cells are gigabytes of tables. `trainings` and `dies` are its own, None: as all
    have them.
    """

    coordinates: Mapping[str, Any]
    text: str
    trainings: int | None = None
    dies: int | None = None

    @classmethod
    def of(cls, coordinates: Mapping[str, Any], config: Mapping[str, Any]) -> Cell:
        """The cell at `coordinates` whose results `config` determines."""
        return cls(coordinates, canonical_json(config))

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration as a table."""
        table: Mapping[str, Any] = json.loads(self.text)
        return table


class Gap(NamedTuple):
    """A cell that cannot be: its chip lacks what its learning rule needs. It stands before the cell of `place`."""

    place: int
    coordinates: Mapping[str, Any]
    reason: str


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _label(value: Any) -> str:
    """A swept value in a word or two: `uniform bits=6` for {kind = "uniform", bits = 6}."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        kind = [_label(value["kind"])] if "kind" in value else []
        return " ".join(kind + [f"{key}={_nested(value[key])}" for key in sorted(value) if key != "kind"])
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_nested(item) for item in value)}]"
    return str(value)


def _nested(value: Any) -> str:
    return f"({_label(value)})" if isinstance(value, Mapping) else _label(value)
