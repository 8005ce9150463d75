"""A Dask cluster behind the interface of an Executor: one that is there, or one started on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import logging
import re
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from imcsim.errors import SpecError
from imcsim.study.carried import Carrying, source_sha256
from imcsim.study.folder import circumstances
from imcsim.study.interrupts import held
from imcsim.study.workers import WorkerDiedError
from imcsim.version import __version__

if TYPE_CHECKING:
    from distributed import Client

LOCAL = "local"
ANSWER_S = 5.0  # how long a scheduler may take to answer
WORKERS_S = 60.0  # how long the first of its workers may take to come up
COUNT_S = 1.0  # how old the number of workers may be

# Ctrl-C reaches the whole terminal; this process decides, and workers would print pages
_DEAF = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
_KEPT = "what is finished is kept, the same command goes on from there"


def check_scheduler(address: str, *, insecure: bool) -> None:
    """Raise SpecError where `address` is not one to run a study on."""
    if address == LOCAL:
        return
    found = re.fullmatch(r"(tcp|tls)://(\[[0-9A-Fa-f:]+\]|[^:/\[\]]+):([0-9]{1,5})", address)
    if found is None or not 0 < int(found[3]) < 1 << 16:
        allowed = 'must be "local", or the address of a Dask scheduler, tcp://HOST:PORT or tls://HOST:PORT'
        raise SpecError.of("--scheduler", allowed, given=address)
    if found[1] == "tcp" and not insecure and not _is_loopback(found[2].strip("[]")):
        told = "without TLS, whoever reaches that port can run programs as you, here and on every worker"
        remedy = "start the scheduler with certificates (tls://), or add --insecure in a network that you trust"
        raise SpecError.of("--scheduler", told, given=address, remedy=remedy)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, which may mean anything tomorrow
        return False


class Cluster(Executor):
    """Runs jobs of a study on the workers of a Dask cluster: at `address`, or of `count` processes started here.

    A worker that dies takes its job with it, whose future raises WorkerDiedError; the cluster replaces it. Results are
    written by the worker where it sees the study's folder, else by this process.

    Raises SpecError where there is no such scheduler, where it has no workers, and where scheduler or workers have
    other versions than this process.
    """

    def __init__(self, address: str, count: int = 1) -> None:
        self._address = address
        self._carrying: Carrying | None = None
        self._pending: set[Any] = set()
        self._counted, self._slots = -COUNT_S, 1
        with contextlib.ExitStack() as started:
            self._client = _client(address, count, started)
            if address != LOCAL:
                _wait_for_workers(self._client, address)
            self.circumstances = {"scheduler": address, "workers": _checked_workers(self._client, address)}
            self._started = started.pop_all()

    @property
    def slots(self) -> int:
        """How many jobs keep all workers busy, which come and go: one each."""
        if time.monotonic() - self._counted > COUNT_S:
            try:
                info = self._client.scheduler_info(n_workers=0)
            except (OSError, TimeoutError) as error:
                raise self._gone() from error
            self._counted, self._slots = time.monotonic(), max(1, int(info["n_workers"]))
        return self._slots

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """The future of `fn(folder, ...)`, a job of study.work, all of one folder."""
        if kwargs:
            raise TypeError("jobs take no keywords")
        folder, *rest = args
        if self._carrying is None:
            self._carrying = self._started.enter_context(Carrying(folder, self._send))
        with held():
            return self._carrying.submit(fn, *rest)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster, or end it where it was started here; jobs that are not begun never are."""
        del wait
        if cancel_futures and self._pending:
            with contextlib.suppress(Exception):  # of a scheduler that is gone there is nothing to cancel
                self._client.cancel(list(self._pending), force=True)
        self._started.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown(cancel_futures=kind is not None)

    def _send(self, fn: Callable[..., Any], *args: Any) -> Future[Any]:
        answer: Future[Any] = Future()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sending large graph")  # artifacts, each once a worker
            given = self._client.submit(_on_worker, fn, *args, pure=False)
        self._pending.add(given)
        given.add_done_callback(functools.partial(self._answered, answer))
        return answer

    def _gone(self) -> OSError:
        return OSError(f"the scheduler at {self._address} went away; {_KEPT}")

    def _answered(self, answer: Future[Any], given: Any) -> None:
        """Pass on what became of a job, in the words of an Executor."""
        from distributed import KilledWorker

        self._pending.discard(given)
        try:
            answer.set_result(given.result())
        except KilledWorker as error:
            answer.set_exception(WorkerDiedError(str(error), deaths=error.allowed_failures + 1))
        except (CancelledError, TimeoutError):
            answer.set_exception(self._gone())
        except ImportError as error:
            told = f"a worker cannot load what it is to evaluate ({error}); install the same imcsim on all; {_KEPT}"
            answer.set_exception(OSError(told))
        except BaseException as error:
            answer.set_exception(error)


def _on_worker(fn: Callable[..., Any], *args: Any) -> Any:
    """What a worker does; its own directory is emptied by Dask when it is gone."""
    from distributed import get_worker

    return fn(*args, scratch=Path(get_worker().local_directory))


def _client(address: str, count: int, started: contextlib.ExitStack) -> Client:
    """A client of the scheduler, closed with `started`, as is the cluster where it is started here."""
    try:
        import dask
        import distributed
    except ImportError as error:
        remedy = "pip install 'imcsim[dask]'"
        raise SpecError.of("--scheduler", f"needs Dask, which is not there ({error})", address, remedy) from error
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # of whatever dies it prints pages
    if address == LOCAL:
        # a worker's death is told at once: the study's own schedule tries again, one point a worker
        with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
            cluster = distributed.LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",  # any port: there may be another cluster
                memory_limit=0,  # as worker processes without Dask
                silence_logs=logging.CRITICAL,
                preload=_DEAF,
            )
        started.enter_context(cluster)
        return started.enter_context(distributed.Client(cluster, set_as_default=False))
    try:
        with ThreadPoolExecutor(1) as apart:  # whatever loop this thread may have
            apart.submit(asyncio.run, _greeting(address)).result()
        with warnings.catch_warnings(action="ignore"):  # of versions, which we look at ourselves
            client = distributed.Client(address, timeout=ANSWER_S, set_as_default=False)
    except (OSError, TimeoutError) as error:
        remedy = f"start one (`dask scheduler`), or correct the address; {_KEPT}"
        told = f"no Dask scheduler like this one ({metadata.version('distributed')}) answers there"
        told += f" ({str(error) or f'silent for {ANSWER_S:g} s'})"
        raise SpecError.of("--scheduler", told, given=address, remedy=remedy) from error
    except (ValueError, TypeError, RuntimeError) as error:  # certificates that are missing or wrong
        raise SpecError.of("--scheduler", f"cannot be reached ({error})", given=address) from error
    return started.enter_context(client)


async def _greeting(address: str) -> None:
    """Greet whoever listens there; a client waits for ever where that is no scheduler."""
    from distributed import Security
    from distributed.comm import connect

    how = Security().get_connection_args("client")
    comm = await asyncio.wait_for(connect(address, timeout=ANSWER_S, **how), ANSWER_S)
    comm.abort()


def _wait_for_workers(client: Client, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=WORKERS_S)
    except TimeoutError as error:
        remedy = f"start some: dask worker {address} --nthreads 1"
        told = f"the scheduler has no worker, for {WORKERS_S:g} s"
        raise SpecError.of("--scheduler", told, given=address, remedy=remedy) from error


def _checked_workers(client: Client, address: str) -> list[Mapping[str, Any]]:
    """The machines of the workers, each with how many it has; SpecError where versions are not those of this process.

    What is first asked is of the standard library, which a worker without imcsim can answer, too.
    """

    def refuse(what: str, where: Iterable[str]) -> None:
        shown = ", ".join(sorted(where)[:3])
        remedy = "install the same versions on all: results must not depend on where a point ran"
        raise SpecError.of("--scheduler", f"{what}, at {shown}", given=address, remedy=remedy)

    versions = client.get_versions()
    ours = versions["client"]["packages"]
    for name in ("python", "distributed"):
        for where, theirs in {"the scheduler": versions["scheduler"], **versions["workers"]}.items():
            found = theirs["packages"][name] if theirs else None
            if _counts(name, found) != _counts(name, ours[name]):
                refuse(f"{name} is {found} there, and {ours[name]} here", [where])
    there = client.run(metadata.version, "imcsim", on_error="return")
    if lacking := [where for where, version in there.items() if isinstance(version, Exception)]:
        refuse("imcsim is not installed there", lacking)
    if other := [where for where, version in there.items() if version != __version__]:
        refuse(f"imcsim is {there[other[0]]} there, and {__version__} here", other)
    known = client.run(_known)
    us = _known()
    for name, version in us["versions"].items():
        if other := [where for where, them in known.items() if them["versions"].get(name) != version]:
            refuse(f"{name} is {known[other[0]]['versions'].get(name)} there, and {version} here", other)
    if other := [where for where, them in known.items() if them["source"] != us["source"]]:
        refuse(f"imcsim {__version__} has other source there than here", other)
    machines = Counter((them["host"], them["cpu"]) for them in known.values())
    return [{"host": host, "cpu": cpu, "workers": count} for (host, cpu), count in sorted(machines.items())]


def _counts(name: str, version: str | None) -> Any:
    """What of a version must agree: of Python's the first two numbers."""
    return version.split(".")[:2] if name == "python" and version else version


def _known() -> dict[str, Any]:
    """What a worker says of itself."""
    told = circumstances()
    return {"host": told["host"], "cpu": told["cpu"], "versions": told["versions"], "source": source_sha256()}
