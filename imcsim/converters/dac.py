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


@unit_input.register
def _(dac: BitSerialDAC) -> int:
    del dac
    return 1


@unit_input.register
def _(dac: OneShotDAC) -> int:
    return largest_input(dac)


def cycle_weights(dac: BitSerialDAC) -> tuple[Array, int]:
    """What the input bit of each cycle is worth, (bits,) float64, and the constant that completes the code."""
    if dac.signed and dac.bits == 1:
        return np.array([2.0]), -1  # x = 2 b - 1
    weights = 2.0 ** np.arange(dac.bits)
    if dac.signed:
        weights[-1] *= -1  # two's complement
    return weights, 0


def cycle_bits(dac: BitSerialDAC, codes: Array) -> Array:
    """The integers whose lowest `bits` bits enter the array, cycle by cycle: codes -> the same shape, int64."""
    return (codes + 1) // 2 if dac.signed and dac.bits == 1 else codes
