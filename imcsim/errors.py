"""What goes wrong, told so that it can be mended: where, what was given, what is allowed, what to do."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an input.

    `path` is the key path inside `source` (a file, "--set", or "" for a call from Python); `given` is the offending
    value as text, "" where there is none; `allowed` says what would be right; `remedy` what to do.
    """

    path: tuple[str, ...]
    allowed: str
    given: str = ""
    remedy: str = ""
    source: str = ""

    def __str__(self) -> str:
        if self.source:
            table = f"[{'.'.join(self.path[:-1])}] " if len(self.path) > 1 else ""
            location = f"{self.source}: {table}{self.path[-1] if self.path else ''}".rstrip(": ")
        else:
            location = ".".join(self.path)
        head = f"{location} = {self.given}" if self.given else location
        tail = f"; {self.remedy}" if self.remedy else ""
        return f"{head}: {self.allowed}{tail}" if head else f"{self.allowed}{tail}"

    def within(self, *outer: str, source: str = "") -> Problem:
        """The same problem seen from outside: `outer` is put before its path."""
        return dataclasses.replace(self, path=(*outer, *self.path), source=self.source or source)


class Lack(Problem):
    """What a chip lacks that a learning rule needs: where a study asks for it, a gap in its table."""


class ImcsimError(Exception):
    """Base of the errors that imcsim raises on purpose; carries every problem found, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)

    @classmethod
    def of(
        cls, where: str | tuple[str, ...], allowed: str, given: str = "", remedy: str = "", source: str = ""
    ) -> Self:
        """The error of a single problem."""
        path = (where,) if isinstance(where, str) else where
        return cls([Problem(path=path, allowed=allowed, given=given, remedy=remedy, source=source)])


class SpecError(ImcsimError, ValueError):
    """A design, a study or an argument that cannot be: wrong key, type, unit or range."""


class CapabilityError(ImcsimError, RuntimeError):
    """A sound request that this object cannot serve: what it needs is missing."""


class DataError(ImcsimError, ValueError):
    """A file whose content is damaged or not what it claims to be."""


class SolverError(ImcsimError, RuntimeError):
    """A computation that found no solution, and does not pass off what it has as one."""


class FitError(ImcsimError, ValueError):
    """Measurements that do not hold what a fit needs, or a fit that did not converge: no result stands for it."""


class StorageError(OSError):
    """The folder of a study cannot be read or written (disk full, permission lost): no fault of any point."""


class ExtrapolationWarning(UserWarning):
    """A device model is used beyond the states or times at which its numbers were measured."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The remedy for a misspelt `word`: the nearest of `known`, or all of them where none is near."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if near:
        return f'did you mean "{near[0]}"?'
    return f"known: {', '.join(names)}" if names else "none is known here"
