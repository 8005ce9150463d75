"""Updates: what is added to the weights of a layer, as a matrix or as the factors of outer products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from imcsim.errors import Problem, SpecError
from imcsim.kernels.blas import single_threaded_blas

Array = np.ndarray[Any, Any]


class Dense(NamedTuple):
    """Adds delta (rows, cols) to the weights; of an ensemble (members, rows, cols) as well."""

    delta: Array


class Outer(NamedTuple):
    """Adds x^T delta, summed over samples: x (samples, rows), delta (samples, cols), the learning rate in delta.

    An ensemble takes (members, samples, ...) as well, of either or both.
    """

    x: Array
    delta: Array


Update = Array | Dense | Outer


def outer(update: Outer, shape: tuple[int, int], members: int | None) -> Outer:
    """The factors, checked: float64 (1 or members, samples, rows) and (1 or members, samples, cols). SpecError."""
    problems, found = [], []
    for name, values, lines in zip(Outer._fields, update, shape, strict=True):
        factor = np.asarray(values, np.float64)
        ensemble = members is not None and factor.ndim == 3 and len(factor) == members
        if factor.shape[-1:] != (lines,) or not (factor.ndim == 2 or ensemble):
            allowed = f"must be (samples, {lines})" + ("" if members is None else f" or ({members}, samples, {lines})")
            problems.append(Problem((name,), allowed, given=f"shape {factor.shape}"))
            continue
        if factor.shape[-2] == 0:
            problems.append(Problem((name,), "must have at least one sample", given=f"shape {factor.shape}"))
            continue
        if not np.isfinite(factor).all():
            problems.append(Problem((name,), "must be finite", given=_not_finite(factor)))
        found.append(factor.reshape(-1, *factor.shape[-2:]))
    if len(found) == 2 and found[0].shape[1] != found[1].shape[1]:
        given = f"{found[0].shape[1]} and {found[1].shape[1]}"
        problems.append(Problem(Outer._fields, "must have the same number of samples", given=given))
    if problems:
        raise SpecError(problems)
    return Outer(*found)


def dense(update: Update, shape: tuple[int, int], members: int | None) -> Array:
    """The whole change, checked: float64 (1 or members, rows, cols). SpecError."""
    if isinstance(update, Outer):
        factors = outer(update, shape, members)
        return product(factors)
    delta = update.delta if isinstance(update, Dense) else update
    return finite(delta, shape, members, "delta")


def product(factors: Outer) -> Array:
    """x^T delta of checked factors: (1 or members, rows, cols)."""
    with single_threaded_blas():
        return np.asarray(factors.x.swapaxes(1, 2) @ factors.delta)


def finite(values: Array, shape: tuple[int, int], members: int | None, name: str) -> Array:
    """Values of the shape of a weight matrix, checked: float64 (1 or members, rows, cols). SpecError."""
    shapes: Sequence[tuple[int, ...]] = (shape,) if members is None else (shape, (members, *shape))
    values = np.asarray(values, np.float64)
    if values.shape not in shapes:
        allowed = "must have shape " + " or ".join(str(one) for one in shapes)
        raise SpecError.of(name, allowed, given=f"shape {values.shape}")
    if not np.isfinite(values).all():
        raise SpecError.of(name, "must be finite", given=_not_finite(values))
    return values.reshape(-1, *shape)


def _not_finite(values: Array) -> str:
    return f"{int((~np.isfinite(values)).sum())} of {values.size} values infinite or nan"
