"""Inputs as codes, and the cycles in which the codes enter the array."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from imcsim.kernels.quantise import least_squares_step
from imcsim.specs.converters import DAC, BitSerialDAC, OneShotDAC

Array = np.ndarray[Any, Any]


def input_codes(dac: DAC, x: Array, step: float) -> Array:
    """Codes of inputs x (any shape) in steps of `step`: int64, rounded to nearest, saturating at the largest code.

    Signed inputs of one bit are -1 and +1.
    """
    if dac.signed and dac.bits == 1:
        return np.where(x >= 0, 1, -1).astype(np.int64)
    top = largest_input(dac)
    return np.asarray(np.clip(np.rint(x / step), -top if dac.signed else 0, top), dtype=np.int64)


def largest_input(dac: DAC) -> int:
    """The largest input code."""
    if dac.signed:
        return int(max(2 ** (dac.bits - 1) - 1, 1))
    return int(2**dac.bits - 1)


def input_step(dac: DAC, x: Array) -> float:
    """The input step that suits samples x: for the least squared error, or the largest |x| to the largest code."""
    size = np.abs(x)
    if dac.input_scale == "max":
        chosen = float(size.max(initial=0.0)) / largest_input(dac)
    elif dac.signed and dac.bits == 1:
        chosen = float(size.mean())
    else:
        chosen = least_squares_step(size, largest_input(dac))
    return chosen or 1.0


@singledispatch
def unit_input(dac: DAC) -> int:
    """How many MAC units a cell gives that is driven by a full input: 1 where the array sees single bits."""
    raise TypeError(f"no converter {type(dac).__name__}")


@singledispatch
def cycle_weights(dac: DAC) -> tuple[Array, int]:
    """What the read of each cycle is worth, (cycles,) float64, and the constant that completes the input code."""
    raise TypeError(f"no converter {type(dac).__name__}")


@singledispatch
def planes(dac: DAC, codes: Array) -> Array:
    """What drives the array, cycle by cycle: codes (samples, inputs) -> (samples, cycles, inputs) int64."""
    del codes
    raise TypeError(f"no converter {type(dac).__name__}")


@singledispatch
def sums_may_be_negative(dac: DAC) -> bool:
    """Whether a column of cells may sum to less than zero."""
    raise TypeError(f"no converter {type(dac).__name__}")


@unit_input.register
def _(dac: BitSerialDAC) -> int:
    del dac
    return 1


@cycle_weights.register
def _(dac: BitSerialDAC) -> tuple[Array, int]:
    if dac.signed and dac.bits == 1:
        return np.array([2.0]), -1  # x = 2 b - 1
    weights = 2.0 ** np.arange(dac.bits)
    if dac.signed:
        weights[-1] *= -1  # two's complement
    return weights, 0


@planes.register
def _(dac: BitSerialDAC, codes: Array) -> Array:
    return np.asarray(serial_codes(dac, codes)[:, None] >> np.arange(dac.bits)[:, None] & 1)


@sums_may_be_negative.register
def _(dac: BitSerialDAC) -> bool:
    del dac
    return False


def serial_codes(dac: BitSerialDAC, codes: Array) -> Array:
    """The integers whose lowest `bits` bits enter the array, least significant first: the shape of codes, int64."""
    return (codes + 1) // 2 if dac.signed and dac.bits == 1 else codes


@unit_input.register
def _(dac: OneShotDAC) -> int:
    return largest_input(dac)


@cycle_weights.register
def _(dac: OneShotDAC) -> tuple[Array, int]:
    del dac
    return np.ones(1), 0


@planes.register
def _(dac: OneShotDAC, codes: Array) -> Array:
    del dac
    return codes[:, None]


@sums_may_be_negative.register
def _(dac: OneShotDAC) -> bool:
    return dac.signed
