"""One thread a process: what is loaded by now is limited, what is loaded later asks the environment."""

from __future__ import annotations

import os
import sys

_POOLS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")


def use_one_thread() -> None:
    """Limit numba's and BLAS's threads to one: of this thread, and of the process."""
    os.environ.update(dict.fromkeys(_POOLS, "1"))
    if "numba" not in sys.modules:
        os.environ["NUMBA_NUM_THREADS"] = "1"
    else:
        import numba

        numba.set_num_threads(1)
    if "numpy" in sys.modules:
        import threadpoolctl

        threadpoolctl.threadpool_limits(1)
