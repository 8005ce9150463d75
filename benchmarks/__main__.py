"""`python -m benchmarks [--json] [--runs N] [NAME ...]`: each case beside its unit, interleaved, in one run."""

from __future__ import annotations

import argparse
import functools
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

from benchmarks import learning, normals, probes
from benchmarks.mvm import BATCH, CASES, COLS, ROWS, allowed_bytes, product, read
from imcsim.kernels.blas import single_threaded_blas

KNOWN = (*CASES, *learning.CASES, *probes.CASES)
SHORT = 10  # times as many runs of what takes milliseconds


def main() -> None:
    """Print the ratios of the cases asked for, all by default."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(KNOWN)}")
    parser.add_argument("--json", action="store_true", help='print {"C1": ratio, ...} on one thread, no more')
    parser.add_argument("--runs", type=int, default=11, help="the median of so many (default 11)")
    options = parser.parse_args()
    unknown = set(options.names) - set(KNOWN)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(KNOWN)}")
    names = options.names or list(KNOWN)
    with threadpool_limits(1):
        if options.json:
            print(json.dumps({name: round(_told(name, options.runs), 2) for name in names}))
            return
        if reads := [name for name in names if name in CASES]:
            _print_reads(reads, options.runs)
        if steps := [name for name in names if name in learning.CASES]:
            _print_steps(steps, options.runs)
        if perturbed := [name for name in names if name in probes.CASES]:
            _print_probes(perturbed, options.runs)


def _print_reads(names: list[str], runs: int) -> None:
    print(f"{ROWS} inputs x {COLS} outputs, batch {BATCH}, tiles of 128 rows; {_processor()}")
    print("unit: the float32 matrix product of the same shape, one thread, interleaved\n")
    print("case      one thread  two threads  beyond inputs, weights, outputs")
    for name in names:
        ratio, faster = _beside_unit(name, runs), _scaling(read(name), runs)
        print(f"{name:9} {ratio:10.2f} {faster:10.2f} x {_extra(name):>15}   {CASES[name][0]}")
    ratio = _ratio(normals.ours(), normals.numpys(), runs)
    print(f"\nnormals: numpy's standard_normal(dtype=float32) takes {ratio:.1f} times as long\n")


def _print_steps(names: list[str], runs: int) -> None:
    layers = f"{learning.INPUTS}-{learning.HIDDEN}-{learning.CLASSES}"
    print(f"a learning step of {layers}, batch {learning.BATCH}, on one thread")
    print("unit: a step of backprop and gradient descent in float32 numpy, in place, interleaved\n")
    for name in names:
        target = f"(target {learning.TARGET:.0f})" if name == "T1" else ""
        print(f"{name:14} {_beside_unit(name, runs):6.2f} {target:10}  {learning.CASES[name].what}")


def _print_probes(names: list[str], runs: int) -> None:
    layers = f"{probes.INPUTS}-{probes.HIDDEN}-{probes.CLASSES}"
    print(f"\nlosses of perturbations of {layers}, batch {probes.BATCH}, in one call, on one thread")
    print("how many times as fast as the same passes one by one, interleaved\n")
    for name in names:
        case = probes.CASES[name]
        print(f"{name:18} {_faster(name, runs):6.1f} (target {case.target:2})  {case.what}")


def _told(name: str, runs: int) -> float:
    """The ratio of a case: of its time and that of its unit, or, of perturbations, how many times as fast they are."""
    return _faster(name, runs) if name in probes.CASES else _beside_unit(name, runs)


def _faster(name: str, runs: int) -> float:
    """How many times as fast one call is as the passes issued one by one."""
    in_turn, times = probes.one_after_the_other(name)
    return times * _ratio(
        probes.in_one_call(name), in_turn, runs if probes.CASES[name].nodes else max(runs // SHORT, 3)
    )


def _beside_unit(name: str, runs: int) -> float:
    """How many times as long a case takes as its unit."""
    if name in CASES:
        return _ratio(product(), read(name), runs)
    return _ratio(learning.plain_step(), learning.step(name), SHORT * runs)


def _ratio(unit: Callable[[], object], case: Callable[[], object], runs: int) -> float:
    numba.set_num_threads(1)
    with single_threaded_blas():
        for function in (unit, case):  # compile, and fill the caches
            function()
        # of the processor: who else is on the machine interrupts the longer of two more often
        seconds = functools.partial(_seconds, clock=time.process_time)
        return statistics.median(seconds(case) / seconds(unit) for _ in range(runs))


def _scaling(case: Callable[[], object], runs: int) -> float:
    """How many times as fast two threads are as one."""
    if numba.config.NUMBA_NUM_THREADS < 2:
        return float("nan")
    return statistics.median(_seconds_on(1, case) / _seconds_on(2, case) for _ in range(runs))


def _seconds_on(threads: int, case: Callable[[], object]) -> float:
    numba.set_num_threads(threads)
    return _seconds(case)


def _seconds(function: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    start = clock()
    function()
    return clock() - start


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
