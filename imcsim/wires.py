"""IR drop: what the wires of an array leave of the voltages and currents of its cells, by nodal analysis.

Conductances g (..., polarities, rows, cols), S, everywhere: the arrays of a differential pair, or one alone. Where
cells are linear and driven by word lines, `transfer` is a matrix in the place of g, solved once and renewed by
`rewritten`; else the network is another at each read, and `currents` solves it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from imcsim.errors import CapabilityError, SolverError, SpecError
from imcsim.specs.wires import GatedWires, IdealWires, ResistiveWires, Wires

if TYPE_CHECKING:
    from imcsim.kernels.nodal import Line  # numba is loaded where it is used

Array = np.ndarray[Any, Any]

# Of the voltage that is applied, what the cells must see on average, each weighed by its conductance: below it the
# wires, not the cells, decide on the currents. For linear cells it is the share of the ideal current that arrives.
LEAST_ARRIVAL = 1e-3


class Law(NamedTuple):
    """A nonlinear cell: I = g current(v), current(0) = 0, and its slope > 0; functions of arrays of voltages."""

    current: Callable[[Array], Array]
    slope: Callable[[Array], Array]


def transfer(wires: Wires, g: Array) -> Array:
    """The matrix M that reads as the array does, S: conductances g (..., polarities, rows, cols) -> the same shape.

    Word line voltages V (samples, rows) give the column currents V M of a polarity; where a pair shares its bit line,
    V M of the first less V M of the second. Raises SpecError for conductances that cannot be and for wires through
    which next to nothing arrives, CapabilityError where reads are no product with a matrix.
    """
    g = _conductances(wires, g)
    if isinstance(wires, IdealWires):
        return g
    if isinstance(wires, GatedWires):
        raise CapabilityError.of("wires", "inputs that gate cells change the network", remedy="read with currents")
    laid = _laid(wires, g)
    if wires.solver == "dmr":
        m = _dmr(laid, *_lines(wires))
    else:
        from imcsim.kernels.nodal import transfer_matrix

        m = transfer_matrix(laid, *_lines(wires))
    _check_arrival(m.sum(), laid.sum())
    return _picked_up(wires, m, g.shape)


def rewritten(wires: ResistiveWires, m: Array, g: Array, new: Array) -> Array:
    """The transfer matrix after cells were written: from `m` of conductances g to that of `new`, all of one shape.

    Exact: where k cells of an array differ, M changes by a matrix of rank k (Woodbury), at the cost of a solve each;
    where 1000 k exceed the square of its narrower side, solving anew is cheaper, and done.
    """
    from imcsim.kernels.blas import single_threaded_blas

    g, new = _conductances(wires, g), _conductances(wires, new)
    if wires.solver != "nodal":
        return transfer(wires, new)
    lines = _lines(wires)
    old, now, laid = _laid(wires, g), _laid(wires, new), _laid(wires, np.asarray(m, np.float64)).copy()
    counts = (old != now).sum(axis=(1, 2))
    anew = 1000 * counts > min(old.shape[1:]) ** 2
    if anew.any():
        from imcsim.kernels.nodal import transfer_matrix

        laid[anew] = transfer_matrix(now[anew], *lines)
    with single_threaded_blas():
        for a in np.flatnonzero((counts > 0) & ~anew):
            laid[a] += _correction(old[a], now[a], lines)
    _check_arrival(laid.sum(), now.sum())
    return _picked_up(wires, laid, g.shape)


def _correction(g: Array, new: Array, lines: tuple[Line, Line]) -> Array:
    """How the transfer matrix of one array changes from conductances g to `new`, both (rows, cols)."""
    from imcsim.kernels.nodal import line_resistances

    (rows, cols), (word, bit) = g.shape, lines
    at = np.nonzero(g != new)
    k, each = np.arange(len(at[0])), (new - g)[at]
    # an ampere through each changed cell's branch, beside what its conductance takes
    v = np.zeros((len(k), rows, cols))
    v[k, at[0], :] -= line_resistances(word, cols)[at[1]]
    v[k, :, at[1]] -= line_resistances(bit, rows)[at[0]]
    d = _solved(np.broadcast_to(g, v.shape), v, lines, parallel=False)
    flowing = g * d
    flowing[k, at[0], at[1]] += 1
    into_rows, out_of_cols = flowing.sum(axis=2), flowing.sum(axis=1)  # by reciprocity, d of the cell a volt on a row
    impedance = -d[:, at[0], at[1]]
    # the branches' currents are each * d, and d = (d without them) - impedance @ currents
    branches = np.linalg.solve(np.eye(len(k)) + each[:, None] * impedance, each[:, None] * into_rows)
    return np.asarray(branches.T @ out_of_cols)


def currents(wires: Wires, g: Array, v: Array, law: Law | None = None) -> Array:
    """Column currents, A, of g (..., polarities, rows, cols) for voltages v (..., samples, rows), solved for each.

    -> (..., polarities, samples, cols), the polarities 1 where a pair shares its bit line, already subtracted. The
    leading axes of v broadcast against those of g. For gated cells v is the supply voltage in the rows whose input is
    1, and 0 in the others. Raises SpecError as `transfer` does, SolverError where the solution is not found.
    """
    from imcsim.kernels.blas import single_threaded_blas

    g = _conductances(wires, g)
    lead, (rows, cols) = g.shape[:-3], g.shape[-2:]
    v = np.asarray(v, np.float64)
    if v.ndim < 2 or v.shape[-1] != rows:
        raise SpecError.of("v", f"must be (samples, {rows}), of a voltage a row", given=f"shape {v.shape}")
    if not np.isfinite(v).all():
        raise SpecError.of("v", "must be finite", given=f"{int((~np.isfinite(v)).sum())} values infinite or nan")
    v = np.broadcast_to(v, (*lead, *v.shape[-2:]))
    if isinstance(wires, IdealWires):
        with single_threaded_blas():
            return np.asarray((v if law is None else law.current(v))[..., None, :, :] @ g)
    if wires.solver != "nodal" and law is not None:
        raise CapabilityError.of("wires.solver", "closed forms know linear cells", f'"{wires.solver}"', 'use "nodal"')
    samples = v.shape[-2]
    v = v.reshape(math.prod(lead), samples, rows)
    if wires.pairs == "separate":
        v = np.repeat(v, g.shape[-3], axis=0)
    if wires.pairs == "shared_bit_line":
        v = np.stack([v, -v], axis=-1).reshape(len(v), samples, 2 * rows)
    laid, lines = _laid(wires, g), _lines(wires)
    gated = isinstance(wires, GatedWires)
    levels = np.unique(np.abs(v[v != 0]))
    if gated and len(levels) > 1:
        allowed = "inputs of gated cells are single bits: the one supply voltage, or 0"
        raise SpecError.of("v", allowed, given=f"{len(levels)} voltages beside 0")
    with single_threaded_blas():
        if wires.solver == "dmr":
            out = v @ _dmr(laid, *lines)
        elif wires.solver == "aihwkit":
            out = _aihwkit(laid, v, lines[1])
        else:
            on = v != 0 if gated else np.ones(v.shape, np.bool_)
            parallel = isinstance(wires, GatedWires) and wires.supply == "column"
            out = np.stack([_read(*array, lines, law, parallel) for array in zip(laid, v, on, strict=True)])
    if wires.pairs == "interleaved":
        return np.moveaxis(out.reshape(*lead, samples, cols, 2), -1, -3)
    return out.reshape(*lead, len(out) // math.prod(lead), samples, cols)


_CHUNK = 1 << 20  # cells x samples that are solved at a time: a few arrays of 8 MB


def _read(g: Array, v: Array, on: Array, lines: tuple[Line, Line], law: Law | None, parallel: bool) -> Array:
    """Currents (samples, cols) of one array g (rows, cols), its rows `on` and at v (samples, rows)."""
    at_once = max(_CHUNK // g.size, 1)
    parts = []
    for first in range(0, len(v), at_once):
        part = slice(first, first + at_once)
        conducting = np.where(on[part, :, None], g, 0.0)
        applied = np.repeat(v[part, :, None], g.shape[1], axis=2)
        if law is None:
            d = _solved(conducting, applied, lines, parallel=parallel)
            parts.append((conducting * d).sum(axis=1))
        else:
            d = _newton(conducting, applied, lines, law, parallel)
            parts.append((conducting * law.current(d)).sum(axis=1))
        _check_arrival((conducting * np.abs(d)).sum(), (conducting * np.abs(applied)).sum())
    return np.concatenate(parts) if parts else np.zeros((0, g.shape[1]))


def _solved(g: Array, v: Array, lines: tuple[Line, Line], *, parallel: bool) -> Array:
    """Voltages across the cells g (samples, rows, cols) of as many networks, driven by v, of the same shape."""
    from imcsim.kernels.nodal import LANES, cell_voltages

    samples, items = len(g), -(-len(g) // LANES)

    def in_lanes(array: Array) -> Array:
        padded = np.zeros((items * LANES, *array.shape[1:]))
        padded[:samples] = array
        return np.ascontiguousarray(np.moveaxis(padded.reshape(items, LANES, *array.shape[1:]), 1, -1))

    d, converged = cell_voltages(in_lanes(g), in_lanes(v), *lines, parallel=parallel)
    d = np.moveaxis(d, -1, 1).reshape(items * LANES, *g.shape[1:])[:samples]
    missed = int((~converged.ravel()[:samples]).sum())
    if missed:
        _check_arrival((g * np.abs(d)).sum(), (g * np.abs(v)).sum())
        allowed = "the network's equations must be solved to 1e-9"
        raise SolverError.of(
            "wires", allowed, given=f"{missed} of {samples} reads are not", remedy="lower the resistances"
        )
    return d


NEWTON_STEPS = 50
MOST_HALVINGS = 30
NEWTON_TOLERANCE = 1e-11  # of the voltages that are applied, what may be left of the residual


def _newton(g: Array, v: Array, lines: tuple[Line, Line], law: Law, parallel: bool) -> Array:
    """Voltages d across nonlinear cells g (samples, rows, cols): d + R g current(d) = v, by Newton's method.

    Each step solves the network of the slopes, and is halved until it leaves less of the equation.
    """
    from imcsim.kernels.nodal import line_resistances

    word, bit = lines
    along_word = line_resistances(word, g.shape[1 if parallel else 2])
    along_bit = line_resistances(bit, g.shape[1])

    def residual(d: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):  # a step that is too far, and will be halved
            i = g * law.current(d)
            return np.asarray(d - v + (along_word @ i if parallel else i @ along_word) + along_bit @ i)

    def size(of: Array) -> Array:
        return np.asarray(np.sqrt(np.square(of).sum(axis=(1, 2), keepdims=True)))

    d = np.zeros(v.shape)  # where slopes are moderate, however steep the law is at v
    left = -v
    for _ in range(NEWTON_STEPS):
        going = ~(size(left) <= NEWTON_TOLERANCE * size(v))
        if not going.any():
            return d
        slopes = g * law.slope(d)
        if not (np.isfinite(slopes).all() and (slopes >= 0).all() and np.isfinite(left).all()):
            allowed = "current and slope of a cell must be finite, and the slope positive, at the voltages applied"
            raise SolverError.of("law", allowed, remedy="lower the input voltages, or check the cell's I-V law")
        step = -_solved(slopes, np.where(going, left, 0.0), lines, parallel=parallel)
        part = np.where(going, 1.0, 0.0)
        for _ in range(MOST_HALVINGS):
            tried = d + part * step
            now = residual(tried)
            worse = going & ~(size(now) < size(left))
            if not worse.any():
                break
            part[worse] /= 2
        else:
            break
        d, left = tried, now
    raise SolverError.of(
        "wires",
        f"Newton's method must converge in {NEWTON_STEPS} steps",
        given=f"{int(going.sum())} of {len(g)} reads did not",
        remedy="lower the resistances or the input voltages",
    )


# Closed forms


def _dmr(g: Array, word: Line, bit: Line) -> Array:
    """The transfer matrix of lines with one end, in O(cells): diag(a) g diag(b), of g (arrays, rows, cols).

    Each factor is what passes a ladder whose cells are the mean of a row, or of a column, to first order in what the
    line resists. With cells of 1 to 100 uS at random in an array of 64 x 64, inputs of 0 or 1 at random and segments of
    0.1, 1 and 4 ohm, the column currents are off by 0.05, 0.5 and 2.3 % (rms) where the wires take 1.4, 13 and 36 %.
    """
    a = _passing(g.mean(axis=2), bit.segment, bit.after)
    b = _passing(g.mean(axis=1)[:, ::-1], word.segment, word.before)[:, ::-1]
    return np.asarray(a[:, :, None] * g * b[:, None, :])


def _passing(mean: Array, segment: float, end: float) -> Array:
    """What arrives at the last end of a ladder with cells `mean` (arrays, cells) to ground, from each of them."""
    cells = mean.shape[1]
    # a_j = (1 + R sum_{k<j} (j - k) mean_k) / (1 + R sum_k (N - k) mean_k): DMR, with a terminal of its own
    ahead = np.cumsum(np.cumsum(mean, axis=1), axis=1)
    up_to = np.concatenate([np.zeros((len(mean), 1)), ahead[:, :-1]], axis=1)
    dropped = mean @ (segment * np.arange(cells - 1, -1, -1) + end)
    if (dropped > 1).any():
        allowed = (
            'the closed form "dmr" holds where a line drops less, to first order, than the voltage that is applied'
        )
        remedy = 'lower the resistances, or use solver = "nodal"'
        raise SpecError.of("wires", allowed, f"{dropped.max():.3g} times the voltage", remedy)
    return np.asarray((1 + segment * up_to) / (1 + dropped)[:, None])


def _aihwkit(g: Array, v: Array, bit: Line) -> Array:
    """Currents (arrays, samples, cols) of arrays g (arrays, rows, cols) at v (arrays, samples, rows), in O(a product).

    aihwkit's formula: a column loses what a bit line of N even segments drops where its current is spread evenly, as
    far as that is little; the rest is its fit. On bit lines alone, else as in `_dmr`, the column currents are off by
    0.03, 0.3 and 0.9 % (rms) where the wires take 0.3, 3.5 and 12.5 %.
    """
    rows = g.shape[1]
    full = np.abs(v).max(axis=2, keepdims=True)
    a = rows * bit.segment * (np.abs(v) @ g) / np.where(full > 0, full, 1.0)
    share = 0.05 * a**3 - 0.2 * a**2 + 0.5 * a
    if (share >= 1).any():  # the current of the farthest cell would turn round
        allowed = 'the closed form "aihwkit" holds where a bit line drops less than the voltage that is applied'
        raise SpecError.of("wires.r_col_ohm", allowed, f"{bit.segment:g}", 'lower it, or use solver = "nodal"')
    distance = (rows - np.arange(rows)) / rows  # of a row from the ground behind the last
    return np.asarray(v @ g - share * ((v * (1 - (1 - distance) ** 2)) @ g))


# Where lines and cells lie


def _lines(wires: ResistiveWires | GatedWires) -> tuple[Line, Line]:
    """The line ahead of the cells, word line or supply, and the bit line."""
    from imcsim.kernels.nodal import Line

    if isinstance(wires, GatedWires):
        segment, terminal, ends = wires.r_supply_ohm, wires.supply_terminal_ohm, wires.supply_ends
    else:
        segment, terminal, ends = wires.r_row_ohm, wires.row_terminal_ohm, wires.row_ends
    source, ground = segment + terminal, wires.r_col_ohm + wires.col_terminal_ohm
    return (
        Line(segment, source, source if ends == "both" else math.inf),
        Line(wires.r_col_ohm, ground if wires.col_ends == "both" else math.inf, ground),
    )


def _laid(wires: ResistiveWires | GatedWires, g: Array) -> Array:
    """The physical arrays (arrays, rows, cols) on which cells g (..., polarities, rows, cols) lie."""
    *_, polarities, rows, cols = g.shape
    if wires.pairs == "separate":
        return np.ascontiguousarray(g.reshape(-1, rows, cols))
    pairs = g.reshape(-1, polarities, rows, cols)
    if wires.pairs == "interleaved":
        return np.moveaxis(pairs, 1, 3).reshape(-1, rows, polarities * cols)
    return np.moveaxis(pairs, 1, 2).reshape(-1, polarities * rows, cols)


def _picked_up(wires: ResistiveWires, laid: Array, shape: tuple[int, ...]) -> Array:
    """The inverse of `_laid`: (arrays, rows, cols) -> the shape (..., polarities, rows, cols)."""
    *_, polarities, rows, cols = shape
    if wires.pairs == "interleaved":
        laid = np.moveaxis(laid.reshape(-1, rows, cols, polarities), 3, 1)
    elif wires.pairs == "shared_bit_line":
        laid = np.moveaxis(laid.reshape(-1, rows, polarities, cols), 2, 1)
    return np.ascontiguousarray(laid.reshape(shape))


def _conductances(wires: Wires, g: Array) -> Array:
    g = np.asarray(g, np.float64)
    paired = not isinstance(wires, IdealWires) and wires.pairs != "separate"
    if g.ndim < 3 or g.shape[-3] not in ((2,) if paired else (1, 2)):
        needed = f'2, as pairs are "{wires.pairs}"' if paired else "1 or 2"  # type: ignore[union-attr]
        raise SpecError.of("g", f"must be (..., polarities, rows, cols), polarities {needed}", f"shape {g.shape}")
    wrong = int((~np.isfinite(g) | (g < 0)).sum())
    if wrong:
        allowed = "conductances must be finite and not negative"
        raise SpecError.of("g", allowed, f"{wrong} of {g.size} are not", "a signed weight is a pair of polarities")
    return g


def _check_arrival(arrived: float, ideal: float) -> None:
    if ideal > 0 and not arrived >= LEAST_ARRIVAL * ideal:
        raise SpecError.of(
            "wires",
            f"next to nothing arrives: of what ideal wires would carry, at least {LEAST_ARRIVAL:g} must",
            given=f"{arrived / ideal:.2g}",
            remedy="lower the resistances, or take smaller arrays or cells that conduct less",
        )
