"""Intervals against closed forms: what they must be for normal samples."""

from __future__ import annotations

import numpy as np
import pytest

from imcsim.fit.likelihood import CHI2_95, Free, maximise, parameters

FREE = (
    Free(name="mean", unit="1", what="", start=0.0),
    Free(name="sigma", unit="1", what="", start=0.5, log=True),
)


def normal(data):
    return lambda v: -0.5 * ((data - v[0]) / v[1]) ** 2 - np.log(v[1])


@pytest.fixture
def data():
    return np.random.default_rng(5).normal(3.0, 2.0, 60)


def test_the_maximum_is_the_mean_and_the_standard_deviation(data):
    found = maximise(normal(data), FREE, "here")
    np.testing.assert_allclose(found.values, [data.mean(), data.std()], rtol=2e-3, atol=0)
    np.testing.assert_allclose(np.diag(found.covariance), [data.var() / 60, 1 / 120], rtol=1e-2)


def test_the_profile_interval_of_a_mean_is_the_closed_form(data):
    found = maximise(normal(data), FREE, "here")
    mean, _ = parameters(normal(data), found, np.random.default_rng(0), "profile")
    # -2 ln of the profile falls by n ln(1 + d^2 / s^2)
    half = data.std() * np.sqrt(np.expm1(CHI2_95 / 60))
    np.testing.assert_allclose([mean.low, mean.high], [data.mean() - half, data.mean() + half], atol=5e-3)


def test_the_bootstrap_of_a_mean_has_its_standard_error(data):
    found = maximise(normal(data), FREE, "here")
    mean, sigma = parameters(normal(data), found, np.random.default_rng(0), "bootstrap")
    assert mean.se == pytest.approx(data.std() / np.sqrt(60), rel=0.15)
    assert (mean.high - mean.low) == pytest.approx(2 * 1.96 * mean.se, rel=0.15)
    assert sigma.high - sigma.value > sigma.value - sigma.low  # a spread is skewed
    assert mean.interval == "bootstrap over 60 devices"


def test_correlated_reads_of_a_device_widen_the_interval_of_the_devices():
    """Ten reads of each of 40 devices that differ: taken for 400 devices, the mean would seem three times as sure."""
    rng = np.random.default_rng(1)
    reads = rng.normal(0, 1, (40, 1)) + rng.normal(0, 0.1, (40, 10))
    found = maximise(lambda v: normal(reads)(v).sum(axis=1), FREE, "here")
    by_device, _ = parameters(lambda v: normal(reads)(v).sum(axis=1), found, rng, "bootstrap")
    wrong, _ = parameters(normal(reads.ravel()), maximise(normal(reads.ravel()), FREE, "here"), rng, "bootstrap")
    assert by_device.se > 2.5 * wrong.se
    sandwich, _ = parameters(lambda v: normal(reads)(v).sum(axis=1), found, rng, "sandwich")
    assert sandwich.se == pytest.approx(by_device.se, rel=0.2)
