"""Worker processes behind the interface of an Executor: spawned, one thread each, each replaced when it dies."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from imcsim.study.interrupts import held
from imcsim.study.threads import use_one_thread

STARTS = 5  # workers in a row that do not come up

_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has none, and ends at once by any
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_CONTEXT = get_context("spawn")  # numba's threads do not survive a fork


class WorkerDiedError(BrokenExecutor):
    """So many workers in a row died of one job."""

    def __init__(self, told: str, deaths: int) -> None:
        self.deaths = deaths
        super().__init__(told)


class Here(Executor):
    """Runs what it is given at once, in this process."""

    slots = 1

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """The finished future of `fn`; what is no Exception (an interrupt, say) passes through."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # it belongs to the future
            future.set_exception(error)
        return future


class Workers(Executor):
    """Runs what it is given in `count` processes of one thread each.

    A process that dies takes nothing down but its own jobs, whose futures raise BrokenExecutor, and is replaced. Left
    by an exception, as a context, it kills them; they die with this process, too, whatever kills it.
    """

    def __init__(self, count: int) -> None:
        self.slots = count
        self._processes = [_Process() for _ in range(count)]

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """The future of `fn`, run by the process with the fewest jobs; OSError where processes do not start."""
        return min(self._processes, key=_Process.jobs).submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the processes end, after what they were given."""
        for process in self._processes:  # all are told before one is waited for
            process.shutdown(wait=False, cancel_futures=cancel_futures)
        if wait:
            for process in self._processes:
                process.shutdown(wait=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            for process in self._processes:
                process.kill()
        self.shutdown(cancel_futures=kind is not None)


class _Process:
    """One worker process, and whatever takes its place."""

    def __init__(self) -> None:
        self._futures: list[Future[Any]] = []
        self._start()

    def jobs(self) -> int:
        """How many of its jobs are not done."""
        self._futures = [future for future in self._futures if not future.done()]
        return len(self._futures)

    def _start(self) -> None:
        # the process ends when this end of the pipe is closed: by `kill`, or with this process
        listener, self._alive = _CONTEXT.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(1, mp_context=_CONTEXT, initializer=_begin, initargs=(listener,))
        with _without_interrupts():  # which the process takes over, until it has begun
            self._up = self._pool.submit(os.getpid)
        self._listener = listener

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        for _ in range(STARTS):
            try:
                self._up.result()  # a job is not to blame for a process that did not come up
                with held():
                    future = self._pool.submit(fn, *args, **kwargs)
            except BrokenExecutor:
                self.shutdown(wait=True)
                self._start()
            else:
                self._futures.append(future)
                return future
        remedy = 'guard a script with `if __name__ == "__main__":`, or use one worker'
        raise OSError(f"worker processes do not start: {STARTS} in a row died before their first job; {remedy}")

    def kill(self) -> None:
        self._alive.close()
        # a kernel that holds the interpreter would not hear of it before its end
        if self.jobs() and self._up.done() and self._up.exception() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._up.result(), _KILL)

    def shutdown(self, wait: bool, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait, cancel_futures=cancel_futures)
        if wait:
            self._alive.close()
            self._listener.close()


def physical_cores() -> int:
    """How many cores this process may use: of its affinity, without their second threads, within its cgroup's quota.

    What the system does not tell (it tells on Linux) is left out: then these are the logical processors.
    """
    try:
        allowed = os.sched_getaffinity(0)
    except AttributeError:
        return os.cpu_count() or 1
    topology = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    cores = {_text(topology.format(number)) or str(number) for number in allowed}
    quota, _, period = _text("/sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit():
        return max(1, min(len(cores), round(int(quota) / int(period))))
    return len(cores)


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back, where the system can."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(listener: Connection) -> None:
    """What a worker process does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the driver decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if sys.platform == "linux":  # a kernel that holds the interpreter would not hear of the driver's end before its own
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_end_with, args=(listener,), daemon=True).start()
    use_one_thread()  # the driver's main module, imported again here, may have loaded numba or numpy


def _end_with(listener: Connection) -> None:
    """End this process at once when the other end of `listener` is closed, by whatever."""
    try:
        listener.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)
