"""What a manufactured converter decides by: the tables of a kind, as functions that dispatch on the spec's type.

A kind registers `decision_kind`, `element_count` and `table`, and the others where they differ from the default. Import
them from imcsim.converters.kinds, which registers every kind.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from imcsim.kernels.decide import NEAREST, STOCHASTIC
from imcsim.specs.adc import IdealADC, RangedADC, UniformADC

Array = np.ndarray[Any, Any]


@singledispatch
def decision_kind(adc: IdealADC | RangedADC) -> int:
    """The procedure by which the kernel finds a code: a constant of imcsim.kernels.decide."""
    raise TypeError(f"no converter {type(adc).__name__}")


@singledispatch
def element_count(adc: IdealADC | RangedADC, levels: int) -> int:
    """How many frozen standard normals the owner of a table needs, for a converter of `levels` codes."""
    del levels
    raise TypeError(f"no converter {type(adc).__name__}")


@singledispatch
def table(adc: IdealADC | RangedADC, levels: int, normals: Array) -> Array:
    """What normals (owners, element_count) make of a design of `levels` codes: (owners, entries) float32.

    All zero they make the converter as designed: code k for values from k - 0.5 to k + 0.5 LSB above the lowest level.
    """
    raise TypeError(f"no converter {type(adc).__name__} ({levels} levels, {normals.shape})")


@singledispatch
def shared_by_array(adc: IdealADC | RangedADC) -> bool:
    """Whether a table belongs to all converters of an array, not to one of them."""
    del adc
    return False


@singledispatch
def converter_offsets(adc: IdealADC | RangedADC, normals: Array) -> Array:
    """The offset in LSB that a kind adds to each converter beside `offset_sigma_lsb`: normals (converters,) -> same."""
    del adc
    return np.zeros(normals.shape, np.float32)


@singledispatch
def decision_noise_lsb(adc: IdealADC | RangedADC) -> float:
    """The noise of every single decision of a conversion."""
    del adc
    return 0.0


@decision_kind.register
def _(adc: IdealADC) -> int:
    del adc
    return NEAREST  # the kernel leaves the values of converters that have no codes


@decision_kind.register
def _(adc: UniformADC) -> int:
    return STOCHASTIC if adc.rounding == "stochastic" else NEAREST


@element_count.register
def _(adc: IdealADC | UniformADC, levels: int) -> int:
    del adc, levels
    return 0


@table.register
def _(adc: IdealADC | UniformADC, levels: int, normals: Array) -> Array:
    del adc, levels
    return np.zeros((normals.shape[0], 0), np.float32)
