"""Compound arrays: a fast array A, a slow array C and a digital buffer H between them, as functions on arrays.

Weights are (rows, cols), inputs drive rows: what the field calls the column of A that a one-hot input reads is a row
here, A[k, :]. Equations: aihwkit's documentation of Tiki-Taka v1, v2 and chopped v2 (Gokmen & Haensch 2020,
unverified), and of mixed precision.

A step of each, with the writes and reads of an array:

    v1       A += Outer(x, delta); every so often C += Outer(one_hot(k, rows), alpha read)
    v2       A += Outer(x, delta); every so often H[k], counts = released(H[k] + alpha read, ...); C[k] += counts
    chopped  A += Outer(x chopper, delta); H[k], counts = released(H[k] + chopper[k] alpha read, ...), C[k] += counts,
             chopper = chopped(chopper, k, ...)
    mixed    H, counts = released(H + lr sum x^T delta, ...); C += counts

where `read` is the one-hot read of A less its symmetric points, and counts are pulses.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from imcsim.errors import SpecError

Array = np.ndarray[Any, Any]


def transfers(before: int, samples: int, every: int, rows: int) -> tuple[Array, Array]:
    """Which rows are transferred during so many samples: after how many of them each, and the rows, both (transfers,).

    A transfer comes after every `every` samples, of which there were so many `before`; rows take turns.
    """
    if every < 1:
        raise SpecError.of("every", "must be an integer of at least 1", given=str(every))
    due = np.arange(before // every + 1, (before + samples) // every + 1)
    return due * every - before, (due - 1) % rows


def one_hot(k: Array, rows: int) -> Array:
    """The inputs that read rows k (transfers,), one after the other: (transfers, rows)."""
    return np.asarray(np.arange(rows) == np.reshape(k, (-1, 1)), np.float64)


def released(buffer: Array, threshold: float, most: int, kept: float | None = None) -> tuple[Array, Array]:
    """Let go of whole pulses: buffer of any shape -> what is left, and how many pulses (int32), no more than `most`.

    A pulse for every `threshold` that an entry holds. What is paid for is taken off; or, with `kept`, an entry that
    pulsed is left with that share of itself ("forget buffer").
    """
    if not (np.isfinite(threshold) and threshold > 0):
        raise SpecError.of("threshold", "must be a finite number above 0", given=str(threshold))
    if most < 1:
        raise SpecError.of("most", "must be an integer of at least 1", given=str(most))
    # n = trunc(H / threshold); H -= n threshold, or H = momentum H
    counts = np.clip(np.trunc(buffer / threshold), -most, most).astype(np.int32)
    left = buffer - counts * threshold if kept is None else np.where(counts != 0, kept * buffer, buffer)
    return np.asarray(left), counts


def chopped(chopper: Array, k: Array, probability: float, rng: np.random.Generator) -> Array:
    """The signs (rows,) of the inputs after rows k (transfers,) were read: each flips with this probability."""
    flipped = chopper.copy()
    flipped[k] *= np.where(rng.random(np.shape(k)) < probability, -1.0, 1.0)
    return flipped
