"""How kernels are compiled: cached by the package's own source, one parallel kernel at a time."""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numba

from imcsim.kernels.blas import single_threaded_blas

Function = Callable[..., Any]

# numba's workqueue layer aborts the process when two threads enter parallel kernels at once.
_PARALLEL = threading.Lock()


@functools.cache
def cache_folder() -> Path | None:
    """Where compiled kernels are kept between processes, or None where nothing can be written.

    The folder is named by a hash of the kernels' source: numba alone does not see that a constant of another module
    changed, and would serve the stale result. IMCSIM_CACHE_DIR moves it.
    """
    digest = hashlib.sha256(f"{numba.__version__} {sys.version}".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    base = os.environ.get("IMCSIM_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    try:
        root = Path(base) if base else Path.home() / ".cache"
        folder = root / "imcsim" / f"kernels-{digest.hexdigest()[:16]}"
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except (OSError, RuntimeError):  # RuntimeError: there is no home folder
        return None
    return folder


def inline(function: Function) -> Function:
    """Compile a function that other kernels call."""
    return _compile(function, cache=False)


def kernel(function: Function) -> Function:
    """Compile a kernel that runs on one thread."""
    return _compile(function, cache=True)


# Elementary steps below which the threads are not worth waking: about a millisecond's work.
_SMALL = 1_000_000


def parallel_kernel(work: Callable[..., int], *, blas: bool = False) -> Callable[[Function], Function]:
    """Compile a kernel whose `prange` iterations run on all threads, and let one such kernel run at a time.

    `work` estimates the elementary steps of a call from its arguments; small ones run on one thread. The bits do not
    depend on it. `blas`: its iterations multiply matrices, each on its own thread.
    """

    def decorate(function: Function) -> Function:
        compiled = _compile(function, cache=True, parallel=True)

        @functools.wraps(function)
        def locked(*args: Any) -> Any:
            with _PARALLEL, single_threaded_blas() if blas else nullcontext():
                threads = numba.get_num_threads()
                if threads == 1 or work(*args) >= _SMALL:
                    return compiled(*args)
                numba.set_num_threads(1)
                try:
                    return compiled(*args)
                finally:
                    numba.set_num_threads(threads)

        return locked

    return decorate


def _compile(function: Function, *, cache: bool, parallel: bool = False) -> Function:
    folder = cache_folder() if cache else None
    before = numba.config.CACHE_DIR
    try:
        if folder is not None:
            numba.config.CACHE_DIR = str(folder)
        compiled: Function = numba.njit(cache=folder is not None, parallel=parallel, error_model="numpy")(function)
    finally:
        numba.config.CACHE_DIR = before
    return compiled
