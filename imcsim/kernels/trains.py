"""Trains of pulses on rows and columns, as words of bits."""

from __future__ import annotations

import numba as nb
import numpy as np

from imcsim.kernels.jit import inline, parallel_kernel
from imcsim.kernels.philox import fill_words

# Sources of an update: the last word of the Philox counter, beside those of kernels/column.py and decide.py.
ROW_TRAIN = 64
COLUMN_TRAIN = 65

SLOTS = np.uint32(0x7FFFFFFF)  # of a train; the bit above is its sign
SIGN_SHIFT = np.uint32(31)


@inline
def pulses_of(word):
    """How many bits of a word of 32 are set."""
    # Warren, "Hacker's Delight", 2002: sums of pairs, of fours, of bytes; the compiler knows it for what it is
    word = word - ((word >> np.uint32(1)) & np.uint32(0x55555555))
    word = (word & np.uint32(0x33333333)) + ((word >> np.uint32(2)) & np.uint32(0x33333333))
    word = (word + (word >> np.uint32(4))) & np.uint32(0x0F0F0F0F)
    return np.int32((np.uint32(word * np.uint32(0x01010101))) >> np.uint32(24))


@parallel_kernel(lambda probabilities, lengths, *_: int(lengths.sum()) * probabilities.shape[2])
def pulse_trains(probabilities, lengths, keys, source):
    """Trains of lines: signed probabilities (members, samples, lines) -> words of the same shape, and pulses.

    Bit s of a word is a pulse in slot s, with the probability's size, for s below lengths (members, samples); its
    highest bit is the probability's sign. The number of pulses is (members, samples). A bit is a function of (key,
    line, slot, sample, source) alone.
    """
    members, samples, lines = probabilities.shape
    words = np.zeros(probabilities.shape, np.uint32)
    pulses = np.zeros((members, samples), np.int64)
    for index in nb.prange(members * samples):
        member, sample = index // samples, index % samples
        train, random, limit = words[member, sample], np.empty(lines, np.uint32), np.empty(lines, np.uint64)
        for i in range(lines):
            # P(word < limit) = p, to 2^-32
            limit[i] = np.uint64(min(abs(probabilities[member, sample, i]), 1.0) * 4294967296.0)
        for slot in range(lengths[member, sample]):
            fill_words(random, keys[member], 0, np.uint32(slot), np.uint32(sample), np.uint32(source))
            for i in range(lines):
                train[i] |= np.uint32(np.uint64(random[i]) < limit[i]) << np.uint32(slot)
        for i in range(lines):
            pulses[member, sample] += pulses_of(train[i])
            train[i] |= np.uint32(probabilities[member, sample, i] < 0) << SIGN_SHIFT
    return words, pulses
