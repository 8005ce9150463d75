"""`python -m benchmarks [--json] [--runs N] [NAME ...]`: each case beside the product, interleaved, in one run."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numba
from threadpoolctl import threadpool_limits

from benchmarks.mvm import BATCH, CASES, COLS, ROWS, product, read


def main() -> None:
    """Print the ratios of the cases asked for, all by default."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CASES)}")
    parser.add_argument("--json", action="store_true", help='print {"C3": ratio, ...}')
    parser.add_argument("--runs", type=int, default=7, help="the median of so many (default 7)")
    options = parser.parse_args()
    unknown = set(options.names) - set(CASES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(CASES)}")
    numba.set_num_threads(1)
    with threadpool_limits(1):
        ratios = {name: _ratio(CASES[name][1], options.runs) for name in options.names or CASES}
    if options.json:
        print(json.dumps({name: round(ratio, 2) for name, ratio in ratios.items()}))
        return
    print(f"{ROWS} inputs x {COLS} outputs, batch {BATCH}, tiles of 128 rows; one thread of {_processor()}")
    print("unit: the float32 matrix product of the same shape, on the same thread, interleaved\n")
    for name, ratio in ratios.items():
        print(f"{name:5} {ratio:7.1f}  {CASES[name][0]}")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _ratio(changes: Mapping[str, Any], runs: int) -> float:
    unit, case = product(), read(changes)
    for function in (unit, case):  # compile, and fill the caches
        function()
    return statistics.median(_seconds(case) / _seconds(unit) for _ in range(runs))


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
