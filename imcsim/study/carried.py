"""Jobs for workers that may not see the study's folder: what they make comes back, what they lack goes after them.

A worker that finds the folder's mark writes where everybody reads. One that does not works in a folder of its own,
whose shards and artifacts come back with its report; artifacts that it lacks and the study has are sent, and the rest
of the job with them. So a cluster may be of both kinds, and a folder of the same name elsewhere fools nobody.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from imcsim.errors import DataError
from imcsim.study.store import ARTIFACTS, SHARDS, artifact_name, unsealed, write_atomic
from imcsim.study.threads import use_one_thread
from imcsim.study.work import Asked, Report, evaluate_points, make_artifact

Files = Mapping[str, bytes]  # by the path inside a study's folder

_BUSY = threading.Lock()  # a process evaluates one job at a time: it has one BLAS, and one layer of kernels' threads


class Errand(NamedTuple):
    """What every job of a run tells its worker: the study's folder and its mark, and the source it must be run by."""

    folder: str
    mark: str
    source_sha256: str


class OtherSourceError(OSError):
    """A worker has another imcsim than the run: its results would not be those of this one."""


@functools.cache
def source_sha256() -> str:
    """The SHA-256 of all modules of the imcsim that is running."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package).as_posix()}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


@dataclass
class Carrying:
    """Gives jobs of the study in `folder` to workers through `send`.

    `send` is an Executor's submit that calls its function with one keyword more: `scratch`, a folder of the worker's.
    As a context it keeps the folder's mark, by which workers that share the folder know it.
    """

    folder: Path
    send: Callable[..., Future[Any]]
    _errand: Errand = field(init=False)

    def __post_init__(self) -> None:
        folder = self.folder.resolve()
        # the name of a temporary file: of a run that was killed, the next one removes it
        self._errand = Errand(str(folder), f".shared.{secrets.token_hex(8)}.tmp", source_sha256())

    def __enter__(self) -> Carrying:
        write_atomic(Path(self._errand.folder) / self._errand.mark, self._errand.mark.encode())
        return self

    def __exit__(self, *_: object) -> None:
        (Path(self._errand.folder) / self._errand.mark).unlink(missing_ok=True)

    def submit(self, job: Callable[..., Report], *args: Any) -> Future[Report]:
        """The future of `job(folder, *args)`, a job of study.work; what it made is on our disk when it is done."""
        asked: Future[Report] = Future()
        asked.set_running_or_notify_cancel()
        self._give(asked, job, args, Report(), {})
        return asked

    def _give(
        self, asked: Future[Report], job: Callable[..., Report], args: tuple[Any, ...], so_far: Report, files: Files
    ) -> None:
        given = self.send(run_there, self._errand, job, args, files)

        def back(done: Future[Any]) -> None:
            try:
                self._receive(asked, job, args, so_far, files, done)
            except BaseException as error:  # whatever it is, who asked waits for it
                asked.set_exception(error)

        given.add_done_callback(back)

    def _receive(
        self,
        asked: Future[Report],
        job: Callable[..., Report],
        args: tuple[Any, ...],
        so_far: Report,
        sent: Files,
        done: Future[Any],
    ) -> None:
        report, brought = done.result()
        for name, data in brought.items():
            write_atomic(self.folder / _inside(name), data)
        lacking = _paths(key for keys in report.blocked.values() for key in keys)
        found = {path: data for path in lacking - sent.keys() if (data := _sound(self.folder / path)) is not None}
        ready, report.blocked = _without(report.blocked, found.keys())
        so_far.add(report)
        if not ready:
            asked.set_result(so_far)
        elif job is evaluate_points:
            work, points, job_s = args
            rest: tuple[Asked, ...] = tuple(point for point in points if point.id in ready)
            self._give(asked, job, (work, rest, job_s), so_far, {**sent, **found})
        else:
            self._give(asked, job, args, so_far, {**sent, **found})


def run_there(
    errand: Errand, job: Callable[..., Report], args: tuple[Any, ...], files: Files, *, scratch: Path
) -> tuple[Report, Files]:
    """What a worker does: the report of `job`, and the files it made where it does not share the study's folder.

    Those it keeps in `scratch`, a folder that is this worker's alone.
    """
    if source_sha256() != errand.source_sha256:
        raise OtherSourceError("another imcsim than the one that was started: install the same on both")
    with _BUSY:
        use_one_thread()
        home = _home(errand, scratch)
        for path, data in files.items():
            write_atomic(home / _inside(path), data)
        report = job(home, *args)
        if home == Path(errand.folder):
            return report, {}
        made = [f"{SHARDS}/{name}" for name in report.shards]
        made += [f"{ARTIFACTS}/{name}" for name in report.finished] if job is make_artifact else []
        brought = {path: (home / path).read_bytes() for path in made}
        for name in report.shards:  # artifacts stay: the next job may need them
            (home / SHARDS / name).unlink()
        return report, brought


def _home(errand: Errand, scratch: Path) -> Path:
    """The study's folder, where this worker sees it, else one of its own."""
    with contextlib.suppress(OSError):
        if (Path(errand.folder) / errand.mark).read_bytes() == errand.mark.encode():
            return Path(errand.folder)
    return _own_folder(scratch, errand.mark)


def _own_folder(scratch: Path, mark: str) -> Path:
    """A folder for what this process makes for one run; that of an earlier run is removed."""
    own = scratch / f"study{mark.removesuffix('.tmp')}"
    if not own.exists():
        for earlier in scratch.glob("study.shared.*"):
            shutil.rmtree(earlier, ignore_errors=True)
        for name in (SHARDS, ARTIFACTS):
            (own / name).mkdir(parents=True)
    return own


def _paths(keys: Iterable[Mapping[str, Any]]) -> set[str]:
    return {f"{ARTIFACTS}/{artifact_name(key)}" for key in keys}


def _sound(path: Path) -> bytes | None:
    """The bytes of an artifact, None where there is none, or a damaged one."""
    try:
        data = path.read_bytes()
        unsealed(data)
    except (OSError, ValueError, DataError):
        return None
    return data


def _without(
    blocked: Mapping[str, tuple[Mapping[str, Any], ...]], found: Iterable[str]
) -> tuple[set[str], dict[str, tuple[Mapping[str, Any], ...]]]:
    """Who lacks nothing but what was `found`; and what the others lack, without it."""
    have = set(found)
    left = {name: tuple(key for key in keys if not _paths([key]) <= have) for name, keys in blocked.items()}
    return {name for name, keys in left.items() if not keys}, {name: keys for name, keys in left.items() if keys}


def _inside(path: str) -> Path:
    """A path as it may stand in a study's folder; ValueError for any other."""
    folder, _, name = path.partition("/")
    if folder not in (SHARDS, ARTIFACTS) or Path(name).name != name or not name.endswith(".json"):
        raise ValueError(f"a worker brought a file that is none of a study: {path}")
    return Path(folder) / name
