"""The numpy twins of the pulse kernels: a cell at a time, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from imcsim.kernels.pulsed_devices import (
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
    out, up, down = np.empty(states.shape), np.zeros(states.shape, np.int32), np.zeros(states.shape, np.int32)
    for cell in np.ndindex(states.shape):
        member, row, column = cell
        falls: list[bool] = []
        for x, d in zip(row_words[member, :, row], column_words[member, :, column], strict=True):
            falls += [x >> 31 != d >> 31] * (int(x) & int(d) & 2**31 - 1).bit_count()
        up[cell], down[cell] = falls.count(False), falls.count(True)
        out[cell] = _pulsed(states, falls, devices, keys, cell, CYCLE_NOISE)
    return out, up, down


def apply_counts(states: Array, counts: Array, devices: Devices, keys: Array) -> Array:
    """The twin of pulse.apply_counts."""
    out = np.empty(states.shape)
    for cell, count in np.ndenumerate(counts):
        out[cell] = _pulsed(states, [bool(count < 0)] * abs(int(count)), devices, keys, cell, COUNTED_NOISE)
    return out


def apply_pairs(states: Array, pairs: int, devices: Devices, keys: Array) -> Array:
    """The twin of pulse.apply_pairs."""
    out = np.empty(states.shape)
    for cell in np.ndindex(states.shape):
        out[cell] = _pulsed(states, [False, True] * pairs, devices, keys, cell, COUNTED_NOISE)
    return out


def _pulsed(
    states: Array, falls: list[bool], devices: Devices, keys: Array, cell: tuple[int, ...], source: int
) -> float:
    """The weight of a cell after pulses that fall or rise, one after the other."""
    w, device, (member, row, column) = float(states[cell]), _only(devices, cell), cell

    noise = np.zeros(len(falls))
    if device.cycle_sigma > 0:
        noise = normals(64 * len(falls), int(keys[member]), column // 64, row, source)[column % 64 :: 64]
    if device.kind == CONSTANT and falls:
        changes = np.array([-device.down[0] if fall else device.up[0] for fall in falls], np.float64)
        reach = np.abs(changes).sum() * (1 + MOST_SIGMAS * device.cycle_sigma)
        if float(device.low[0]) + reach < w < float(device.high[0]) - reach:
            return float(w + changes.sum() + device.cycle_sigma * np.sqrt((changes**2).sum()) * noise[0])
    for k, fall in enumerate(falls):
        change = float(steps(device, np.array([w]), not fall)[0])
        size = float((device.down if fall else device.up)[0])
        change += device.cycle_sigma * (size if device.additive else change) * noise[k]
        w = min(max(w + (-change if fall else change), float(device.low[0])), float(device.high[0]))
    return w


def _only(devices: Devices, cell: tuple[int, ...]) -> Devices:
    """One device of an array, each number an array of one."""
    frozen = {name: getattr(devices, name) for name in ("up", "down", "low", "high", "slope_up", "slope_down")}
    return devices._replace(**{name: values[cell][None] for name, values in frozen.items() if values.size})
