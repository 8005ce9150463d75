"""Perturbed nodes: which units depend otherwise on the others than on a healthy chip.

A column that is stuck, dead, noisy, or of another gain shows in how its output varies with those of all other columns:
one row of the precision matrix changes, and the lasso of `joint_lasso` finds which. The samples of the two chips need
not be the same, nor as many.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from imcsim.diagnose.joint_lasso import joint_lasso
from imcsim.errors import Problem, SpecError
from imcsim.kernels.blas import single_threaded_blas

Array = np.ndarray[Any, Any]

SHOWN = 10


@dataclass(frozen=True, eq=False)
class PerturbedNodes:
    """Which of p units differ: `norms` (p,) are |V_j|, `ranking` all units by them, `found` those of a norm above zero.

    `precision_a` and `precision_b` (p, p) are those of the activations over `scale` (p,). `constant` are the units that
    did not vary on either chip: nothing depends on them, and they are left out (norm 0, precision nan). The objective
    is at most `gap` nats a sample above the least; `converged` says whether that is within the tolerance.
    """

    norms: Array
    ranking: tuple[int, ...]
    found: tuple[int, ...]
    precision_a: Array
    precision_b: Array
    scale: Array
    constant: tuple[int, ...]
    l1: float
    l2: float
    iterations: int
    gap: float
    converged: bool

    def __str__(self) -> str:
        told = f"{len(self.found)} of {len(self.norms)} units differ"
        lines = [told + (":" if self.found else "")]
        lines += [f"  unit {unit}: |V| = {self.norms[unit]:.3g}" for unit in self.found[:SHOWN]]
        if len(self.found) > SHOWN:
            lines.append(f"  and {len(self.found) - SHOWN} more")
        if self.constant:
            lines.append(f"left out, as they vary on neither chip: {', '.join(map(str, self.constant))}")
        if not self.converged:
            lines.append(f"not converged after {self.iterations} iterations (gap {self.gap:.2g} nats a sample)")
        return "\n".join(lines)


def perturbed_nodes(
    activations_a: Array,
    activations_b: Array,
    *,
    l1: float | None = None,
    l2: float | None = None,
    tolerance: float = 1e-5,
    most_iterations: int = 2000,
) -> PerturbedNodes:
    """Compare the activations of a healthy chip (n_a, p) with those of another (n_b, p), of the same units.

    Both are taken in units of the standard deviations of the healthy chip, so that a unit of another gain differs; a
    unit that is stuck there, and varies here, in units of its own. What is stuck has no variance at all, yet is found:
    its precision is bounded by l2, which the difference of the diagonals pays as well. A shift of a mean is no
    dependence, and does not show. Defaults of the penalties (l1 off the diagonal, l2 a differing unit):
    `default_penalties`. Raises SpecError.
    """
    a, b = (np.asarray(one, np.float64) for one in (activations_a, activations_b))
    if problems := list(_problems(a, b, l1, l2, tolerance, most_iterations)):
        raise SpecError(problems)
    (deviations_a, varies_a), (deviations_b, varies_b) = _centred(a), _centred(b)
    kept = varies_a | varies_b
    scale = np.where(varies_a, a.std(axis=0), b.std(axis=0))
    n, p = np.array([len(a), len(b)], np.float64), int(kept.sum())
    default_l1, default_l2 = default_penalties(len(a), len(b), p)
    l1, l2 = default_l1 if l1 is None else l1, default_l2 if l2 is None else l2
    with single_threaded_blas():  # the bits of products and eigenvectors depend on their threads
        S = np.stack([_covariance(d[:, kept] / scale[kept]) for d in (deviations_a, deviations_b)])
        lasso = joint_lasso(S, n, l1, l2, tolerance=tolerance, most_steps=most_iterations)
    norms = np.zeros(len(kept))
    norms[kept] = np.sqrt(np.square(lasso.V).sum(axis=0))
    ranking = tuple(int(unit) for unit in np.argsort(-norms, kind="stable"))
    precisions = np.full((2, len(kept), len(kept)), np.nan)
    precisions[:, np.outer(kept, kept)] = lasso.precisions.reshape(2, -1)
    return PerturbedNodes(
        norms=norms,
        ranking=ranking,
        found=tuple(unit for unit in ranking if norms[unit] > 0.0),
        precision_a=precisions[0],
        precision_b=precisions[1],
        scale=scale,
        constant=tuple(int(unit) for unit in np.flatnonzero(~kept)),
        l1=l1,
        l2=l2,
        iterations=lasso.steps,
        gap=lasso.gap,
        converged=lasso.gap <= tolerance,
    )


def default_penalties(n_a: int, n_b: int, p: int) -> tuple[float, float]:
    """L1 and l2 that just hide what chance alone makes of two samples of n_a and n_b from one distribution of p units.

    An entry of a covariance of n samples has a standard error of 1/sqrt(n) where units are independent and of variance
    1, the largest of p about sqrt(log p / n) (Ravikumar et al. 2011: unverified): l1 = sqrt(n log p), n the mean of the
    two. All differences are zero where a multiplier L has columns no longer than l2/2; chance makes it
    n_a n_b / (n_a + n_b) (S_a - S_b), entries of variance m = n_a n_b / (n_a + n_b), and the longest of p columns about
    sqrt(m) (sqrt p + sqrt(2 log p)): l2 is twice that. For p = 60 and n = 200 they are 0.14 n and 1.06 n; a
    trial by hand came to 0.15 n and 1.2 n.
    """
    m, logarithm = n_a * n_b / (n_a + n_b), math.log(max(p, 2))
    l1 = math.sqrt((n_a + n_b) / 2 * logarithm)
    return l1, 2.0 * math.sqrt(m) * (math.sqrt(p) + math.sqrt(2.0 * logarithm))


def _centred(x: Array) -> tuple[Array, Array]:
    """Deviations (n, p) of columns from their means, exactly zero where a column is constant, and which are not."""
    varies = np.ptp(x, axis=0) > 0.0
    return np.where(varies, x - x.mean(axis=0), 0.0), varies


def _covariance(deviations: Array) -> Array:
    return np.asarray(deviations.T @ deviations / len(deviations))


def _problems(
    a: Array, b: Array, l1: float | None, l2: float | None, tolerance: float, most_iterations: int
) -> Iterator[Problem]:
    for name, x in (("activations_a", a), ("activations_b", b)):
        if x.ndim != 2 or x.shape[0] < 2 or x.shape[1] < 2:
            yield Problem((name,), "must be (samples, units), at least 2 of each", f"shape {x.shape}")
        elif not np.isfinite(x).all():
            yield Problem((name,), "must be finite", f"{int((~np.isfinite(x)).sum())} values infinite or nan")
    if a.ndim == b.ndim == 2 and a.shape[1] != b.shape[1]:
        yield Problem(("activations_b",), "must have the same units", f"{b.shape[1]} beside {a.shape[1]}")
    elif a.ndim == b.ndim == 2 and a.size and b.size and not ((np.ptp(a, axis=0) > 0) | (np.ptp(b, axis=0) > 0)).any():
        yield Problem(("activations_a",), "must vary from sample to sample", remedy="give the reads of several samples")
    if l1 is not None and not 0.0 <= l1 < math.inf:
        yield Problem(("l1",), "must be a finite number of at least 0", str(l1))
    if l2 is not None and not 0.0 < l2 < math.inf:
        yield Problem(("l2",), "must be a finite number above 0", str(l2))
    if not 0.0 < tolerance < math.inf:
        yield Problem(("tolerance",), "must be a finite number above 0", str(tolerance))
    if most_iterations < 1:
        yield Problem(("most_iterations",), "must be an integer of at least 1", str(most_iterations))
