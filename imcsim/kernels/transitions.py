"""Where the codes of a converter change: probit likelihoods, a transition a row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imcsim.kernels.jit import inline, kernel

Array = NDArray[Any]

_FAR = 8.0  # standard deviations beyond which a normal share is 0 or 1 to double precision
_ROUNDS = 60


@inline
def _slopes(z):
    """Log Phi(z), its derivative, and the second, for z no further out than _FAR."""
    share = 0.5 * math.erfc(-z * 0.7071067811865476)
    ratio = 0.3989422804014327 * math.exp(-0.5 * z * z) / share
    return math.log(share), ratio, -ratio * (z + ratio)


@inline
def _row(below, total, inputs, at, log_sigma):
    """The log-likelihood of one transition, its gradient and Hessian by (location, log sigma)."""
    sigma = math.exp(log_sigma)
    value = g0 = g1 = h00 = h01 = h11 = 0.0
    for i in range(inputs.size):
        n = total[i]
        if not n > 0.0:
            continue
        z = min(max((at - inputs[i]) / sigma, -_FAR), _FAR)
        if below[i] > 0.0:
            log_share, slope, bend = _slopes(z)
            weight = below[i]
            value += weight * log_share
            first, second = weight * slope, weight * bend
        else:
            first = second = 0.0
        if below[i] < n:
            log_share, slope, bend = _slopes(-z)
            weight = n - below[i]
            value += weight * log_share
            first -= weight * slope
            second += weight * bend
        # z = (at - input) / sigma: dz / d at = 1 / sigma, dz / d log sigma = -z
        g0 += first / sigma
        g1 -= first * z
        h00 += second / sigma**2
        h01 -= (second * z + first) / sigma
        h11 += second * z * z + first * z
    return value, g0, g1, h00, h01, h11


@kernel
def probit(
    below: Array, total: Array, inputs: Array, at: Array, log_sigma: Array, both: bool
) -> tuple[Array, Array, Array, Array]:
    """The best location of each transition, and the best log sigma where `both`, by Newton's method.

    below, total, inputs (rows, inputs): how many conversions of how many came out at or below the code; `at` and
    `log_sigma` (rows,) where the search starts. Gives locations, log sigmas, log-likelihoods, and the information
    (rows, 2, 2), whose second row and column are 0 unless `both`. A row that does not converge is NaN.
    """
    rows = at.size
    found, logs, values = at.copy(), log_sigma.copy(), np.empty(rows)
    information = np.zeros((rows, 2, 2))
    for k in range(rows):
        value, g0, g1, h00, h01, h11 = _row(below[k], total[k], inputs[k], found[k], logs[k])
        done = False
        for _ in range(_ROUNDS):
            step0, step1 = g0 / max(-h00, 1e-300), 0.0
            if both:
                determinant = h00 * h11 - h01 * h01
                if determinant > 0.0 and h00 < 0.0:
                    step0, step1 = -(h11 * g0 - h01 * g1) / determinant, -(h00 * g1 - h01 * g0) / determinant
                else:
                    step1 = g1 / max(-h11, abs(g1) + 1e-300)
            if abs(g0 * step0 + g1 * step1) < 1e-7:
                done = True
                break
            share = min(1.0, 0.7 / max(abs(step1), 1e-300), 3.0 * math.exp(logs[k]) / max(abs(step0), 1e-300))
            for _ in range(30):
                trial = _row(below[k], total[k], inputs[k], found[k] + share * step0, logs[k] + share * step1)
                if trial[0] >= value:
                    break
                share *= 0.5
            found[k] += share * step0
            logs[k] += share * step1
            gained = trial[0] - value
            value, g0, g1, h00, h01, h11 = trial
            if abs(gained) < 1e-8:
                done = True
                break
        if not done:
            found[k] = logs[k] = np.nan
        values[k] = value
        information[k, 0, 0] = -h00
        if both:
            information[k, 0, 1] = information[k, 1, 0] = -h01
            information[k, 1, 1] = -h11
    return found, logs, values, information


@kernel
def counted_below(code: Array, first: Array, width: int) -> Array:
    """How many of the repeats (steps, repeats) came out at or below each code, near it: (codes, width).

    Row k holds the steps from `first[k]` on.
    """
    steps, repeats = code.shape
    out = np.zeros((first.size, width))
    for k in range(first.size):
        for i in range(width):
            step = first[k] + i
            if step < steps:
                for r in range(repeats):
                    if code[step, r] <= k:
                        out[k, i] += 1.0
    return out


@kernel
def variances(
    code: Array, at: Array, first: Array, last: Array, sigma: float, weights: Array
) -> tuple[Array, float, float]:
    """The variances of sums of transitions, weighed by weights (sums, transitions), and of the log sigma.

    code (steps, repeats) counts from the first transition; `at` (transitions,) and `sigma` are in steps; transitions
    `first` to `last` (steps,) are near a step. A conversion lies below some transitions and above others: what it has
    in all of them is added up before it is squared. Of log sigma: the sum of squares, and the information.
    """
    sums = weights.shape[0]
    found, squares, information = np.zeros(sums), 0.0, 0.0
    known = np.zeros(at.size)  # the information of each transition
    for i in range(code.shape[0]):
        for k in range(first[i], last[i]):
            z = min(max((at[k] - i) / sigma, -_FAR), _FAR)
            below, above = _slopes(z)[1], _slopes(-z)[1]
            share = 0.5 * math.erfc(-z * 0.7071067811865476)
            both = code.shape[1] * (share * below * below + (1.0 - share) * above * above)
            known[k] += both / sigma**2
            information += both * z * z
    part = np.empty(sums)
    for i in range(code.shape[0]):
        for r in range(code.shape[1]):
            part[:] = 0.0
            of_sigma = 0.0
            for k in range(first[i], last[i]):
                z = min(max((at[k] - i) / sigma, -_FAR), _FAR)
                slope = _slopes(z)[1] if code[i, r] <= k else -_slopes(-z)[1]
                of_sigma -= slope * z
                for j in range(sums):
                    part[j] += weights[j, k] * slope / sigma / known[k]
            squares += of_sigma * of_sigma
            for j in range(sums):
                found[j] += part[j] * part[j]
    return found, squares, information
