"""Random numbers of the members of an ensemble: each a function of its own key, whatever the others are."""

from __future__ import annotations

import numpy as np

from imcsim.kernels.jit import kernel
from imcsim.kernels.philox import fill_normals, fill_words

# The last word of the Philox counter, which tells what the words are for.
_KEYS, _VALUES = np.uint32(1), np.uint32(2)


@kernel
def derived_keys(keys, low, high):
    """Keys (members,) uint64 under `keys`, of the address `low`, `high`: two words."""
    out = np.empty(keys.shape, np.uint64)
    words = np.empty(2, np.uint32)
    for member in range(keys.shape[0]):
        fill_words(words, keys[member], 0, np.uint32(low), np.uint32(high), _KEYS)
        out[member] = np.uint64(words[0]) | np.uint64(words[1]) << np.uint64(32)
    return out


@kernel
def member_words(keys, draw, many):
    """Random words (members, many) uint32 of the draw of that number."""
    out = np.empty((keys.shape[0], many), np.uint32)
    for member in range(keys.shape[0]):
        fill_words(out[member], keys[member], 0, np.uint32(draw), np.uint32(0), _VALUES)
    return out


@kernel
def member_normals(keys, draw, many):
    """Standard normals (members, many) float32 of the draw of that number."""
    out = np.empty((keys.shape[0], many), np.float32)
    for member in range(keys.shape[0]):
        fill_normals(out[member], keys[member], 0, np.uint32(draw), np.uint32(0), _VALUES)
    return out
