"""Planted faults: the crossbar that one would be with a column whose converter or bit line is broken.

What a diagnosis is tried on. The columns of a weight are those of its polarities and slices, least significant first;
without more being told, all of them are broken.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from imcsim.crossbar import Crossbar
from imcsim.errors import CapabilityError, Problem, SpecError

Array = np.ndarray[Any, Any]
Chosen = Sequence[int] | None


def stuck_adc(
    crossbar: Crossbar, column: int, code: int, *, polarities: Chosen = None, slices: Chosen = None
) -> Crossbar:
    """The ADCs of a weight column give `code` whatever comes: conversion noise, where the ADC has any, is added to it.

    Raises SpecError, and CapabilityError where the ADC is ideal or awaits a calibration.
    """
    ranges = crossbar.ranges
    if ranges is None or ranges[0].max_code == 0:
        why = "its ranges await a calibration" if ranges is None else "an ideal converter has no codes"
        raise CapabilityError.of("adc", f"cannot be stuck: {why}")
    allowed = f"must be a code of the ADC, 0 to {ranges[0].max_code}"
    wrong = () if 0 <= code <= ranges[0].max_code else (Problem(("code",), allowed, str(code)),)
    chosen = _columns(crossbar, column, polarities, slices, crossbar.die.plan.converted, wrong)
    adc, slice_of = crossbar.die.adc, crossbar.die.plan.slice_of[chosen]
    gain, offset = adc.gain.copy(), adc.offset_lsb.copy()
    gain[..., chosen] = 0.0
    # code = gain v / LSB + offset - lo / LSB
    lo_codes = np.array([np.divide(one.lo, one.lsb)[slice_of] for one in ranges])
    offset[..., chosen] = code + lo_codes[:, None]
    return _with_errors(crossbar, gain, offset)


def wrong_gain(
    crossbar: Crossbar, column: int, gain: float, *, polarities: Chosen = None, slices: Chosen = None
) -> Crossbar:
    """The ADCs of a weight column have `gain` times the gain of the others. Raises SpecError."""
    wrong = () if np.isfinite(gain) else (Problem(("gain",), "must be a finite number", str(gain)),)
    chosen = _columns(crossbar, column, polarities, slices, crossbar.die.plan.converted, wrong)
    gains = crossbar.die.adc.gain.copy()
    gains[..., chosen] *= np.float32(gain)
    return _with_errors(crossbar, gains, crossbar.die.adc.offset_lsb)


def dead_column(crossbar: Crossbar, column: int, *, polarities: Chosen = None, slices: Chosen = None) -> Crossbar:
    """The bit lines of a weight column are open: none of its cells adds a current. Raises SpecError."""
    die = crossbar.die
    chosen = _columns(crossbar, column, polarities, slices, die.plan.layout.polarities, ())
    currents = die.currents.copy()
    by_column = currents.reshape(*currents.shape[:3], -1)  # a view: polarities, slices and columns in their order
    by_column[..., chosen] = 0.0
    return dataclasses.replace(crossbar, die=dataclasses.replace(die, currents=currents))


def _with_errors(crossbar: Crossbar, gain: Array, offset_lsb: Array) -> Crossbar:
    errors = dataclasses.replace(crossbar.die.adc, gain=gain, offset_lsb=offset_lsb)
    return dataclasses.replace(crossbar, die=dataclasses.replace(crossbar.die, adc=errors))


def _columns(
    crossbar: Crossbar, column: int, polarities: Chosen, slices: Chosen, most: int, wrong: Sequence[Problem]
) -> Array:
    """The places of a weight column in the order (polarities, slices, physical columns), `most` polarities."""
    plan = crossbar.die.plan
    problems = [*wrong, *_out_of_range("column", (column,), plan.shape[1])]
    problems += [*_out_of_range("polarities", polarities, most), *_out_of_range("slices", slices, plan.layout.slices)]
    if problems:
        raise SpecError(problems)
    places = np.arange(most * plan.layout.slices * plan.tiling.columns).reshape(most, plan.layout.slices, -1)
    of_polarities = slice(None) if polarities is None else list(polarities)
    of_slices = slice(None) if slices is None else list(slices)
    return np.asarray(places[of_polarities][:, of_slices, plan.tiling.weights[column]].ravel())


def _out_of_range(name: str, chosen: Chosen, most: int) -> Iterator[Problem]:
    for one in chosen or ():
        if not 0 <= one < most:
            yield Problem((name,), f"must be from 0 to {most - 1}", str(one))
