"""Wires: `python -m benchmarks.wires`: what IR drop costs an array of 128 x 128, on one thread.

C4: a read through linear wires beside the float32 product of the same shape, and the factorisation ahead of it. C4g: 16
vectors of 8 bits into gated cells, whose network is another at each bit.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numba
import numpy as np
from threadpoolctl import threadpool_limits

from imcsim.rng import child
from imcsim.specs.wires import GatedWires, ResistiveWires
from imcsim.wires import Law, currents, rewritten, transfer

ROWS = COLS = 128
BATCH = 1024
SEGMENT_OHM = 1.0
DRIVEN = ResistiveWires(r_row_ohm=SEGMENT_OHM, r_col_ohm=SEGMENT_OHM)
GATED = GatedWires(r_supply_ohm=SEGMENT_OHM, r_col_ohm=SEGMENT_OHM)
SINH = Law(lambda v: np.sinh(2 * v) / 2, lambda v: np.cosh(2 * v))


def main() -> None:
    """Print seconds, and the ratio of a read to the product."""
    rng = child(0, "benchmark", "wires")
    g = rng.uniform(1e-6, 1e-4, (1, ROWS, COLS))
    v = rng.uniform(0, 0.2, (BATCH, ROWS)).astype(np.float32)
    bits = 0.2 * (rng.integers(0, 256, (16, 1, ROWS)) >> np.arange(8)[:, None] & 1).reshape(-1, ROWS)
    written = g.copy()
    written[0, :2, :8] = 5e-5  # as many cells as are corrected
    m = transfer(DRIVEN, g)
    ideal, through = (np.ascontiguousarray(of[0], np.float32) for of in (g, m))
    column = GATED.replace("supply", "column")
    cases = {
        "C4   factorisation": lambda: transfer(DRIVEN, g),
        "     both ends of bit lines grounded": lambda: transfer(DRIVEN.replace("col_ends", "both"), g),
        "     correction after 16 cells were written": lambda: rewritten(DRIVEN, m, g, written),
        "C4g  16 vectors x 8 bits, supply along the row": lambda: currents(GATED, g, bits),
        "     supply along the column": lambda: currents(column, g, bits),
        "     nonlinear cells, 16 vectors": lambda: currents(DRIVEN, g, v[:16], SINH),
    }
    numba.set_num_threads(1)
    with threadpool_limits(1):
        ratio = statistics.median(_seconds(lambda: v @ through) / _seconds(lambda: v @ ideal) for _ in range(51))
        print(f"{ROWS} x {COLS} cells of 1 to 100 uS, segments of {SEGMENT_OHM:g} ohm, one thread")
        print(f"C4   read, beside the product of {BATCH} vectors: {ratio:.2f}")
        for name, case in cases.items():
            case()  # compile
            print(f"{name}: {statistics.median(_seconds(case) for _ in range(5)):.3f} s")


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
