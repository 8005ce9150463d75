"""What a study sweeps: the blocks of [grid], each value checked, and the cells that they multiply to.

The product runs over the plain paths, then the blocks zip, list, sample and when, each in the order of the file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imcsim.errors import Problem, SpecError, did_you_mean
from imcsim.experiment.design import Design
from imcsim.experiment.labels import DEVICE, LABELS, LADDER, LEVEL, VARIANT
from imcsim.experiment.paths import SWEPT, field_at, fitted, known_paths, leaves
from imcsim.experiment.ranges import SCALES, Range, read_points, read_range
from imcsim.experiment.sampling import Dimension, Sampling, sampled
from imcsim.specs.codec import Blocks, InlineTable, build, format_value
from imcsim.specs.fields import fields_of
from imcsim.study.axes import Axis
from imcsim.study.grid import Factor, distinct

Where = tuple[str, ...]

_READ = ("zip", "list", "sample")  # the blocks that the grid and a block "when" may hold


@dataclass(frozen=True)
class Block:
    """A factor of the grid, its kind ("axis", "zip", "list", "sample") and where it stands: ("grid", "zip[0]").

    That of all ladders is of the kind "ladder", that of how cells are tuned of the kind "tune". `when` is the number of
    the block "when" that it is in, if it is in one.
    """

    where: Where
    factor: Factor
    kind: str
    when: int | None = None

    @property
    def paths(self) -> list[str]:
        """Every path of its combinations."""
        return list(dict.fromkeys(path for combination in self.factor.combinations for path in combination))

    def place(self, path: str, index: int) -> Where:
        """Where the value of `path` in the combination at `index` stands."""
        if self.kind == "ladder":
            rung = self.factor.combinations[index]
            return (*self.where, rung[LADDER], f'"{path}"[{rung[LEVEL] - 1}]')
        if self.kind == "list":
            return (*self.where, f"combinations[{index}]", path)
        several = len(self.factor.combinations) > 1
        return (*self.where, f'"{path}"[{index}]' if several else path)


class GridReader:
    """Reads [grid] and [ladders] for `design`, where devices are swept the names of some.

    `problems` gathers what is wrong; `unmet` conditions that no cell can fulfil.
    """

    def __init__(
        self, design: Design, variants: Sequence[str], problems: list[Problem], devices: Sequence[str] = ()
    ) -> None:
        self.design = design
        self.problems = problems
        self.unmet: list[Problem] = []
        self._known = known_paths(design)
        named = {VARIANT: list(variants), DEVICE: list(devices)}
        self._axes: dict[str, list[Any]] = {path: names for path, names in named.items() if names}  # those read so far

    def ladders(self, tables: Mapping[str, Any]) -> tuple[list[Block], dict[str, Any]]:
        """The block of all ladders, none where there are none, and the table that describes them.

        Its combinations are level 0, which they share, and each level of each. Conditions of the grid may name them.
        """
        described: dict[str, Any] = {}
        rungs: list[dict[str, Any]] = [{LEVEL: 0}]
        for name, table in tables.items():
            where = ("ladders", name)
            if not isinstance(table, Mapping):
                self._problem(where, "must be a table of paths and their values, level by level", format_value(table))
                continue
            if (read := self._zip(table, where)) is not None:
                levels, described[name] = read
                rungs += [{LADDER: name, LEVEL: level, **values} for level, values in enumerate(levels, start=1)]
        blocks = [Block(("ladders",), _factor(rungs, {}), "ladder")] if described else []
        self._learn(blocks)
        return blocks, described

    def read(self, grid: Mapping[str, Any]) -> tuple[list[Block], dict[str, Any]]:
        """The blocks of `grid`, and the table that describes them, values as their fields hold them."""
        whens = self._tables(grid, "when", ("grid",))
        blocks, described = self._blocks({key: value for key, value in grid.items() if key != "when"}, ("grid",), {})
        self._learn(blocks)
        conditional = Blocks()
        for number, table in enumerate(whens):
            where = ("grid", f"when[{number}]")
            condition = self._condition(table.get("if"), (*where, "if"), table)
            if table.keys() <= {"if"}:
                self._problem(where, "sweeps nothing", remedy="give it a path of its own, or drop it")
            asked = table.get("if")
            but = {"if", *(asked if isinstance(asked, Mapping) else ())}
            own, inside = self._blocks({key: table[key] for key in table if key not in but}, where, condition)
            self._learn(own)
            blocks += [dataclasses.replace(block, when=number) for block in own]
            conditional.append({"if": InlineTable(_short(condition)), **inside})
        if conditional:
            described["when"] = conditional
        return blocks, described

    # Blocks

    def _blocks(
        self, table: Mapping[str, Any], where: Where, condition: Mapping[str, list[Any]]
    ) -> tuple[list[Block], dict[str, Any]]:
        described: dict[str, Any] = {}
        blocks = []
        for path, values in table.items():
            if path in _READ:
                continue
            if (read := self._axis(path, values, where)) is not None:
                described[path] = read[1]
                blocks.append(Block(where, _factor([{path: value} for value in read[0]], condition), "axis"))
        readers = (self._zip, self._list, self._sample)
        for kind, reader in zip(_READ, readers, strict=True):
            texts = Blocks()
            for number, inner in enumerate(self._tables(table, kind, where)):
                inside = (*where, f"{kind}[{number}]")
                if (found := reader(inner, inside)) is not None:
                    combinations, text = found
                    blocks.append(Block(inside, _factor(combinations, condition), kind))
                    texts.append(text)
            if texts:
                described[kind] = texts
        return blocks, described

    def _tables(self, table: Mapping[str, Any], kind: str, where: Where) -> list[Mapping[str, Any]]:
        """The tables [[grid.kind]]."""
        if kind not in table:
            return []
        tables = table[kind]
        head = ".".join((*(part.partition("[")[0] for part in where), kind))
        if not isinstance(tables, list) or not tables or not all(isinstance(one, Mapping) for one in tables):
            self._problem((*where, kind), f"must be tables, each under [[{head}]]", format_value(tables))
            return []
        return tables

    def _zip(self, table: Mapping[str, Any], where: Where) -> tuple[list[Any], dict[str, Any]] | None:
        columns = {path: self._axis(path, values, where, alone=False) for path, values in table.items()}
        if not columns:
            self._problem(where, "links nothing", remedy='give it paths of equal length: "chip.adc.bits" = [5, 6]')
        read = {path: column for path, column in columns.items() if column is not None}
        if len(read) < len(columns) or not columns:
            return None
        lengths = {path: len(values) for path, (values, _) in read.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f'"{path}" {length}' for path, length in lengths.items())
            self._problem(where, f"its paths advance together and must have as many values: {told}")
            return None
        combinations = [
            dict(zip(read, row, strict=True)) for row in zip(*(values for values, _ in read.values()), strict=True)
        ]
        if not self._are_distinct(combinations, where):
            return None
        return combinations, {path: text for path, (_, text) in read.items()}

    def _list(self, table: Mapping[str, Any], where: Where) -> tuple[list[Any], dict[str, Any]] | None:
        before = len(self.problems)
        for key in table:
            if key != "combinations":
                remedy = 'give tables of paths: combinations = [{ "chip.adc.bits" = 5 }]'
                self._problem((*where, key), f'unknown key "{key}"', remedy=remedy)
        rows = table.get("combinations")
        if not isinstance(rows, list) or not rows or not all(isinstance(row, Mapping) and row for row in rows):
            given = "" if rows is None else format_value(rows)
            self._problem((*where, "combinations"), "must be a list of tables of paths, none empty", given)
            return None
        combinations = []
        for index, row in enumerate(rows):
            inside = (*where, f"combinations[{index}]")
            combinations.append(
                {
                    path: self._fitted(path, value, (*inside, path), inside=f'"{path}"')
                    for path, value in row.items()
                    if self._is_known(path, value, inside)
                }
            )
        if len(self.problems) > before or not self._are_distinct(combinations, where):
            return None
        return combinations, {"combinations": [InlineTable(row) for row in combinations]}

    def _sample(self, table: Mapping[str, Any], where: Where) -> tuple[list[Any], dict[str, Any]] | None:
        before = len(self.problems)
        header = [field.name for field in fields_of(Sampling)]
        given = {key: value for key, value in table.items() if key in header}
        sampling = build(Sampling, given, where, self.problems)
        paths = {path: source for path, source in table.items() if path not in header}
        if not paths:
            remedy = 'for one, "chip.cell.read_noise_rel" = { log = [1e-3, 1e-1] }'
            self._problem(where, "draws nothing: give it a path at least", remedy=remedy)
        dimensions = [self._dimension(path, source, where) for path, source in paths.items()]
        read = [dimension for dimension in dimensions if dimension is not None]
        if len(self.problems) > before or sampling is None:
            return None
        sources = {
            dimension.path: InlineTable(
                {dimension.source.scale: [dimension.source.low, dimension.source.high]}
                if isinstance(dimension.source, Range)
                else {"choice": list(dimension.source)}
            )
            for dimension in read
        }
        # what is drawn again among few values is no cell of its own
        combinations = list(distinct(sampled(sampling, read, self.design.seed)))
        return combinations, {"method": sampling.method, "points": sampling.points, **sources}

    def _dimension(self, path: str, source: Any, where: Where) -> Dimension | None:
        at = (*where, path)
        if not self._is_known(path, source, where, more=[field.name for field in fields_of(Sampling)]):
            return None
        if not isinstance(source, Mapping) or not source.keys() & {*SCALES, "choice"}:
            allowed = "must be drawn from { linear = [low, high] }, { log = [low, high] } or { choice = [...] }"
            self._problem(at, allowed, format_value(source))
            return None
        if len(source) > 1:
            self._problem(at, "must have one key: linear, log or choice", format_value(source))
            return None
        if "choice" in source:
            values = self._listed(path, source["choice"], where, f'"{path}".choice')
            return None if values is None else Dimension(path, tuple(values))
        found: list[Problem] = []
        drawn = read_range(source, found)
        drawn = self._bounded(path, drawn, found) if drawn else None
        self._below(path, where, found)
        if drawn is None:
            return None
        return Dimension(path, drawn, whole=field_at(self.design, path).plain_type is int)

    def _bounded(self, path: str, drawn: Range, found: list[Problem]) -> Range | None:
        """The range with its ends as the field holds them; None, having added to `found` why it cannot hold them."""
        if field_at(self.design, path).plain_type not in (int, float):
            found.append(Problem((), "takes no numbers, and so has no range", remedy="give its values one by one"))
            return None
        ends = [fitted(self.design, path, end) for end in drawn[1:]]
        for place, (value, problems) in enumerate(ends):
            told = (f"{drawn.scale}[{place}]",)
            found += [Problem(told, problem.allowed, format_value(value)) for problem in problems]
        low, high = (value for value, _ in ends)
        return None if found else Range(drawn.scale, low, high)

    def _below(self, path: str, where: Where, found: Sequence[Problem]) -> None:
        """Add problems with the table that `path` has for its value."""
        for problem in found:
            inner = ".".join(problem.path)
            here = f'"{path}".{inner}' if inner else path
            self.problems.append(dataclasses.replace(problem, path=(*where, here)))

    # Values

    def _axis(self, path: str, values: Any, where: Where, *, alone: bool = True) -> tuple[list[Any], Any] | None:
        """The values of a path, and the text that describes them; None where they are wrong."""
        if not self._is_known(path, values, where):
            return None
        if isinstance(values, Mapping) and values.keys() & {*SCALES, "points"}:
            return self._spread(path, values, where)
        listed = self._listed(path, values, where, f'"{path}"')
        if listed is None:
            return None
        if alone:
            try:
                Axis(path, tuple(listed))
            except SpecError as error:
                self.problems.extend(dataclasses.replace(p, path=(*where, path)) for p in error.problems)
                return None
        return listed, listed

    def _spread(self, path: str, table: Mapping[str, Any], where: Where) -> tuple[list[Any], Any] | None:
        """The values of a path in a range of points, and the text that describes it; None where they are wrong."""
        found: list[Problem] = []
        listed = read_points(table, found)
        drawn = read_range(table, []) if listed else None
        bounded = self._bounded(path, drawn, found) if drawn else None
        self._below(path, where, found)
        if listed is None or bounded is None:
            return None
        values = [fitted(self.design, path, value) for value in listed]
        if broken := next((value for value, problems in values if problems), None):
            allowed = f"gives {format_value(broken)}, and {path} takes whole numbers"
            remedy = "choose points that give whole numbers, or list the values"
            self._problem((*where, path), allowed, format_value(table), remedy)
            return None
        if len({value for value, _ in values}) < len(values):
            self._problem((*where, path), "has values that do not differ in 12 digits", format_value(table))
            return None
        text = InlineTable({bounded.scale: [bounded.low, bounded.high], "points": len(values)})
        return [value for value, _ in values], text

    def _listed(self, path: str, values: Any, where: Where, name: str) -> list[Any] | None:
        """The values in a list that is called `name`."""
        whole = path if name == f'"{path}"' else name
        if not isinstance(values, list) or not values:
            self._problem((*where, whole), "must be a list of at least one value", format_value(values))
            return None
        before = len(self.problems)
        read = []
        for index, value in enumerate(values):
            one = f"{name}[{index}]"
            read.append(self._fitted(path, value, (*where, one if len(values) > 1 else whole), inside=one))
        return read if len(self.problems) == before else None

    def _fitted(self, path: str, value: Any, at: Where, *, inside: str) -> Any:
        """`value` as its field holds it; it stands `at`, and what it holds, if it is a component, `inside` that."""
        plain, found = fitted(self.design, path, value)
        for problem in found:
            here = (*at[:-1], f"{inside}.{'.'.join(problem.path)}") if problem.path else at
            self.problems.append(dataclasses.replace(problem, path=here))
        return plain

    def _is_known(self, path: str, values: Any, where: Where, more: Sequence[str] = ()) -> bool:
        if path in self._known:
            return True
        unquoted = [] if not isinstance(values, Mapping) else self._unquoted(path, values)
        for leaf in unquoted:
            self._problem((*where, leaf), "a path is one key: put it in quotes", remedy=f'write "{leaf}" = [...]')
        if not unquoted:
            remedy = did_you_mean(path, [*self._known, *_READ, "when", *more])
            if remedy.startswith("known"):  # more than anybody reads
                remedy = f"a path starts with {', '.join(SWEPT)}; `imcsim devices --toml NAME` lists those of a chip"
            self._problem((*where, path), "no such path to sweep", remedy=remedy)
        return False

    def _unquoted(self, path: str, values: Mapping[str, Any]) -> list[str]:
        """The paths that were meant where one is written without its quotes; what it sweeps may be a table itself."""
        meant = []
        for leaf in leaves(path, values):
            outer = leaf.rpartition(".")[0]
            meant += [leaf] if leaf in self._known else [outer] if outer in self._known and outer != path else []
        return list(dict.fromkeys(meant))

    def _are_distinct(self, combinations: Sequence[Mapping[str, Any]], where: Where) -> bool:
        if len(distinct(combinations)) == len(combinations):
            return True
        twice = next(one for index, one in enumerate(combinations) if one in combinations[:index])
        self._problem(where, f"has a combination twice: {format_value(twice)}")
        return False

    # Conditions

    def _condition(self, condition: Any, where: Where, table: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The values that each path of a condition asks for, of those that its axis has."""
        if not isinstance(condition, Mapping) or not condition:
            given = "" if condition is None else format_value(condition)
            remedy = 'as in if = { "training.optimizer" = "momentum" }'
            self._problem(where, "must be a table of paths and the values they must have", given, remedy)
            return {}
        asked = {}
        for path, wanted in condition.items():
            at = (*where, path)
            if path in table:
                self._problem((*where[:-1], path), "is swept by the block whose condition it is", remedy="drop one")
            elif path not in self._axes:
                unquoted = [leaf for leaf in leaves(path, wanted) if leaf in self._axes]
                remedy = f'write "{unquoted[0]}" in quotes' if unquoted else did_you_mean(path, self._axes)
                self._problem(at, "names no axis that stands before this block", remedy=remedy)
            elif (values := self._wanted(path, wanted, at)) is not None:
                asked[path] = values
        return asked

    def _wanted(self, path: str, wanted: Any, at: Where) -> list[Any] | None:
        """The values that a condition asks of `path`: one, or each of a list."""
        named = path in LABELS
        fits = named or not isinstance(wanted, list) or not fitted(self.design, path, wanted)[1]
        each = [wanted] if fits and not (named and isinstance(wanted, list)) else wanted
        if not each:
            self._problem(at, "must be a value, or a list of at least one", format_value(wanted))
            return None
        before = len(self.problems)
        values = each if named else [self._fitted(path, value, at, inside=f'"{path}"') for value in each]
        if len(self.problems) > before:
            return None
        has = self._axes[path]
        for value in values:
            if value not in has:
                texts = list(dict.fromkeys(format_value(one) for one in has))
                remedy = did_you_mean(format_value(value), texts) if len(texts) <= 20 else ""
                told = "is no value of this axis, so that the condition never holds"
                self.unmet.append(Problem(at, told, format_value(value), remedy))
        return [value for value in values if value in has]

    def _learn(self, blocks: Sequence[Block]) -> None:
        """Let the conditions that follow name the axes of `blocks`."""
        for block in blocks:
            for combination in block.factor.combinations:
                for path, value in combination.items():
                    self._axes.setdefault(path, []).append(value)

    def _problem(self, path: Where, allowed: str, given: str = "", remedy: str = "") -> None:
        self.problems.append(Problem(path, allowed, given, remedy))


def _factor(combinations: Sequence[Mapping[str, Any]], condition: Mapping[str, list[Any]]) -> Factor:
    return Factor(tuple(combinations), condition)


def _short(condition: Mapping[str, list[Any]]) -> dict[str, Any]:
    """A condition as one writes it: a value by itself, without its list."""
    return {path: values[0] if len(values) == 1 else values for path, values in condition.items()}
