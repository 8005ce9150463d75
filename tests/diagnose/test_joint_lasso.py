"""The perturbed-node joint graphical lasso: its limits against another solver, and its certificate."""

import numpy as np
import pytest
from sklearn.covariance import graphical_lasso

from imcsim.diagnose.joint_lasso import joint_lasso
from imcsim.rng import child

P, N = 8, np.array([60.0, 40.0])


def covariances(seed=0):
    rng = child(seed, "covariances")
    mixing = np.eye(P) + 0.3 * rng.standard_normal((P, P))
    data = [rng.standard_normal((int(n), P)) @ mixing for n in N]
    return np.stack([np.cov(x.T, bias=True) for x in data])


S = covariances()


def solved(l1, l2, tolerance=1e-10):
    return joint_lasso(S, N, l1, l2, tolerance=tolerance, most_steps=5000)


def objective(theta, l1, l2, V):
    """By its definition, for a V with theta_1 - theta_2 = V + V^T: one such V bounds Omega from above."""
    np.testing.assert_allclose(V + V.T, theta[0] - theta[1], atol=1e-9)
    off = ~np.eye(P, dtype=bool)
    likely = sum(n * (np.trace(s @ t) - np.linalg.slogdet(t)[1]) for n, s, t in zip(N, S, theta, strict=True))
    return likely + l1 * sum(np.abs(t[off]).sum() for t in theta) + l2 * np.linalg.norm(V, axis=0).sum()


def made_feasible(lasso):
    V, theta = lasso.V, lasso.precisions
    return V + (theta[0] - theta[1] - V - V.T) / 2


def test_without_a_price_of_differences_each_sample_has_its_own_graphical_lasso():
    lasso = solved(5.0, 1e-7)
    for k in (0, 1):
        _, expected = graphical_lasso(S[k], alpha=5.0 / N[k], tol=1e-7, enet_tol=1e-12, max_iter=500)
        np.testing.assert_allclose(lasso.precisions[k], expected, atol=1e-4)
    assert np.abs(lasso.precisions[0] - lasso.precisions[1]).max() > 0.1, "they are not the same by chance"


def test_differences_that_cost_too_much_leave_the_graphical_lasso_of_both_samples_together():
    lasso = solved(5.0, 1e6)
    _, expected = graphical_lasso(
        np.tensordot(N, S, 1) / N.sum(), alpha=2 * 5.0 / N.sum(), tol=1e-7, enet_tol=1e-12, max_iter=500
    )
    np.testing.assert_allclose(lasso.precisions, np.stack([expected] * 2), atol=1e-4)
    assert not lasso.V.any()


def test_without_any_price_the_precisions_are_the_inverses_of_the_covariances():
    np.testing.assert_allclose(solved(0.0, 1e-7).precisions, np.linalg.inv(S), atol=1e-4)


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 10.0), (3.0, 10.0), (3.0, 25.0), (10.0, 40.0)])
def test_no_point_near_the_solution_is_better_than_the_certificate_allows(l1, l2):
    lasso = solved(l1, l2)
    assert lasso.gap <= 1e-10
    V = made_feasible(lasso)
    least = objective(lasso.precisions, l1, l2, V)
    rng = child(1, "directions")
    for size in (1e-1, 1e-3, 1e-5):
        for _ in range(30):
            common, dV = rng.standard_normal((P, P)), size * rng.standard_normal((P, P)) * (rng.random(P) < 0.3)
            step = size * (common + common.T)
            theta = lasso.precisions + np.stack([step + (dV + dV.T) / 2, step - (dV + dV.T) / 2])
            if np.linalg.eigvalsh(theta).min() > 0:
                assert objective(theta, l1, l2, V + dV) >= least - 1e-10 * N.sum()


def test_the_certificate_bounds_how_far_early_steps_are_from_the_least():
    l1, l2 = 3.0, 10.0
    converged = solved(l1, l2)
    least = objective(converged.precisions, l1, l2, made_feasible(converged))
    gaps = []
    for steps in (10, 20, 40, 80):
        early = joint_lasso(S, N, l1, l2, tolerance=1e-12, most_steps=steps)
        if np.isfinite(early.gap):
            excess = (objective(early.precisions, l1, l2, made_feasible(early)) - least) / N.sum()
            assert -1e-9 <= excess <= early.gap + 1e-9
            gaps.append(early.gap)
    assert len(gaps) >= 3
    assert gaps[0] > 100 * gaps[-1]


def test_one_differing_node_takes_its_row_and_column_into_one_column_of_v():
    # nothing differs but node 2, and samples tell the covariances exactly
    theta = np.stack([np.eye(P), np.eye(P)])
    theta[1, 2, :] = theta[1, :, 2] = 0.25
    theta[1, 2, 2] = 1.0
    lasso = joint_lasso(np.linalg.inv(theta), np.array([1e3, 1e3]), 1.0, 10.0, tolerance=1e-10, most_steps=5000)
    norms = np.linalg.norm(lasso.V, axis=0)
    assert np.flatnonzero(norms).tolist() == [2]
    np.testing.assert_allclose(lasso.precisions, theta, atol=0.03)
