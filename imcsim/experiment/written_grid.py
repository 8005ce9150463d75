"""The grid as a study's file has it, unchecked: where its paths stand, to set their values or to thin them out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from imcsim.experiment.ranges import SCALES, read_points

QUICK_VALUES = 3

_NO_PATHS = ("zip", "list", "sample", "when", "if", "method", "points", "combinations")


class Holder(NamedTuple):
    """A table that sweeps paths: the grid itself or a block "when" (kind "axis"), a block "zip", "list" or "sample"."""

    kind: str
    table: dict[str, Any]

    @property
    def paths(self) -> list[str]:
        """The paths that it sweeps."""
        each = self.rows if self.kind == "list" else [self.table]
        return list(dict.fromkeys(key for table in each for key in table if key not in _NO_PATHS))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The combinations of a list."""
        return _tables(self.table, "combinations")


def holders(grid: Any) -> Iterator[Holder]:
    """Every table of `grid` that sweeps paths; what is malformed is passed over."""
    if not isinstance(grid, dict):
        return
    yield Holder("axis", grid)
    for kind in ("zip", "list", "sample"):
        yield from (Holder(kind, block) for block in _tables(grid, kind))
    for block in _tables(grid, "when"):
        yield from holders(block)


def _tables(table: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    inside = table.get(key)
    return [one for one in inside if isinstance(one, dict)] if isinstance(inside, list) else []


def swept_paths(grid: Any) -> list[str]:
    """Every path that `grid` sweeps."""
    return list(dict.fromkeys(path for holder in holders(grid) for path in holder.paths))


def put_values(grid: dict[str, Any], path: str, values: Any) -> bool:
    """Let `grid` sweep `path` over `values`, where it stands or else as an axis; False where it is in a list."""
    found = [holder for holder in holders(grid) if path in holder.paths]
    if any(kind == "list" for kind, _ in found):
        return False
    for kind, table in found:
        table[path] = {"choice": values} if kind == "sample" and isinstance(values, list) else values
    if not found:
        grid[path] = values
    return True


def fix(grid: dict[str, Any], path: str, value: Any) -> None:
    """Put the one `value` in place of all that `path` is swept over."""
    for kind, table in holders(grid):
        if kind == "axis" and path in table and _values(table[path]) is None:
            table[path] = [value]  # what was malformed matters no more
    _replace(grid, path, lambda _: value)


def cap(grid: dict[str, Any], path: str, most: int) -> None:
    """Let no value of `path` exceed `most`."""
    _replace(grid, path, lambda value: most if type(value) is int and value > most else value)


def _replace(grid: dict[str, Any], path: str, new: Callable[[Any], Any]) -> None:
    """Put `new(value)` in place of each value of `path`; what becomes the same by it is there once."""
    for holder in holders(grid):
        kind, table = holder
        if path not in holder.paths:
            continue
        if kind == "list":
            rows = [{**row, path: new(row[path])} if path in row else row for row in holder.rows]
            if rows != holder.rows:
                table["combinations"] = _different(rows)
        elif kind == "sample":
            table[path] = _replaced_source(table[path], new)
        elif (values := _values(table[path])) is not None:
            changed = [new(value) for value in values]
            if changed != values:
                table[path] = _different(changed) if kind == "axis" else changed
                if kind == "zip":
                    _drop_twins(table)


def _replaced_source(source: Any, new: Callable[[Any], Any]) -> Any:
    """What a path of a sample is drawn from, with new values: of a range, those of its ends."""
    if not isinstance(source, dict):
        return {"choice": [value]} if (value := new(source)) != source else source
    (key,) = source if len(source) == 1 else ("",)
    values = source.get(key)
    if not isinstance(values, list) or not values:
        return source
    changed = _different([new(value) for value in values])
    if changed == values:
        return source
    return {key: changed} if key in SCALES and len(changed) == 2 else {"choice": changed}


def _drop_twins(table: dict[str, Any]) -> None:
    """Leave in a zip one of each combination."""
    columns = [_values(column) for column in table.values()]
    if all(column is not None for column in columns) and len({len(column or ()) for column in columns}) == 1:
        rows = _different([list(row) for row in zip(*(column or () for column in columns), strict=True)])
        if len(rows) < len(columns[0] or ()):
            table.update(zip(table, (list(column) for column in zip(*rows, strict=True)), strict=True))


def thin(grid: dict[str, Any]) -> None:
    """Leave three values an axis, combinations a list or points a sample: first, middle and last; the first points."""
    for holder in holders(grid):
        kind, table = holder
        if kind == "sample":
            if type(table.get("points")) is int:
                table["points"] = min(table["points"], QUICK_VALUES)
        elif kind == "list":
            if isinstance(rows := table.get("combinations"), list):
                table["combinations"] = _thinned(rows)
        else:
            columns = {path: values for path in holder.paths if (values := _values(table[path])) is not None}
            if kind == "zip" and len({len(values) for values in columns.values()}) > 1:
                continue  # to be told of
            table.update({path: _thinned(values) for path, values in columns.items() if len(values) > QUICK_VALUES})


def _thinned(values: list[Any]) -> list[Any]:
    return [values[0], values[len(values) // 2], values[-1]] if len(values) > QUICK_VALUES else values


def _values(values: Any) -> list[Any] | None:
    """The values of an axis, listed or in a range; None where they are neither."""
    if isinstance(values, Mapping):
        return read_points(values, [])
    return values if isinstance(values, list) else None


def _different(values: list[Any]) -> list[Any]:
    return list({repr(value): value for value in values}.values())
