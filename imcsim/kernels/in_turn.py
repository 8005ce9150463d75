"""Losses of a perceptron with one of its weights, biases or sums perturbed after the other: what changes is recomputed.

A weight changes one column of its layer, and with it one input of the next, whose sums move by its weights; what lies
above is multiplied anew, what lies below is not touched. In float64, samples innermost, so that all of it vectorises.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np

from imcsim.kernels.gemm import multiply_transposed
from imcsim.kernels.jit import inline, parallel_kernel

ACTIVATIONS = ("relu", "tanh", "sigmoid")
LOSSES = ("cross_entropy", "mse")
_RELU, _TANH = 0, 1
_TOGETHER = 64  # perturbations of an iteration, which share its buffers


class Clean(NamedTuple):
    """An unperturbed pass of members, a unit a row: what enters layers, and their sums, one below the other.

    inputs (members, n_0, samples) of the first layer, or of no unit where none of its weights is perturbed; hidden
    (members, n_1 + ... + n_(L-1), samples) of the others, sums (members, n_1 + ... + n_L, samples), biases (members,
    n_1 + ... + n_L), weights (members, all but those of the first layer, layer by layer), units n_0 ... n_L; target
    (members or 1, n_L, samples): what the outputs should be, one-hot for cross entropy. activation and loss: where they
    stand in ACTIVATIONS and LOSSES.
    """

    inputs: np.ndarray
    hidden: np.ndarray
    sums: np.ndarray
    weights: np.ndarray
    biases: np.ndarray
    units: np.ndarray
    target: np.ndarray
    activation: int
    loss: int


def _work(clean, layer, row, unit, step):
    del row, unit, step
    return 20 * len(layer) * clean.sums.shape[0] * clean.sums.shape[2] * clean.units[-1]


@parallel_kernel(_work, blas=True)
def losses_in_turn(clean, layer, row, unit, step):
    """The losses of each sample with each perturbation: (K, members, samples).

    Perturbation k (all arguments (K,)) adds step to the weight of `unit` of `layer` for input `row`, or to its sums
    where row is -1, as to its bias. As K separate passes give them, to rounding: probing.in_turn is the twin.
    """
    members, samples, many = clean.sums.shape[0], clean.sums.shape[2], len(layer)
    chunks, widest = (many + _TOGETHER - 1) // _TOGETHER, clean.units[1:].max()
    out = np.empty((many, members, samples))
    for item in nb.prange(members * chunks):
        member, first = item // chunks, item % chunks * _TOGETHER
        one, other, moved = np.empty((widest, samples)), np.empty((widest, samples)), np.empty(samples)
        for k in range(first, min(first + _TOGETHER, many)):
            _move(clean, member, layer[k], row[k], unit[k], step[k], moved)
            outputs = _carry(clean, member, layer[k], unit[k], moved, one, other)
            loss_of(clean.loss, outputs, clean.target[member % clean.target.shape[0]], moved, out[k, member])
    return out


@inline
def _move(clean, member, layer, row, unit, step, moved):
    """The sums of the unit, with the step."""
    z = clean.sums[member, clean.units[1 : layer + 1].sum() + unit]
    if row < 0:
        for b in range(moved.size):
            moved[b] = z[b] + step
    else:
        start = clean.units[1:layer].sum()
        a = clean.inputs[member, row] if layer == 0 else clean.hidden[member, start + row]
        for b in range(moved.size):
            moved[b] = z[b] + step * a[b]


@inline
def _carry(clean, member, layer, unit, moved, one, other):
    """The sums of the last layer (outputs, samples), in one of the buffers (units, samples), from those of the unit."""
    units, last = clean.units, clean.units.size - 2
    sums, biases = clean.sums[member], clean.biases[member]
    start = units[1 : layer + 1].sum()
    if layer == last:
        for c in range(units[last + 1]):
            one[c] = sums[start + c]
        one[unit] = moved
        return one[: units[last + 1]]
    activate(clean.activation, moved)
    before = clean.hidden[member, start + unit]
    for b in range(moved.size):
        moved[b] -= before[b]
    start += units[layer + 1]
    weight = 0  # where the weights of the next layer begin
    for below in range(1, layer + 1):
        weight += units[below] * units[below + 1]
    here = units[layer + 2]
    for c in range(here):
        w, z, column = clean.weights[member, weight + unit * here + c], sums[start + c], one[c]
        for b in range(moved.size):
            column[b] = z[b] + w * moved[b]
    for above in range(layer + 2, last + 1):
        weight += units[above - 1] * units[above]
        start += units[above]
        below, here = units[above], units[above + 1]
        for c in range(below):
            activate(clean.activation, one[c])
        matrix = clean.weights[member, weight : weight + below * here].reshape((below, here))
        multiply_transposed(matrix, 0, 0, here, one[:below], other)
        for c in range(here):
            bias, column = biases[start + c], other[c]
            for b in range(moved.size):
                column[b] += bias
        one, other = other, one
    return one[: units[last + 1]]


@inline
def activate(activation, z):
    """The activation of sums (samples,), in their place."""
    if activation == _RELU:
        for b in range(z.size):
            z[b] = 0.0 if z[b] < 0.0 else z[b]
    elif activation == _TANH:
        for b in range(z.size):
            z[b] = _tanh(z[b])
    else:
        for b in range(z.size):
            z[b] = 0.5 + 0.5 * _tanh(0.5 * z[b])


@inline
def _tanh(z):
    size = -2.0 * abs(z)
    below = _exp(size)
    return (1.0 if z > 0.0 else -1.0) * (1.0 - below) / (1.0 + below)


@inline
def loss_of(loss, z, target, most, out):
    """The loss of sums z (outputs, samples), written over: out (samples,); `most` is a buffer (samples,)."""
    outputs, samples = z.shape
    out[:] = 0.0
    if loss != 0:  # 1/2 sum (z - target)^2
        for c in range(outputs):
            for b in range(samples):
                out[b] += 0.5 * (z[c, b] - target[c, b]) ** 2
        return
    most[:] = z[0]
    for c in range(1, outputs):
        for b in range(samples):
            most[b] = most[b] if most[b] > z[c, b] else z[c, b]
    for c in range(outputs):  # log sum exp(z - most) - (z - most) at the label
        for b in range(samples):
            z[c, b] -= most[b]
            out[b] += _exp(z[c, b])
    for b in range(samples):
        out[b] = np.log(out[b])
    for c in range(outputs):
        for b in range(samples):
            out[b] -= target[c, b] * z[c, b]


# Taylor coefficients of exp, even and odd, the highest first: two short chains take half the time of a long one
_EVEN = (1 / 3628800, 1 / 40320, 1 / 720, 1 / 24, 1 / 2, 1.0)
_ODD = (1 / 39916800, 1 / 362880, 1 / 5040, 1 / 120, 1 / 6, 1.0)


@inline
def _exp(x):
    """exp(x) of x <= 0, to rounding; what is no number stays so. numba's own would not vectorise."""
    n = np.rint(max(x, -708.0) * 1.4426950408889634)
    r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10  # log(2) in two parts (fdlibm)
    square = r * r
    even, odd = 1 / 479001600, 1 / 6227020800  # up to r^13, |r| <= log(2) / 2: what follows is 4e-18
    for c in _EVEN:
        even = even * square + c
    for c in _ODD:
        odd = odd * square + c
    return 0.0 if x < -708.0 else (even + r * odd) * np.int64((np.int64(n) + 1023) << 52).view(np.float64)
