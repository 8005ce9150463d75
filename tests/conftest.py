"""What tests share: moments at five sigma with a negative control in them, and kernels on a given number of threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# the same examples in every run, and no clock: a slow machine must not fail a property
settings.register_profile("imcsim", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("imcsim")


def moments_agree(samples, mean, std, n_sigma):
    n = samples.size
    of_mean, of_std = std / np.sqrt(n), std / np.sqrt(2 * n)  # standard errors, of normal samples
    return abs(samples.mean() - mean) <= n_sigma * of_mean and abs(samples.std() - std) <= n_sigma * of_std


@pytest.fixture
def assert_moments():
    """Assert mean and standard deviation of independent normal samples, at five sigma.

    Every use is its own negative control: a sigma that is wrong by 5 %, either way, must be refused, and so must a mean
    that is off by 5 % of sigma.
    """

    def check(samples, mean, std, n_sigma=5):
        samples = np.asarray(samples, np.float64).ravel()
        told = f"mean {samples.mean():.6g}, std {samples.std():.6g} of {samples.size}; expected {mean:.6g}, {std:.6g}"
        assert moments_agree(samples, mean, std, n_sigma), told
        for wrong in ((mean, 1.05 * std), (mean, std / 1.05), (mean + 0.05 * std, std), (mean - 0.05 * std, std)):
            assert not moments_agree(samples, *wrong, n_sigma), f"too few samples to tell {wrong} apart: {told}"

    return check


@pytest.fixture
def on_threads():
    """Call a function with numba on a number of threads: on_threads(2, function)."""
    import numba

    before = numba.get_num_threads()

    def call(threads, function):
        if threads > numba.config.NUMBA_NUM_THREADS:
            pytest.skip(f"numba was started with {numba.config.NUMBA_NUM_THREADS} threads")
        numba.set_num_threads(threads)
        return function()

    yield call
    numba.set_num_threads(before)
