"""Philox4x32-10 gives the published words; the normals are their quantiles, and look like nothing but noise."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import ndtri

from imcsim.kernels import philox, reference

FULL = 0xFFFFFFFF
FIVE_SIGMA = 2 * stats.norm.sf(5)

# counter, key, words: kat_vectors of Random123, lines "philox4x32 10" (Salmon et al., SC 2011)
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((FULL,) * 4, (FULL,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def kernel_words(counter, key):
    """The words of one counter: the kernel makes those of 16 neighbours at once."""
    first, lane = divmod(int(counter[0]), 16)
    block = words(64, int(key[1]) << 32 | int(key[0]), *counter[1:], first=first)
    return tuple(int(block[16 * word + lane]) for word in range(4))


def normals(n, key=1, c1=0, c2=0, c3=0, first=0):
    out = np.empty(n, np.float32)
    philox.fill_normals(out, np.uint64(key), first, np.uint32(c1), np.uint32(c2), np.uint32(c3))
    return out


def words(n, key=1, c1=0, c2=0, c3=0, first=0):
    out = np.empty(n, np.uint32)
    philox.fill_words(out, np.uint64(key), first, np.uint32(c1), np.uint32(c2), np.uint32(c3))
    return out


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_the_kernel_gives_the_published_words(counter, key, answer):
    assert kernel_words(counter, key) == answer


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_the_twin_gives_the_published_words(counter, key, answer):
    assert tuple(reference.philox4x32(np.array(counter), np.array(key)).tolist()) == answer


WORDS = st.integers(0, FULL) | st.sampled_from([0, 1, FULL - 1, FULL, 1 << 31])


@given(st.tuples(*[WORDS] * 4), st.tuples(*[WORDS] * 2))
def test_kernel_and_twin_agree_on_every_counter_and_key(counter, key):
    assert kernel_words(counter, key) == tuple(reference.philox4x32(np.array(counter), np.array(key)).tolist())


def test_the_low_half_of_a_key_is_its_first_word_and_a_block_of_64_words_takes_16_counters():
    k0, k1, c = 0x01234567, 0x89ABCDEF, (10, 20, 30)
    for block in range(3):
        four = [reference.philox4x32(np.array((16 * block + lane, *c)), np.array((k0, k1))) for lane in range(16)]
        expected = np.array(four).T.ravel()
        np.testing.assert_array_equal(words(192, k1 << 32 | k0, *c)[64 * block : 64 * block + 64], expected)


def quantile(word):
    """ndtri of (word + 1/2) / 2^32, from the nearer tail, so that float64 loses nothing."""
    return ndtri((word + 0.5) / 2.0**32) if word < 2**31 else -ndtri((FULL - word + 0.5) / 2.0**32)


# every power of two, so every exponent of both tails, and its neighbours; either side of the median
EXTREME_WORDS = sorted({w for e in range(32) for w in ((1 << e) - 1, 1 << e, (1 << e) + 1)} | {0, 3 << 30})
EXTREME_WORDS = sorted({*EXTREME_WORDS, *(FULL - word for word in EXTREME_WORDS)})


# Giles fitted the tail to w = -log((1 - x)(1 + x)) < 16, as far as x in float32 goes: the outermost 121 words of each
# side, beyond 5.3 sigma, lie outside of the fit. One normal in 18 million is one of them.
FITTED = 121


def accuracy(word):
    return 2e-6 if FITTED <= word <= FULL - FITTED else 4e-4


@pytest.mark.parametrize("word", EXTREME_WORDS)
def test_an_extreme_word_gives_its_normal_quantile(word):
    assert float(philox.normal_of(np.uint32(word))) == pytest.approx(quantile(word), rel=accuracy(word))


def test_normals_are_the_quantiles_of_the_words():
    n = 100_000
    expected = ndtri((words(n).astype(np.float64) + 0.5) / 2.0**32)
    np.testing.assert_allclose(normals(n), expected, rtol=2e-6, atol=1e-9)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(normals(n), 1.00001 * expected, rtol=2e-6, atol=1e-9)


def test_normals_are_those_of_their_words_to_the_bit_with_tails_and_without():
    n = 5000
    got, drawn = normals(n), words(n)
    np.testing.assert_array_equal(got, np.array([philox.normal_of(word) for word in drawn], np.float32))
    far = np.abs(got[: n // 64 * 64]).reshape(-1, 64).max(axis=1) > -ndtri(0.001)
    assert far.any()
    assert not far.all()


@pytest.mark.parametrize("n", [1, 15, 16, 63, 64, 65, 1003])
def test_normals_agree_with_their_twin(n):
    key, c = 0xFEDCBA9876543210, (3, 2**32 - 1, 1)
    np.testing.assert_allclose(normals(n, key, *c), reference.normals(n, key, *c), rtol=2e-6, atol=1e-9)


def test_the_two_branches_of_the_quantile_meet_without_a_step():
    # the approximation changes where -log((1 - x)(1 + x)) = 5: both sides are within 2e-6 of the quantile there
    p = (1 + np.sqrt(1 - np.exp(-5.0))) / 2
    around = np.arange(-200, 200) + int(p * 2**32)
    got = [float(philox.normal_of(np.uint32(word))) for word in around]
    np.testing.assert_allclose(got, [quantile(int(word)) for word in around], rtol=2e-6)


@given(WORDS)
def test_the_normal_of_a_word_and_of_its_complement_are_opposite(word):
    assert philox.normal_of(np.uint32(word)) == -philox.normal_of(np.uint32(FULL - word))


def test_the_largest_normal_is_the_quantile_of_the_last_word():
    assert float(philox.normal_of(np.uint32(FULL))) == pytest.approx(-ndtri(2.0**-33), rel=accuracy(FULL))


def test_normals_never_fall_while_the_tail_runs_out():
    got = [float(philox.normal_of(np.uint32(word))) for word in range(FULL - 1000, FULL + 1)]
    assert got == sorted(got)


@pytest.mark.parametrize("n", [0, 1, 5, 63, 64, 65, 128, 150])
def test_the_first_normals_do_not_depend_on_how_many_are_drawn(n):
    np.testing.assert_array_equal(normals(n), normals(200)[:n])


def test_a_stream_can_be_entered_at_any_block():
    np.testing.assert_array_equal(normals(100, first=2), normals(228)[128:])


def test_normals_have_the_moments_of_a_standard_normal(assert_moments):
    n = 1_000_000
    x = normals(n).astype(np.float64)
    assert_moments(x, 0.0, 1.0)
    # standard errors of skewness and excess kurtosis of normal samples
    assert abs(stats.skew(x)) < 5 * np.sqrt(6 / n)
    assert abs(stats.kurtosis(x)) < 5 * np.sqrt(24 / n)
    assert abs(stats.kurtosis(x**3)) > 5 * np.sqrt(24 / n)


def tail_agrees(x, limit):
    expected = x.size * 2 * stats.norm.sf(limit)
    return abs(np.count_nonzero(np.abs(x) > limit) - expected) < 5 * np.sqrt(expected)


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_tails_are_as_heavy_as_those_of_a_normal(limit):
    x = normals(2_000_000, key=5)
    assert tail_agrees(x, limit)
    assert not tail_agrees(np.float32(1.1) * x, limit)


def test_normals_pass_kolmogorov_and_smirnov_and_wider_ones_do_not():
    x = normals(200_000, key=9).astype(np.float64)
    assert stats.kstest(x, "norm").pvalue > FIVE_SIGMA
    assert stats.kstest(1.05 * x, "norm").pvalue < FIVE_SIGMA


NEIGHBOURS = [
    {"key": 1},
    {"key": 2},
    {"key": 1 << 63 | 1},
    {"c1": 1},
    {"c1": 1 << 31},
    {"c2": 1},
    {"c2": 1 << 31},
    {"c3": 1},
    {"c3": 1 << 16},
]


def test_streams_whose_addresses_differ_in_one_bit_are_uncorrelated():
    n = 20_000
    streams = [normals(n, **address).astype(np.float64) for address in NEIGHBOURS]
    for one, other in combinations(streams, 2):
        assert abs(np.mean(one * other)) < 5 / np.sqrt(n)
        assert abs(np.mean((one**2 - 1) * (other**2 - 1))) < 5 * 2 / np.sqrt(n)  # nor do they grow together
    leaking = 0.05 * streams[0] + streams[1]
    assert abs(np.mean(streams[0] * leaking)) > 5 / np.sqrt(n)


def test_neighbours_within_a_stream_are_uncorrelated():
    n = 100_000
    x = normals(n).astype(np.float64)
    for lag in (1, 2, 4, 8, 15, 16, 17, 48, 64, 128):
        assert abs(np.mean(x[lag:] * x[:-lag])) < 5 / np.sqrt(n)


def test_no_stream_is_another_one_shifted():
    quads = np.concatenate([words(4000, **address).reshape(-1, 4) for address in NEIGHBOURS])
    as_text = [quad.tobytes() for quad in quads]
    assert len(set(as_text)) == len(as_text)


def test_consecutive_samples_of_a_counter_word_are_uncorrelated():
    n = 20_000
    first = [normals(n // 100, c2=sample).astype(np.float64) for sample in range(101)]
    products = np.concatenate([one * other for one, other in pairwise(first)])
    assert abs(products.mean()) < 5 / np.sqrt(products.size)
