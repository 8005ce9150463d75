"""The cells of a grid, resolved: a design with the values of each laid over it, as fast as a hundred thousand need."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from imcsim.errors import Problem, SpecError
from imcsim.experiment.design import Design, cell_config, changed_design
from imcsim.experiment.labels import DEVICE, VARIANT, of_fields
from imcsim.specs.chip import ChipSpec
from imcsim.specs.codec import component, to_table
from imcsim.specs.fields import Field, Spec, fields_of
from imcsim.study.axes import Cell
from imcsim.study.canonical import canonical_json
from imcsim.study.grid import Combination

_KEPT = 10_000  # components, beyond which they are forgotten: those of a sample come but once

Changes = dict[str, dict[str, Any]]  # of each part: what is laid over it


class Resolver:
    """Makes cells of `design`. A part (a component of the chip, the network, the training) is built once for all.

    `variants` are laid over the design first, or over the design with the one of `chips` that a swept device or the
    variant itself asks for, then swept values.
    `begins` says what is wrong with a design that is whole.
    """

    def __init__(
        self,
        design: Design,
        variants: Mapping[str, Any],
        chips: Mapping[str, ChipSpec],
        begins: Callable[[Design], Iterable[Problem]],
    ) -> None:
        self._design, self._chips, self._begins = design, chips, begins
        self._bases = {name: _Base.of(design, chip) for name, chip in [("", design.chip), *chips.items()]}
        self._parts = list(self._bases[""].parts)
        self._variants = {name: self._split(changes) for name, changes in variants.items()}
        self._built: dict[tuple[str, str, str], tuple[Spec, str]] = {}
        config = cell_config(design)
        self._rest = {
            name: canonical_json(value) for name, value in config.items() if name not in ("chip", *self._parts)
        }

    def cell(self, coordinates: Combination, problems: list[Problem]) -> Cell | None:
        """The cell at `coordinates`, or None, having added to `problems` why it cannot be."""
        changes, name = self._changes(coordinates), self._base(coordinates)
        base = self._bases[name]
        specs: dict[str, Spec] = {}
        texts = dict(base.texts)
        try:
            for part, table in changes.items():
                specs[part], texts[part] = self._part(name, part, table)
            unfit = [*self._begins(self._assembled(base, specs))]
        except SpecError:
            # told by the longer way, which knows where each problem stands
            self.resolved(coordinates, problems)
            return None
        if unfit:
            problems.extend(unfit)
            return None
        chip = {part.removeprefix("chip."): texts.pop(part) for part in list(texts) if part.startswith("chip.")}
        return Cell(coordinates, _joined({**self._rest, **texts, "chip": _joined(chip)}))

    def resolved(self, coordinates: Combination, problems: list[Problem]) -> Design | None:
        """The design at `coordinates`, or None, having added to `problems` why it cannot be."""
        nested: dict[str, Any] = {}
        for part, table in self._changes(coordinates).items():
            head, _, name = part.rpartition(".")
            (nested.setdefault(head, {}) if head else nested)[name] = table
        design = changed_design(self._design, self._chips.get(self._base(coordinates)), nested, problems)
        unfit = [] if design is None else [*self._begins(design)]
        problems.extend(unfit)
        return None if unfit else design

    def _base(self, coordinates: Combination) -> str:
        """The swept device, or the variant, whose chip is meant; "" for the design's own."""
        name: str = coordinates.get(DEVICE) or coordinates.get(VARIANT, "")
        return name if name in self._chips else ""

    def _changes(self, coordinates: Combination) -> Changes:
        variant = coordinates.get(VARIANT)
        changes = copy.deepcopy(self._variants[variant]) if variant is not None else {}
        for path, value in of_fields(coordinates).items():
            part = next(part for part in self._parts if f"{path}.".startswith(f"{part}."))
            *inner, name = [key for key in path.removeprefix(part).split(".") if key] or [""]
            table = changes.setdefault(part, {})
            for key in inner:
                table = table.setdefault(key, {})
            if name:
                table[name] = value
            else:  # the whole part
                table.update(value)
        return changes

    def _split(self, changes: Mapping[str, Any]) -> Changes:
        """The changes of a variant, part by part."""
        chip = {f"chip.{name}": dict(table) for name, table in changes.get("chip", {}).items()}
        return {**{part: dict(table) for part, table in changes.items() if part != "chip"}, **chip}

    def _part(self, base: str, part: str, table: Mapping[str, Any]) -> tuple[Spec, str]:
        key = base, part, repr(table)
        if key not in self._built:
            if len(self._built) >= _KEPT:
                self._built.clear()
            problems: list[Problem] = []
            built = component(*self._bases[base].parts[part], table, (), problems)
            if built is None:
                raise SpecError(problems)
            self._built[key] = built, canonical_json(to_table(built))
        return self._built[key]

    def _assembled(self, base: _Base, specs: Mapping[str, Spec]) -> Design:
        """The design with these parts, checked as a whole."""
        given: dict[str, Any] = {part: specs.get(part, current) for part, (_, current) in base.parts.items()}
        chip = ChipSpec(**{part.removeprefix("chip."): given.pop(part) for part in list(given) if "." in part})
        return Design(dataset=self._design.dataset, seed=self._design.seed, chip=chip, **given)


class _Base(NamedTuple):
    """What cells are put together from: each part with the field that holds it, and its text where it is there."""

    parts: Mapping[str, tuple[Field, Spec | None]]
    texts: Mapping[str, str]

    @classmethod
    def of(cls, design: Design, chip: ChipSpec) -> _Base:
        parts = _parts(design, chip)
        texts = {part: canonical_json(to_table(held)) for part, (_, held) in parts.items() if held is not None}
        return cls(parts, texts)


def _parts(design: Design, chip: ChipSpec) -> dict[str, tuple[Field, Spec | None]]:
    """What the design on a chip is put together from: the field that holds each part, and what it holds."""
    of_chip = {f"chip.{field.name}": (field, getattr(chip, field.name)) for field in fields_of(ChipSpec)}
    whole: dict[str, tuple[Field, Spec | None]] = {
        field.name: (field, part)
        for field in fields_of(Design)
        if isinstance(part := getattr(design, field.name), Spec) and field.name != "chip"
    }
    return {**whole, **of_chip}


def _joined(texts: Mapping[str, str]) -> str:
    """The canonical JSON of a table, of the canonical JSON of its values."""
    return "{" + ",".join(f'"{key}":{texts[key]}' for key in sorted(texts)) + "}"  # its keys are names of fields
