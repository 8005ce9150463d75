"""Updates as a crossbar takes them: of its shape and members, and finite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from imcsim.errors import Problem, SpecError
from imcsim.kernels.blas import single_threaded_blas
from imcsim.updates import Dense, Outer, Update, all_finite, dense

Array = np.ndarray[Any, Any]


def checked_outer(update: Outer, shape: tuple[int, int], members: int | None) -> Outer:
    """The factors, checked: (1 or members, samples, rows) and (1 or members, samples, cols), float32 or float64.

    Raises SpecError.
    """
    problems, found = [], []
    for name, values, lines in zip(Outer._fields, update, shape, strict=True):
        factor = np.asarray(values)
        factor = factor if factor.dtype == np.float32 else factor.astype(np.float64)
        ensemble = members is not None and factor.ndim == 3 and len(factor) == members
        if factor.shape[-1:] != (lines,) or not (factor.ndim == 2 or ensemble):
            allowed = f"must be (samples, {lines})" + ("" if members is None else f" or ({members}, samples, {lines})")
            problems.append(Problem((name,), allowed, given=f"shape {factor.shape}"))
            continue
        if factor.shape[-2] == 0:
            problems.append(Problem((name,), "must have at least one sample", given=f"shape {factor.shape}"))
            continue
        if not all_finite(factor):
            problems.append(Problem((name,), "must be finite", given=_not_finite(factor)))
        found.append(factor.reshape(-1, *factor.shape[-2:]))
    if len(found) == 2 and found[0].shape[1] != found[1].shape[1]:
        given = f"{found[0].shape[1]} and {found[1].shape[1]}"
        problems.append(Problem(Outer._fields, "must have the same number of samples", given=given))
    if problems:
        raise SpecError(problems)
    return Outer(*found)


def doubled(update: Outer) -> Outer:
    """The factors in float64."""
    return Outer(*(factor.astype(np.float64, copy=False) for factor in update))


def checked_dense(update: Array | Update, shape: tuple[int, int], members: int | None) -> Array:
    """The whole change, checked: float64 (1 or members, rows, cols). SpecError."""
    if isinstance(update, Outer):
        with single_threaded_blas():  # the bits of a product depend on its threads
            return dense(doubled(checked_outer(update, shape, members)))
    delta = update.delta if isinstance(update, Dense) else update
    return checked_matrix(delta, shape, members, "delta")


def checked_matrix(values: Array, shape: tuple[int, int], members: int | None, name: str) -> Array:
    """Values of the shape of a weight matrix, checked: float64 (1 or members, rows, cols). SpecError."""
    shapes: Sequence[tuple[int, ...]] = (shape,) if members is None else (shape, (members, *shape))
    values = np.asarray(values, np.float64)
    if values.shape not in shapes:
        allowed = "must have shape " + " or ".join(str(one) for one in shapes)
        raise SpecError.of(name, allowed, given=f"shape {values.shape}")
    if not all_finite(values):
        raise SpecError.of(name, "must be finite", given=_not_finite(values))
    return values.reshape(-1, *shape)


def _not_finite(values: Array) -> str:
    return f"{int((~np.isfinite(values)).sum())} of {values.size} values infinite or nan"
