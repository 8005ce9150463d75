"""Interrupts that went lost: what a signal handler raised while a callback of C code ran, which drops exceptions.

Compilers have such callbacks (llvmlite's are of ctypes), and compiling takes long: an interrupt may well come there.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

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


def raise_lost() -> None:
    """Raise what a handler raised, if one did: whoever asks is still there, so it has gone lost."""
    if _raised:
        raise _raised[0]


def _remembering(handler: Callable[[int, FrameType | None], Any]) -> Callable[[int, FrameType | None], None]:
    def remember(number: int, frame: FrameType | None) -> None:
        try:
            handler(number, frame)
        except BaseException as error:
            _raised.append(error)
            raise

    return remember
