"""The procedures by which converters decide, against their twin; stochastic rounding; the streams they draw from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imcsim.kernels import reference
from imcsim.kernels.decide import (
    COUNT,
    DECISION_NOISE,
    DISTRIBUTION,
    DITHER,
    NEAREST,
    PIPELINE,
    STOCHASTIC,
    SUCCESSIVE,
    Decision,
    decide,
)
from imcsim.rng import child

BITS, COLUMNS, OWNERS, TILES = 5, 300, 7, 3
NEAR = 1e-4  # LSB from a threshold: there float32 and float64 may decide differently


def weights(rng):
    return 2.0 ** np.arange(BITS - 1, -1, -1) * rng.normal(1, 0.05, (OWNERS, BITS))


def thresholds(rng):
    return np.sort(np.arange(2**BITS - 1) + 0.5 + rng.normal(0, 0.7, (OWNERS, 2**BITS - 1)), axis=1)


def stages(rng):
    each = np.array([2, 1, -0.25, 0.25]) + rng.normal(0, 0.05, (OWNERS, BITS - 1, 4))
    return np.column_stack([each.reshape(OWNERS, -1), rng.normal(0, 0.1, OWNERS)])


def distributions(rng):
    levels = np.cumsum(rng.uniform(1, 8, (OWNERS, 6)), axis=1)
    cumulative = np.cumsum(rng.dirichlet(np.ones(2**BITS) / 4, (OWNERS, 6)), axis=2)
    return np.concatenate([levels, cumulative[..., :-1].reshape(OWNERS, -1)], axis=1)


def nothing(rng):
    return np.zeros((OWNERS, 0))


KINDS = {
    "nearest": (NEAREST, nothing, 0.0),
    "stochastic": (STOCHASTIC, nothing, 0.0),
    "successive": (SUCCESSIVE, weights, 0.0),
    "successive, noisy": (SUCCESSIVE, weights, 0.7),
    "count": (COUNT, thresholds, 0.0),
    "pipeline": (PIPELINE, stages, 0.0),
    "distribution": (DISTRIBUTION, distributions, 0.0),
}
EVERY = pytest.mark.parametrize("kind", KINDS)


def decision_of(kind):
    number, rows, noise_lsb = KINDS[kind]
    rng = child(0, "decide", kind)
    which = rng.integers(0, OWNERS, (TILES, COLUMNS)).astype(np.int32)
    return Decision(number, rows(rng).astype(np.float32), which, noise_lsb)


def codes(u, decision, tile=1, first=0, max_code=2**BITS - 1, key=2**63 + 5, block=0, conversion=7, sample=11):
    v, scratch = u.copy(), np.full(u.size, np.nan, np.float32)
    decide(v, scratch, decision, tile, first, max_code, np.uint64(key), block, conversion, sample)
    return v


def twin(u, decision, tile=1, max_code=2**BITS - 1, key=2**63 + 5, conversion=7, sample=11):
    return reference.decide(u.astype(float), decision, tile, max_code, key, conversion, sample)


def values(dtype=np.float64, n=COLUMNS):
    return child(0, "values").uniform(-3, 2**BITS + 2, n).astype(dtype)


@EVERY
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("max_code", [2**BITS - 1, 2**BITS - 2])
def test_converters_decide_as_their_twins_do(max_code, dtype, kind):
    decision, u = decision_of(kind), values(dtype)
    if kind == "distribution":  # a row holds as many probabilities as there are codes
        levels, rest = np.split(decision.table, [6], axis=1)
        rest = rest.reshape(OWNERS, 6, -1)[..., :max_code].reshape(OWNERS, -1)
        decision = decision._replace(table=np.concatenate([levels, rest], axis=1))
    for tile, conversion, sample in ((0, 0, 0), (2, 5, 2**31), (1, 2**20, 3)):
        place = {"tile": tile, "max_code": max_code, "conversion": conversion, "sample": sample}
        got, expected = codes(u, decision, **place), twin(u, decision, **place)
        assert got.dtype == dtype
        assert (got == expected).mean() > 0.99
        near = [twin(u + shift, decision, **place) for shift in (-NEAR, 0, NEAR)]
        assert np.any([got == each for each in near], axis=0).all()
        assert got.min() == 0
        assert kind == "distribution" or got.max() == max_code


@EVERY
def test_ideal_converters_leave_their_values(kind):
    u = values()
    np.testing.assert_array_equal(codes(u, decision_of(kind), max_code=0), u)
    np.testing.assert_array_equal(twin(u, decision_of(kind), max_code=0), u)


@EVERY
def test_a_chunk_of_columns_has_the_codes_that_it_has_in_the_whole(kind):
    decision, u = decision_of(kind), values()
    whole = codes(u, decision)
    parts = [
        codes(u[start : start + size], decision, first=start, block=start // 64)
        for start, size in ((0, 64), (64, 192), (256, COLUMNS - 256))
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@EVERY
def test_a_column_decides_by_the_row_of_its_owner(kind):
    decision, u = decision_of(kind), values()
    rows = decision._replace(
        table=np.ascontiguousarray(decision.table[decision.which[1]]),
        which=np.tile(np.arange(COLUMNS, dtype=np.int32), (TILES, 1)),
    )
    np.testing.assert_array_equal(codes(u, rows), codes(u, decision))
    if decision.table.size:
        assert (codes(u, decision) != codes(u, decision, tile=0)).any()


RANDOM = [kind for kind in KINDS if kind in ("stochastic", "successive, noisy", "distribution")]


@EVERY
@pytest.mark.parametrize("other", [{"key": 3}, {"conversion": 8}, {"sample": 12}])
def test_another_conversion_is_drawn_anew_where_there_is_something_to_draw(other, kind):
    decision, u = decision_of(kind), values()
    same = (codes(u, decision) == codes(u, decision, **other)).all()
    assert same == (kind not in RANDOM)


# Successive approximation


def designed(noise_lsb, bits=BITS, n=COLUMNS):
    table = 2.0 ** np.arange(bits - 1, -1, -1, dtype=np.float32)[None]
    return Decision(SUCCESSIVE, table.astype(np.float32), np.zeros((TILES, n), np.int32), noise_lsb)


def test_every_decision_draws_from_the_source_of_its_bit():
    u, sigma = np.full(COLUMNS, 1.5), 0.8
    got = codes(u, designed(sigma, bits=2), max_code=3)
    high, low = (
        sigma * reference.normals(COLUMNS, 2**63 + 5, 7, 11, source) for source in (DECISION_NOISE + 1, DECISION_NOISE)
    )
    first = u + high > 1.5
    expected = 2 * first + (u - 2 * first + low > 0.5)
    np.testing.assert_array_equal(got, expected)
    assert set(got) == {0, 1, 2, 3}


@given(hnp.arrays(np.float32, 30, elements=st.floats(-(2.0**20), 2.0**20, width=32)), st.integers(1, 16))
def test_designed_capacitors_find_the_nearest_code_of_any_value(u, bits):
    u = u[np.abs(u - np.floor(u) - 0.5) > 0]
    table = (2.0 ** np.arange(bits - 1, -1, -1)).astype(np.float32)[None]
    decision = Decision(SUCCESSIVE, table, np.zeros((2, 30), np.int32), 0.0)
    for max_code in {2**bits - 1, max(2**bits - 2, 1)}:
        np.testing.assert_array_equal(codes(u, decision, max_code=max_code), np.clip(np.rint(u), 0, max_code))


# Thresholds


@given(
    hnp.arrays(np.float32, st.integers(1, 40), elements=st.floats(-50, 50, width=32)),
    hnp.arrays(np.float64, 25, elements=st.floats(-60, 60)),
)
def test_the_code_is_how_many_thresholds_lie_below_the_value(levels, u):
    decision = Decision(COUNT, np.sort(levels)[None], np.zeros((2, 25), np.int32), 0.0)
    expected = (levels < u[:, None]).sum(axis=1)
    np.testing.assert_array_equal(codes(u, decision, max_code=levels.size), expected)
    np.testing.assert_array_equal(codes(u, decision, max_code=7), np.minimum(expected, 7))


# Stochastic rounding


ROUNDING = Decision(STOCHASTIC, np.zeros((1, 0), np.float32), np.zeros((2, 200_000), np.int32), 0.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("u", [0.1, 3.5, 100.15, 254.9])
def test_stochastic_rounding_is_unbiased_and_its_variance_is_that_of_a_coin(u, dtype):
    n, p = 200_000, u - np.floor(u)
    got = codes(np.full(n, u, dtype), ROUNDING, max_code=255).astype(float)
    assert set(got) == {np.floor(u), np.floor(u) + 1}
    sigma = np.sqrt(p * (1 - p) / n)
    assert abs(got.mean() - u) < 5 * sigma
    assert abs(got.mean() - np.rint(u)) > 5 * sigma  # to the nearest would be biased
    # (x - p)^2 of a coin has the variance p (1 - p) (1 - 2p)^2; at 1/2 the error is of second order in that of the mean
    tolerance = 5 * sigma * abs(1 - 2 * p) + 25 * sigma**2
    assert abs(got.var() - p * (1 - p)) < tolerance
    assert abs(got.var() - 1.05 * p * (1 - p)) > tolerance


def test_stochastic_rounding_keeps_whole_numbers_and_saturates():
    for dtype in (np.float32, np.float64):
        u = np.tile(np.arange(-3.0, 260.0).astype(dtype), 500)
        np.testing.assert_array_equal(codes(u, ROUNDING, max_code=255), np.clip(u, 0, 255))
    assert set(codes(np.full(1000, 255.5), ROUNDING, max_code=255)) == {255}
    assert set(codes(np.full(1000, -0.5), ROUNDING, max_code=255)) == {0}


def test_stochastic_rounding_draws_the_dither_of_its_conversion():
    u = np.full(1000, 7.25)
    dither = reference.uniforms(1000, 2**63 + 5, 7, 11, DITHER)
    np.testing.assert_array_equal(codes(u, ROUNDING, max_code=255), 7 + (dither < 0.25))
    assert dither.min() >= 0
    assert dither.max() < 1
    assert abs(dither.mean() - 0.5) < 5 / np.sqrt(12 * 1000)
