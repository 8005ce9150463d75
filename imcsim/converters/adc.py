"""The converters of a die: what each gets wrong, and the form in which kernels read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np

from imcsim.converters import kinds
from imcsim.converters.ranges import Ranges
from imcsim.kernels.column import Converters
from imcsim.kernels.decide import NEAREST
from imcsim.specs.adc import IdealADC, RangedADC, UniformADC

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Errors:
    """What the ADCs of dies get wrong: `gain`, `offset_lsb` (members, tiles, columns) frozen, noise a conversion.

    `elements` (owners, elements) are the frozen normals of the elements that converters are made of, and `owner`
    (members, tiles, columns) says whose each column uses.
    """

    gain: Array
    offset_lsb: Array
    noise_lsb: float
    elements: Array
    owner: Array


def no_errors(adc: IdealADC | RangedADC, members: int, tiles: int, columns: int) -> Errors:
    """The errors of converters as designed, all alike."""
    shape = members, tiles, columns
    elements = np.zeros((1, _elements(adc)), np.float32)
    return Errors(np.ones(shape, np.float32), np.zeros(shape, np.float32), 0.0, elements, np.zeros(shape, np.int32))


@singledispatch
def manufactured(adc: IdealADC | RangedADC, normals: Callable[[str, int], Array], first: Array, array: Array) -> Errors:
    """The errors of a die's converters: (members, tiles, columns).

    `normals(source, n)` gives frozen standard normals (members, tiles, n, columns), or arrays in place of columns;
    `first` (columns,) is the column whose converter a column uses, `array` (columns,) the number of its array.
    """
    del normals, first, array
    raise TypeError(f"no converter {type(adc).__name__}")


@manufactured.register
def _(adc: IdealADC, normals: Callable[[str, int], Array], first: Array, array: Array) -> Errors:
    del first, array
    members, tiles, _, columns = normals("gain", 1).shape
    return no_errors(adc, members, tiles, columns)


@manufactured.register
def _(adc: RangedADC, normals: Callable[[str, int], Array], first: Array, array: Array) -> Errors:
    gain, offset = (normals(source, 1)[:, :, 0, first] for source in ("gain", "offset"))
    # the first column of each converter, or of each array where one table serves it, holds the frozen elements
    owner_of = array if kinds.shared_by_array(adc) else first
    _, column_of, holder_of = np.unique(owner_of, return_index=True, return_inverse=True)
    members, tiles, _ = gain.shape
    if kinds.shared_by_array(adc):
        drawn = normals("element of an array", _elements(adc))
    else:
        drawn = normals("element", _elements(adc))[:, :, :, column_of]
    elements = np.moveaxis(drawn, 2, 3).reshape(members * tiles * len(column_of), drawn.shape[2])
    owner = np.arange(members * tiles).reshape(members, tiles, 1) * len(column_of) + holder_of
    offsets = np.float32(adc.offset_sigma_lsb) * offset
    comparators = kinds.converter_offsets(adc, normals("comparator", 1)[:, :, 0, first])
    gains = np.float32(1) + np.float32(adc.gain_sigma_rel) * gain
    return Errors(gains, offsets + comparators, adc.noise_lsb, elements, owner.astype(np.int32))


def converters(
    adc: IdealADC | RangedADC, max_code: int, lo: Array, lsb: Array, errors: Errors, groups: int, trim: Array | None
) -> Converters:
    """The ADCs of dies in the form of the kernels, the row of each array `groups` times, as often as it is read.

    `lo`, `lsb` (1 or members, columns) are the ranges, `trim` (2, members, tiles, columns) what is taken off the codes.
    """

    def rows(values: Array, dtype: Any) -> Array:
        repeated = np.repeat(np.broadcast_to(values, errors.gain.shape), groups, axis=1)
        return np.ascontiguousarray(repeated.reshape(-1, repeated.shape[-1]), dtype=dtype)

    lo, lsb = lo[:, None], lsb[:, None]
    scale, shift = rows(errors.gain / lsb, np.float32), rows(errors.offset_lsb - lo / lsb, np.float32)
    trims = np.zeros((0, 0, 0), np.float32) if trim is None else np.stack([rows(part, np.float32) for part in trim])
    if max_code == 0:
        return ideal_converters(scale, shift)
    levels, owner = max_code + 1, rows(errors.owner, np.int32)
    table = kinds.table(adc, levels, errors.elements[:, : kinds.element_count(adc, levels)])
    kind, noise_lsb = kinds.decision_kind(adc), kinds.decision_noise_lsb(adc)
    return Converters(max_code, scale, shift, errors.noise_lsb, trims, kind, table, owner, noise_lsb)


def ideal_converters(scale: Array, shift: Array) -> Converters:
    """Converters that convert nothing, for columns (tiles, columns)."""
    nothing = np.zeros((0, 0, 0), np.float32), NEAREST, np.zeros((1, 0), np.float32), np.zeros(scale.shape, np.int32)
    return Converters(0, scale, shift, 0.0, *nothing, 0.0)


def lossless(
    adc: IdealADC | RangedADC, ranges: Sequence[Ranges], errors: Errors, largest: Sequence[float], signed: bool
) -> bool:
    """Whether every integer up to the largest of its slice goes through unchanged, negative ones too where `signed`."""
    if isinstance(adc, IdealADC):
        return True
    if not isinstance(adc, UniformADC) or adc.noise_lsb > 0 or (errors.gain != 1).any() or errors.offset_lsb.any():
        return False
    return all(
        lsb == 1 and lo == round(lo) and lo <= (-most if signed else 0) and lo + one.max_code >= most
        for one in ranges
        for lo, lsb, most in zip(one.lo, one.lsb, largest, strict=True)
    )


def _elements(adc: IdealADC | RangedADC) -> int:
    return kinds.element_count(adc, 2**adc.bits) if isinstance(adc, RangedADC) else 0
