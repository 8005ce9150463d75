"""What a static error of columns - droop, a limit, conversion - adds up to in the output.

An error e(v) of each value v is split into a mean, its part along v, its part along v^2, and a rest (Bussgang 1952,
unverified). Means add up coherently over all conversions. For jointly normal values with correlation rho the parts
along v and v^2 of two conversions correlate by rho and rho^2 (Mehler 1866, unverified); the rests are taken for
uncorrelated. The law of a value itself is that of a sum of independent products of digits: no normal is assumed there.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from imcsim.budget.moments import Factors

Array = np.ndarray[Any, Any]
ErrorOf = Callable[[Array, Array, int], Array]  # the error of (values, the same without noise) of column j

GRID = 2**15  # points on which the law of a sum stands at most
NODES = 10_000  # values at which an error is evaluated, at least where noise is spread over them


class Law(NamedTuple):
    """Values that a conversion takes and how probable each is; `noise`: how much of a value is noise."""

    values: Array
    probability: Array
    noise: Array


class StaticError(NamedTuple):
    """What the errors of one read's conversions add to the output, in steps of weight x input.

    `touched`: the largest share of values of a column that have an error at all.
    """

    mean: float
    variance: float
    touched: float


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over `rows` rows of inputs x digits: one a conversion. `off` (columns,): see Moments; `shift`: a constant.

    `noise` is the covariance of the noise of every two conversions, in the order (cycle, column). Of its variances the
    share `of_cells` (conversions,) comes with the value - a column in which no cell conducts has none - and where it is
    `frozen` never turns a current around.
    """

    inputs: Factors
    digits: Factors
    off: Array
    shift: Array
    noise: Array
    of_cells: Array
    frozen: bool
    rows: int

    @property
    def covariance(self) -> Array:
        """Of every two conversions, noise included: (conversions, conversions)."""
        conducting = self.digits + self.off
        first = np.kron(self.inputs.mean, conducting.mean)
        of_sums = self.rows * (np.kron(self.inputs.second, conducting.second) - np.outer(first, first))
        return np.asarray(of_sums + np.diag(np.diag(self.noise)))

    def column(self, j: int) -> Sums:
        """The conversions of one column alone."""
        here = np.arange(len(self.inputs.counts)) * len(self.off) + j
        digits = Factors(self.digits.values[j : j + 1], self.digits.counts[j : j + 1])
        return dataclasses.replace(
            self,
            digits=digits,
            off=self.off[j : j + 1],
            shift=self.shift[j : j + 1],
            noise=self.noise[np.ix_(here, here)],
            of_cells=self.of_cells[here],
        )

    @cached_property
    def laws(self) -> list[Law]:
        """The law of each conversion, in the order (cycle, column)."""
        return [self._law(k, j) for k in range(len(self.inputs.counts)) for j in range(len(self.digits.counts))]

    def _law(self, cycle: int, column: int) -> Law:
        sums, probability = law_of_sum(*self.inputs.histograms[cycle], *self.digits.histograms[column], self.rows)
        at = cycle * len(self.off) + column
        cells = float(self.of_cells[at] * self.noise[at, at])
        own = float(self.noise[at, at]) - cells
        mean = float(probability @ sums)
        one_way = bool(sums.min() >= 0 and mean > 0)
        # of single bits exactly sigma^2 times the number that conduct
        variance = own + (cells * sums / mean if one_way else cells + 0 * sums)
        values = sums + self.shift[column]
        if off := float(self.off[column]):
            values, probability, variance = self._with_off_cells(off, cycle, column, values, probability, variance)
        positive = values - self.shift[column] if self.frozen and one_way else None
        return _blurred(values, probability, variance, own, positive)

    def _with_off_cells(
        self, off: float, cycle: int, column: int, values: Array, probability: Array, variance: Array
    ) -> tuple[Array, Array, Array]:
        """A law with what off cells conduct, off x sum of inputs: as far as the value tells it, and spread beyond."""
        x, d = self.inputs.values[cycle], self.digits.values[column]
        product_mean = x.mean() * d.mean()
        spread = np.square(x).mean() * np.square(d).mean() - product_mean**2
        along = (np.square(x).mean() * d.mean() - x.mean() * product_mean) / spread if spread > 0 else 0.0
        beyond = off * np.sqrt(self.rows * max(x.var() - along**2 * spread, 0.0))
        sums = values - self.shift[column]
        moved = values + off * (along * sums + self.rows * (x.mean() - along * product_mean))
        nodes = _standard_nodes(9)
        least = values if x.min() >= 0 and d.min() >= 0 else np.full_like(values, -np.inf)
        values = np.maximum(moved[:, None] + beyond * nodes, least[:, None]).ravel()
        return values, np.repeat(probability / nodes.size, nodes.size), np.repeat(variance, nodes.size)


def law_of_sum(x: Array, of_x: Array, d: Array, of_d: Array, rows: int) -> tuple[Array, Array]:
    """The law of a sum of `rows` products x d, each factor independent: values and their probabilities."""
    products = np.multiply.outer(x, d).ravel()
    weights = np.multiply.outer(of_x, of_d).ravel()
    low, high = min(float(products.min()), 0.0), max(float(products.max()), 0.0)
    whole = np.array_equal(products, np.rint(products))
    step = max((high - low) * rows / GRID, 1.0 if whole else 0.0) or 1.0
    first = math.floor(low / step)
    # a product between two points of the grid is shared between them, so that means are kept
    place = products / step - first
    below = np.floor(place)
    one = np.zeros(int(below.max()) + 2)
    np.add.at(one, below.astype(np.int64), weights * (1 - place + below))
    np.add.at(one, below.astype(np.int64) + 1, weights * (place - below))
    one = one[: int(np.flatnonzero(one)[-1]) + 1]
    # P(S) is the n-fold convolution: the n-th power of its transform
    size = 1 << int((len(one) - 1) * rows).bit_length()
    law = np.fft.irfft(np.fft.rfft(one, size) ** rows, size)[: (len(one) - 1) * rows + 1]
    kept = law > 1e-13
    return step * (rows * first + np.flatnonzero(kept)), law[kept] / law[kept].sum()


def static_error(sums: Sums, error: ErrorOf) -> StaticError:
    """What the static errors of one read's conversions add up to."""
    columns = len(sums.digits.counts)
    counts = np.kron(sums.inputs.counts, sums.digits.counts)
    mean, along, along_square, rest = (np.zeros(counts.size) for _ in range(4))
    along_noise, touched = np.zeros(counts.size), 0.0
    for at, (v, p, noise) in enumerate(sums.laws):
        e = error(v, v - noise, at % columns)
        mean[at] = p @ e
        touched = max(touched, float(p @ (np.abs(e) > 1e-9)))
        noise_power = float(p @ np.square(noise))
        if noise_power > 0:
            along_noise[at] = p @ (noise * e) / noise_power
        centred = v - p @ v
        sigma = float(np.sqrt(p @ np.square(centred)))
        if sigma > 1e-9 * (1 + np.abs(v).max()):
            z = centred / sigma
            along[at] = p @ (e * z)
            square = np.square(z) - 1 - (p @ z**3) * z  # orthogonal to 1 and z under this law
            size = float(np.sqrt(p @ np.square(square)))
            along_square[at] = p @ (e * square) / size if size > 1e-6 else 0.0
        rest[at] = max(float(p @ np.square(e - mean[at])) - along[at] ** 2 - along_square[at] ** 2, 0.0)
    covariance = sums.covariance
    sigmas = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    rho = np.clip(covariance / np.outer(sigmas, sigmas), -1, 1)
    np.fill_diagonal(rho, 1.0)
    first, second = counts * along, counts * along_square
    varying = first @ rho @ first + second @ np.square(rho) @ second + np.square(counts) @ rest
    # errors that follow the noise share what the noise of two conversions has in common
    following = counts * along_noise
    common = sums.noise - np.diag(np.diag(sums.noise))
    varying += following @ common @ following
    return StaticError(float(counts @ mean), float(varying), touched)


def over_reads(errors: Sequence[tuple[StaticError, int]]) -> float:
    """The second moment over reads, whose rows are independent, of (an error, how often): means add up coherently."""
    mean = sum(count * one.mean for one, count in errors)
    return mean**2 + sum(count * one.variance for one, count in errors)


def _standard_nodes(number: int) -> Array:
    """Nodes of equal probability of a normal: mean 0, variance 1."""
    from scipy.special import ndtri

    z = ndtri((np.arange(number) + 0.5) / number)
    return np.asarray(z / np.sqrt(np.square(z).mean()))


def _blurred(values: Array, probability: Array, variance: Array, own: float, positive: Array | None) -> Law:
    """The law with noise of a variance (values,) on top, in nodes of equal probability.

    Normal; log-normal where `positive` (values,), what the cells conduct, may not turn around: nothing of it, and noise
    is that of the column's `own` variance.
    """
    if variance.max() <= 0:
        return Law(values, probability, np.zeros_like(values))
    z = _standard_nodes(min(max(NODES // values.size, 3), 400))
    noise = np.sqrt(variance)[:, None] * z
    if positive is not None:
        relative = np.sqrt(np.log1p(variance / np.maximum(np.square(positive), 1e-300)))[:, None]
        skewed = positive[:, None] * np.expm1(relative * z - np.square(relative) / 2)
        noise = np.where(positive[:, None] > 0, skewed, np.sqrt(own) * z)
    return Law((values[:, None] + noise).ravel(), np.repeat(probability / z.size, z.size), noise.ravel())
