"""Two studies against each other: which cells differ, by how much, by more than luck, and which versions made them."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from imcsim.study.canonical import flat
from imcsim.study.comparison import Comparison, compared, difference_lines, differences
from imcsim.study.statistics import CONFIDENCE
from imcsim.study.summary import Row, interval_notes, methods
from imcsim.study.table import StudyTable
from imcsim.study.text import together, without_nan

VERSIONS = ("name", "imcsim_version", "model_version", "config_sha256", "dataset_sha256")
SHOWN = 20  # of settings, and of cells that one alone has


@dataclass(frozen=True)
class Difference:
    """The second of two studies less the first.

    `versions` and `settings` hold what differs, as (name, first, second); `rows` are the cells of both whose results
    differ, `equal` counts those whose results are the same to the bit, `unknown` those of which one has no result.
    `points` counts single results that differ, of so many `compared` ones. `only_first` and `only_second` are the
    coordinates of cells that the other lacks.
    """

    axes: tuple[str, ...]
    versions: tuple[tuple[str, Any, Any], ...]
    settings: tuple[tuple[str, Any, Any], ...]
    rows: tuple[Comparison, ...]
    equal: int
    unknown: int
    points: int
    compared: int
    only_first: tuple[Mapping[str, Any], ...]
    only_second: tuple[Mapping[str, Any], ...]
    own_dies: bool

    @property
    def significant(self) -> int:
        """How many cells differ by more than luck, after Holm's correction."""
        return sum(row.p_holm < 1 - CONFIDENCE for row in self.rows)

    def plain(self) -> dict[str, Any]:
        """JSON-able data, None where there is no number."""
        return {
            **asdict(self),
            "rows": [without_nan(asdict(row)) for row in self.rows],
            "significant": self.significant,
        }


def difference(first: StudyTable, second: StudyTable) -> Difference:
    """What the second study has otherwise than the first, cell by cell, paired training by training and die by die.

    Cells are those of the same values on the paths that both sweep. What only one of the two sweeps tells its cells
    apart from none of the other, unless it has one value there.
    """
    one, other = first.summary(), second.summary()
    shared = [path for path in one.axes if path in other.axes]
    ours, theirs = _by_place(one.rows, shared), _by_place(other.rows, shared)
    pairs = [(ours[place], theirs[place]) for place in ours if place in theirs]
    known = [(a, b) for a, b in pairs if a.replicates and b.replicates]
    changed = [(a, b) for a, b in known if not _is_same(a, b)]
    counts = [_count(a, b) for a, b in known]
    return Difference(
        axes=tuple(shared),
        versions=tuple(
            _changes({k: first.attributes[k] for k in VERSIONS}, {k: second.attributes[k] for k in VERSIONS})
        ),
        settings=tuple(_changes(_settings(first), _settings(second))),
        rows=compared([(b, differences(b, a)) for a, b in changed]),
        equal=len(known) - len(changed),
        unknown=len(pairs) - len(known),
        points=sum(differing for differing, _ in counts),
        compared=sum(both for _, both in counts),
        only_first=tuple(row.coordinates for place, row in ours.items() if place not in theirs),
        only_second=tuple(row.coordinates for place, row in theirs.items() if place not in ours),
        own_dies=one.own_dies or other.own_dies,
    )


def _by_place(rows: Sequence[Row], shared: Sequence[str]) -> dict[str, Row]:
    """The rows by their values on the shared paths; by all they have, where those do not tell them apart."""
    short = [repr([row.coordinates.get(path) for path in shared]) for row in rows]
    counts = Counter(short)
    return {
        place if counts[place] == 1 else repr(dict(row.coordinates)): row
        for place, row in zip(short, rows, strict=True)
    }


def _common(a: Row, b: Row) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The values of the trainings, dies and reads that both have."""
    part = tuple(slice(min(n, m)) for n, m in zip(a.values.shape, b.values.shape, strict=True))
    return a.values[part], b.values[part]


def _is_same(a: Row, b: Row) -> bool:
    return np.array_equal(*_common(a, b), equal_nan=True)


def _count(a: Row, b: Row) -> tuple[int, int]:
    """How many single results differ, of how many that both have."""
    x, y = _common(a, b)
    both = ~(np.isnan(x) | np.isnan(y))
    return int(np.sum(x[both] != y[both])), int(both.sum())


def _versions(table: StudyTable) -> dict[str, Any]:
    return {name: table.attributes[name] for name in VERSIONS}


def _settings(table: StudyTable) -> dict[str, str]:
    return flat(tomllib.loads(table.attributes["toml"]))


def _changes(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    names = dict.fromkeys([*first, *second])
    return [(name, first.get(name), second.get(name)) for name in names if first.get(name) != second.get(name)]


def format_difference(found: Difference, first: str, second: str) -> str:
    """The difference in words and a table to read, in percentage points."""
    parts = [f"{second} less {first}"]
    parts += [f"  {name}: {a} -> {b}" for name, a, b in found.versions] or [
        "  the same versions, data and configuration"
    ]
    parts += [f"  {name}: {_or_none(a)} -> {_or_none(b)}" for name, a, b in found.settings[:SHOWN]]
    if len(found.settings) > SHOWN:
        parts.append(f"  and {len(found.settings) - SHOWN} settings more")
    told = f"{len(found.rows)} cells differ, {found.equal} are the same to the bit"
    unknown = f", {found.unknown} have no result in one of the two" if found.unknown else ""
    parts.append(f"{told}{unknown}; {found.points} of {found.compared} single results differ")
    if found.rows:
        parts += _table(found)
    for name, cells in ((first, found.only_first), (second, found.only_second)):
        if cells:
            parts.append(f"only in {name}: {len(cells)} cells")
            parts += [f"  {together(cell, list(cell))}" for cell in cells[:SHOWN]]
            parts += [f"  and {len(cells) - SHOWN} more"] if len(cells) > SHOWN else []
    return "\n".join(parts) + "\n"


def _table(found: Difference) -> list[str]:
    known = [row.difference for row in found.rows]
    return [
        *difference_lines(found.axes, found.rows),
        f"by more than luck (p of Holm below 5 %): {found.significant} of {len(found.rows)} cells that differ",
        f"interval of the mean difference, paired by training and die: {methods(known)}; each stands by itself",
        f"p: two-sided, of no difference; Holm (1979) over the {len(found.rows)} cells that differ",
        *interval_notes(known, own_dies=found.own_dies),
    ]


def _or_none(value: Any) -> str:
    return "absent" if value is None else str(value)
