"""Pulses: what one does to a device, and trains of them on rows and columns, whose coincidences are pulses of cells."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np

from imcsim.kernels.jit import inline, parallel_kernel
from imcsim.kernels.philox import fill_normals, fill_words

# What the step of a device depends on.
CONSTANT = 0  # nothing
LINEAR = 1  # size + slope w
EXPONENTIAL = 2  # shape = A_up, A_down, gamma_up, gamma_down, a, b
POWER = 3  # shape = gamma
TABLE = 4  # table = steps up, steps down, from the lower to the upper bound

# Frozen normals: the upper half of the last word of the Philox counter, beside those of kernels/frozen.py.
DEVICE_HIGH = 32
DEVICE_LOW = 33
DEVICE_GAIN = 34
DEVICE_UP_DOWN = 35
DEVICE_SLOPE_UP = 36
DEVICE_SLOPE_DOWN = 37
WRITE_NOISE = 38  # what a read sees of a cell that was written: frozen until the next write

# Sources of an update: the last word of the Philox counter, beside those of kernels/column.py and decide.py.
ROW_TRAIN = 64
COLUMN_TRAIN = 65
CYCLE_NOISE = 66  # of the pulses of trains
COUNTED_NOISE = 67  # of pulses that are counted out

SIGN = np.uint32(0x80000000)  # of a train; the bits below are its slots
SLOTS = np.uint32(0x7FFFFFFF)
_SHIFT = np.uint32(31)
_NORMALS = 64  # drawn at once for a cell
MOST_SIGMAS = 6.5  # no normal lies beyond: normal_of


class Devices(NamedTuple):
    """The devices of an array: frozen numbers of each, (members, rows, cols) float32, and what all share.

    `up` and `down` are sizes of steps, `low` and `high` bounds; slopes belong to LINEAR and have no entries elsewhere.
    `cycle_sigma` is relative to the step, or, if `additive`, to its size at w = 0. `dw_min` is the nominal size.
    """

    kind: int
    up: Any
    down: Any
    low: Any
    high: Any
    slope_up: Any
    slope_down: Any
    shape: Any
    table: Any
    cycle_sigma: float
    additive: bool
    dw_min: float


class _Cell(NamedTuple):
    """One device, its numbers in float64."""

    up: float
    down: float
    low: float
    high: float
    slope_up: float
    slope_down: float


@inline
def _cell(devices, member, row, column):
    where = member, row, column
    sloped = devices.kind == LINEAR
    return _Cell(
        np.float64(devices.up[where]),
        np.float64(devices.down[where]),
        np.float64(devices.low[where]),
        np.float64(devices.high[where]),
        np.float64(devices.slope_up[where]) if sloped else 0.0,
        np.float64(devices.slope_down[where]) if sloped else 0.0,
    )


@inline
def _step(w, rising, cell, devices):
    """How far a pulse without noise moves the weight w, in its direction."""
    size = cell.up if rising else cell.down
    if devices.kind == CONSTANT:
        return size
    if devices.kind == LINEAR:
        return size + (cell.slope_up if rising else cell.slope_down) * w
    width, shape = cell.high - cell.low, devices.shape
    if devices.kind == EXPONENTIAL:
        z = 2 * shape[4] * w / width + shape[5]
        lost = shape[0] * np.exp(shape[2] * z) if rising else shape[1] * np.exp(-shape[3] * z)
        return size * max(1 - lost, 0.0)
    if devices.kind == POWER:
        left = (cell.high - w if rising else w - cell.low) / width
        return size * max(left, 0.0) ** shape[0]
    steps = devices.table[0 if rising else 1]
    place = min(max((w - cell.low) / width, 0.0), 1.0) * (steps.shape[0] - 1)
    below = min(int(place), steps.shape[0] - 2)
    return size * (steps[below] + (place - below) * (steps[below + 1] - steps[below]))


@inline
def _draw(normals, drawn, key, row, column):
    """The next normal of a cell: number `drawn[0]` of the stream (column, row)."""
    at = drawn[0] % _NORMALS
    if at == 0:
        fill_normals(normals, key, drawn[0] // _NORMALS, np.uint32(column), np.uint32(row), np.uint32(COUNTED_NOISE))
    drawn[0] += 1
    return np.float64(normals[at])


@inline
def _pulses(w, n, rising, cell, devices, normals, drawn, key, row, column):
    """The weight w after n pulses in one direction, each with noise of its own, and never beyond the bounds."""
    sign = 1.0 if rising else -1.0
    sigma = devices.cycle_sigma
    size, slope = (cell.up, cell.slope_up) if rising else (cell.down, cell.slope_down)
    gaussian = devices.kind == CONSTANT or (devices.kind == LINEAR and (devices.additive or sigma == 0))
    if n > 1 and gaussian:
        # w <- (1 +- slope) w +- size (1 + sigma xi): after n of them w is normal, unless a bound was met on the way
        reach = n * (size * (1 + MOST_SIGMAS * sigma) + abs(slope) * max(abs(cell.low), abs(cell.high)))
        if reach < cell.high - w and reach < w - cell.low:
            variance = float(n)
            if devices.kind == CONSTANT:
                w += sign * n * size
            else:
                growth, variance = 1 + sign * slope, 0.0
                for _ in range(n):
                    w += sign * (size + slope * w)
                    variance = growth * growth * variance + 1
            if sigma > 0:
                w += sign * size * sigma * np.sqrt(variance) * _draw(normals, drawn, key, row, column)
            return w
    for _ in range(n):
        change = _step(w, rising, cell, devices)
        if sigma > 0:
            spread = size if devices.additive else change
            change += sigma * spread * _draw(normals, drawn, key, row, column)
        w = min(max(w + sign * change, cell.low), cell.high)
    return w


@inline
def _count(word):
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
            pulses[member, sample] += _count(train[i])
            train[i] |= np.uint32(probabilities[member, sample, i] < 0) << _SHIFT
    return words, pulses


@inline
def _pulse_lanes(w, rows_word, words, slot, cells, devices, noise):
    """Pulse those of up to 64 cells of a row whose column pulses in a slot: w (n,) float64, in place."""
    sigma, sloped, additive = devices.cycle_sigma, devices.kind == LINEAR, devices.additive
    for c in range(w.shape[0]):
        rising = (rows_word ^ words[c]) >> _SHIFT == 0
        size = cells[0, c] if rising else cells[1, c]
        change = size
        if sloped:
            change += (cells[4, c] if rising else cells[5, c]) * w[c]
        change += sigma * (size if additive else change) * noise[c]
        new = min(max(w[c] + (change if rising else -change), cells[2, c]), cells[3, c])
        w[c] = new if (words[c] >> np.uint32(slot)) & np.uint32(1) else w[c]


@inline
def _pulse_some(w, rows_word, words, slot, first, devices, noise, member, row):
    """As _pulse_lanes, for steps that do not vectorise: of the cells that pulse, one after the other."""
    for c in range(w.shape[0]):
        if (words[c] >> np.uint32(slot)) & np.uint32(1):
            cell = _cell(devices, member, row, first + c)
            rising = (rows_word ^ words[c]) >> _SHIFT == 0
            change = _step(w[c], rising, cell, devices)
            spread = (cell.up if rising else cell.down) if devices.additive else change
            change += devices.cycle_sigma * spread * noise[c]
            w[c] = min(max(w[c] + (change if rising else -change), cell.low), cell.high)


@inline
def _pulse_trains_at_once(w, rows_word, words, cells, sigma, noise):
    """The whole train of a sample on up to 64 cells of constant step; which of them must go pulse by pulse, bits.

    n steps of s (1 + sigma xi) are one of s (n + sigma sqrt(n) xi), unless a bound was met on the way.
    """
    late = np.uint64(0)
    for c in range(w.shape[0]):
        n = np.float64(_count(rows_word & words[c] & SLOTS))
        rising = (rows_word ^ words[c]) >> _SHIFT == 0
        size = cells[0, c] if rising else cells[1, c]
        reach = n * size * (1 + MOST_SIGMAS * sigma)
        change = size * (n + sigma * np.sqrt(n) * noise[c])
        inside = (w[c] - cells[2, c] > reach) & (cells[3, c] - w[c] > reach)
        w[c] += (change if rising else -change) if inside else 0.0
        late |= np.uint64(n > 0 and not inside) << np.uint64(c)
    return late


@parallel_kernel(lambda states, row_words, *_: states.size * (10 + row_words.shape[1]))
def apply_trains(states, row_words, column_words, devices, keys):
    """Pulse the cells whose row and column pulse in the same slot: states (members, rows, cols) float32 -> new ones.

    Words (members, samples, rows or cols) come from pulse_trains; samples follow one another, and the slots of each. A
    cell goes up where the signs of its row and column agree, else down. Returns the states and the pulses up and down
    of each cell, int32. A normal is a function of (key, row, column, sample, slot) alone; slot 31 is the whole train.
    """
    members, rows, cols = states.shape
    samples = row_words.shape[1]
    blocks = (cols + _NORMALS - 1) // _NORMALS
    out = np.empty(states.shape, np.float32)
    up, down = np.zeros(states.shape, np.int32), np.zeros(states.shape, np.int32)
    # in which slots any column of a block pulses
    busy = np.zeros((members, samples, blocks), np.uint32)
    for member in range(members):
        for sample in range(samples):
            for column in range(cols):
                busy[member, sample, column // _NORMALS] |= column_words[member, sample, column] & SLOTS
    constant, vector = devices.kind == CONSTANT, devices.kind <= LINEAR
    for index in nb.prange(members * rows):
        member, row = index // rows, index % rows
        noise, state, numbers = np.zeros(_NORMALS, np.float32), np.empty(_NORMALS), np.zeros((6, _NORMALS))
        for block in range(blocks):
            first, last = block * _NORMALS, min((block + 1) * _NORMALS, cols)
            n = last - first
            w, cells = state[:n], numbers[:, :n]
            for c in range(n):
                w[c] = states[member, row, first + c]
                cell = _cell(devices, member, row, first + c)
                cells[0, c], cells[1, c], cells[2, c], cells[3, c] = cell.up, cell.down, cell.low, cell.high
                cells[4, c], cells[5, c] = cell.slope_up, cell.slope_down
            for sample in range(samples):
                word = row_words[member, sample, row]
                live = word & busy[member, sample, block]
                if live == 0:
                    continue
                words = column_words[member, sample, first:last]
                _add_counts(up[member, row, first:last], down[member, row, first:last], word, words)
                if constant:
                    _noise(noise, devices, keys[member], block, row, sample, 31)
                    late = _pulse_trains_at_once(w, word, words, cells, devices.cycle_sigma, noise)
                    if late == 0:
                        continue
                for slot in range(31):
                    if (live >> np.uint32(slot)) & np.uint32(1) == 0:
                        continue
                    _noise(noise, devices, keys[member], block, row, sample, slot)
                    if constant:
                        for c in range(n):
                            if (late >> np.uint64(c)) & np.uint64(1):
                                _pulse_lanes(
                                    w[c : c + 1], word, words[c : c + 1], slot, cells[:, c : c + 1], devices,
                                    noise[c : c + 1],
                                )  # fmt: skip
                    elif vector:
                        _pulse_lanes(w, word, words, slot, cells, devices, noise)
                    else:
                        _pulse_some(w, word, words, slot, first, devices, noise, member, row)
            for c in range(n):
                out[member, row, first + c] = w[c]
    return out, up, down


@inline
def _noise(out, devices, key, block, row, sample, slot):
    """The normals (64,) of a block of columns in a slot; zeros stay where there is no noise."""
    if devices.cycle_sigma > 0:
        fill_normals(out, key, block, np.uint32(sample * 32 + slot), np.uint32(row), np.uint32(CYCLE_NOISE))


@inline
def _add_counts(up, down, word, words):
    for c in range(up.shape[0]):
        n = _count(word & words[c] & SLOTS)
        rising = (word ^ words[c]) >> _SHIFT == 0
        up[c] += n if rising else 0
        down[c] += 0 if rising else n


@parallel_kernel(lambda states, *_: 200 * states.size)
def apply_counts(states, counts, devices, keys):
    """Pulse each cell so many times, up where the count is positive: states, counts (members, rows, cols) -> states."""
    members, rows, cols = states.shape
    out = np.empty(states.shape, np.float32)
    for index in nb.prange(members * rows):
        member, row = index // rows, index % rows
        normals, drawn = np.empty(_NORMALS, np.float32), np.zeros(1, np.int64)
        for column in range(cols):
            w, n = np.float64(states[member, row, column]), counts[member, row, column]
            drawn[0] = 0
            if n != 0:
                cell = _cell(devices, member, row, column)
                w = _pulses(w, abs(n), n > 0, cell, devices, normals, drawn, keys[member], row, column)
            out[member, row, column] = w
    return out


@parallel_kernel(lambda states, pairs, *_: 20 * pairs * states.size)
def apply_pairs(states, pairs, devices, keys):
    """Pulse each cell up, then down, so many times: states (members, rows, cols) float32 -> new ones."""
    members, rows, cols = states.shape
    out = np.empty(states.shape, np.float32)
    for index in nb.prange(members * rows):
        member, row = index // rows, index % rows
        normals, drawn = np.empty(_NORMALS, np.float32), np.zeros(1, np.int64)
        for column in range(cols):
            w = np.float64(states[member, row, column])
            cell = _cell(devices, member, row, column)
            drawn[0] = 0
            for _ in range(pairs):
                w = _pulses(w, 1, True, cell, devices, normals, drawn, keys[member], row, column)
                w = _pulses(w, 1, False, cell, devices, normals, drawn, keys[member], row, column)
            out[member, row, column] = w
    return out
