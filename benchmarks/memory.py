"""Peak memory of a case, in a process of its own: `python -m benchmarks.memory NAME` prints bytes (Linux)."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import numba
from threadpoolctl import threadpool_limits

from benchmarks.mvm import read


def peak_bytes(name: str) -> int:
    """How much the resident memory grows at most while the case is manufactured, programmed and read once."""
    read(name)()  # compile, and load what is loaded once
    gc.collect()
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    read(name)()
    return _status("VmHWM") - before


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(field))) * 1024


if __name__ == "__main__":
    numba.set_num_threads(1)
    with threadpool_limits(1):
        print(peak_bytes(sys.argv[1]))
