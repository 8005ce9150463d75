"""What the numbers of a group cannot be, whatever was measured: rules that tell a field and what it must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imcsim.measurements.groups import (
    AdcTransfer,
    Drift,
    Group,
    MacTransfer,
    PowerUp,
    ProgramVerify,
    PulseResponse,
    ReadNoise,
    Spread,
)

Array = NDArray[Any]
Complaint = tuple[str, str]
Rule = Callable[[Mapping[str, Array]], Iterator[Complaint]]

SUM_TOLERANCE = 1e-3  # probabilities in print have three or four digits


def complaints(cls: type[Group], ready: Mapping[str, Array]) -> Iterator[Complaint]:
    """The fields that hold what they cannot, and what they must be; `ready` are numbers in SI units, axes checked."""
    for rule in _RULES[cls]:
        yield from rule(ready)


def _among(name: str, *allowed: int) -> Rule:
    def rule(ready: Mapping[str, Array]) -> Iterator[Complaint]:
        bad = ready[name][~np.isin(ready[name], allowed)] if name in ready else np.empty(0)
        if bad.size:
            yield name, f"must be {' or '.join(map(str, allowed))}: {bad.flat[0]} is there"

    return rule


def _at_least(name: str, low: int) -> Rule:
    def rule(ready: Mapping[str, Array]) -> Iterator[Complaint]:
        if name in ready and np.nanmin(ready[name]) < low:
            yield name, f"must be at least {low}: {np.nanmin(ready[name]):g} is there"

    return rule


def _above_zero(name: str) -> Rule:
    def rule(ready: Mapping[str, Array]) -> Iterator[Complaint]:
        if name in ready and np.nanmin(ready[name]) <= 0:
            yield name, f"must be above 0: {np.nanmin(ready[name]):g} is there"

    return rule


def _rising(name: str) -> Rule:
    def rule(ready: Mapping[str, Array]) -> Iterator[Complaint]:
        for row in np.atleast_2d(ready[name]):
            there = row[np.isfinite(row)]
            at = np.flatnonzero(np.diff(there) <= 0)
            if at.size:
                yield name, f"must increase: {there[at[0] + 1]:g} follows {there[at[0]]:g}"
                return

    return rule


def _window(ready: Mapping[str, Array]) -> Iterator[Complaint]:
    for here, other in (("low", "high"), ("high", "low")):
        if here in ready and other not in ready:
            yield here, f"needs {other} beside it: a window has two ends"
    if "low" in ready and "high" in ready and np.any(ready["low"] > ready["high"]):
        yield "low", "must not lie above high"


def _codes_fit(ready: Mapping[str, Array]) -> Iterator[Complaint]:
    bits, code = int(ready["bits"]), ready["code"]
    if not 1 <= bits <= 16:
        yield "bits", f"must be from 1 to 16: {bits} is there"
    elif code.min() < 0 or code.max() >= 2**bits:
        outside = code.min() if code.min() < 0 else code.max()
        yield "code", f"must be from 0 to {2**bits - 1}, of {bits} bits: {outside} is there"


def _probabilities(ready: Mapping[str, Array]) -> Iterator[Complaint]:
    if "probability" not in ready:
        return
    values = ready["probability"]
    if np.isnan(values).any() or values.min() < 0 or values.max() > 1:
        yield "probability", "must be from 0 to 1"
        return
    sums = values.sum(axis=-1).ravel()
    worst = sums[np.abs(sums - 1).argmax()]
    if abs(worst - 1) > SUM_TOLERANCE:
        yield "probability", f"must add up to 1 over the codes: {worst:.4f} is there"


def _counts_of_power_ups(ready: Mapping[str, Array]) -> Iterator[Complaint]:
    count = int(ready["power_ups"])
    for name in ("ones", "majority"):
        if name in ready and (ready[name].max() > count or ready[name].min() < 0):
            yield name, f"must be from 0 to power_ups = {count}"
    if "majority" in ready and 2 * ready["majority"].min() < count:
        yield "majority", f"must be at least half of power_ups = {count}"


_RULES: dict[type[Group], tuple[Rule, ...]] = {
    ProgramVerify: (_window, _among("success", 0, 1), _at_least("pulses", 0)),
    ReadNoise: (_above_zero("interval"),),
    Drift: (_rising("time"), _at_least("time", 0)),
    AdcTransfer: (_rising("input"), _codes_fit),
    MacTransfer: (_rising("ideal_sum"), _at_least("counts", 0), _probabilities, _at_least("observations", 1)),
    PulseResponse: (_among("direction", 1, -1),),
    PowerUp: (_at_least("power_ups", 2), _counts_of_power_ups),
    Spread: (_at_least("repeats", 1), _at_least("sigma", 0)),
}
