"""Interrupts at the wrong moment: those that go lost, and those that would leave a lock locked for ever.

Lost goes what a signal handler raises while a callback of C code runs, which drops exceptions. Compilers have such
callbacks (llvmlite's are of ctypes), and compiling takes long: an interrupt may well come there. And where a thread has
just taken a lock (futures have one each), an exception may come before anybody sees to it that it is given back: then
whoever needs it next waits for ever, the end of the process included.
"""

from __future__ import annotations

import contextlib
import functools
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_waiting: list[Callable[[], None]] = []  # interrupts that come while they are held
_held = 0
_raised: list[BaseException] = []  # signal handlers belong to the process, and so does what they raised


@contextlib.contextmanager
def remembered() -> Iterator[None]:
    """Remember what the handlers of SIGINT and SIGTERM raise in the body; they do what they did before."""
    if threading.current_thread() is not threading.main_thread():  # no other may have handlers, or be interrupted
        yield
        return
    before = {number: handler for number in _SIGNALS if callable(handler := signal.getsignal(number))}
    for number, handler in before.items():
        signal.signal(number, _remembering(handler))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _raised.clear()
        _waiting.clear()


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let interrupts come after the body, which is to be short; inside `remembered`, and in the main thread."""
    global _held  # noqa: PLW0603  # signal handlers belong to the process
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _held += 1
    try:
        yield
    finally:
        _held -= 1
        while _waiting and not _held:
            _waiting.pop(0)()


def raise_lost() -> None:
    """Raise what a handler raised, if one did: whoever asks is still there, so it has gone lost."""
    if _raised:
        raise _raised[0]


def _remembering(handler: Callable[[int, FrameType | None], Any]) -> Callable[[int, FrameType | None], None]:
    def remember(number: int, frame: FrameType | None) -> None:
        if _held:
            _waiting.append(functools.partial(remember, number, frame))
            return
        try:
            handler(number, frame)
        except BaseException as error:
            _raised.append(error)
            raise

    return remember
