"""What turns the value of a column into a code, as data; imcsim.converters has the behaviour."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal

from imcsim.errors import Problem
from imcsim.specs.fields import Spec, limited

# The normals that mismatch is made of end at 6.3 sigma: up to this spread an element never falls to zero.
MAX_ELEMENT_SIGMA = 0.15


@dataclass(frozen=True, kw_only=True)
class IdealADC(Spec):
    """No conversion: the column's value goes on as it is."""

    kind: ClassVar[str] = "ideal"


@dataclass(frozen=True, kw_only=True)
class RangedADC(Spec):
    """What converters of 2^bits codes share (one code less where the range is symmetric about zero).

    `range`: "mse" is calibrated for the least squared error of a column's value, "output" for that of the layer's
    output, "percentile" covers that share of the values; "full" covers every possible sum; "given" spans `lo` to `hi`,
    in MAC units (one cell digit at one input step). `slice_ranges`: calibrated ranges of the weight's slices are free
    of each other, or powers of two apart, as a shift-and-add of codes demands. `columns_per_adc` neighbouring columns
    of an array share a converter and with it its errors. Offset, gain and noise: the first two frozen, a draw a
    converter, the last drawn at each conversion.
    """

    bits: int = limited(8, low=1, high=16)
    range: Literal["mse", "output", "percentile", "full", "given"] = "mse"
    percentile: float | None = limited(None, low=50, high=100, unit="%")
    lo: float | None = limited(None, low=-1e9, high=1e9, unit="MAC units")
    hi: float | None = limited(None, low=-1e9, high=1e9, unit="MAC units")
    slice_ranges: Literal["free", "powers_of_two"] = "free"
    columns_per_adc: int = limited(1, low=1, high=4096)
    offset_sigma_lsb: float = limited(0.0, low=0, high=1e3, unit="LSB")
    gain_sigma_rel: float = limited(0.0, low=0, high=0.5, unit="1")
    noise_lsb: float = limited(0.0, low=0, high=1e3, unit="LSB")

    def problems(self) -> Iterable[Problem]:
        for name, needed_by in (("lo", "given"), ("hi", "given"), ("percentile", "percentile")):
            value = getattr(self, name)
            if self.range == needed_by and value is None:
                what = "give lo and hi in MAC units" if needed_by == "given" else "99.9 is a common choice"
                yield Problem((name,), f'is needed where range = "{needed_by}"', remedy=what)
            if self.range != needed_by and value is not None:
                yield Problem(
                    (name,),
                    f'has no meaning where range = "{self.range}"',
                    str(value),
                    f'set range = "{needed_by}" or drop it',
                )
        if self.lo is not None and self.hi is not None and self.lo >= self.hi:
            yield Problem(("hi",), f"must exceed lo = {self.lo:g}: the range is empty", given=f"{self.hi:g}")

    def overriding(self, name: str, value: Any) -> dict[str, Any]:
        if name != "range":
            return {}
        needed = {"given": ("lo", "hi"), "percentile": ("percentile",)}.get(value, ())
        return {other: None for other in ("lo", "hi", "percentile") if other not in needed}


@dataclass(frozen=True, kw_only=True)
class UniformADC(RangedADC):
    """A converter of equal steps. `rounding`: to the nearest code, or up or down at random, unbiased."""

    kind: ClassVar[str] = "uniform"
    rounding: Literal["nearest", "stochastic"] = "nearest"


@dataclass(frozen=True, kw_only=True)
class SarADC(RangedADC):
    """Successive approximation on binary-weighted capacitors, a bit a decision, the highest first.

    `unit_sigma_rel`: relative mismatch of a unit capacitor, each of them by itself. `split_bits`: that many of the
    lowest bits sit on an array of their own behind a bridge capacitor. `comparator_noise_lsb`: drawn at every decision,
    where `noise_lsb` is drawn once a conversion, when the input is sampled.
    """

    kind: ClassVar[str] = "sar"
    unit_sigma_rel: float = limited(0.0, low=0, high=MAX_ELEMENT_SIGMA, unit="1")
    split_bits: int | None = limited(None, low=1, high=15)
    comparator_noise_lsb: float = limited(0.0, low=0, high=1e3, unit="LSB")

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.split_bits is not None and self.split_bits >= self.bits:
            allowed = f"must be below bits = {self.bits}: the main array needs a bit of its own"
            yield Problem(("split_bits",), allowed, given=str(self.split_bits))


@dataclass(frozen=True, kw_only=True)
class RampADC(RangedADC):
    """A ramp that all columns of an array share, and a comparator a column that stops its counter.

    `unit_sigma_rel`: relative mismatch of each of the equal elements that make the ramp's steps.
    `comparator_sigma_lsb`: the spread of the offset of a column's comparator.
    """

    kind: ClassVar[str] = "ramp"
    unit_sigma_rel: float = limited(0.0, low=0, high=MAX_ELEMENT_SIGMA, unit="1")
    comparator_sigma_lsb: float = limited(0.0, low=0, high=1e3, unit="LSB")


@dataclass(frozen=True, kw_only=True)
class FlashADC(RangedADC):
    """A comparator at every transition, on a string of resistors; the code is the number of those that trip.

    `unit_sigma_rel`: relative mismatch of a resistor. `comparator_sigma_lsb`: the spread of a comparator's offset.
    """

    kind: ClassVar[str] = "flash"
    bits: int = limited(6, low=1, high=8)
    unit_sigma_rel: float = limited(0.0, low=0, high=MAX_ELEMENT_SIGMA, unit="1")
    comparator_sigma_lsb: float = limited(0.0, low=0, high=1e3, unit="LSB")


@dataclass(frozen=True, kw_only=True)
class PipelineADC(RangedADC):
    """bits - 1 stages of 1.5 bits with digital correction, and a comparator for the last bit.

    `gain`: of each stage's op-amp, in open loop; None: infinite. `capacitor_sigma_rel`: relative mismatch of the two
    capacitors of a stage, each by itself. `comparator_sigma_rel`: the spread of a comparator's offset relative to
    V_ref, half the range: digital correction mends offsets of up to V_ref / 4 in all but the last comparator.
    """

    kind: ClassVar[str] = "pipeline"
    gain: float | None = limited(None, low=1, high=1e9, unit="1")
    capacitor_sigma_rel: float = limited(0.0, low=0, high=MAX_ELEMENT_SIGMA, unit="1")
    comparator_sigma_rel: float = limited(0.0, low=0, high=1, unit="1")


@dataclass(frozen=True, kw_only=True)
class MeasuredADC(RangedADC):
    """A converter as a chip was measured: where its codes change, or how probable each code is at each input.

    `transitions[k]`: the input, in LSB from the lowest level, at which code k becomes k + 1 (nominally k + 0.5), one
    for each code but the last; two that are equal leave out the code between them. Or `inputs`, in the same unit, and
    for each of them `probabilities`, one a code; mixed in proportion between two inputs, beyond the ends those of the
    end.
    """

    kind: ClassVar[str] = "measured"
    transitions: tuple[float, ...] | None = limited(None, low=-1e6, high=1e6, unit="LSB")
    inputs: tuple[float, ...] | None = limited(None, low=-1e6, high=1e6, unit="LSB")
    probabilities: tuple[tuple[float, ...], ...] | None = limited(None, low=0, high=1, unit="1")

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.transitions is not None and self.inputs is None and self.probabilities is None:
            yield from self._problems_of_transitions(self.transitions)
        elif self.transitions is None and self.inputs is not None and self.probabilities is not None:
            yield from self._problems_of_probabilities(self.inputs, self.probabilities)
        else:
            names = [name for name in ("transitions", "inputs", "probabilities") if getattr(self, name) is not None]
            given = {0: "none of them", 3: "all of them"}.get(len(names), " and ".join(names))
            yield Problem(("transitions",), f"give either transitions, or inputs and probabilities: {given} are given")

    def _problems_of_transitions(self, transitions: tuple[float, ...]) -> Iterable[Problem]:
        if len(transitions) != 2**self.bits - 1:
            allowed = f"must be 2^bits - 1 = {2**self.bits - 1} numbers"
            yield Problem(("transitions",), allowed, given=f"{len(transitions)} numbers")
        for k, (low, high) in enumerate(pairwise(transitions)):
            if high < low:
                yield Problem(("transitions",), f"must not decrease: {high:g} follows {low:g} at place {k + 1}")
                break

    def _problems_of_probabilities(
        self, inputs: tuple[float, ...], probabilities: tuple[tuple[float, ...], ...]
    ) -> Iterable[Problem]:
        if not inputs:
            yield Problem(("inputs",), "must hold an input level or more", given="[]")
        for i, (low, high) in enumerate(pairwise(inputs)):
            if high <= low:
                yield Problem(("inputs",), f"must increase: {high:g} follows {low:g} at place {i + 1}")
                break
        if len(probabilities) != len(inputs):
            allowed = f"must be {len(inputs)} lists, one an input"
            yield Problem(("probabilities",), allowed, given=f"{len(probabilities)} lists")
        for i, row in enumerate(probabilities):
            if len(row) != 2**self.bits:
                allowed = f"list {i} must be 2^bits = {2**self.bits} numbers"
                yield Problem(("probabilities",), allowed, given=f"{len(row)} numbers")
                break
            if abs(math.fsum(row) - 1) > 1e-6:
                yield Problem(
                    ("probabilities",), f"list {i} must sum to 1 within 1e-6", given=f"sum {math.fsum(row):g}"
                )
                break

    def overriding(self, name: str, value: Any) -> dict[str, Any]:
        if name == "transitions":
            return {"inputs": None, "probabilities": None}
        if name in ("inputs", "probabilities"):
            return {"transitions": None}
        return super().overriding(name, value)


ADC = IdealADC | UniformADC | SarADC | RampADC | FlashADC | PipelineADC | MeasuredADC
