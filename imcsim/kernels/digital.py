"""What is digital in a pass through a chip: sums that are perturbed and activated, and the losses of outputs.

Of many passes at once, each in a buffer that stays in the cache; in float64, as numpy has it to rounding.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from imcsim.kernels.in_turn import activate, loss_of
from imcsim.kernels.jit import inline, parallel_kernel


@parallel_kernel(lambda z, *_: 4 * z.size)
def activate_sums(z, biases, added, activation):
    """Turn products z (passes, samples, units) into what the units put out, in their place: f(z + biases + added).

    `biases` (1 or passes, units), `added` (passes, 1 or samples, units), no entries where nothing is; activation: where
    it stands in in_turn.ACTIVATIONS.
    """
    passes, samples, units = z.shape
    for number in nb.prange(passes):
        for b in range(samples):
            _add(z[number, b], biases, added, number, b)
        activate(activation, z[number].reshape(samples * units))


@parallel_kernel(lambda z, *_: 20 * z.size)
def losses_of_sums(z, biases, added, target, loss):
    """The losses (passes, samples) of products z (passes, samples, outputs), with biases and added as activate_sums.

    target (outputs, samples): what the outputs should be, one-hot for cross entropy; loss: where it stands in
    in_turn.LOSSES. z is overwritten.
    """
    passes, samples, outputs = z.shape
    losses = np.empty((passes, samples))
    for number in nb.prange(passes):
        sums, most = np.empty((outputs, samples)), np.empty(samples)
        for b in range(samples):
            _add(z[number, b], biases, added, number, b)
            for c in range(outputs):
                sums[c, b] = z[number, b, c]
        loss_of(loss, sums, target, most, losses[number])
    return losses


@inline
def _add(z, biases, added, number, sample):
    """Add the biases and what is added in a pass to the sums z (units,) of one sample."""
    bias = biases[number % biases.shape[0]]
    for c in range(z.size):
        z[c] += bias[c]
    if added.size > 0:
        more = added[number, sample % added.shape[1]]
        for c in range(z.size):
            z[c] += more[c]
