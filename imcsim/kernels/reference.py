"""The numpy twins of the kernels: slow, in float64, and plain enough to be believed."""

from __future__ import annotations

from typing import Any

import numpy as np

from imcsim.kernels.column import (
    ADC_NOISE,
    CELL_NOISE,
    DAC_NOISE,
    SECOND_CELL_NOISE,
    Column,
    Converters,
)
from imcsim.kernels.decide import COUNT, DECISION_NOISE, DITHER, NEAREST, PIPELINE, STOCHASTIC, SUCCESSIVE, Decision
from imcsim.kernels.held import Changes
from imcsim.kernels.inputs import AS_IS, BINARY, NEGATIVE, POSITIVE, SIGNED, Cycles
from imcsim.kernels.nodal import Line, line_resistances

Array = np.ndarray[Any, Any]

# Random numbers


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


def words(n: int, key: int, c1: int, c2: int, c3: int) -> Array:
    """The twin of fill_words from the first word on: (n,) uint32."""
    element = np.arange(n)
    c0 = element // 64 * 16 + element % 16
    counter = np.stack([c0, *(np.full_like(c0, c) for c in (c1, c2, c3))], axis=-1)
    four = philox4x32(counter, np.array([key & 0xFFFFFFFF, key >> 32]))
    return np.asarray(four[element, element % 64 // 16])


def normals(n: int, key: int, c1: int, c2: int, c3: int) -> Array:
    """The twin of fill_normals: (n,) float64."""
    from scipy.special import ndtri

    return np.asarray(ndtri((words(n, key, c1, c2, c3).astype(np.float64) + 0.5) / 2.0**32))


def uniforms(n: int, key: int, c1: int, c2: int, c3: int) -> Array:
    """The numbers of [0, 1) of a conversion, the upper 24 bits of each word: (n,) float64."""
    return np.asarray((words(n, key, c1, c2, c3) >> np.uint32(8)) / 2.0**24)


# Inputs


def quantise_inputs(x: Array, step: float, low: float, top: float, binary: bool) -> tuple[Array, Array]:
    """The twin of inputs.quantise_inputs: x (samples, rows), finite or not -> codes, and how many have none."""
    nearest = np.rint(x.astype(np.float64) / step)
    codes = np.clip(nearest, low, top)
    wrong = ~np.isfinite(x) | (~np.asarray(binary) & (nearest != codes))
    return np.where(x >= 0, 1.0, -1.0) if binary else codes, wrong.sum(axis=1)


def digits(codes: Array, cycles: Cycles) -> Array:
    """What of codes (...) each cycle takes: (..., cycles) float64; the twin of part_of with shift and mask."""
    taken = []
    for shift, mask, part in zip(cycles.shift, cycles.mask, cycles.part, strict=True):
        if part == AS_IS:
            taken.append(codes.astype(np.float64))
            continue
        whole = codes.astype(np.int64)
        positive, negative = np.maximum(whole, 0), np.maximum(-whole, 0)
        of = {POSITIVE: positive, NEGATIVE: negative, SIGNED: positive + negative, BINARY: (whole + 1) // 2}
        digit = of.get(part, whole) // 2**shift % (mask + 1)
        taken.append(np.where(whole < 0, -digit, digit) if part == SIGNED else digit)
    return np.stack(taken, axis=-1).astype(np.float64)


def drives(codes: Array, tiles: int, rows: int, cycles: Cycles, levels: Array, noise_lsb: float, keys: Array) -> Array:
    """What drives the rows, of codes (1 or members, samples, inputs): (members, samples, tiles, cycles, rows).

    The twin of drive_block and, where `levels` has no entries, of table_rows.
    """
    samples, inputs = codes.shape[1:]
    padded = np.zeros((len(keys), samples, tiles * rows))
    padded[..., :inputs] = codes
    x = digits(padded, cycles)
    if levels.size:
        where = np.ix_(np.arange(len(keys)), np.arange(tiles * rows))
        sizes = np.abs(x).astype(np.int64)
        x = np.where(x < 0, -1, 1) * levels[where[0][..., None, None], where[1][:, None, :, None], sizes]
        if noise_lsb > 0:
            for member, sample, tile, cycle in np.ndindex(len(keys), samples, tiles, x.shape[-1]):
                used = min(max(inputs - tile * rows, 0), rows)
                noise = normals(used, int(keys[member]), tile * x.shape[-1] + cycle, sample, DAC_NOISE)
                x[member, sample, tile * rows : tile * rows + used, cycle] += noise_lsb * noise
        x[:, :, inputs:] = 0  # there is no converter where there is no input
    return np.asarray(np.moveaxis(x.reshape(len(keys), samples, tiles, rows, x.shape[-1]), -1, -2))


# Cells of weight codes


def rewrite(
    codes: Array, scale: Array, delta: Array, binary: bool, digits: Array, before: Array
) -> tuple[Array, Array, Array]:
    """The twin of codes.rewrite: codes after a write, the writes of each cell, the changed codes of each row."""
    return _changed(codes, delta / scale[:, None, None], binary, digits, before)


def rewrite_outer(
    codes: Array, x: Array, delta: Array, binary: bool, digits: Array, before: Array
) -> tuple[Array, Array, Array]:
    """The twin of codes.rewrite_outer."""
    change = np.swapaxes(x, 1, 2).astype(np.float64) @ delta.astype(np.float64)
    return _changed(codes, change, binary, digits, before)


def _changed(codes: Array, change: Array, binary: bool, digits: Array, before: Array) -> tuple[Array, Array, Array]:
    top, held = len(digits) // 2, codes + change
    after = np.where(held >= 0, 1, -1) if binary else np.clip(np.rint(held), -top, top).astype(int)
    differs = digits[np.broadcast_to(codes, after.shape) + top] != digits[after + top]
    return after, differs + (before if before.size else 0), (codes != after).sum(axis=2)


def cells_of_codes(codes: Array, values: Array, factors: Array, source: Array, used: int, sign: int) -> Array:
    """What codes.lay lays out: (members, tiles, rows of a tile, 1 if joined or polarities, slices, columns)."""
    members, rows, _ = codes.shape
    stored = np.where(source >= 0, codes[..., source], 0) + values.shape[2] // 2
    tiles = -(-rows // used)
    cells = np.zeros((members, tiles * used, *values.shape[:2], len(source)))
    cells[:, :rows] = np.moveaxis(values.astype(np.float64)[:, :, stored], (0, 1), (2, 3))
    cells = cells.reshape(members, tiles, used, *cells.shape[2:])
    if factors.size:
        cells = cells * factors
    return cells[:, :, :, :1] + sign * cells[:, :, :, 1:] if sign else cells


# Columns


def transfer(v: Array, column: Column) -> Array:
    """The twin of column.transfer, v of any shape (..., columns): droop, load, limits."""
    if np.any(column.droop > 0):
        v = -np.expm1(-column.droop * v) / column.droop
    return np.asarray(np.clip(v / (1 + column.load * np.abs(v)), column.low, column.swing))


def analog(v: Array, variance_sum: Array, column: Column, key: int, conversion: int, sample: int, source: int) -> Array:
    """The twin of column.analog: sums of currents v (columns,) -> values."""
    v = v + column.pedestal
    if column.noisy:
        sigma = np.sqrt(column.cell_variance * variance_sum + column.variance)
        v = v + sigma * normals(v.size, key, conversion, sample, source)
    return transfer(v, column)


def digitise(u: Array, adc: Converters, tile: int, key: int, conversion: int, sample: int) -> Array:
    """The twin of column.digitise: u (columns,) -> codes, trimmed if they are; u where converters are ideal."""
    decision = Decision(adc.kind, adc.table, adc.which, adc.decision_noise_lsb)
    codes = decide(u, decision, tile, adc.max_code, key, conversion, sample)
    if adc.trim.size:
        gain, offset = adc.trim[:, tile].astype(np.float64)
        codes = (codes - offset) / gain
    return codes


def convert(v: Array, adc: Converters, tile: int, key: int, conversion: int, sample: int) -> Array:
    """The twin of column.convert: values v (columns,) -> codes."""
    u = v * adc.scale[tile].astype(np.float64) + adc.shift[tile]
    if adc.noise_lsb > 0:
        u = u + adc.noise_lsb * normals(v.size, key, conversion, sample, ADC_NOISE)
    return digitise(u, adc, tile, key, conversion, sample)


def convert_linear(
    v: Array, variance_sum: Array, column: Column, adc: Converters, tile: int, key: int, conversion: int, sample: int
) -> Array:
    """The twin of column.convert_linear: sums of currents v (columns,) -> codes, one draw for all their noise."""
    scale = adc.scale[tile].astype(np.float64)
    variance = (column.cell_variance * variance_sum + column.variance) * scale**2 + adc.noise_lsb**2
    noise = np.sqrt(variance) * normals(v.size, key, conversion, sample, CELL_NOISE)
    return digitise((v + column.pedestal) * scale + adc.shift[tile] + noise, adc, tile, key, conversion, sample)


# Reads


def conversions(
    x: Array,
    states: Array,
    variances: Array,
    column: Column,
    adc: Converters,
    weights: Array,
    accumulate: bool,
    keys: Array,
) -> Array:
    """What every conversion of a read gives: (members, samples, tiles, cycles, columns); one cycle if they accumulate.

    `x` (members, samples, tiles, cycles, rows) is what drives the rows, `states` and `variances` (members, tiles, rows,
    pair, columns) are the cells, `column` holds arrays (pair x columns,).
    """
    sums, of_cells = (
        np.einsum("mstkr,mtrpc->mstkpc", drive, cells.astype(np.float64))
        for drive, cells in ((x, states), (x**2, variances))
    )
    return codes_of(sums, of_cells, column, adc, weights, accumulate, keys)


def codes_of(
    sums: Array, variances: Array, column: Column, adc: Converters, weights: Array, accumulate: bool, keys: Array
) -> Array:
    """What every conversion gives of sums of columns and the variances of their cells, as `conversions`.

    Both are (members, samples, tiles, cycles, pair, columns).
    """
    members, samples, tiles, cycles, pair, columns = sums.shape
    own = [
        Column(**{k: v if k == "cell_variance" else v.reshape(pair, -1)[p] for k, v in column._asdict().items()})
        for p in range(pair)
    ]
    merged = column.linear and not accumulate and pair == 1
    out = np.zeros((members, samples, tiles, 1 if accumulate else cycles, columns))
    for member, sample, tile in np.ndindex(members, samples, tiles):
        place = member * tiles + tile, int(keys[member])
        charge = np.zeros(columns)
        for cycle in range(cycles):
            number = tile * cycles + cycle
            value, variance = sums[member, sample, tile, cycle], variances[member, sample, tile, cycle]
            if merged:
                args = value[0], variance[0], column, adc
                out[member, sample, tile, cycle] = convert_linear(*args, *place, number, sample)
                continue
            v = analog(value[0], variance[0], own[0], place[1], number, sample, CELL_NOISE)
            if pair == 2:
                v = v - analog(value[1], variance[1], own[1], place[1], number, sample, SECOND_CELL_NOISE)
            if accumulate:
                charge += weights[cycle] * v
            else:
                out[member, sample, tile, cycle] = convert(v, adc, *place, number, sample)
        if accumulate:
            out[member, sample, tile, 0] = convert(charge, adc, *place, tile * cycles, sample)
    return out


def read(
    x: Array,
    states: Array,
    variances: Array,
    column: Column,
    adc: Converters,
    weights: Array,
    accumulate: bool,
    keys: Array,
) -> Array:
    """The twin of both reads: the weighted sum of `conversions` over tiles and cycles, (members, samples, columns)."""
    codes = conversions(x, states, variances, column, adc, weights, accumulate, keys)
    return np.asarray(np.einsum("k,mstkc->msc", np.ones(1) if accumulate else weights, codes))


def changed_sums(sums: Array, x: Array, change: Changes, states: Array) -> Array:
    """The sums that held.convert_held converts in each pass: (passes, samples, reads, cycles, pair, columns).

    Of sums (sets, samples, ...), `x` what drives the rows, or its square, and `states` what is added to the cells.
    """
    found = []
    for number, (read, row) in enumerate(zip(change.read, change.row, strict=True)):
        each = sums[number % len(sums)].copy()
        if read >= 0:
            each[:, read] += x[number % len(x), :, read, :, row, None, None] * states[number]
        found.append(each)
    return np.stack(found)


def draw_codes(u: Array, sigma: Array, weights: Array, max_code: int, key: int, passes: int) -> Array:
    """The twin of drawn.draw_codes, which decides by the words of these normals."""
    each = u[0].size
    together = max(1, min(4096 // each, passes))  # passes that draw from one stream
    noise = np.empty((passes, len(u), each))
    for first in range(0, passes, together):
        for sample in range(len(u)):
            drawn = normals(together * each, key, first, sample, CELL_NOISE).reshape(together, each)
            noise[first : first + together, sample] = drawn[: passes - first]
    codes = np.clip(np.rint(u + sigma * noise.reshape(passes, *u.shape)), 0, max_code)
    return np.asarray(np.einsum("k,pskc->psc", weights, codes))


def shift_and_add(sums: Array, worth: Array, lsb: Array, constant: Array) -> Array:
    """The twin of recombine.shift_and_add: sums (members, samples, polarities, slices, cols) -> the products."""
    values = lsb[:, None, None, :, None] * sums + constant[:, None, None, :, None]
    return np.asarray(np.einsum("ps,mnpsc->mnc", worth, values))


def mean_codes(known: Array, lo: Array, lsb: Array, reads: int, adc: Converters, keys: Array) -> Array:
    """The twin of trim.mean_codes: (values, tiles, columns)."""
    each = len(adc.scale) // len(keys)
    out = np.zeros((len(known), *adc.scale.shape))
    for level, at, read_ in np.ndindex(len(known), len(adc.scale), reads):
        member, tile = divmod(at, each)
        v = lo[member % len(lo)] + known[level] * lsb[member % len(lo)]
        out[level, at] += convert(v, adc, at, int(keys[member]), tile, level * reads + read_) / reads
    return out


# Decisions


def decide(u: Array, decision: Decision, tile: int, max_code: int, key: int, conversion: int, sample: int) -> Array:
    """The twin of decide.decide: u (columns,) of all columns of a tile -> codes (columns,) float64."""
    n, kind = u.size, decision.kind
    rows = decision.table[decision.which[tile]].astype(np.float64)
    if max_code == 0:
        return u
    if kind == NEAREST:
        codes = np.rint(u)
    elif kind == STOCHASTIC:
        codes = np.floor(u) + (uniforms(n, key, conversion, sample, DITHER) < u - np.floor(u))
    elif kind == SUCCESSIVE:
        bits = rows.shape[1]
        codes, kept = np.zeros(n), np.zeros(n)
        for place in range(bits):
            bit = bits - 1 - place
            noise = decision.noise_lsb * normals(n, key, conversion, sample, DECISION_NOISE + bit)
            trial = kept + rows[:, place]
            keep = (u + noise > trial - 0.5) & (codes + 2**bit <= max_code)
            codes, kept = codes + 2**bit * keep, np.where(keep, trial, kept)
    elif kind == COUNT:
        codes = (rows < u[:, None]).sum(axis=1)
    elif kind == PIPELINE:
        bits = rows.shape[1] // 4 + 1
        v, codes = (u + 0.5) / 2 ** (bits - 1) - 1, np.full(n, 2.0 ** (bits - 1) - 1)
        for stage in range(bits - 1):
            gain, step, low, high = rows[:, 4 * stage : 4 * stage + 4].T
            digit = (v > low).astype(int) + (v > high) - 1
            codes = codes + digit * 2.0 ** (bits - 2 - stage)
            v = gain * v - digit * step
        codes = codes + (v > rows[:, -1])
    else:
        random = uniforms(n, key, conversion, sample, DITHER)
        inputs = rows.shape[1] // (max_code + 1)
        probabilities = rows[:, inputs:].reshape(n, inputs, max_code)
        # beyond the ends np.interp holds the distribution of the end
        cumulative = np.array(
            [[np.interp(u[c], rows[c, :inputs], probabilities[c, :, k]) for k in range(max_code)] for c in range(n)]
        )
        codes = (cumulative <= random[:, None]).sum(axis=1)
    return np.clip(codes, 0, max_code).astype(np.float64)


# Wires


def cell_voltages(g: Array, v: Array, word: Line, bit: Line, *, parallel: bool = False) -> Array:
    """The twin of nodal.cell_voltages for one network, g and v (rows, cols) -> d (rows, cols): a dense solve."""
    rows, cols = g.shape
    of_bit = np.kron(line_resistances(bit, rows), np.eye(cols))
    if parallel:
        of_word = np.kron(line_resistances(word, rows), np.eye(cols))
    else:
        of_word = np.kron(np.eye(rows), line_resistances(word, cols))
    d = np.linalg.solve(np.eye(g.size) + (of_word + of_bit) * g.ravel(), v.ravel())
    return np.asarray(d.reshape(g.shape))


def transfer_matrix(g: Array, word: Line, bit: Line) -> Array:
    """The twin of nodal.transfer_matrix for one array, g (rows, cols) -> (rows, cols): a dense solve a word line."""
    driven = np.eye(len(g))[:, :, None] * np.ones(g.shape)
    return np.array([(g * cell_voltages(g, v, word, bit)).sum(axis=0) for v in driven])
