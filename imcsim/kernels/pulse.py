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
# Taylor coefficients of exp and of 2 atanh(s) / s in s^2, the highest but the first; the bits of sqrt(1/2)
_EXP = (1 / 40320, 1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0)
_ATANH = (2 / 11, 2 / 9, 2 / 7, 2 / 5, 2 / 3, 2.0)
_SQRT_HALF = np.int64(0x3FE6A09E667F3BCD)


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
def _exp(x):
    """exp(x) to 1e-11 of it, for |x| up to 700: beyond, as at the limit. numba's own would not vectorise."""
    x = min(max(x, -700.0), 700.0)
    n = np.rint(x * 1.4426950408889634)
    r = x - n * 0.6931471805599453
    e = 1 / 362880  # Taylor up to r^9, |r| <= ln(2) / 2: what follows is 7e-12
    for c in _EXP:
        e = e * r + c
    return e * np.int64((np.int64(n) + 1023) << 52).view(np.float64)


@inline
def _power(x, g):
    """x^g for x from 0 to 1, to 1e-11 (1 + g |log x|) of it; a branch at 0 would keep it from vectorising."""
    bits = np.float64(x).view(np.int64)
    exponent = (bits - _SQRT_HALF) >> 52
    mantissa = np.int64(bits - (exponent << 52)).view(np.float64)  # in [sqrt(1/2), sqrt(2))
    s = (mantissa - 1) / (mantissa + 1)
    log_m = 2 / 13  # log(m) = 2 atanh(s), up to s^13, |s| <= 0.172: what follows is 5e-13
    for c in _ATANH:
        log_m = log_m * s * s + c
    return _exp(g * (exponent * 0.6931471805599453 + s * log_m)) * np.float64(x > 0)


# 64 cells of a row in one flat array, a number of theirs every 64: of places in one array the compiler knows that they
# are apart, of many arrays it does not, and would not vectorise. The weight, its change by a pulse, what the step is
# made of in the direction of the sample, and the bounds; then what steps up and steps down are made of.
_W, _CHANGE, _SIZE, _OFFSET, _SLOPE, _PLACE, _LOW, _HIGH, _UP, _DOWN, _ALL = (64 * k for k in (*range(9), 12, 15))


@inline
def _load(cells, states, devices, member, row, first, n):
    """Weights and numbers of cells first ... first + n; those beyond, up to 64, have none.

    A step is its signed size times a function of offset + slope w.
    """
    cells[:] = 0
    for c in range(n):
        cell = _cell(devices, member, row, first + c)
        width, shape = cell.high - cell.low, devices.shape
        cells[_W + c], cells[_LOW + c], cells[_HIGH + c] = states[member, row, first + c], cell.low, cell.high
        up, down = _UP + c, _DOWN + c
        cells[up], cells[down] = cell.up, -cell.down
        if devices.kind == LINEAR:
            cells[up + 128], cells[down + 128] = cell.slope_up, -cell.slope_down
        elif devices.kind == EXPONENTIAL:  # the exponent, A exp(z) = exp(log A + z)
            cells[up + 64] = np.log(shape[0]) + shape[2] * shape[5]
            cells[down + 64] = np.log(shape[1]) - shape[3] * shape[5]
            cells[up + 128] = 2 * shape[2] * shape[4] / width
            cells[down + 128] = -2 * shape[3] * shape[4] / width
        elif devices.kind == POWER:  # what is left of the range
            cells[up + 64], cells[down + 64] = cell.high / width, -cell.low / width
            cells[up + 128], cells[down + 128] = -1 / width, 1 / width
        elif devices.kind == TABLE:  # the place in the table
            places = devices.table.shape[1] - 1
            cells[up + 64] = cells[down + 64] = -places * cell.low / width
            cells[up + 128] = cells[down + 128] = places / width


@inline
def _direct(cells, rows_word, words, table):
    """Choose what steps are made of by the direction in which a sample moves each cell."""
    for c in range(_NORMALS):
        falls = (rows_word ^ words[c]) >> _SHIFT != 0
        cells[_SIZE + c] = cells[_DOWN + c] if falls else cells[_UP + c]
        cells[_OFFSET + c] = cells[_DOWN + 64 + c] if falls else cells[_UP + 64 + c]
        cells[_SLOPE + c] = cells[_DOWN + 128 + c] if falls else cells[_UP + 128 + c]
        cells[_PLACE + c] = table.shape[1] if falls else 0


@inline
def _steps(cells, devices):
    """How far a pulse without noise moves 64 cells, signed: loops that vectorise, one a kind."""
    if devices.kind == CONSTANT:
        for c in range(_NORMALS):
            cells[_CHANGE + c] = cells[_SIZE + c]
    elif devices.kind == LINEAR:
        for c in range(_NORMALS):
            cells[_CHANGE + c] = cells[_SIZE + c] + cells[_SLOPE + c] * cells[_W + c]
    elif devices.kind == EXPONENTIAL:
        for c in range(_NORMALS):
            lost = _exp(cells[_OFFSET + c] + cells[_SLOPE + c] * cells[_W + c])
            cells[_CHANGE + c] = cells[_SIZE + c] * max(1 - lost, 0.0)
    elif devices.kind == POWER:
        gamma = devices.shape[0]
        for c in range(_NORMALS):
            left = min(max(cells[_OFFSET + c] + cells[_SLOPE + c] * cells[_W + c], 0.0), 1.0)
            cells[_CHANGE + c] = cells[_SIZE + c] * _power(left, gamma)
    else:
        steps, last = devices.table.reshape(-1), devices.table.shape[1] - 1
        for c in range(_NORMALS):
            place = min(max(cells[_OFFSET + c] + cells[_SLOPE + c] * cells[_W + c], 0.0), np.float64(last))
            below = min(np.int64(place), last - 1)
            at = below + np.int64(cells[_PLACE + c])
            cells[_CHANGE + c] = cells[_SIZE + c] * (steps[at] + (place - below) * (steps[at + 1] - steps[at]))


@inline
def _pulse_slot(cells, words, slot, devices, noise):
    """Pulse those of 64 cells whose word has the slot, in place."""
    sigma, additive = devices.cycle_sigma, devices.additive
    for c in range(_NORMALS):
        w, change = cells[_W + c], cells[_CHANGE + c]
        change += sigma * (cells[_SIZE + c] if additive else change) * noise[c]
        new = min(max(w + change, cells[_LOW + c]), cells[_HIGH + c])
        cells[_W + c] = new if (words[c] >> np.uint32(slot)) & np.uint32(1) else w


@inline
def _pulse_train(cells, rows_word, words, sigma, noise):
    """The whole train of a sample on 64 cells of constant step; words are left to those that must go pulse by pulse.

    n steps of s (1 + sigma xi) are one of s (n + sigma sqrt(n) xi), unless a bound was met on the way.
    """
    late = np.uint32(0)
    for c in range(_NORMALS):
        n, w, size = np.float64(_count(rows_word & words[c] & SLOTS)), cells[_W + c], cells[_SIZE + c]
        reach = n * abs(size) * (1 + MOST_SIGMAS * sigma)
        inside = (w - cells[_LOW + c] > reach) & (cells[_HIGH + c] - w > reach)
        cells[_W + c] = w + (size * (n + sigma * np.sqrt(n) * noise[c]) if inside else 0.0)
        words[c] = np.uint32(0) if inside else words[c]
        late |= rows_word & words[c] & SLOTS
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
    for index in nb.prange(members * rows):
        member, row = index // rows, index % rows
        noise, words, cells = np.zeros(_NORMALS, np.float32), np.zeros(_NORMALS, np.uint32), np.empty(_ALL)
        for block in range(blocks):
            first, last = block * _NORMALS, min((block + 1) * _NORMALS, cols)
            n = last - first
            _load(cells, states, devices, member, row, first, n)
            words[n:] = 0
            for sample in range(samples):
                word = row_words[member, sample, row]
                live = word & busy[member, sample, block]
                if live == 0:
                    continue
                words[:n] = column_words[member, sample, first:last]
                _add_counts(up[member, row, first:last], down[member, row, first:last], word, words)
                _direct(cells, word, words, devices.table)
                if devices.kind == CONSTANT:
                    _noise(noise, devices, keys[member], block, row, sample, 31)
                    live = _pulse_train(cells, word, words, devices.cycle_sigma, noise)
                for slot in range(31):
                    if (live >> np.uint32(slot)) & np.uint32(1):
                        _noise(noise, devices, keys[member], block, row, sample, slot)
                        _steps(cells, devices)
                        _pulse_slot(cells, words, slot, devices, noise)
            out[member, row, first:last] = cells[:n]
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
