"""The numpy twins of the pulse kernels: a cell at a time, in float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from imcsim.kernels.pulse import (
    CONSTANT,
    COUNTED_NOISE,
    CYCLE_NOISE,
    EXPONENTIAL,
    LINEAR,
    MOST_SIGMAS,
    POWER,
    Devices,
)
from imcsim.kernels.reference import normals, words

Array = np.ndarray[Any, Any]


def steps(devices: Devices, w: Array, rising: bool) -> Array:
    """How far a pulse without noise moves each device at weights w: (members, rows, cols) float64."""
    size = np.asarray(devices.up if rising else devices.down, np.float64)
    low, high = np.asarray(devices.low, np.float64), np.asarray(devices.high, np.float64)
    place = (w - low) / (high - low)
    if devices.kind == CONSTANT:
        return np.broadcast_to(size, np.shape(place)).copy()
    if devices.kind == LINEAR:
        return np.asarray(size + (devices.slope_up if rising else devices.slope_down).astype(np.float64) * w)
    if devices.kind == EXPONENTIAL:
        a_up, a_down, gamma_up, gamma_down, a, b = devices.shape
        z = 2 * a * w / (high - low) + b
        lost = a_up * np.exp(gamma_up * z) if rising else a_down * np.exp(-gamma_down * z)
        return np.asarray(size * np.maximum(1 - lost, 0))
    if devices.kind == POWER:
        return np.asarray(size * np.clip(1 - place if rising else place, 0, None) ** devices.shape[0])
    nodes = np.linspace(0, 1, devices.table.shape[1])
    return np.asarray(size * np.interp(place, nodes, devices.table[0 if rising else 1]))


def pulse_trains(probabilities: Array, lengths: Array, keys: Array, source: int) -> tuple[Array, Array]:
    """The twin of pulse.pulse_trains."""
    members, samples, lines = probabilities.shape
    trains = np.zeros((members, samples, lines), np.uint32)
    pulses = np.zeros((members, samples), np.int64)
    for member, sample in np.ndindex(members, samples):
        p = np.minimum(np.abs(probabilities[member, sample]), 1)
        for slot in range(lengths[member, sample]):
            bits = words(lines, int(keys[member]), slot, sample, source) < np.floor(p * 2.0**32)
            trains[member, sample] += bits.astype(np.uint32) << np.uint32(slot)
            pulses[member, sample] += bits.sum()
        trains[member, sample] += (probabilities[member, sample] < 0).astype(np.uint32) << np.uint32(31)
    return trains, pulses


def apply_trains(
    states: Array, row_words: Array, column_words: Array, devices: Devices, keys: Array
) -> tuple[Array, Array, Array]:
    """The twin of pulse.apply_trains."""
    out, up, down = states.astype(np.float64), np.zeros(states.shape, np.int32), np.zeros(states.shape, np.int32)
    for cell in np.ndindex(states.shape):
        member, row, column = cell
        device = _only(devices, cell)
        for sample in range(row_words.shape[1]):
            x, d = int(row_words[member, sample, row]), int(column_words[member, sample, column])
            slots, rising = [slot for slot in range(31) if x & d & 1 << slot], x >> 31 == d >> 31

            def noise(slot: int, key: int = int(keys[member]), at: tuple[int, ...] = (column, row, sample)) -> float:
                return float(normals(at[0] + 1, key, at[2] * 32 + slot, at[1], CYCLE_NOISE)[-1])

            (up if rising else down)[cell] += len(slots)
            together = _together(float(out[cell]), len(slots), rising, device) if device.kind == CONSTANT else None
            if together is not None:
                out[cell] = together[0] + together[1] * (noise(31) if together[1] else 0)
                continue
            for slot in slots:
                out[cell] = _pulse(float(out[cell]), rising, device, noise(slot) if device.cycle_sigma > 0 else 0.0)
    return out, up, down


def apply_counts(states: Array, counts: Array, devices: Devices, keys: Array) -> Array:
    """The twin of pulse.apply_counts."""
    out = states.astype(np.float64)
    for cell in np.ndindex(states.shape):
        n, rising = abs(int(counts[cell])), bool(counts[cell] > 0)
        noise, device = _counted_noise(int(keys[cell[0]]), *cell[1:]), _only(devices, cell)
        together = _together(float(out[cell]), n, rising, device) if n > 1 else None
        if together is not None:
            out[cell] = together[0] + (together[1] * next(noise) if together[1] else 0)
            continue
        for _ in range(n):
            out[cell] = _pulse(float(out[cell]), rising, device, next(noise))
    return out


def apply_pairs(states: Array, pairs: int, devices: Devices, keys: Array) -> Array:
    """The twin of pulse.apply_pairs."""
    out = states.astype(np.float64)
    for cell in np.ndindex(states.shape):
        noise = _counted_noise(int(keys[cell[0]]), *cell[1:])
        for pulse in range(2 * pairs):
            out[cell] = _pulse(float(out[cell]), pulse % 2 == 0, _only(devices, cell), next(noise))
    return out


def _only(devices: Devices, cell: tuple[int, ...]) -> Devices:
    """One device of an array, each number an array of one."""
    frozen = {name: getattr(devices, name) for name in ("up", "down", "low", "high", "slope_up", "slope_down")}
    return devices._replace(**{name: values[cell][None] for name, values in frozen.items() if values.size})


def _counted_noise(key: int, row: int, column: int) -> Iterator[float]:
    """The normals of a cell, one after the other."""
    drawn = 0
    while True:
        if drawn % 64 == 0:
            some = normals(drawn + 64, key, column, row, COUNTED_NOISE)
        yield float(some[drawn])
        drawn += 1


def _pulse(w: float, rising: bool, device: Devices, noise: float) -> float:
    change = float(steps(device, np.array([w]), rising)[0])
    size = float((device.up if rising else device.down)[0])
    change += device.cycle_sigma * (size if device.additive else change) * noise
    return min(max(w + (change if rising else -change), float(device.low[0])), float(device.high[0]))


def _together(w: float, n: int, rising: bool, device: Devices) -> tuple[float, float] | None:
    """Mean of the weight after n pulses and what a normal adds to it, where it is normal and meets no bound."""
    sign, sigma = (1 if rising else -1), device.cycle_sigma
    size, low, high = (float(v[0]) for v in (device.up if rising else device.down, device.low, device.high))
    slope = float((device.slope_up if rising else device.slope_down)[0]) if device.kind == LINEAR else 0.0
    if device.kind > LINEAR or (device.kind == LINEAR and sigma > 0 and not device.additive):
        return None
    reach = n * (size * (1 + MOST_SIGMAS * sigma) + abs(slope) * max(abs(low), abs(high)))
    if not low + reach < w < high - reach:
        return None
    # the recursion w <- (1 +- slope) w +- size (1 + sigma xi) solved: geometric series
    powers = (1 + sign * slope) ** np.arange(n)
    mean = (1 + sign * slope) ** n * w + sign * size * powers.sum()
    return float(mean), float(sign * size * sigma * np.sqrt((powers**2).sum()))
