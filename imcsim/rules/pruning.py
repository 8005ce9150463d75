"""Stochastic gradient pruning: small errors become zero or the threshold, at random, so that the mean stays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from imcsim.errors import Problem
from imcsim.rng import Generators, drawn
from imcsim.specs.fields import Spec, limited

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class PruningSpec(Spec):
    """How many of the errors are pruned: `rate` of them, were they normal, lie below the threshold.

    Not so many become zero: of normal errors 0.26, 0.38, 0.54 at a rate of 0.5, 0.7, 0.9. Their
    `spread` is the standard deviation, as in the paper of EfficientGrad (eq. 5), or the mean magnitude, as in its code.
    """

    rate: float = limited(0.9, low=0.0, high=1.0)
    spread: Literal["standard_deviation", "mean_magnitude"] = "standard_deviation"

    def problems(self) -> Iterable[Problem]:
        if not 0.0 < self.rate < 1.0:
            remedy = "leave the pruning out" if self.rate == 0.0 else "at 1 the threshold is infinite"
            yield Problem(("rate",), "must lie between 0 and 1, neither included", given=str(self.rate), remedy=remedy)

    @property
    def quantile(self) -> float:
        """The threshold of normal errors in units of their spread: Phi^-1((1 + P) / 2) (EfficientGrad, eq. 5)."""
        return NormalDist().inv_cdf((1.0 + self.rate) / 2.0)

    @property
    def zero_fraction(self) -> float:
        """The share of normal errors that become zero.

        With t = threshold / sigma, an error d below it becomes zero with probability 1 - |d| / (t sigma); over normal
        d that is 2 Phi(t) - 1 - (2 / t) (phi(0) - phi(t)). The mean magnitude of normal errors is sqrt(2 / pi) sigma.
        """
        normal = NormalDist()
        t = self.quantile * (1.0 if self.spread == "standard_deviation" else np.sqrt(2.0 / np.pi))
        return float(2.0 * normal.cdf(t) - 1.0 - 2.0 / t * (normal.pdf(0.0) - normal.pdf(t)))


def pruned(delta: Array, spec: PruningSpec, rng: Generators) -> Array:
    """Prune delta (..., samples, units): what lies below the threshold tau becomes 0 or +-tau; the mean stays delta.

    EfficientGrad, eq. 3: tau sign(delta) where tau >= |delta| >= r tau, r uniform on [0, 1), and 0 below r tau.
    """
    if spec.spread == "standard_deviation":
        sigma = delta.std(axis=(-1, -2), keepdims=True)
    else:
        sigma = np.abs(delta).mean(axis=(-1, -2), keepdims=True)
    threshold, size = spec.quantile * sigma, np.abs(delta)
    r = drawn(rng, lambda one: one.random(delta.shape[-2:]))
    raised = np.where(size >= r * threshold, np.sign(delta) * threshold, 0.0)
    return np.where(size > threshold, delta, raised)
