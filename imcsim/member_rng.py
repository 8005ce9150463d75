"""A generator for all members of an ensemble: thousands of streams, drawn from together.

    rng = member_generator(0, 3000, "perceptrons")
    rng.standard_normal((1, 5))          # (3000, 1, 5): member 7 has what member 7 of any other ensemble has

It stands wherever rules and networks take generators, and is addressed by names as they are.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from imcsim.kernels.members import derived_keys, member_normals, member_words

Array = np.ndarray[Any, Any]


class MemberKeys:
    """A 64-bit key a member, (members,); derived when it is needed, as what draws nothing needs none."""

    def __init__(self, derive: Callable[[], Array]) -> None:
        self._derive = derive

    @cached_property
    def keys(self) -> Array:
        return np.asarray(self._derive(), np.uint64)

    def child(self, *path: str | int) -> MemberGenerator:
        """The stream `path` under each key."""
        address = "/".join(f"{'s' if isinstance(part, str) else 'i'}{len(str(part))}:{part}" for part in path)
        low, high = np.frombuffer(hashlib.sha256(address.encode()).digest()[:8], "<u4")
        return MemberGenerator(MemberKeys(lambda: derived_keys(self.keys, low, high)))


class MemberGenerator:
    """A stream a member: what is drawn is (members, *shape), of a member the bits it has in any company."""

    def __init__(self, keys: MemberKeys) -> None:
        self._keys, self._drawn = keys, 0

    def __len__(self) -> int:
        return len(self._keys.keys)

    def draw_keys(self) -> MemberKeys:
        """A key a member."""
        draw = self._next()

        def derive() -> Array:
            words = member_words(self._keys.keys, draw, 2).astype(np.uint64)
            return np.asarray(words[:, 0] | words[:, 1] << np.uint64(32))

        return MemberKeys(derive)

    def standard_normal(self, shape: tuple[int, ...]) -> Array:
        """Standard normals, to the precision of float32."""
        return self._shaped(member_normals(self._keys.keys, self._next(), math.prod(shape)), shape).astype(np.float64)

    def random(self, shape: tuple[int, ...]) -> Array:
        """Uniform in [0, 1), in steps of 2^-32."""
        return np.asarray(self._shaped(self._words(math.prod(shape)), shape) * 2.0**-32)

    def uniform(self, low: float, high: float, shape: tuple[int, ...]) -> Array:
        """Uniform in [low, high)."""
        return np.asarray(low + (high - low) * self.random(shape))

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> Array:
        """Integers from low to high - 1; a count that is no power of two favours some by a share of count / 2^32."""
        return np.asarray(low + np.floor((high - low) * self.random(shape)).astype(np.int64))

    def _words(self, many: int) -> Array:
        return np.asarray(member_words(self._keys.keys, self._next(), many))

    def _next(self) -> int:
        self._drawn += 1
        return self._drawn

    def _shaped(self, values: Array, shape: tuple[int, ...]) -> Array:
        return values.reshape(len(self), *shape)


def member_generator(seed: int, members: int, *path: str | int) -> MemberGenerator:
    """Streams of so many members under `seed` (>= 0), addressed by `path`: those of `child(seed, *path, member)` apart.

    A member's stream depends on the seed, the path and its own number alone.
    """
    of_seed = np.frombuffer(hashlib.sha256(f"{seed}".encode()).digest()[:8], np.uint64)[0]
    numbers = np.arange(members, dtype=np.uint64)
    return MemberKeys(lambda: numbers ^ of_seed).child(*path)
