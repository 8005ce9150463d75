"""Successive halving: many candidates for a short time, the best of them for longer, until one is left.

Jamieson & Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter optimization", figure 3, with a
`reduction` other than 2 where asked for. Which candidates go on depends on their scores alone, never on the order in
which they were found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Rung(NamedTuple):
    """So many candidates, each for so many epochs."""

    candidates: int
    epochs: int


def rungs(candidates: int, epochs: int, reduction: int, min_epochs: int) -> tuple[Rung, ...]:
    """The rungs of a tuning, the last for all `epochs`: as many as leave two candidates to the last of them.

    They are fewer where the first would last less than `min_epochs`, which is at most `epochs`; candidates at least 2.
    """
    last = 0
    while candidates // reduction ** (last + 1) >= 2 and epochs // reduction ** (last + 1) >= min_epochs:
        last += 1
    return tuple(Rung(candidates // reduction**r, epochs // reduction ** (last - r)) for r in range(last + 1))


def best(scores: Sequence[float | None], count: int) -> tuple[int, ...]:
    """The places of the `count` highest scores, ascending; None is the lowest, and ties go to the earlier place."""
    ranked = sorted(range(len(scores)), key=lambda i: (-math.inf if (s := scores[i]) is None else s, -i), reverse=True)
    return tuple(sorted(ranked[:count]))
