"""What the tests of grids look at in a plan."""

from __future__ import annotations


def cells(plan):
    """The swept values of each cell."""
    return [dict(cell.coordinates) for cell in plan.cells]


def ids(plan):
    """The ids of the points."""
    return [point.id for point in plan.points]


def value_of(cell, path):
    """What the configuration of a cell has at a dotted path; None where it has nothing."""
    found = cell.config
    for key in path.split("."):
        found = found.get(key)
    return found
