"""`python -m benchmarks [--json] [--runs N] [NAME ...]`: each case beside the product, interleaved, in one run."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numba
from threadpoolctl import threadpool_limits

from benchmarks import normals
from benchmarks.mvm import BATCH, CASES, COLS, ROWS, allowed_bytes, product, read


def main() -> None:
    """Print the ratios of the cases asked for, all by default."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CASES)}")
    parser.add_argument("--json", action="store_true", help='print {"C1": ratio, ...} on one thread, no more')
    parser.add_argument("--runs", type=int, default=11, help="the median of so many (default 11)")
    options = parser.parse_args()
    unknown = set(options.names) - set(CASES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(CASES)}")
    names = options.names or list(CASES)
    with threadpool_limits(1):
        if options.json:
            print(json.dumps({name: round(_ratio(product(), read(name), options.runs), 2) for name in names}))
            return
        print(f"{ROWS} inputs x {COLS} outputs, batch {BATCH}, tiles of 128 rows; {_processor()}")
        print("unit: the float32 matrix product of the same shape, one thread, interleaved\n")
        print("case      one thread  two threads  beyond inputs, weights, outputs")
        for name in names:
            ratio, faster = _ratio(product(), read(name), options.runs), _scaling(read(name), options.runs)
            print(f"{name:9} {ratio:10.2f} {faster:10.2f} x {_extra(name):>15}   {CASES[name][0]}")
        ratio = _ratio(normals.ours(), normals.numpys(), options.runs)
        print(f"\nnormals: numpy's standard_normal(dtype=float32) takes {ratio:.1f} times as long")


def _ratio(unit: Callable[[], object], case: Callable[[], object], runs: int) -> float:
    numba.set_num_threads(1)
    for function in (unit, case):  # compile, and fill the caches
        function()
    return statistics.median(_seconds(case) / _seconds(unit) for _ in range(runs))


def _scaling(case: Callable[[], object], runs: int) -> float:
    """How many times as fast two threads are as one."""
    if numba.config.NUMBA_NUM_THREADS < 2:
        return float("nan")
    return statistics.median(_seconds_on(1, case) / _seconds_on(2, case) for _ in range(runs))


def _seconds_on(threads: int, case: Callable[[], object]) -> float:
    numba.set_num_threads(threads)
    return _seconds(case)


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _extra(name: str) -> str:
    """The peak memory beyond what any read must hold."""
    if not Path("/proc/self/clear_refs").exists():
        return "not measured"
    done = subprocess.run([sys.executable, "-m", "benchmarks.memory", name], capture_output=True, text=True, check=True)
    return f"{(int(done.stdout) - allowed_bytes()) / 2**20:.0f} MiB"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
