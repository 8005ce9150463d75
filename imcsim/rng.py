"""Random streams, addressed by name: a new stream never moves the others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np


class KeysTogether(Protocol):
    """A key a member of an ensemble, held together."""

    keys: np.ndarray[Any, Any]

    def child(self, *path: str | int) -> Together:
        """The stream `path` under each."""


class Together(Protocol):
    """Generators of the members of an ensemble, drawn from together: see imcsim.member_rng."""

    def __len__(self) -> int:
        """How many members."""

    def draw_keys(self) -> KeysTogether:
        """A key a member."""


# One for all members of an ensemble, or one each: as many, or those of all together.
Generators = np.random.Generator | Sequence[np.random.Generator] | Together
Keys = int | tuple[int, ...] | KeysTogether


def child(seed: int, *path: str | int) -> np.random.Generator:
    """The generator of the stream `path` under `seed`: `child(0, "die", 3)`.

    The same address gives the same stream on every machine; two addresses give independent streams. `seed` is any
    integer >= 0.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"child: seed = {seed!r}: must be an integer of at least 0")
    # the length of each part goes into the address, so that ("a", "bc") and ("ab", "c") differ
    parts = [f"{'s' if isinstance(part, str) else 'i'}{len(str(part))}:{part}" for part in (int(seed), *path)]
    digest = hashlib.sha256("/".join(parts).encode()).digest()
    words = np.frombuffer(digest, dtype="<u4").astype(np.uint32)  # an array, which SeedSequence takes as it is
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))


def draw_key(rng: np.random.Generator) -> int:
    """One 64-bit key for the counter-based kernels, drawn from `rng`."""
    return int(rng.integers(0, 2**64, dtype=np.uint64))


def draw_keys(rng: Generators) -> Keys:
    """A key, as `draw_key` gives it; of generators a member, a key a member."""
    if isinstance(rng, Sequence):
        return tuple(draw_key(one) for one in rng)
    return draw_key(rng) if isinstance(rng, np.random.Generator) else rng.draw_keys()


def children(keys: Keys, *path: str | int) -> Generators:
    """The stream `path` under a key; under each key, where there is one a member."""
    if isinstance(keys, tuple):
        return [child(key, *path) for key in keys]
    return child(keys, *path) if isinstance(keys, int) else keys.child(*path)


def drawn(rng: Generators, draw: Callable[[Any], np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """What `draw` draws (...): one array, which all members share; of generators a member, (members, ...)."""
    return np.stack([draw(one) for one in rng]) if isinstance(rng, Sequence) else draw(rng)
