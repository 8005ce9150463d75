"""`python -m benchmarks.pulsed`: milliseconds of a pulsed update, 784 x 256 cells and a batch of 64."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numba
import numpy as np

from imcsim.cells.pulsed import Written, manufactured, write_outer
from imcsim.kernels.frozen import frozen_normals
from imcsim.rng import child
from imcsim.specs.pulsed import (
    ConstantStepDevice,
    ExponentialStepDevice,
    PowerStepDevice,
    Pulsed,
    SoftBoundsDevice,
    TableStepDevice,
    UpdateSpec,
)

ROWS, COLS, BATCH, RUNS = 784, 256, 64, 11

# steps, bounds and spreads of references A.8
_DEVICE = {
    "dw_min": 0.001,
    "w_min": -0.6,
    "w_max": 0.6,
    "dw_min_dtod_rel": 0.3,
    "w_min_dtod_rel": 0.3,
    "w_max_dtod_rel": 0.3,
    "cycle_sigma_rel": 0.3,
}
DEVICES: tuple[Pulsed, ...] = (
    ConstantStepDevice(**_DEVICE),
    SoftBoundsDevice(**_DEVICE),
    ExponentialStepDevice(**_DEVICE, A_up=0.3, A_down=0.3, gamma_up=1.5, gamma_down=1.5),
    PowerStepDevice(**_DEVICE, gamma=1.5),
    TableStepDevice(**_DEVICE, up=(1.5, 1, 0.2), down=(0.2, 1, 1.5)),
)


def update(device: Pulsed, driven: float) -> Callable[[], Written]:
    """A batch of normal errors, and of inputs in [0, 1] of which a share is not 0."""
    rng = child(0, "benchmark", "pulsed")
    x = rng.random((1, BATCH, ROWS)) * (rng.random((1, BATCH, ROWS)) < driven)
    delta = rng.normal(0, 0.1, (1, BATCH, COLS))
    devices = manufactured(
        device, lambda source: frozen_normals(np.uint64(1), source, 1, ROWS, 1, 1, COLS, COLS)[0, :, 0, 0][None]
    )
    states, keys = np.zeros((1, ROWS, COLS), np.float32), np.array([1], np.uint64)
    return lambda: write_outer(devices, UpdateSpec(), states, x, delta, 0.01, keys)


def milliseconds(function: Callable[[], object], threads: int) -> str:
    """The median time of a call, where so many threads are allowed."""
    if threads > numba.config.NUMBA_NUM_THREADS:
        return "not measured"
    numba.set_num_threads(threads)
    taken = []
    for _ in range(RUNS + 1):  # the first compiles
        start = time.perf_counter()
        function()
        taken.append(time.perf_counter() - start)
    return f"{1e3 * statistics.median(taken[1:]):.0f} ms"


def main() -> None:
    """Print a line a device and share of rows that are driven: 20 % of the inputs of handwritten digits, and all."""
    print(f"{ROWS} x {COLS} cells, batch {BATCH}, learning rate 0.01, trains of up to 31 slots")
    print("device       driven  pulses a cell    one thread   two threads")
    for device in DEVICES:
        for driven in (0.2, 1.0):
            function = update(device, driven)
            pulses = function().pulses.mean()
            one, two = (milliseconds(function, threads) for threads in (1, 2))
            print(f"{device.kind:12} {driven:5.0%} {pulses:14.1f}  {one:>12}  {two:>12}")


if __name__ == "__main__":
    main()
