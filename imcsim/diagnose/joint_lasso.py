"""The perturbed-node joint graphical lasso: two sparse precision matrices that differ in the rows of a few nodes.

    min  sum_k n_k (-logdet Theta_k + tr S_k Theta_k) + l1 sum_k |Theta_k|_off + l2 Omega(Theta_1 - Theta_2),
    Omega(D) = min { sum_j |V_j|_2 : V + V^T = D },  V_j the columns of V

Mohan et al. 2012, 2014. A node j is perturbed where V_j is not zero: all that
its row and column differ by costs one norm, which is cheaper than to share it out among the others.

Their ADMM goes through five blocks in turn. Here it has two, for which it converges at any rho: copies of Theta, Theta
and V, one for each term, whose proximal steps are closed forms; and (Theta, V) with Theta_1 - Theta_2 = V + V^T, onto
which the copies are projected (Boyd et al. 2011, section 5). How good the estimate is does not rest on its steps: a
feasible point of the dual bounds how far the objective is from the least.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]

FIRST_RHO = 0.1  # of the mean number of samples: found by trial on 60 nodes, two of them perturbed
LOOKS_EVERY = 10  # steps: the certificate costs about as much as one


class JointLasso(NamedTuple):
    """`precisions` (2, p, p) are sparse, V (p, p) in its columns; `gap` bounds the objective's distance to the least.

    In nats a sample, the objective over the number of samples of both.
    """

    precisions: Array
    V: Array
    gap: float
    steps: int


class _Point(NamedTuple):
    """(theta, z, V) of the copies, or their scaled multipliers: (2, p, p), (2, p, p), (p, p)."""

    theta: Array
    z: Array
    V: Array

    def plus(self, other: _Point, sign: float = 1.0) -> _Point:
        return _Point(*(a + sign * b for a, b in zip(self, other, strict=True)))

    def norm(self) -> float:
        return float(np.sqrt(sum(np.square(part).sum() for part in self)))


def joint_lasso(S: Array, n: Array, l1: float, l2: float, *, tolerance: float, most_steps: int) -> JointLasso:
    """Solve for covariances S (2, p, p) of n (2,) samples: until the gap is within `tolerance`, or for `most_steps`."""
    p = S.shape[-1]
    eye = np.stack([np.eye(p)] * 2)
    rho = FIRST_RHO * float(np.mean(n))
    projected = _Point(eye, eye, np.zeros((p, p)))
    multipliers = _Point(np.zeros_like(eye), np.zeros_like(eye), np.zeros((p, p)))
    found = JointLasso(eye, projected.V, np.inf, 0)
    for step in range(1, most_steps + 1):
        at = projected.plus(multipliers, -1.0)
        copies = _Point(_likely(at.theta, S, n, rho), _sparse(at.z, l1 / rho), _columns_shrunk(at.V, l2 / rho))
        before, projected = projected, _projected(copies.plus(multipliers))
        multipliers = multipliers.plus(copies).plus(projected, -1.0)
        if step % LOOKS_EVERY and step < most_steps:
            continue
        gap = _gap(S, n, l1, l2, copies, multipliers, rho)
        found = JointLasso(copies.z, copies.V, gap, step)
        if gap <= tolerance:
            break
        if step < most_steps / 2:  # what is proven to converge is a rho that no longer changes
            primal, dual = copies.plus(projected, -1.0).norm(), projected.plus(before, -1.0).norm()
            factor = 2.0 if primal > 5.0 * dual else 0.5 if dual > 5.0 * primal else 1.0  # Boyd et al. 2011, eq. 3.13
            rho *= factor
            multipliers = _Point(*(part / factor for part in multipliers))
    return found


def _likely(at: Array, S: Array, n: Array, rho: float) -> Array:
    """The minimum of n (-logdet Theta + tr S Theta) + rho/2 |Theta - at|^2: rho Theta - n Theta^-1 = rho at - n S."""
    number = n[:, None]
    d, U = np.linalg.eigh(at - number[..., None] / rho * S)
    theta = (d + np.sqrt(d * d + 4.0 * number / rho)) / 2.0
    return np.asarray((U * theta[:, None, :]) @ U.swapaxes(-1, -2))


def _sparse(at: Array, threshold: float) -> Array:
    """Soft thresholding of all but the diagonals."""
    shrunk = np.sign(at) * np.maximum(np.abs(at) - threshold, 0.0)
    return np.where(np.eye(at.shape[-1], dtype=bool), at, shrunk)


def _columns_shrunk(at: Array, threshold: float) -> Array:
    """Each column shortened by the threshold, to zero where it is no longer."""
    norms = np.sqrt(np.square(at).sum(axis=0))
    kept = np.divide(norms - threshold, norms, out=np.zeros_like(norms), where=norms > threshold)
    return np.asarray(at * kept)


def _projected(copies: _Point) -> _Point:
    """The nearest point whose two thetas are equal and differ by V + V^T.

    Of |Y - theta|^2 + |Y - z|^2 + |W - V|^2 with a symmetric multiplier L: Y = (theta + z)/2 +- L/2, W = V - 2 L.
    """
    mean = (copies.theta + copies.z) / 2.0
    L = (copies.V + copies.V.T - mean[0] + mean[1]) / 5.0
    theta = mean + np.stack([L, -L]) / 2.0
    return _Point(theta, theta, copies.V - 2.0 * L)


def _gap(S: Array, n: Array, l1: float, l2: float, copies: _Point, multipliers: _Point, rho: float) -> float:
    """The objective at the copies less the dual at their multipliers, both made feasible, over all samples.

    The dual is sum_k n_k (logdet(S_k + (G_k +- L) / n_k) + p), |G_k| <= l1 off the diagonal and 0 on it, L symmetric
    with columns of norm l2/2 at most: l1 |Theta|_off >= <G, Theta>, and l2 Omega(D) >= <L, D> = 2 <L, V>.
    """
    theta, p = copies.z, S.shape[-1]
    V = copies.V + (theta[0] - theta[1] - copies.V - copies.V.T) / 2.0
    G = np.clip(-rho * multipliers.z, -l1, l1) * ~np.eye(p, dtype=bool)
    L = -rho / 4.0 * (multipliers.V + multipliers.V.T)
    longest = float(np.sqrt(np.square(L).sum(axis=0)).max())
    L = L * min(1.0, l2 / 2.0 / longest) if longest > 0.0 else L
    of_theta = np.linalg.eigvalsh(theta)
    of_dual = np.linalg.eigvalsh(S + (G + np.stack([L, -L])) / n[:, None, None])
    if min(of_theta.min(), of_dual.min()) <= 0.0:
        return float("inf")
    likely = n @ ((S * theta).sum(axis=(1, 2)) - np.log(of_theta).sum(axis=1))
    off = np.abs(theta).sum() - np.abs(np.trace(theta, axis1=1, axis2=2)).sum()
    primal = likely + l1 * off + l2 * np.sqrt(np.square(V).sum(axis=0)).sum()
    dual = n @ (np.log(of_dual).sum(axis=1) + p)
    return float(primal - dual) / float(n.sum())
