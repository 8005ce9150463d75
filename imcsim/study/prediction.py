"""Does the cosine between a rule's estimates and the gradient tell what the rule loses? Their ranks, compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from imcsim.study.summary import Summary
from imcsim.study.text import LADDER
from imcsim.study.thresholds import LEVEL, VARIANT, paired_loss

COSINE = "gradient_cosine"


class Dot(NamedTuple):
    """A cell of a ladder: its variant, its mean cosine, and what it has lost against its own level 0."""

    variant: str
    cosine: float
    lost: float


class Prediction(NamedTuple):
    """The cells that have both; Spearman's rank correlation of each variant, and of all; NaN where nothing varies."""

    dots: tuple[Dot, ...]
    rho: dict[str, float]
    rho_of_all: float


def prediction(summary: Summary) -> Prediction:
    """What cosines tell of losses in a study with ladders and the number "gradient_cosine"."""
    base = {row.coordinates[VARIANT]: row for row in summary.rows if row.coordinates.get(LEVEL) == 0}
    dots = []
    for row in summary.rows:
        cosine = row.numbers.get(COSINE, math.nan)
        if LADDER in row.coordinates and math.isfinite(cosine) and not row.gap:
            lost = paired_loss(base[row.coordinates[VARIANT]], row).mean
            dots += [Dot(row.coordinates[VARIANT], cosine, lost)] if math.isfinite(lost) else []
    by_variant = {variant: [dot for dot in dots if dot.variant == variant] for variant in base}
    rho = {variant: spearman(own) for variant, own in by_variant.items() if own}
    return Prediction(tuple(dots), rho, spearman(dots))


def spearman(dots: Sequence[Dot]) -> float:
    """The correlation of the ranks, ties sharing their mean rank."""
    if len(dots) < 3:
        return math.nan
    one, other = (_ranks(np.array([getattr(dot, name) for dot in dots])) for name in ("cosine", "lost"))
    spread = float(one.std() * other.std())
    return float(((one - one.mean()) * (other - other.mean())).mean()) / spread if spread else math.nan


def _ranks(values: np.ndarray) -> np.ndarray:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[places])
