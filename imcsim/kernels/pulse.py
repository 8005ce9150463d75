"""Pulses of an array: trains whose coincidences pulse cells, and pulses that are counted out."""

from __future__ import annotations

import numba as nb
import numpy as np

from imcsim.kernels.jit import inline, parallel_kernel
from imcsim.kernels.pulse_lanes import DRAWN, LANES, NUMBERS, PULSES, W, follow, jump, load
from imcsim.kernels.pulsed_devices import CONSTANT, COUNTED_NOISE, CYCLE_NOISE
from imcsim.kernels.trains import SIGN_SHIFT, SLOTS, pulses_of


@parallel_kernel(lambda states, row_words, *_: states.size * (10 + row_words.shape[1]))
def apply_trains(states, row_words, column_words, devices, keys):
    """Pulse the cells whose row and column pulse in the same slot: states (members, rows, cols) float32 -> new ones.

    Words (members, samples, rows or cols) come from pulse_trains; samples follow one another, and the slots of each. A
    cell goes up where the signs of its row and column agree, else down. Returns the states and the pulses up and down
    of each cell, int32.
    """
    members, rows, cols = states.shape
    samples = row_words.shape[1]
    blocks = (cols + LANES - 1) // LANES
    out = states.copy()
    up, down = np.zeros(states.shape, np.int32), np.zeros(states.shape, np.int32)
    words = np.zeros((members, blocks, samples, LANES), np.uint32)
    for block in range(blocks):
        first, last = block * LANES, min((block + 1) * LANES, cols)
        words[:, block, :, : last - first] = column_words[:, :, first:last]
    for index in nb.prange(members * rows):
        member, row = index // rows, index % rows
        cells, noise, falls = np.empty(NUMBERS), np.zeros(DRAWN, np.float32), np.empty(LANES, np.int32)
        queue, ways = np.empty(4 * LANES, np.uint64), np.empty((samples + 1, LANES), np.uint32)
        for block in range(blocks):
            first, last = block * LANES, min((block + 1) * LANES, cols)
            n = last - first
            _line_up(queue, ways, row_words[member, :, row], words[member, block])
            if not queue[_ALL:].any():
                continue
            load(cells, states, devices, member, row, first, n)
            for c in range(LANES):
                cells[PULSES + c] = queue[_ALL + c]
                falls[c] = queue[_FALLS + c]
            for c in range(n):
                up[member, row, first + c] = queue[_ALL + c] - queue[_FALLS + c]
                down[member, row, first + c] = falls[c]
            if devices.kind == CONSTANT:
                jump(cells, falls, devices, noise, keys[member], block, row, CYCLE_NOISE)
            follow(cells, ways, devices, noise, keys[member], block, row, CYCLE_NOISE)
            for c in range(n):
                out[member, row, first + c] = cells[W + c]
    return out, up, down


# Of each of 64 cells: directions that do not fill a word yet and how many, pulses down, all pulses.
_WAITING, _LENGTH, _FALLS, _ALL = (LANES * k for k in range(4))


@inline
def _line_up(queue, ways, row_words, column_words):
    """The directions of the pulses of 64 cells, one after the other, and their number."""
    queue[:] = 0
    filled = np.zeros(LANES, np.int64)
    for sample in range(row_words.shape[0]):
        word = row_words[sample]
        if word & SLOTS == 0:
            continue
        longest = np.uint64(0)
        for c in range(LANES):
            both = word & column_words[sample, c] & SLOTS
            n = np.uint64(pulses_of(both))
            down = np.uint64((word ^ column_words[sample, c]) >> SIGN_SHIFT)
            queue[_WAITING + c] |= (down << n) - down << queue[_LENGTH + c]
            queue[_LENGTH + c] += n
            queue[_FALLS + c] += n * down
            queue[_ALL + c] += n
            longest = max(longest, queue[_LENGTH + c])
        if longest >= 32:
            for c in range(LANES):
                if queue[_LENGTH + c] >= 32:
                    ways[filled[c], c] = np.uint32(queue[_WAITING + c])
                    filled[c] += 1
                    queue[_WAITING + c] >>= np.uint64(32)
                    queue[_LENGTH + c] -= np.uint64(32)
    for c in range(LANES):
        ways[filled[c], c] = np.uint32(queue[_WAITING + c])


@parallel_kernel(lambda states, *_: 200 * states.size)
def apply_counts(states, counts, devices, keys):
    """Pulse each cell so many times, up where the count is positive: states, counts (members, rows, cols) -> states."""
    members, rows, cols = states.shape
    out = states.copy()
    for index in nb.prange(members * rows):
        member, row = index // rows, index % rows
        cells, noise, falls = np.empty(NUMBERS), np.zeros(DRAWN, np.float32), np.empty(LANES, np.int32)
        ways = np.empty((1, LANES), np.uint32)
        for first in range(0, cols, LANES):
            block, n = first // LANES, min(LANES, cols - first)
            if not counts[member, row, first : first + n].any():
                continue
            load(cells, states, devices, member, row, first, n)
            falls[:], ways[:] = 0, 0
            for c in range(n):
                count = counts[member, row, first + c]
                cells[PULSES + c] = abs(np.float64(count))
                if count < 0:
                    falls[c], ways[0, c] = -count, 0xFFFFFFFF
            if devices.kind == CONSTANT:
                jump(cells, falls, devices, noise, keys[member], block, row, COUNTED_NOISE)
            follow(cells, ways, devices, noise, keys[member], block, row, COUNTED_NOISE)
            for c in range(n):
                out[member, row, first + c] = cells[W + c]
    return out


@parallel_kernel(lambda states, pairs, *_: 20 * pairs * states.size)
def apply_pairs(states, pairs, devices, keys):
    """Pulse each cell up, then down, so many times: states (members, rows, cols) float32 -> new ones."""
    members, rows, cols = states.shape
    out = states.copy()
    for index in nb.prange(members * rows):
        member, row = index // rows, index % rows
        cells, noise = np.empty(NUMBERS), np.zeros(DRAWN, np.float32)
        ways = np.full((1, LANES), 0xAAAAAAAA, np.uint32)
        for first in range(0, cols, LANES):
            block, n = first // LANES, min(LANES, cols - first)
            load(cells, states, devices, member, row, first, n)
            cells[PULSES : PULSES + n] = 2 * pairs
            follow(cells, ways, devices, noise, keys[member], block, row, COUNTED_NOISE)
            for c in range(n):
                out[member, row, first + c] = cells[W + c]
    return out
