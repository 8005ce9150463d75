"""The numpy twins of the kernels: slow, in float64, and plain enough to be believed."""

from __future__ import annotations

from typing import Any

import numpy as np

from imcsim.kernels.column import ADC_NOISE, CELL_NOISE, Column, Converters

Array = np.ndarray[Any, Any]


def philox4x32(counter: Array, key: Array) -> Array:
    """Ten rounds of Philox4x32 on counter (..., 4) under key (..., 2), uint32 -> (..., 4) uint32."""
    c = counter.astype(np.uint64)
    k = np.broadcast_to(key, (*counter.shape[:-1], 2)).astype(np.uint64)
    low = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        p0 = np.uint64(0xD2511F53) * c[..., 0]
        p1 = np.uint64(0xCD9E8D57) * c[..., 2]
        high0, high1 = p0 >> np.uint64(32), p1 >> np.uint64(32)
        c = np.stack([high1 ^ c[..., 1] ^ k[..., 0], p1 & low, high0 ^ c[..., 3] ^ k[..., 1], p0 & low], axis=-1)
        k = (k + np.array([0x9E3779B9, 0xBB67AE85], np.uint64)) & low
    return c.astype(np.uint32)


def normals(n: int, key: int, c1: int, c2: int, c3: int) -> Array:
    """The twin of fill_normals: (n,) float64."""
    from scipy.special import ndtri

    element = np.arange(n)
    c0 = element // 64 * 16 + element % 16
    counter = np.stack([c0, *(np.full_like(c0, c) for c in (c1, c2, c3))], axis=-1)
    four = philox4x32(counter, np.array([key & 0xFFFFFFFF, key >> 32]))
    words = four[element, element % 64 // 16]
    return np.asarray(ndtri((words.astype(np.float64) + 0.5) / 2.0**32))


def bits_of(codes: Array, tiles: int, rows: int, cycles: int) -> Array:
    """The bits of codes (samples, inputs), by which table_rows picks -> (samples, tiles, cycles, rows) of 0 and 1."""
    padded = np.zeros((codes.shape[0], tiles * rows), np.int64)
    padded[:, : codes.shape[1]] = codes
    bits = (padded.reshape(-1, tiles, 1, rows) >> np.arange(cycles)[:, None]) & 1
    return np.asarray(bits)


def read_column(
    v: Array, variance_sum: Array, column: Column, adc: Converters, tile: int, key: int, conversion: int, sample: int
) -> Array:
    """The twin of column.read_column: v (columns,) -> codes, or values where the ADC is ideal, (columns,)."""
    n = v.shape[0]
    scale, shift = adc.scale[tile].astype(np.float64), adc.shift[tile].astype(np.float64)
    cells = column.cell_variance * variance_sum + column.variance
    if column.linear:
        u = v * scale + shift
        if column.noisy or adc.noise_lsb > 0:
            u = u + np.sqrt(cells * scale**2 + adc.noise_lsb**2) * normals(n, key, conversion, sample, CELL_NOISE)
    else:
        if column.noisy:
            v = v + np.sqrt(cells) * normals(n, key, conversion, sample, CELL_NOISE)
        u = transfer(v, column) * scale + shift
        if adc.noise_lsb > 0:
            u = u + adc.noise_lsb * normals(n, key, conversion, sample, ADC_NOISE)
    return np.asarray(np.clip(np.rint(u), 0, adc.max_code) if adc.max_code > 0 else u)


def transfer(v: Array, column: Column) -> Array:
    """The static transfer of a column, any shape: droop, then the swing; without pedestal or noise."""
    if column.droop > 0:
        v = -np.expm1(-column.droop * v) / column.droop
    return np.asarray(np.minimum(v, column.swing))


def read(
    inputs: Array,
    states: Array,
    variance_states: Array,
    column: Column,
    adc: Converters,
    cycle_weights: Array,
    key: int,
) -> Array:
    """The twin of both reads: inputs (samples, tiles, cycles, rows) of bits or codes, states (tiles, rows, columns)."""
    samples, tiles, cycles, _ = inputs.shape
    out = np.zeros((samples, states.shape[2]))
    for sample in range(samples):
        for tile in range(tiles):
            for cycle in range(cycles):
                x = inputs[sample, tile, cycle].astype(np.float64)
                v = x @ states[tile].astype(np.float64) + column.pedestal
                variance = x**2 @ variance_states[tile].astype(np.float64)
                converted = read_column(v, variance, column, adc, tile, key, tile * cycles + cycle, sample)
                out[sample] += cycle_weights[cycle] * converted
    return out
