"""64 cells of a row side by side: each follows its own pulses, the first of all at once, then the second, and so on."""

from __future__ import annotations

import numpy as np

from imcsim.kernels.jit import inline
from imcsim.kernels.philox import fill_normals
from imcsim.kernels.pulsed_devices import CONSTANT, EXPONENTIAL, LINEAR, MOST_SIGMAS, POWER, TABLE

LANES = 64  # fill_normals draws as many at once
DRAWN = 8 * LANES  # in one go, as a call costs as much as 20 of them

# Taylor coefficients of exp and of 2 atanh(s) / s in s^2, the highest but the first; the bits of sqrt(1/2)
_EXP = (1 / 40320, 1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0)
_ATANH = (2 / 11, 2 / 9, 2 / 7, 2 / 5, 2 / 3, 2.0)
_SQRT_HALF = np.int64(0x3FE6A09E667F3BCD)

# The cells in one flat array, a number of theirs every 64: of places in one array the compiler knows that they are
# apart, of many arrays it does not, and would not vectorise. The weight, its change by a pulse, what the step is made
# of in the direction of the pulse, the bounds, how many pulses are to come; then what steps up and down are made of.
W, _CHANGE, _SIZE, _OFFSET, _SLOPE, _PLACE, _LOW, _HIGH, PULSES, _UP, _DOWN, NUMBERS = (
    LANES * k for k in (*range(10), 13, 16)
)


@inline
def load(cells, states, devices, member, row, first, n):
    """Weights and numbers of cells first ... first + n; those beyond, up to 64, have none. No pulse is to come.

    A step is its signed size times a function of offset + slope w.
    """
    cells[:] = 0
    sloped, shape = devices.kind == LINEAR, devices.shape
    for c in range(n):
        where = member, row, first + c
        low, high = np.float64(devices.low[where]), np.float64(devices.high[where])
        width = high - low
        cells[W + c], cells[_LOW + c], cells[_HIGH + c] = states[where], low, high
        up, down = _UP + c, _DOWN + c
        cells[up], cells[down] = devices.up[where], -devices.down[where]
        if sloped:
            cells[up + 128], cells[down + 128] = devices.slope_up[where], -devices.slope_down[where]
        elif devices.kind == EXPONENTIAL:  # the exponent, A exp(z) = exp(log A + z)
            cells[up + 64] = np.log(shape[0]) + shape[2] * shape[5]
            cells[down + 64] = np.log(shape[1]) - shape[3] * shape[5]
            cells[up + 128] = 2 * shape[2] * shape[4] / width
            cells[down + 128] = -2 * shape[3] * shape[4] / width
        elif devices.kind == POWER:  # what is left of the range
            cells[up + 64], cells[down + 64] = high / width, -low / width
            cells[up + 128], cells[down + 128] = -1 / width, 1 / width
        elif devices.kind == TABLE:  # the place in the table
            places = devices.table.shape[1] - 1
            cells[up + 64] = cells[down + 64] = -places * low / width
            cells[up + 128] = cells[down + 128] = places / width


@inline
def jump(cells, falls, devices, noise, key, block, row, source):
    """All pulses of cells of constant step at once, of which so many fall; those near a bound have them still to come.

    n steps of s (1 + sigma xi) are one of s (n + sigma sqrt(n) xi), unless a bound was met on the way.
    """
    sigma = devices.cycle_sigma
    if sigma > 0:
        fill_normals(noise[:LANES], key, 0, np.uint32(block), np.uint32(row), np.uint32(source))
    for c in range(LANES):
        w, up, down = cells[W + c], cells[_UP + c], cells[_DOWN + c]
        n_down = np.float64(falls[c])
        n_up = cells[PULSES + c] - n_down
        mean = n_up * up + n_down * down
        reach = (n_up * up - n_down * down) * (1 + MOST_SIGMAS * sigma)
        inside = (w - cells[_LOW + c] > reach) & (cells[_HIGH + c] - w > reach)
        spread = sigma * np.sqrt(n_up * up * up + n_down * down * down)
        cells[W + c] = w + (mean + spread * noise[c] if inside else 0.0)
        cells[PULSES + c] = 0.0 if inside else cells[PULSES + c]


@inline
def follow(cells, ways, devices, noise, key, block, row, source):
    """Let each cell take its pulses. Bit k mod 32 of word k / 32 of its ways is 0 where pulse k rises; ways repeat.

    ways is (words, 64); noise, (DRAWN,) float32, is zero where there is none. That of pulse k is a function of (key,
    row, column, k, source) alone.
    """
    most = 0.0
    for c in range(LANES):
        most = max(most, cells[PULSES + c])
    pulses = np.int64(most)
    for k in range(pulses):
        at = k * LANES % DRAWN
        if at == 0 and devices.cycle_sigma > 0:
            drawn = noise[: min(DRAWN, (pulses - k) * LANES)]
            fill_normals(drawn, key, k, np.uint32(block), np.uint32(row), np.uint32(source))
        _direct(cells, ways[k // 32 % ways.shape[0]], np.uint32(k % 32), devices.table)
        _steps(cells, devices)
        _pulse(cells, np.float64(k), devices, noise[at : at + LANES])


@inline
def _direct(cells, ways, bit, table):
    """Choose what steps are made of by the direction of the pulse."""
    for c in range(LANES):
        falls = (ways[c] >> bit) & np.uint32(1) != 0
        cells[_SIZE + c] = cells[_DOWN + c] if falls else cells[_UP + c]
        cells[_OFFSET + c] = cells[_DOWN + 64 + c] if falls else cells[_UP + 64 + c]
        cells[_SLOPE + c] = cells[_DOWN + 128 + c] if falls else cells[_UP + 128 + c]
        cells[_PLACE + c] = table.shape[1] if falls else 0


@inline
def _steps(cells, devices):
    """How far a pulse without noise moves 64 cells, signed: loops that vectorise, one a kind."""
    if devices.kind == CONSTANT:
        for c in range(LANES):
            cells[_CHANGE + c] = cells[_SIZE + c]
    elif devices.kind == LINEAR:
        for c in range(LANES):
            cells[_CHANGE + c] = cells[_SIZE + c] + cells[_SLOPE + c] * cells[W + c]
    elif devices.kind == EXPONENTIAL:
        for c in range(LANES):
            lost = _exp(cells[_OFFSET + c] + cells[_SLOPE + c] * cells[W + c])
            cells[_CHANGE + c] = cells[_SIZE + c] * max(1 - lost, 0.0)
    elif devices.kind == POWER:
        gamma = devices.shape[0]
        for c in range(LANES):
            left = min(max(cells[_OFFSET + c] + cells[_SLOPE + c] * cells[W + c], 0.0), 1.0)
            cells[_CHANGE + c] = cells[_SIZE + c] * _power(left, gamma)
    else:
        steps, last = devices.table.reshape(-1), devices.table.shape[1] - 1
        for c in range(LANES):
            place = min(max(cells[_OFFSET + c] + cells[_SLOPE + c] * cells[W + c], 0.0), np.float64(last))
            below = min(np.int64(place), last - 1)
            at = below + np.int64(cells[_PLACE + c])
            cells[_CHANGE + c] = cells[_SIZE + c] * (steps[at] + (place - below) * (steps[at + 1] - steps[at]))


@inline
def _pulse(cells, k, devices, noise):
    """Pulse the cells that have more than k pulses, in place."""
    sigma, additive = devices.cycle_sigma, devices.additive
    for c in range(LANES):
        w, change = cells[W + c], cells[_CHANGE + c]
        change += sigma * (cells[_SIZE + c] if additive else change) * noise[c]
        new = min(max(w + change, cells[_LOW + c]), cells[_HIGH + c])
        cells[W + c] = new if k < cells[PULSES + c] else w


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
