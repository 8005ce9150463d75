"""Codes that random words decide: those of their normals, each as often as the normal distribution has it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import chi2

from imcsim.kernels import drawn, jit, reference
from imcsim.kernels.drawn import draw_codes
from imcsim.rng import child

PASSES, SAMPLES, TOP, KEY = 3, 9, 15, np.uint64(7**20)
COMPARED, DRAWN = 0.8, 2.0  # LSB: whose codes are compared with words, and whose normals are drawn


def case(loudest=COMPARED, samples=SAMPLES, conversions=4, columns=37):
    rng = child(0, "drawn")
    u = rng.uniform(-3, 18, (samples, conversions, columns)).astype(np.float32)
    sigma = rng.uniform(0, loudest, u.shape).astype(np.float32)
    sigma[0] = 0
    return u, sigma, np.array([1.0, 2.0, -4.0, 8.0]), TOP, KEY, PASSES


@pytest.mark.parametrize("loudest", [COMPARED, DRAWN])
def test_codes_are_those_of_the_normals_of_their_words(loudest):
    apart = np.abs(draw_codes(*case(loudest)) - reference.draw_codes(*case(loudest)))
    assert (apart == 0).mean() > 0.995  # where a value is next to a threshold, float32 may round it to the other code
    assert set(np.unique(apart)) <= {0.0, 1.0, 2.0, 4.0, 8.0}


def test_codes_without_noise_are_the_nearest():
    u, sigma, weights, top, key, _ = case()
    u[0, 0, :4] = 0.5, 1.5, 2.5, 14.5  # a tie goes to the even code
    got = draw_codes(u, 0 * sigma, weights, top, key, 1)[0]
    np.testing.assert_array_equal(got, np.einsum("k,skc->sc", weights, np.clip(np.rint(u), 0, top)))


def chi_square(codes, u, sigma):
    """How far counts of codes are from the probabilities of their intervals: its value, and that of five sigma."""
    edges = np.concatenate([[-np.inf], np.arange(TOP) + 0.5, [np.inf]])
    expected = codes.size * np.diff(ndtr((edges - u) / sigma))
    counts = np.bincount(codes.astype(int).ravel(), minlength=TOP + 1)
    likely = expected >= 5
    assert counts[expected < 1e-6].sum() == 0
    found = (np.square(counts - expected)[likely] / expected[likely]).sum()
    return found, chi2.isf(2.9e-7, likely.sum() - 1)


@pytest.mark.parametrize(("u", "sigma"), [(7.3, 0.3), (7.4, 0.1), (0.2, 0.5), (14.9, 0.7), (8.0, 0.9), (8.2, DRAWN)])
def test_each_code_comes_as_often_as_the_normal_distribution_has_it(u, sigma):
    many = np.full((200, 1, 500), u, np.float32), np.full((200, 1, 500), sigma, np.float32)
    codes = draw_codes(*many, np.ones(1), TOP, KEY, 20)
    found, most = chi_square(codes, many[0][0, 0, 0], many[1][0, 0, 0])
    assert found < most
    for other in ((u + 0.01, sigma), (u, 1.02 * sigma + 0.002)):  # two million draws tell a hundredth of an LSB
        found, most = chi_square(codes, *other)
        assert found > most


def test_probabilities_are_exact_to_the_grid_of_words():
    x = child(0, "x").uniform(-6.5, 6.5, 2000)
    got = np.array([drawn._probability_below.py_func(v) for v in x])
    assert np.abs(got - ndtr(x)).max() < 2.0**-34


def test_passes_and_samples_draw_apart_from_each_other():
    u, sigma, weights, top, key, passes = case()
    u[:], sigma[:] = 8.0, COMPARED
    codes = draw_codes(u, sigma, weights, top, key, passes).reshape(-1, u.shape[-1])
    close = np.abs(np.corrcoef(codes) - np.eye(len(codes)))
    assert close.max() < 5 / np.sqrt(u.shape[-1])


@pytest.mark.parametrize("loudest", [COMPARED, DRAWN])
def test_the_bits_do_not_depend_on_the_number_of_threads(on_threads, monkeypatch, loudest):
    monkeypatch.setattr(jit, "_SMALL", 0)
    np.testing.assert_array_equal(*(on_threads(n, lambda: draw_codes(*case(loudest, samples=50))) for n in (1, 2)))
