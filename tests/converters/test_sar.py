"""Successive approximation: the spread of its levels against closed forms, missing codes, the noise of decisions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from imcsim.converters.kinds import element_count, table
from imcsim.errors import SpecError
from imcsim.rng import child
from imcsim.specs.adc import SarADC

FIVE_SIGMA = 2 * stats.norm.sf(5)


def bits_of(codes, bits):
    """The bits of codes (n,), the highest first: (n, bits)."""
    return np.asarray(codes)[:, None] >> np.arange(bits - 1, -1, -1) & 1


def levels_of(adc, elements):
    """What the capacitor arrays of converters put out for each code, in LSB: (converters, codes)."""
    return table(adc, 2**adc.bits, elements).astype(float) @ bits_of(np.arange(2**adc.bits), adc.bits).T


def made(adc, converters, seed=0):
    return child(seed, "capacitors").normal(size=(converters, element_count(adc, 2**adc.bits))).astype(np.float32)


@pytest.mark.parametrize("bits", [1, 2, 5, 8])
def test_levels_err_as_a_brownian_bridge_over_the_units_they_switch(bits, assert_moments):
    # level = 2^b S / (S + R), S = k units switched, R = 2^b - k not: dS (1 - k/2^b) - dR k/2^b to first order, so
    # sigma^2 = sigma_u^2 k (1 - k/2^b). Absolute INL: the ends are exact, so it is the end-point INL too.
    adc = SarADC(bits=bits, unit_sigma_rel=0.002)
    levels = levels_of(adc, made(adc, 40_000))
    for k in {1, 2 ** (bits - 1), 2 ** (bits - 1) + 1, 2**bits - 1} & set(range(2**bits)):
        assert_moments(levels[:, k] - k, 0, 0.002 * np.sqrt(k * (1 - k / 2**bits)))


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_the_step_in_the_middle_spreads_by_the_root_of_all_units(bits, assert_moments):
    # C_(b-1) against all smaller: 2^(b-1) + 2^(b-1) - 1 = 2^b - 1 units; normalised by all, 2^-b less
    adc = SarADC(bits=bits, unit_sigma_rel=0.002)
    steps = np.diff(levels_of(adc, made(adc, 40_000)), axis=1) - 1
    middle = 2 ** (bits - 1) - 1
    assert_moments(steps[:, middle], 0, 0.002 * np.sqrt(2**bits - 1 - 2.0**-bits))
    assert steps.std(axis=0).argmax() == middle


@pytest.mark.parametrize(("bits", "low_bits"), [(2, 1), (6, 1), (6, 3), (8, 4), (8, 7)])
def test_levels_of_a_split_array_spread_as_charge_conservation_says(bits, low_bits, assert_moments):
    # V = (A + r B) / (P + r S), r = C_B / (C_B + S): switched and total units of main (A, P) and low array (B, S), and
    # C_B = 2^m / (2^m - 1). With x = k / 2^b, rho = (2^m - 1) / 4^m = 1 / (C_B + S) and e = l - x 2^m, to first order,
    # in LSB: main units 2^m (1 - x) or -2^m x each, low ones (1 - x - e rho) or (-x - e rho), bridge e (2^m - 1) rho.
    adc = SarADC(bits=bits, split_bits=low_bits, unit_sigma_rel=0.002)
    levels = levels_of(adc, made(adc, 40_000))
    two_m, rho = 2.0**low_bits, (2.0**low_bits - 1) / 4.0**low_bits
    for k in {1, 2**low_bits - 1, 2**low_bits, 2 ** (bits - 1) - 1, 2 ** (bits - 1), 2**bits - 1}:
        h, l, x = k >> low_bits, k % 2**low_bits, k / 2**bits  # noqa: E741  # of the high and the low bits
        e = l - x * two_m
        main = two_m**2 * (h * (1 - x) ** 2 + (2 ** (bits - low_bits) - 1 - h) * x**2)
        low = l * (1 - x - e * rho) ** 2 + (two_m - l) * (x + e * rho) ** 2
        bridge = (e * (two_m - 1) * rho) ** 2 * two_m / (two_m - 1)
        assert_moments(levels[:, k] - k, 0, 0.002 * np.sqrt(main + low + bridge))


def test_a_split_array_matches_worse_than_a_whole_one_of_the_same_units():
    whole, split = SarADC(bits=8, unit_sigma_rel=0.01), SarADC(bits=8, unit_sigma_rel=0.01, split_bits=4)
    spread = [levels_of(adc, made(adc, 4000)).std(axis=0)[128] for adc in (whole, split)]
    # in the middle 2^7 units of 2^8 against 2^3 of 2^4, each of which weighs 2^4: sqrt(2^4) times the spread
    assert spread[1] / spread[0] == pytest.approx(4, rel=0.1)


def test_every_capacitor_of_a_converter_has_a_draw_of_its_own():
    adc = SarADC(bits=4, unit_sigma_rel=0.01)
    elements = made(adc, 20_000).astype(float)
    weights = table(adc, 16, elements)
    for bit, weight in enumerate((8, 4, 2, 1)):
        # d w_j = w_j (dC_j / C_j - dC_total / C_total): the element of the bit itself, with the others' shares
        slope = np.polyfit(elements[:, bit], weights[:, bit], 1)[0]
        assert slope == pytest.approx(0.01 * np.sqrt(weight) * (1 - weight / 16), rel=0.05)


@given(st.integers(1, 8), st.integers(0, 2**32), st.booleans())
def test_where_the_levels_rise_the_code_is_the_number_of_levels_passed(bits, seed, split):
    adc = SarADC(bits=bits, unit_sigma_rel=0.02, split_bits=bits // 2 if split and bits > 1 else None)
    elements = made(adc, 1, seed)
    levels = levels_of(adc, elements)[0]
    if (np.diff(levels) <= 0).any():
        return
    u = child(seed, "u").uniform(-1, 2**bits, 500)
    np.testing.assert_array_equal(found(adc, u, elements), (levels[1:] - 0.5 < u[:, None]).sum(axis=1))


def found(adc, u, elements):
    """The codes of one converter as the search finds them, in plain Python."""
    weights, codes = table(adc, 2**adc.bits, elements)[0], []
    for value in u:
        level, code = 0.0, 0
        for place, weight in enumerate(weights):
            if value > level + weight - 0.5:
                level, code = level + weight, code | 1 << (adc.bits - 1 - place)
        codes.append(code)
    return np.array(codes)


def light_middle(bits=6):
    """A converter whose highest capacitor lacks 2.5 of its units."""
    adc, elements = SarADC(bits=bits, unit_sigma_rel=0.1), np.zeros((1, bits + 1), np.float32)
    elements[0, 0] = -2.5 / (0.1 * np.sqrt(2 ** (bits - 1)))
    return adc, elements


def test_where_the_levels_fall_codes_are_missing_and_the_others_still_rise(codes_of):
    adc, elements = light_middle()
    levels = levels_of(adc, elements)[0]
    u = np.linspace(-1, 64, 20_001)
    codes = codes_of(adc, u, elements=elements)
    assert levels[31] > levels[32]
    assert (np.diff(codes) >= 0).all()
    # the highest bit is tried first: codes below the middle whose level lies above its own are never found
    hidden = {k for k in range(32) if levels[k] >= levels[32]}
    assert hidden == {30, 31}
    assert set(range(64)) - set(codes) == hidden


def test_the_kernel_finds_the_codes_that_the_search_finds(codes_of):
    adc, u = SarADC(bits=7, unit_sigma_rel=0.1), child(0, "u").uniform(-1, 128, 400)
    elements = made(adc, 3)
    for owner in range(3):
        expected = found(adc, u, elements[owner : owner + 1])
        which = np.full(u.size, owner)
        np.testing.assert_array_equal(codes_of(adc, u, elements=elements, which=which), expected)
    assert (found(adc, u, elements[:1]) != found(adc, u, elements[1:2])).any()


# Noise of the decisions


def agree(codes, probabilities):
    """Whether codes come as often as their probabilities say: chi-square at five sigma, rare codes pooled."""
    counts, expected = np.bincount(codes, minlength=probabilities.size), codes.size * probabilities
    common = expected >= 10
    counts, expected = (np.append(x[common], x[~common].sum()) for x in (counts, expected))
    if expected[-1] < 1:
        assert counts[-1] < 20
        counts, expected = counts[:-1], expected[:-1] * counts[:-1].sum() / expected[:-1].sum()
    return stats.chisquare(counts, expected).pvalue > FIVE_SIGMA


@pytest.mark.parametrize("u", [0.1, 0.5, 0.9, 1.3])
def test_one_bit_is_the_normal_distribution_function_of_the_distance_from_the_transition(u, codes_of):
    n, sigma = 200_000, 0.4
    codes = codes_of(SarADC(bits=1, comparator_noise_lsb=sigma), np.full(n, u))

    def within(sigma):
        p = stats.norm.cdf((u - 0.5) / sigma)
        return abs(codes.mean() - p) < 5 * np.sqrt(p * (1 - p) / n)

    assert within(sigma)
    assert u == 0.5 or not within(1.1 * sigma)


@pytest.mark.parametrize("u", [3.5, 7.5, 7.8])
def test_noise_at_every_decision_makes_each_code_as_probable_as_the_product_of_its_decisions(u, codes_of):
    sigma, k = 0.6, np.arange(16)
    kept = bits_of(k, 4)
    weights = np.array([8, 4, 2, 1])
    before = np.cumsum(kept * weights, axis=1) - kept * weights
    odds = stats.norm.cdf((u - before - weights + 0.5) / sigma)
    probabilities = np.where(kept == 1, odds, 1 - odds).prod(axis=1)
    codes = codes_of(SarADC(bits=4, comparator_noise_lsb=sigma), np.full(200_000, u))
    assert agree(codes, probabilities)
    # noise that is sampled once a conversion gives another distribution
    sampled = np.diff(stats.norm.cdf(np.concatenate([[-np.inf], np.arange(15) + 0.5, [np.inf]]), u, sigma))
    assert not agree(codes, sampled)


@pytest.mark.parametrize("split_bits", [6, 7])
def test_a_split_leaves_a_bit_to_the_main_array(split_bits):
    assert SarADC(bits=6, split_bits=5).split_bits == 5
    with pytest.raises(SpecError, match=f"split_bits = {split_bits}: must be below bits = 6"):
        SarADC(bits=6, split_bits=split_bits)


@pytest.mark.parametrize(
    ("name", "value"), [("unit_sigma_rel", 0.16), ("unit_sigma_rel", -0.1), ("comparator_noise_lsb", -1), ("bits", 17)]
)
def test_values_beyond_their_limits_are_refused(name, value):
    with pytest.raises(SpecError, match=f"{name} = {value}: must be"):
        SarADC(**{name: value})
