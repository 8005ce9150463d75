"""Paths of a grid that cannot be swept in the same cell: one of the two would not be heard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from imcsim.errors import Problem
from imcsim.experiment.grid import Block
from imcsim.specs.cells import ALTERNATIVES

_CELL = "chip.cell."
_MISMATCH = "chip.cell.mismatch_sigma_rel"


def conflicts(blocks: Sequence[Block], cell: Any, deriving: Sequence[str]) -> Iterator[Problem]:
    """What is wrong with sweeping `blocks` together.

    `cell` is what the study itself says of the cell, `deriving` are the fields that its mismatch is derived from.
    """
    given = isinstance(cell, Mapping) and "mismatch_sigma_rel" in cell
    for block in blocks:
        for path in block.paths:
            if given and path in block.factor.everywhere and path.removeprefix(_CELL) in {*deriving} & {*ALTERNATIVES}:
                yield _derived(block, path)
    for place, block in enumerate(blocks):
        for row in {tuple(combination): None for combination in block.factor.combinations}:
            yield from _clashes(block, row, block, row, deriving)
        for other in blocks[place + 1 :]:
            if not block.factor.excludes(other.factor):
                yield from _clashes(block, block.paths, other, other.paths, deriving)


def _clashes(
    block: Block, paths: Sequence[str], other: Block, others: Sequence[str], deriving: Sequence[str]
) -> Iterator[Problem]:
    """What clashes between `paths` of a block and `others` of another, or of the same."""
    for path in paths:
        for second in others:
            if path == second and block is not other:
                remedy = "sweep it once, or under conditions that exclude each other"
                yield Problem((*other.where, second), f"is swept twice: {_named(block)} sweeps it, too", remedy=remedy)
            for (inner, where), outer in (((second, other.where), path), ((path, block.where), second)):
                if inner.startswith(outer + "."):
                    told = f'lies inside "{outer}", which is swept, too'
                    yield Problem((*where, inner), told, remedy="sweep one of them")
                if outer == _MISMATCH and inner.removeprefix(_CELL) in deriving and inner.startswith(_CELL):
                    yield _derived(block if inner in paths else other, inner)
            if block is other and second == path:
                break  # each pair of a block once


def _derived(block: Block, path: str) -> Problem:
    allowed = f"cannot be swept together with a given {_MISMATCH}, which is derived from it"
    return Problem((*block.where, path), allowed, remedy="sweep or give one of the two")


def _named(block: Block) -> str:
    return f"[{'.'.join(block.where)}]"
