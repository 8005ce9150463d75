"""Wires: `python -m benchmarks.wires`: what IR drop costs, on one thread.

C4: reads of an array of 128 x 128 cells through linear wires, as a matrix and as a crossbar's `mvm`, and what is solved
ahead of them. C4g: 16 vectors of 8 bits into gated cells, whose network is another at each bit. And what programming
costs a resistive memory, in products.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numba
import numpy as np
from threadpoolctl import threadpool_limits

import imcsim
from benchmarks.mvm import COLS as LARGE_COLS
from benchmarks.mvm import ROWS as LARGE_ROWS
from benchmarks.mvm import product
from imcsim.rng import child
from imcsim.specs.wires import GatedWires, ResistiveWires
from imcsim.wires import Law, currents, rewritten, transfer

ROWS = COLS = 128
BATCH = 1024
SEGMENT_OHM = 1.0
DRIVEN = ResistiveWires(r_row_ohm=SEGMENT_OHM, r_col_ohm=SEGMENT_OHM)
GATED = GatedWires(r_supply_ohm=SEGMENT_OHM, r_col_ohm=SEGMENT_OHM)
SINH = Law(lambda v: np.sinh(2 * v) / 2, lambda v: np.cosh(2 * v))

# one 7-bit cell of each sign a weight, subtracted ahead of the ADC; inputs in one shot
_UNSLICED = {
    "array": {"weight_bits": 8, "cell_bits": 7, "subtraction": "analog"},
    "dac": {"kind": "one_shot", "bits": 8},
    "adc": {"bits": 8, "range": "full"},
}
_SERIAL = {**_UNSLICED, "dac": {"kind": "bit_serial", "bits": 8}}

Case = Callable[[], object]


def main() -> None:
    """Print seconds, and the ratios of reads and programming to products."""
    numba.set_num_threads(1)
    with threadpool_limits(1):
        print(f"{ROWS} x {COLS} cells of 1 to 100 uS, segments of {SEGMENT_OHM:g} ohm, one thread")
        through, plain, unit = crossbar_read(DRIVEN), crossbar_read(None), matrix_product()
        print(f"C4   mvm of {BATCH} vectors through wires, beside the float32 product: {_ratio(through, unit):.2f}")
        print(f"     mvm without wires, beside the product: {_ratio(plain, unit):.2f}")
        print(f"     mvm through wires, beside mvm without: {_ratio(through, plain):.2f}")
        for name, case in solutions().items():
            case()  # compile
            print(f"{name}: {statistics.median(_seconds(case) for _ in range(5)):.3f} s")
        print(f"programming {LARGE_ROWS} x {LARGE_COLS} weights on pcm, in products of 1024 vectors:")
        for scale in ("mse", "max"):
            print(f'     weight_scale = "{scale}": {_ratio(programming(scale), product(), runs=11):.1f}')


def solutions() -> dict[str, Case]:
    """What is solved, ahead of reads or at each of them."""
    rng = child(0, "benchmark", "wires")
    g = rng.uniform(1e-6, 1e-4, (1, ROWS, COLS))
    v = rng.uniform(0, 0.2, (16, ROWS))
    bits = 0.2 * (rng.integers(0, 256, (16, 1, ROWS)) >> np.arange(8)[:, None] & 1).reshape(-1, ROWS)
    written = g.copy()
    written[0, :2, :8] = 5e-5  # as many cells as are corrected
    m = transfer(DRIVEN, g)
    column = GATED.replace("supply", "column")
    return {
        "C4   factorisation": lambda: transfer(DRIVEN, g),
        "     both ends of bit lines grounded": lambda: transfer(DRIVEN.replace("col_ends", "both"), g),
        "     correction after 16 cells were written": lambda: rewritten(DRIVEN, m, g, written),
        "C4g  16 vectors x 8 bits, supply along the row": lambda: currents(GATED, g, bits),
        "     supply along the column": lambda: currents(column, g, bits),
        "     mvm of them, pairs of cells": crossbar_read(GATED, samples=16, design=_SERIAL),
        "     nonlinear cells, 16 vectors": lambda: currents(DRIVEN, g, v, SINH),
    }


def crossbar_read(
    wires: ResistiveWires | GatedWires | None, *, samples: int = BATCH, design: dict[str, object] = _UNSLICED
) -> Case:
    """A read of a crossbar of one pair of arrays; the first has solved what is solved once."""
    spec = imcsim.overlay(imcsim.load("resistive_ideal"), design)
    spec = spec.replace("cell.g_min_S", 1e-6).replace("cell.g_max_S", 1e-4).replace("wires", wires)
    rng = child(0, "benchmark", "wires", "mvm")
    weights, x = rng.normal(size=(ROWS, COLS)), rng.random((samples, ROWS), dtype=np.float32)
    crossbar = imcsim.manufacture(spec, weights.shape, key=1).program(weights, rng)
    crossbar.mvm(x, rng)
    return lambda: crossbar.mvm(x, rng)


def matrix_product() -> Case:
    """The float32 product of the same shape."""
    rng = child(0, "benchmark", "wires", "product")
    x, weights = rng.random((BATCH, ROWS), dtype=np.float32), rng.random((ROWS, COLS), dtype=np.float32)
    return lambda: x @ weights


def programming(scale: str) -> Case:
    """A write of every cell of a PCM, with all its statistics, and the choice of the weights' scale ahead of it."""
    weights = child(0, "benchmark", "programming").normal(size=(LARGE_ROWS, LARGE_COLS))
    die = imcsim.manufacture(imcsim.load("pcm").replace("array.weight_scale", scale), weights.shape, key=1)
    rng = child(0, "benchmark", "program")
    return lambda: die.program(weights, rng)


def _ratio(case: Case, unit: Case, runs: int = 51) -> float:
    for function in (unit, case):  # compile, and fill the caches
        function()
    return statistics.median(_seconds(case) / _seconds(unit) for _ in range(runs))


def _seconds(function: Case) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
