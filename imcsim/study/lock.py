"""One run at a time in a study's folder: a lock that the system takes back from a process however it dies."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imcsim.errors import SpecError

LOCK = "study.lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[Mapping[str, Any] | None]:
    """Hold the lock of `folder`; yields who left it behind by dying, None where nobody did.

    Raises SpecError where a living process holds it.
    """
    path = folder / LOCK
    file = _opened(path)
    try:
        left_behind = _content(file)
        os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
        os.write(file, json.dumps(_ourselves()).encode())
        yield left_behind or None
    finally:
        os.ftruncate(file, 0)
        # removed while it is held: who waits for it notices that it has another file in hand
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(file)


def holder(folder: Path) -> Mapping[str, Any] | None:
    """Who holds the lock of `folder`: pid, host and since when; None where nobody living does."""
    try:
        file = os.open(folder / LOCK, os.O_RDWR)
    except OSError:
        return None
    try:
        return None if _acquire(file) else _content(file) or {"pid": "?", "host": "?", "since": "?"}
    finally:
        os.close(file)


def _opened(path: Path) -> int:
    tries = 0
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _acquire(file):
                who = _content(file)
                if not who and tries < _TRIES:  # somebody only looks who is there, or is about to say who it is
                    os.close(file)
                    tries += 1
                    time.sleep(0.01)
                    continue
                told = f"process {who.get('pid', '?')} on {who.get('host', '?')}, since {who.get('since', '?')}"
                remedy = "wait for it, stop it, or give another --out"
                raise SpecError.of((), f"is in use by {told}", remedy=remedy, source=str(path.parent))
            if _is_same(file, path):
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _is_same(file: int, path: Path) -> bool:
    """Whether `path` is still the file that we have locked, and not a later one."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _acquire(file: int) -> bool:
    """Lock the open `file`; False where another process has it."""
    try:
        if os.name == "nt":
            import msvcrt

            os.lseek(file, _FAR, os.SEEK_SET)  # beyond the content, which others may read
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


_FAR = 1 << 20
_TRIES = 100


def _content(file: int) -> dict[str, Any]:
    try:
        os.lseek(file, 0, os.SEEK_SET)
        content = json.loads(os.read(file, 4096))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _ourselves() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": platform.node(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
