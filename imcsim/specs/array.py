"""How a signed weight matrix is laid out on arrays of cells, as data; imcsim.mapping does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from imcsim.specs.fields import Spec, limited


@dataclass(frozen=True, kw_only=True)
class ArraySpec(Spec):
    """Arrays of `rows` x `cols` one-bit cells; every bit slice and polarity of the weights has arrays of its own.

    A larger weight matrix is cut into tiles, each row tile converted by itself and summed digitally. Columns do not act
    on each other, so that `cols` decides only which cell of a die a weight comes to lie on.
    """

    rows: int = limited(128, low=1, high=1024)
    cols: int = limited(128, low=1, high=4096)
    mapping: Literal["differential", "offset", "twos_complement"] = "differential"
    cell_bits: int = limited(1, low=1, high=1)
    weight_bits: int = limited(8, low=1, high=16)
    weight_scale: Literal["mse", "max"] = "mse"
