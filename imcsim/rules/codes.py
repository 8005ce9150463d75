"""Perturbation codes: what is added to each of P parameters in each period, as a function of a key and of the period.

A code u has the Euclidean norm `norm`, whatever P is, so that all move the loss alike (McCaughan et al.
2023). Parameters are told apart by

    random       signs: u_i = +-norm / sqrt(P); with sparsity s, +-s norm / sqrt(P) in one of s periods and 0 in others
    walsh        signs that are orthogonal over a code's length: Walsh functions of Sylvester's Hadamard matrix
    sinusoidal   frequency: u_i = norm sqrt(2 / P) sin(2 pi f_i k + phi_i), f shuffled over a band
    sequential   time: u_i = norm for one i at a time, in shuffled order

As a generator on the chip would, a code keeps nothing of its past: any period can be asked for again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from imcsim.errors import Problem, SpecError
from imcsim.rng import Generators, draw_keys
from imcsim.specs.fields import Spec, limited

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class CodeSpec(Spec):
    """`code` perturbs all parameters together by a vector of length `norm`, another one every `tau_p` time steps.

    `sparsity` s of random codes: a parameter is perturbed in one of s periods, s times as far. `code_length` of Walsh
    codes is a power of two, None: the smallest above the number of parameters. `band` of sinusoidal codes: the lowest
    and the highest frequency, in cycles a period, None: 0 and 0.5.
    """

    code: Literal["random", "walsh", "sinusoidal", "sequential"] = "random"
    norm: float = limited(0.05, low=1e-12, high=1e6)
    tau_p: int = limited(1, low=1, high=1_000_000_000)
    sparsity: int | None = limited(None, low=1, high=1_000_000)
    code_length: int | None = limited(None, low=1, high=2**31)
    band: tuple[float, ...] | None = limited(None, low=0.0, high=0.5)

    def problems(self) -> Iterable[Problem]:
        for name, code in (("sparsity", "random"), ("code_length", "walsh"), ("band", "sinusoidal")):
            if (value := getattr(self, name)) is not None and self.code != code:
                remedy = f'leave it out, or set code = "{code}"'
                yield Problem((name,), f'has no meaning with code = "{self.code}"', str(value), remedy)
        if self.code_length is not None and self.code_length & (self.code_length - 1):
            above = 1 << self.code_length.bit_length()
            yield Problem(("code_length",), "must be a power of two", str(self.code_length), f"{above} is the next")
        if self.band is not None and not (len(self.band) == 2 and self.band[0] < self.band[1]):
            allowed = "must be two frequencies, the lower one first"
            yield Problem(("band",), allowed, str(list(self.band)), "such as [0.25, 0.5]")


class Code(Protocol):
    """A code of so many places that has begun."""

    @property
    def places(self) -> int:
        """P."""

    @property
    def power(self) -> float:
        """The mean over periods of u_i^2: the mean of (g . u) u is power g."""

    @property
    def largest(self) -> float:
        """The largest |u_i| of any period."""

    def at(self, period: int) -> Array:
        """The perturbation of a period: (places,), or (members, places) where each member has a key."""


class RandomCode(NamedTuple):
    """A Philox word a place and a period: its last bit is the sign, the others tell whether there is one."""

    keys: Array
    places: int
    amplitude: float
    sparsity: int

    @property
    def power(self) -> float:
        return self.amplitude**2 / self.sparsity

    @property
    def largest(self) -> float:
        return self.amplitude

    def at(self, period: int) -> Array:
        words = _words(self.keys, 1 + period, self.places)
        signed = np.where(words & np.uint32(1), self.amplitude, -self.amplitude)
        if self.sparsity > 1:
            signed[(words >> np.uint32(1)) >= np.uint32(2**31 // self.sparsity)] = 0.0
        return signed


class WalshCode(NamedTuple):
    """Rows of the Hadamard matrix of order `length`, a column a period; then again, with the signs flipped.

    So its mean over two lengths is 0 in every row, and what is even in u cancels. The first row, all ones, is left out
    where there is a place for every parameter without it: a filter would take it for the cost itself.
    """

    length: int
    places: int
    amplitude: float

    @property
    def power(self) -> float:
        return self.amplitude**2

    @property
    def largest(self) -> float:
        return self.amplitude

    def at(self, period: int) -> Array:
        # H_ik = (-1)^(number of bits that i and k share)
        rows = np.arange(self.places) + (self.places < self.length)
        odd = _parity(rows & (period % self.length)) ^ (period // self.length & 1)
        return np.where(odd, -self.amplitude, self.amplitude)


class SinusoidalCode(NamedTuple):
    """Sines of `frequency` in cycles a period, and `phase` in cycles: (..., places)."""

    frequency: Array
    phase: Array
    amplitude: float

    @property
    def places(self) -> int:
        return int(self.frequency.shape[-1])

    @property
    def power(self) -> float:
        return 0.5 * self.amplitude**2

    @property
    def largest(self) -> float:
        return self.amplitude

    def at(self, period: int) -> Array:
        cycles = self.frequency * period + self.phase
        return np.asarray(self.amplitude * np.sin(2.0 * np.pi * (cycles - np.floor(cycles))))


class SequentialCode(NamedTuple):
    """`order` (..., places): the place that is perturbed by `norm` in each period of a sweep."""

    order: Array
    norm: float

    @property
    def places(self) -> int:
        return int(self.order.shape[-1])

    @property
    def power(self) -> float:
        return self.norm**2 / self.places

    @property
    def largest(self) -> float:
        return self.norm

    def at(self, period: int) -> Array:
        perturbation = np.zeros(self.order.shape)
        turn = self.order[..., period % self.places, np.newaxis]
        np.put_along_axis(perturbation, turn, self.norm, axis=-1)
        return perturbation


def begun(spec: CodeSpec, places: int, rng: Generators) -> Code:
    """The code of `places` parameters under a key that `rng` draws; generators a member: under a key each.

    Raises SpecError for a Walsh code that is shorter than the parameters.
    """
    drawn = draw_keys(rng)
    keys = np.asarray(drawn if isinstance(drawn, int | tuple) else drawn.keys, np.uint64)
    amplitude = spec.norm / np.sqrt(places)
    if spec.code == "random":
        sparsity = spec.sparsity or 1
        return RandomCode(keys, places, sparsity * amplitude, sparsity)
    if spec.code == "walsh":
        length = spec.code_length or 1 << places.bit_length()
        if length < places:
            allowed = f"must be at least the number of parameters that are perturbed together, {places}"
            remedy = f"leave it out, which takes {1 << places.bit_length()}"
            raise SpecError.of(("rule_options", "code_length"), allowed, given=str(length), remedy=remedy)
        return WalshCode(length, places, amplitude)
    order = np.argsort(_words(keys, 0, places), axis=-1, kind="stable")
    if spec.code == "sequential":
        return SequentialCode(order, spec.norm)
    low, high = spec.band or (0.0, 0.5)
    # the middles of P equal parts: of 0 ... 0.5 they are frequencies whose sines are orthogonal over 2 P periods
    frequency = low + (high - low) * (order + 0.5) / places
    return SinusoidalCode(frequency, _words(keys, 1, places) * 2.0**-32, np.sqrt(2.0) * amplitude)


def _parity(numbers: Array) -> Array:
    """Whether numbers (n,) below 2^32 have an odd number of bits: 1 or 0."""
    for half in (16, 8, 4, 2, 1):
        numbers = numbers ^ numbers >> half
    return numbers & 1


def _words(keys: Array, number: int, places: int) -> Array:
    """Random words (..., places) uint32 under keys (...), of that number."""
    from imcsim.kernels.members import member_words

    words = member_words(np.atleast_1d(keys), number, places)
    return np.asarray(words if keys.ndim else words[0])
