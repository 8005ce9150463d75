"""How a signed weight matrix is laid out on arrays of cells, as data; imcsim.mapping does it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from imcsim.errors import Problem
from imcsim.specs.fields import Spec, limited

MOST_ROWS = 1024


@dataclass(frozen=True, kw_only=True)
class ArraySpec(Spec):
    """Arrays of `rows` x `cols` cells; every slice and polarity of the weights has arrays of its own.

    A weight of `weight_bits` bits is a pair of magnitudes that are subtracted ("differential": one of them zero;
    "differential_two_sided": both near half scale), one number above an offset, or two's complement. Its bits are cut
    into slices of at most `cell_bits` bits, a cell each: `slices` gives them, least significant first, or as many bits
    in each as a cell holds.

    A larger matrix is cut into tiles, "maximal" ones and a rest or "equal" ones, each row tile converted by itself and
    summed digitally; with `rows_parallel` only so many rows of a tile are read at a time, and converted each time.
    `weight_scale` says what size of the programmed weights is the largest code; weights that are to grow by learning
    get `weight_headroom` times as much.

    `cols` decides which cell of a die a weight comes to lie on and which columns share converters and unit columns.

    A differential pair is subtracted digitally, or ahead of the converter. The offset is subtracted digitally, from the
    sum of the inputs, or by a column of cells that store weight 0 in every array, converted like the others
    ("unit_column"). `current_limit` clips a column at that many on-cells.
    """

    rows: int = limited(128, low=1, high=MOST_ROWS)
    cols: int = limited(128, low=1, high=4096)
    mapping: Literal["differential", "differential_two_sided", "offset", "twos_complement"] = "differential"
    cell_bits: int = limited(1, low=1, high=8)
    slices: tuple[int, ...] | None = limited(None, low=1, high=8)
    weight_bits: int = limited(8, low=1, high=16)
    weight_scale: Literal["mse", "max", "percentile", "given"] = "mse"
    weight_percentile: float | None = limited(None, low=50, high=100, unit="%")
    weight_limit: float | None = limited(None, low=1e-12, high=1e12, unit="1")
    weight_headroom: float = limited(1.0, low=1, high=1e3, unit="1")
    tiling: Literal["maximal", "equal"] = "maximal"
    rows_parallel: int | None = limited(None, low=1, high=MOST_ROWS)
    subtraction: Literal["digital", "analog"] = "digital"
    offset_correction: Literal["digital", "unit_column"] = "digital"
    current_limit: float | None = limited(None, low=0.1, high=1e6, unit="1")

    @property
    def differential(self) -> bool:
        return self.mapping in ("differential", "differential_two_sided")

    @property
    def stored_bits(self) -> int:
        """The bits of the numbers that are cut into slices: of the magnitudes where weights are differential."""
        return max(self.weight_bits - 1, 1) if self.differential else self.weight_bits

    @property
    def slice_bits(self) -> tuple[int, ...]:
        """The bits of each slice, least significant first; in two's complement the sign bit is a slice of its own."""
        if self.slices is not None:
            return self.slices
        sign = self.mapping == "twos_complement" and self.weight_bits > 1
        bits = self.stored_bits - sign
        cut = tuple(min(self.cell_bits, bits - first) for first in range(0, bits, self.cell_bits))
        return (*cut, 1) if sign else cut

    @property
    def transposed(self) -> ArraySpec:
        """The same arrays with rows and columns exchanged, read whole; unit columns stand in no row of them."""
        exchanged = {"rows": self.cols, "cols": self.rows, "rows_parallel": None, "offset_correction": "digital"}
        return dataclasses.replace(self, **exchanged)  # type: ignore[arg-type]  # each of its field's type

    def problems(self) -> Iterable[Problem]:
        if self.slices is not None:
            given = str(list(self.slices))
            if sum(self.slices) != self.stored_bits:
                what = f"must add up to the {self.stored_bits} bits that this mapping stores"
                yield Problem(("slices",), what, given, "leave slices out to cut them by cell_bits")
            elif max(self.slices) > self.cell_bits:
                remedy = "raise cell_bits or cut finer"
                yield Problem(("slices",), f"a cell holds cell_bits = {self.cell_bits}", given, remedy)
            elif self.mapping == "twos_complement" and self.slices[-1] != 1:
                yield Problem(("slices",), "the sign bit must be the last slice, alone", given, "end it in 1")
        for name, needed_by, example in (
            ("weight_percentile", "percentile", "99.9 is a common choice"),
            ("weight_limit", "given", "give the weight that the largest code stands for"),
        ):
            value, where = getattr(self, name), f'where weight_scale = "{self.weight_scale}"'
            if self.weight_scale == needed_by and value is None:
                yield Problem((name,), f"is needed {where}", remedy=example)
            if self.weight_scale != needed_by and value is not None:
                remedy = f'set weight_scale = "{needed_by}" or drop it'
                yield Problem((name,), f"has no meaning {where}", f"{value:g}", remedy)
        if self.weight_scale == "given" and self.weight_headroom != 1:
            remedy = "raise weight_limit instead"
            yield Problem(
                ("weight_headroom",), 'has no meaning where weight_scale = "given"', f"{self.weight_headroom:g}", remedy
            )
        if self.rows_parallel is not None and self.rows_parallel > self.rows:
            yield Problem(("rows_parallel",), f"must be at most rows = {self.rows}", given=str(self.rows_parallel))
        if self.subtraction == "analog" and not self.differential:
            yield Problem(
                ("subtraction",),
                f'the mapping "{self.mapping}" has no pair to subtract',
                given='"analog"',
                remedy='take a differential mapping, or subtraction = "digital"',
            )
        if self.offset_correction == "unit_column" and self.mapping != "offset":
            yield Problem(
                ("offset_correction",),
                f'the mapping "{self.mapping}" has no offset',
                given='"unit_column"',
                remedy='set mapping = "offset" or drop it',
            )
        elif self.offset_correction == "unit_column" and self.weight_bits == 1:
            yield Problem(
                ("offset_correction",), "one bit cannot store the weight 0 of a unit column", remedy="raise weight_bits"
            )

    def overriding(self, name: str, value: Any) -> dict[str, Any]:
        if name != "weight_scale":
            return {}
        kept = {"percentile": "weight_percentile", "given": "weight_limit"}.get(value)
        return {other: None for other in ("weight_percentile", "weight_limit") if other != kept}
