"""What a study sweeps, taken together: the variants and the blocks of its grid, and the cell of each combination."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from imcsim.errors import Lack, Problem
from imcsim.experiment.beginning import beginning_problems
from imcsim.experiment.cells import Resolver
from imcsim.experiment.conflicts import conflicts
from imcsim.experiment.design import Design
from imcsim.experiment.grid import Block, GridReader
from imcsim.experiment.labels import DEVICE, LEVEL, TUNE_AT, VARIANT
from imcsim.experiment.variants import check_variants
from imcsim.specs.cells import DERIVES_MISMATCH
from imcsim.specs.chip import ChipSpec
from imcsim.specs.codec import Blocks, format_value
from imcsim.study.axes import Cell, Gap
from imcsim.study.grid import Combination, Factor, Multiplied

_TOLD = 1000  # cells that cannot be, beyond which no more are looked at


class Sweep(NamedTuple):
    """The `variants` and the `blocks` of a grid, the table that `described` it, and what its conditions ask in vain.

    `chips` are the chips of the variants that have a device of their own, `devices` those of devices that are swept.
    """

    variants: Mapping[str, Any]
    chips: Mapping[str, ChipSpec]
    devices: Mapping[str, ChipSpec]
    blocks: Sequence[Block]
    described: Mapping[str, Any]
    ladders: Mapping[str, Any]
    unmet: Sequence[Problem]

    @property
    def factors(self) -> list[Factor]:
        """The factors of the product, variants first, then devices."""
        return self._named + [block.factor for block in self.blocks]

    @property
    def _named(self) -> list[Factor]:
        axes = {VARIANT: self.variants, DEVICE: self.devices}
        return [Factor(tuple({path: name} for name in names)) for path, names in axes.items() if names]

    def without_idle(self, product: Multiplied) -> Sweep:
        """The sweep without the blocks "when" that applied to no cell of its `product`."""
        idle = self._idle(product)
        whens = Blocks(one for number, one in enumerate(self.described.get("when", ())) if number not in idle)
        described = {key: value for key, value in self.described.items() if key != "when"}
        if whens:
            described["when"] = whens
        return self._replace(blocks=[block for block in self.blocks if block.when not in idle], described=described)

    def never_met(self, product: Multiplied) -> list[Problem]:
        """What is wrong with conditions that no cell of its `product` fulfils."""
        told = {problem.path[1] for problem in self.unmet}
        where = [f"when[{number}]" for number in sorted(self._idle(product))]
        never = "never holds: no cell has all of these values"
        return [*self.unmet, *(Problem(("grid", one, "if"), never) for one in where if one not in told)]

    def _idle(self, product: Multiplied) -> set[int]:
        """The numbers of the blocks "when" that never apply: what a block holds applies together."""
        places = {place - len(self._named) for place in product.idle}
        return {when for place, block in enumerate(self.blocks) if place in places and (when := block.when) is not None}


def read_sweep(
    grid: Mapping[str, Any],
    ladders: Mapping[str, Any],
    variants: Mapping[str, Any],
    chips: Mapping[str, ChipSpec],
    devices: Mapping[str, ChipSpec],
    design: Design,
    cell: Any,
    problems: list[Problem],
    *,
    gaps: bool,
) -> Sweep:
    """The sweep of the sections [grid], [ladders] and [variants] over `design`, or over the chips of some.

    `cell` is the study's own [chip.cell]. With `gaps` a chip may lack what a rule needs.
    """
    reader = GridReader(design, list(variants), problems, list(devices))
    levels, described_ladders = reader.ladders(ladders)
    blocks, described = reader.read(grid)
    blocks = levels + blocks
    problems.extend(conflicts(blocks, cell, DERIVES_MISMATCH.get(type(design.chip.cell), ())))
    check_variants(variants, chips, [path for block in blocks for path in block.paths], design, problems, gaps=gaps)
    for name in chips if devices else ():
        told = "has a device of its own, and [grid] sweeps devices"
        problems.append(Problem(("variants", name, DEVICE), told, remedy="sweep them, or vary them"))
    return Sweep(variants, chips, devices, blocks, described, described_ladders, reader.unmet)


def with_tuning(sweep: Sweep, at: Sequence[str]) -> Sweep:
    """The sweep with the cells of its ladders tuned at each of `at`: at their base, or each cell again by itself."""
    levels = next((block for block in sweep.blocks if block.kind == "ladder"), None)
    if levels is None or not at:
        return sweep
    above = {LEVEL: list(dict.fromkeys(rung[LEVEL] for rung in levels.factor.combinations if rung[LEVEL]))}
    block = Block(("tune",), Factor(tuple({TUNE_AT: one} for one in at), above), "tune")
    return sweep._replace(blocks=[*sweep.blocks, block])


def resolved_cells(
    sweep: Sweep,
    combinations: Sequence[Combination],
    design: Design,
    tuned: Iterable[str],
    problems: list[Problem],
    *,
    gaps: bool = False,
) -> tuple[list[Cell], list[Gap]]:
    """The cell at each combination of the sweep; `problems` gathers why some cannot be.

    Rules are asked whether they can begin, unless one of the `tuned` paths tells how they do. With `gaps` a cell whose
    chip lacks what its rule needs is a gap.
    """
    asked = not any(path.startswith(("training.rule", "network", "chip")) for path in tuned)
    begins = beginning_problems if asked else lambda _: ()
    resolver = Resolver(design, sweep.variants, {**sweep.chips, **sweep.devices}, begins)
    cells: list[Cell] = []
    missing: list[Gap] = []
    alone, failed = _Alone(sweep.blocks, resolver), 0
    for coordinates in combinations:
        found: list[Problem] = []
        cell = resolver.cell(coordinates, found)
        if cell is not None:
            cells.append(cell)
            continue
        if gaps and all(isinstance(problem, Lack) for problem in found):
            missing.append(Gap(len(cells), coordinates, "; ".join(problem.allowed for problem in found)))
            continue
        problems.extend(alone.told(coordinates, found))
        failed += 1
        if failed == _TOLD:
            break
    problems[:] = dict.fromkeys(problems)  # many cells may share one
    return cells, missing


class _Alone:
    """Tells what is wrong with a cell by the one value to blame, where that value is wrong by itself."""

    def __init__(self, blocks: Sequence[Block], resolver: Resolver) -> None:
        self._blocks = blocks
        self._resolver = resolver
        self._known: dict[tuple[int, int], list[Problem]] = {}
        self._shared: list[Problem] | None = None

    def told(self, coordinates: Combination, found: Sequence[Problem]) -> Iterator[Problem]:
        """The problems `found` with the cell at `coordinates`, as the study's author sees them."""
        left = list(found)
        for problem in self._everywhere():
            at = ".".join(problem.path)
            if problem in left and not any(f"{at}.".startswith(f"{path}.") for path in coordinates):
                left.remove(problem)
                yield problem
        for place, block in enumerate(self._blocks):
            own = {path: coordinates[path] for path in block.paths if path in coordinates}
            if not block.factor.applies(coordinates) or own not in block.factor.combinations:
                continue
            index = block.factor.combinations.index(own)
            for problem in self._of(place, index, own, coordinates):
                if problem in left:
                    left.remove(problem)
                    yield _at_value(problem, block, index, own)
        at = ", ".join(f"{path} = {format_value(value)}" for path, value in coordinates.items())
        yield from (dataclasses.replace(problem, allowed=f"{problem.allowed} (in the cell {at})") for problem in left)

    def _everywhere(self) -> list[Problem]:
        """What is wrong with a cell that has no value of the sweep."""
        if self._shared is None:
            self._shared = []
            self._resolver.resolved({}, self._shared)
        return self._shared

    def _of(self, place: int, index: int, own: Combination, coordinates: Combination) -> list[Problem]:
        if (place, index) not in self._known:
            condition = {path: coordinates[path] for path in self._blocks[place].factor.condition}
            found: list[Problem] = []
            self._resolver.resolved({**condition, **own}, found)
            self._known[place, index] = found
        return self._known[place, index]


def _at_value(problem: Problem, block: Block, index: int, own: Combination) -> Problem:
    """A problem of the design, told as one of the swept value that brings it about."""
    at = ".".join(problem.path)
    path = next((path for path in own if at == path or at.startswith(path + ".")), None)
    if path is not None:
        *outer, last = block.place(path, index)
        inner = at[len(path) :]
        if inner and not last.endswith("]"):
            last = f'"{path}"'
        return dataclasses.replace(problem, path=(*outer, last + inner))
    # the value is at odds with another field
    path = next(iter(own))
    value_there = f" = {problem.given}" if problem.given else ""
    allowed = f"{at}{value_there}: {problem.allowed}"
    return Problem(block.place(path, index), allowed, given=format_value(own[path]), remedy=problem.remedy)
