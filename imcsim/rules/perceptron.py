"""The linear perceptron, whose learning curves are known exactly: what stochastic rules are checked against.

Weights w (N, M) learn a teacher of the same shape from y = x w, x ~ N(0, 1) drawn at each step, the targets with noise
of standard deviation gamma. Of the excess error E = |w - w*|^2 / 2, with the rate eta,

    <E_(t+1)> = (1 - 2 eta + eta^2 A) <E_t> + eta^2 B

and so E_inf = eta B / (2 - eta A), stable below eta = 2 / A, fastest at 1 / A. Werfel, Xie & Seung 2005 (unverified)
have the dominant terms; A and B in full are derived from the same moments.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
Noise = Literal["gaussian", "rademacher"]


class PerceptronLaw(NamedTuple):
    """A and B of a rule."""

    A: float
    B: float

    @property
    def largest_rate(self) -> float:
        """The rate at which the mean square no longer falls."""
        return 2.0 / self.A

    @property
    def fastest_rate(self) -> float:
        """The rate at which it falls fastest, by 1 - 1 / A a step."""
        return 1.0 / self.A

    def floor(self, rate: float) -> float:
        """E_inf: where the excess error ends."""
        return rate * self.B / (2.0 - rate * self.A)

    def curve(self, start: float, rate: float, steps: int) -> Array:
        """The mean excess error after 0 ... steps - 1 steps, from `start`."""
        factor, floor = 1.0 - 2.0 * rate + rate**2 * self.A, self.floor(rate)
        return np.asarray(floor + (start - floor) * factor ** np.arange(steps))


def gradient_law(inputs: int, outputs: int, *, gamma: float = 0.0) -> PerceptronLaw:
    """Of the gradient of each sample."""
    return PerceptronLaw(inputs + 2.0, 0.5 * gamma**2 * outputs * inputs)


def node_law(
    inputs: int, outputs: int, *, sigma: float, noise: Noise = "gaussian", gamma: float = 0.0
) -> PerceptronLaw:
    """Of node perturbation with noise of standard deviation sigma on the sums, against a clean pass (rule `np`)."""
    N, M = inputs, outputs
    if noise == "gaussian":
        A, curvature, teacher = (N + 2) * (M + 2), N * M * (M + 2) * (M + 4) / 8, M * N * (M + 2) / 2
    else:
        A, curvature, teacher = (N + 2) * M, N * M**3 / 8, M * N * M / 2
    return PerceptronLaw(A, sigma**2 * curvature + gamma**2 * teacher)


def weight_law(
    inputs: int, outputs: int, *, sigma: float, noise: Noise = "gaussian", gamma: float = 0.0
) -> PerceptronLaw:
    """Of weight perturbation with noise of standard deviation sigma, forward difference (rule `wp` without biases)."""
    N, M = inputs, outputs
    if noise == "gaussian":
        A = (N + 2) * (M * N + 2)
        curvature, teacher = M * N * (M + 2) * (N + 2) * (M * N + 4) / 8, M * N * (M * N + 2) / 2
    else:
        A = (N + 2) * M * N
        curvature = M**2 * N / 8 * (3 * N * (N + 2) - 6 * N + (M - 1) * N * (N + 2))
        teacher = M * N * M * N / 2
    return PerceptronLaw(A, sigma**2 * curvature + gamma**2 * teacher)
