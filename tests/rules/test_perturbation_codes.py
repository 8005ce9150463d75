"""Perturbation codes: their norm, what tells their places apart, and on what their bits depend."""

import numpy as np
import pytest
import scipy.linalg

from imcsim.errors import SpecError
from imcsim.kernels.reference import words
from imcsim.member_rng import member_generator
from imcsim.rng import child, draw_key
from imcsim.rules.codes import CodeSpec, begun

CODES = ("random", "walsh", "sinusoidal", "sequential")
EVERY_CODE = pytest.mark.parametrize("code", CODES)
P, NORM = 13, 0.3


def code_of(code, seed=0, **options):
    return begun(CodeSpec(code=code, norm=NORM, **options), P, child(seed, "code"))


def mean_product(code, periods):
    """The mean over periods of u u^T, in units of its power."""
    u = np.stack([code.at(period) for period in periods])
    return u.T @ u / len(u) / code.power


@EVERY_CODE
def test_a_code_has_its_norm_and_its_power_is_the_mean_square_of_an_entry(code):
    found = code_of(code)
    squares = np.array([np.square(found.at(period)).sum() for period in range(2 * P)])
    np.testing.assert_allclose(squares.mean(), NORM**2, rtol=1e-12)
    np.testing.assert_allclose(found.power, NORM**2 / P, rtol=1e-12)
    if code != "sinusoidal":  # whose norm is that only in the mean
        np.testing.assert_allclose(squares, NORM**2, rtol=1e-12)


@pytest.mark.parametrize(("code", "whole"), [("walsh", 16), ("sinusoidal", 2 * P), ("sequential", P)])
def test_the_places_of_a_code_are_told_apart_exactly_by_its_whole_length_and_not_by_less(code, whole):
    found, start = code_of(code), 5 * whole
    np.testing.assert_allclose(mean_product(found, range(start, start + whole)), np.eye(P), atol=1e-12)
    assert np.abs(mean_product(found, range(start, start + whole - 3)) - np.eye(P)).max() > 0.1


def test_random_signs_are_independent_of_place_and_period():
    found, periods = code_of("random"), 20_000
    product = mean_product(found, range(periods))
    np.testing.assert_allclose(np.diag(product), 1.0)
    assert np.abs(product - np.diag(np.diag(product))).max() < 5 / np.sqrt(periods)
    u = np.stack([found.at(period) for period in range(periods)]) / np.sqrt(found.power)
    assert np.abs(u.mean(axis=0)).max() < 5 / np.sqrt(periods)
    assert np.abs((u[1:] * u[:-1]).mean(axis=0)).max() < 5 / np.sqrt(periods)
    held = u[::2].repeat(2, axis=0)
    assert np.abs((held[1:] * held[:-1]).mean(axis=0)).min() > 0.4, "signs held for two periods would be told"


def test_sparse_codes_perturb_one_in_s_places_s_times_as_far():
    found, s, periods = code_of("random", sparsity=4), 4, 20_000
    u = np.stack([found.at(period) for period in range(periods)])
    assert set(np.unique(np.abs(u))) == {0.0, s * NORM / np.sqrt(P)}
    share, error = np.mean(u != 0), np.sqrt(0.25 * 0.75 / u.size)
    assert abs(share - 1 / s) < 5 * error
    assert abs(share - 1 / 5) > 5 * error
    np.testing.assert_allclose(found.power, s * NORM**2 / P)


def test_the_signs_are_the_last_bits_of_philox_words():
    key = draw_key(child(0, "code"))
    for period in (0, 7):
        bits = words(P, key, 1 + period, 0, 2) & 1  # 2: values, in imcsim.kernels.members
        np.testing.assert_array_equal(np.sign(code_of("random").at(period)), np.where(bits, 1.0, -1.0))


def test_walsh_codes_are_rows_of_the_hadamard_matrix_whose_sign_flips_every_length():
    expected = NORM / np.sqrt(P) * scipy.linalg.hadamard(16)[1 : 1 + P]
    found = code_of("walsh")
    for period in range(48):
        sign = -1 if period // 16 == 1 else 1
        np.testing.assert_array_equal(found.at(period), sign * expected[:, period % 16])


def test_the_constant_row_is_taken_only_where_it_must_be():
    ones = NORM / np.sqrt(16) * scipy.linalg.hadamard(16)
    whole = begun(CodeSpec(code="walsh", norm=NORM, code_length=16), 16, child(0, "code"))
    np.testing.assert_allclose([whole.at(period) for period in range(16)], ones.T)
    longer = begun(CodeSpec(code="walsh", norm=NORM), 16, child(0, "code"))
    assert np.abs(np.sum([longer.at(period) for period in range(32)], axis=0)).max() < 1e-12


def test_frequencies_are_spread_over_the_band_each_once():
    found = code_of("sinusoidal", band=(0.25, 0.5))
    np.testing.assert_allclose(np.sort(found.frequency), 0.25 + 0.25 * (np.arange(P) + 0.5) / P)
    assert not np.array_equal(found.frequency, np.sort(found.frequency))
    t = 1_000_003
    expected = NORM * np.sqrt(2 / P) * np.sin(2 * np.pi * (found.frequency * t + found.phase))
    np.testing.assert_allclose(found.at(t), expected, atol=1e-8)


def test_a_sweep_perturbs_every_place_once_and_the_next_in_the_same_order():
    turns = [int(code_of("sequential").at(period).argmax()) for period in range(2 * P)]
    assert sorted(turns[:P]) == list(range(P)) != turns[:P]
    assert turns[P:] == turns[:P]


@EVERY_CODE
def test_a_member_has_the_code_it_has_alone(code):
    spec = CodeSpec(code=code, norm=NORM)
    together = begun(spec, P, [child(member, "code") for member in range(3)])
    of_many, of_few = (begun(spec, P, member_generator(0, members, "codes")) for members in (7, 3))
    for period in (0, 5, 40):
        for member in range(3):
            alone = code_of(code, seed=member).at(period)
            np.testing.assert_array_equal(np.broadcast_to(together.at(period), (3, P))[member], alone)
        many, few = (np.broadcast_to(one.at(period), (n, P)) for one, n in ((of_many, 7), (of_few, 3)))
        np.testing.assert_array_equal(many[:3], few)


@pytest.mark.parametrize("code", ["random", "sinusoidal", "sequential"])
def test_another_key_gives_another_code(code):
    assert not np.array_equal(code_of(code, seed=0).at(3), code_of(code, seed=1).at(3))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"code": "walsh", "sparsity": 2}, 'sparsity = 2: has no meaning with code = "walsh"'),
        ({"code": "random", "code_length": 64}, 'code_length = 64: has no meaning with code = "random"'),
        ({"code": "sequential", "band": (0.1, 0.2)}, "band = .*: has no meaning"),
        ({"code": "walsh", "code_length": 24}, "code_length = 24: must be a power of two.*32"),
        ({"code": "sinusoidal", "band": (0.3, 0.2)}, "band = .*must be two frequencies, the lower one first"),
        ({"norm": 0.0}, "norm = 0.0: must be a finite number from 1e-12"),
    ],
)
def test_options_without_meaning_are_refused(options, told):
    with pytest.raises(SpecError, match=told):
        CodeSpec(**options)


def test_a_walsh_code_that_is_shorter_than_the_parameters_is_refused():
    told = "code_length = 8: must be at least the number of parameters that are perturbed together, 13.*leave it out"
    with pytest.raises(SpecError, match=told):
        code_of("walsh", code_length=8)
    assert code_of("walsh", code_length=64).at(3).shape == (P,)
