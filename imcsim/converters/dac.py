"""Inputs as codes, the cycles in which the codes enter the array, and what the converters of the rows get wrong."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np

from imcsim.errors import SpecError
from imcsim.kernels.inputs import AS_IS, BINARY, CODE, NEGATIVE, POSITIVE, SIGNED, Cycles, quantise_inputs
from imcsim.kernels.quantise import least_squares_step
from imcsim.specs.dac import DAC, BitSerialDAC, IdealDAC, OneShotDAC

Array = np.ndarray[Any, Any]


def largest_input(dac: DAC) -> int:
    """The largest input code; 1 for unquantised inputs."""
    if isinstance(dac, IdealDAC):
        return 1
    if dac.signed:
        return int(max(2 ** (dac.bits - 1) - 1, 1))
    return int(2**dac.bits - 1)


def coding(dac: DAC) -> tuple[int, int, bool]:
    """The least and the largest input code, and whether the codes are signs."""
    top = largest_input(dac)
    return -top if dac.signed else 0, top, binary_signs(dac)


def codes_of_members(dac: DAC, x: Array, steps: Array) -> Array:
    """Codes (1 or members, samples, rows) of inputs x and in `steps` of either length: see input_codes."""
    count = max(len(x), len(steps))
    found = [input_codes(dac, x[m % len(x)], steps[m % len(steps)]) for m in range(count)]
    return found[0][None] if count == 1 else np.stack(found)


def input_codes(dac: DAC, x: Array, step: float) -> Array:
    """Codes of inputs x (samples, rows) in steps of `step`; unquantised inputs: x / step.

    Raises SpecError for inputs that are not finite, negative where the DAC is unsigned, or beyond its range where it is
    not to clip.
    """
    low, top, binary = coding(dac)
    if isinstance(dac, IdealDAC):
        exact = x.astype(np.float64) / step
        codes = np.clip(exact, low, top)
        sound = np.isfinite(exact).all() and (codes == exact).all()
    else:
        codes, wrong = quantise_inputs(x, step, low, top, binary)
        sound = not wrong.any()
    if sound:
        return np.asarray(codes)
    refuse_not_finite(x)
    # what rounds to zero is no negative input
    if not dac.signed and (x < (0 if isinstance(dac, IdealDAC) else -step / 2)).any():
        raise SpecError.of("x", "must not be negative: the DAC is unsigned", remedy="set dac.signed = true")
    if dac.out_of_range == "error":
        limit = (top if isinstance(dac, IdealDAC) else top + 0.5) * step
        remedy = 'calibrate on inputs that reach as far, or set dac.out_of_range = "clip"'
        count = int((np.abs(x) > limit).sum())
        allowed = f"must be within the DAC's range, {low * step:.4g} to {top * step:.4g}"
        raise SpecError.of("x", allowed, given=f"{count} of {x.size} values beyond", remedy=remedy)
    return np.asarray(codes)


def refuse_not_finite(x: Array, name: str = "x") -> None:
    """Raise SpecError where an input is infinite or not a number."""
    if unfit := int((~np.isfinite(x)).sum()):
        raise SpecError.of(name, "must be finite", given=f"{unfit} of {x.size} values infinite or nan")


def binary_signs(dac: DAC) -> bool:
    """Whether the inputs are -1 and +1: signed, of one bit."""
    return not isinstance(dac, IdealDAC) and dac.signed and dac.bits == 1


def input_step(dac: DAC, x: Array) -> float:
    """The input step that suits samples x: for the least squared error, or the largest |x| to the largest code."""
    size = np.abs(x)
    if isinstance(dac, IdealDAC):
        chosen = float(size.max(initial=0.0))
    elif dac.input_scale == "max":
        chosen = float(size.max(initial=0.0)) / largest_input(dac)
    elif dac.signed and dac.bits == 1:
        chosen = float(size.mean())
    else:
        chosen = least_squares_step(size, largest_input(dac))
    return chosen or 1.0


def input_steps(dac: DAC, x: Array) -> Array:
    """The step of each sample of x (samples, rows) alone, (samples,): its largest |x| to the largest code."""
    return np.asarray(np.abs(x).max(axis=1, initial=0.0), np.float64) / largest_input(dac)


@singledispatch
def cycles(dac: DAC) -> Cycles:
    """The cycles in which input codes enter the array."""
    raise TypeError(f"no converter {type(dac).__name__}")


@cycles.register(OneShotDAC)
@cycles.register(IdealDAC)
def _(dac: DAC) -> Cycles:
    del dac
    return Cycles(np.ones(1), np.zeros(1, np.int64), np.zeros(1, np.int64), np.array([AS_IS]))


@cycles.register
def _(dac: BitSerialDAC) -> Cycles:
    twos_complement = dac.signed and dac.encoding == "twos_complement"
    if twos_complement and dac.bits == 1:
        return Cycles(np.array([2.0]), np.zeros(1, np.int64), np.ones(1, np.int64), np.array([BINARY]))
    magnitude = max(dac.bits - 1, 1) if dac.signed else dac.bits
    shift = np.arange(0, magnitude, dac.slice_bits)
    mask = 2 ** np.minimum(dac.slice_bits, magnitude - shift) - 1
    weights = 2.0**shift
    if twos_complement:  # the sign bit counts negative
        weights = np.append(weights, -(2.0**magnitude))
        shift, mask = np.append(shift, magnitude), np.append(mask, 1)
    elif dac.signed and dac.encoding == "two_phase":
        part = np.repeat([POSITIVE, NEGATIVE], len(shift))
        return Cycles(np.concatenate([weights, -weights]), np.tile(shift, 2), np.tile(mask, 2), part)
    signed = dac.signed and dac.encoding == "sign_magnitude"
    return Cycles(weights, shift, mask, np.full(len(shift), SIGNED if signed else CODE))


def completion(dac: DAC) -> int:
    """The constant that completes the weighted sum of the cycles to the input code: -1 where x = 2 b - 1."""
    return -1 if cycles(dac).part[0] == BINARY else 0


def unit_input(dac: DAC) -> int:
    """How many MAC units a cell of digit 1 gives in a cycle that drives its row fully."""
    return largest_input(dac) if isinstance(dac, OneShotDAC) else int(max(cycles(dac).mask.max(), 1))


def largest_value(dac: DAC) -> float:
    """The largest size of what a cell of digit 1 adds to the value that is converted, in MAC units."""
    if not accumulates(dac):
        return float(unit_input(dac))
    driven = cycles(dac)
    most = driven.weights * driven.mask
    return float(max(most.clip(min=0).sum(), -most.clip(max=0).sum()))


def accumulates(dac: DAC) -> bool:
    """Whether the cycles add up as charge, ahead of one conversion."""
    return isinstance(dac, BitSerialDAC) and dac.accumulation == "analog"


def drives_both_ways(dac: DAC) -> bool:
    """Whether a row may be driven negative."""
    if isinstance(dac, BitSerialDAC):
        return dac.signed and dac.encoding == "sign_magnitude"
    return dac.signed


def values_may_be_negative(dac: DAC) -> bool:
    """Whether what is converted of a column of cells may be less than zero."""
    return drives_both_ways(dac) or (accumulates(dac) and bool((cycles(dac).weights < 0).any()))


def conversion_weights(dac: DAC) -> Array:
    """What each conversion of a tile counts, (conversions,) float64."""
    return np.ones(1) if accumulates(dac) else cycles(dac).weights


@dataclass(frozen=True, eq=False)
class RowErrors:
    """What the converters of the rows get wrong: `levels` (members, tiles, rows, largest digit + 1), noise in LSB.

    Negative digits drive the negative of the level of their size.
    """

    levels: Array
    noise_lsb: float


def elements(dac: DAC) -> int:
    """How many unit elements the converter of a row is made of; 0 where its levels are exact."""
    return 0 if isinstance(dac, IdealDAC) or dac.exact else unit_input(dac)


def row_errors(dac: DAC, gain: Array, units: Array) -> RowErrors | None:
    """The levels that frozen normals gain (..., rows, 1) and units (..., rows, elements) make; None: exact levels.

    Of elements e_i = 1 + sigma n_i, level d is their sum up to d, scaled so that the end points are exact ahead of the
    gain: INL with a standard deviation of sigma sqrt(d (1 - d / D)) LSB, as of any string of D matched units.
    """
    if isinstance(dac, IdealDAC) or dac.exact:
        return None
    sizes = 1.0 + dac.unit_sigma_rel * units.astype(np.float64)
    levels = np.cumsum(sizes, axis=-1)
    levels *= units.shape[-1] / levels[..., -1:] * (1.0 + dac.gain_sigma_rel * gain.astype(np.float64))
    levels = np.concatenate([np.zeros_like(levels[..., :1]), levels], axis=-1)
    return RowErrors(levels.astype(np.float32), dac.noise_lsb)
