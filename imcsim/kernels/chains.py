"""Hidden Markov chains in normal noise: likelihood, smoothed counts, the most probable path."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imcsim.kernels.jit import kernel

Array = NDArray[Any]


@kernel
def forward(y: Array, levels: Array, sigma: float, transitions: Array, shares: Array) -> float:
    """The log-likelihood of a series y (n,) of a chain with normal noise, its states at `levels`, begun at `shares`."""
    states = levels.size
    alpha = np.empty(states)
    moved = np.empty(states)
    scale = 1.0 / (2.0 * sigma * sigma)
    total = -y.size * (np.log(sigma) + 0.9189385332046727)
    for t in range(y.size):
        least = np.inf
        for j in range(states):
            least = min(least, (y[t] - levels[j]) ** 2)
        norm = 0.0
        for j in range(states):
            if t == 0:
                prior = shares[j]
            else:
                prior = 0.0
                for i in range(states):
                    prior += alpha[i] * transitions[i, j]
            moved[j] = prior * np.exp(-((y[t] - levels[j]) ** 2 - least) * scale)
            norm += moved[j]
        if not norm > 0.0:
            return -np.inf
        for j in range(states):
            alpha[j] = moved[j] / norm
        total += np.log(norm) - least * scale
    return total  # type: ignore[no-any-return]


@kernel
def smoothed(
    y: Array, levels: Array, sigma: float, transitions: Array, shares: Array
) -> tuple[Array, Array, Array, Array, Array, float]:
    """How probable each state is: in sum, times y, times y^2; each pair of states in a row; each state at first.

    And the log-likelihood.
    """
    n, states = y.size, levels.size
    alpha = np.empty((n, states))
    density = np.empty((n, states))
    norms = np.empty(n)
    scale = 1.0 / (2.0 * sigma * sigma)
    total = -n * (np.log(sigma) + 0.9189385332046727)
    for t in range(n):
        least = np.inf
        for j in range(states):
            least = min(least, (y[t] - levels[j]) ** 2)
        norm = 0.0
        for j in range(states):
            density[t, j] = np.exp(-((y[t] - levels[j]) ** 2 - least) * scale)
            prior = shares[j]
            if t > 0:
                prior = 0.0
                for i in range(states):
                    prior += alpha[t - 1, i] * transitions[i, j]
            alpha[t, j] = prior * density[t, j]
            norm += alpha[t, j]
        norms[t] = norm
        for j in range(states):
            alpha[t, j] /= norm
        total += np.log(norm) - least * scale
    sums, first, second = np.zeros(states), np.zeros(states), np.zeros(states)
    pairs = np.zeros((states, states))
    begun = np.empty(states)
    beta, earlier = np.ones(states), np.empty(states)
    for t in range(n - 1, -1, -1):
        for j in range(states):
            probable = alpha[t, j] * beta[j]
            sums[j] += probable
            first[j] += probable * y[t]
            second[j] += probable * y[t] * y[t]
            begun[j] = probable  # the last to be told is the first
        if t > 0:
            for i in range(states):
                earlier[i] = 0.0
                for j in range(states):
                    ahead = transitions[i, j] * density[t, j] * beta[j] / norms[t]
                    earlier[i] += ahead
                    pairs[i, j] += alpha[t - 1, i] * ahead
            for i in range(states):
                beta[i] = earlier[i]
    return sums, first, second, pairs, begun, total


@kernel
def viterbi(y: Array, levels: Array, sigma: float, transitions: Array, shares: Array) -> Array:
    """The most probable states (n,) of a series; `transitions` and `shares` are logarithms."""
    n, states = y.size, levels.size
    came_from = np.zeros((n, states), np.int8)
    score, moved = shares.copy(), np.empty(states)
    scale = 1.0 / (2.0 * sigma * sigma)
    for t in range(n):
        for j in range(states):
            best, at = score[j], j
            if t > 0:
                best = -np.inf
                for i in range(states):
                    candidate = score[i] + transitions[i, j]
                    if candidate > best:
                        best, at = candidate, i
            came_from[t, j] = at
            moved[j] = best - (y[t] - levels[j]) ** 2 * scale
        for j in range(states):
            score[j] = moved[j]
    path = np.empty(n, np.int64)
    path[n - 1] = np.argmax(score)
    for t in range(n - 1, 0, -1):
        path[t - 1] = came_from[t, path[t]]
    return path
