"""Weights as digits of cells: codes are symmetric, and the columns of every mapping add up to them exactly."""

from __future__ import annotations

from typing import get_args, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imcsim.mapping import cell_digits, largest_code, layout, quantise_weights, weight_scale
from imcsim.rng import child
from imcsim.specs.array import ArraySpec

MAPPINGS = get_args(get_type_hints(ArraySpec)["mapping"])
EVERY = pytest.mark.parametrize("mapping", MAPPINGS)


def all_codes(bits):
    top = 1 if bits == 1 else 2 ** (bits - 1) - 1
    return np.array([-1, 1]) if bits == 1 else np.arange(-top, top + 1)


@st.composite
def arrays(draw):
    """Any mapping of any bits, in slices as cells hold them or cut anyhow."""
    mapping, bits, cell_bits = draw(st.sampled_from(MAPPINGS)), draw(st.integers(1, 16)), draw(st.integers(1, 8))
    plain = ArraySpec(mapping=mapping, weight_bits=bits, cell_bits=cell_bits)
    if draw(st.booleans()):
        return plain
    sign = mapping == "twos_complement" and bits > 1
    left, slices = plain.stored_bits - sign, ()
    while left:
        slices += (draw(st.integers(1, min(left, cell_bits))),)
        left -= slices[-1]
    return plain.replace("slices", (*slices, 1) if sign else slices)


def some_codes(bits):
    """All codes; of many bits the outermost, those about zero and some."""
    codes = all_codes(bits)
    if bits <= 10:
        return codes
    middle = codes.size // 2
    chosen = child(bits, "codes").choice(codes, 500)
    return np.unique([*codes[:5], *codes[-5:], *codes[middle - 5 : middle + 5], *chosen])


# The columns of a weight


@given(arrays())
def test_the_columns_of_a_weight_add_up_to_its_code(array):
    codes, plan = some_codes(array.weight_bits)[:, None], layout(array)
    digits = cell_digits(codes, array)
    assert digits.shape == (len(codes), plan.polarities, plan.slices, 1)
    assert (digits <= plan.top[:, None]).all()
    np.testing.assert_array_equal(np.einsum("ps,rpsc->rc", plan.worth, digits) + plan.offset, codes)


@given(arrays())
def test_a_slice_holds_no_more_than_a_cell_and_together_they_hold_every_bit(array):
    plan = layout(array)
    assert max(array.slice_bits) <= array.cell_bits
    assert sum(array.slice_bits) == array.stored_bits
    np.testing.assert_array_equal(plan.top, [2**bits - 1 for bits in array.slice_bits])
    assert plan.polarities == (2 if array.differential else 1)


@given(st.sampled_from(MAPPINGS), hnp.arrays(np.int32, (2, 3, 4), elements=st.integers(-127, 127)))
def test_members_of_an_ensemble_are_cut_into_digits_as_one_by_one(mapping, codes):
    array = ArraySpec(mapping=mapping, cell_bits=3)
    np.testing.assert_array_equal(cell_digits(codes, array), np.stack([cell_digits(one, array) for one in codes]))


def test_slices_stand_least_significant_first():
    assert layout(ArraySpec(mapping="offset", weight_bits=3)).worth.tolist() == [[1, 2, 4]]
    assert layout(ArraySpec(mapping="twos_complement", weight_bits=3)).worth.tolist() == [[1, 2, -4]]
    assert layout(ArraySpec(mapping="differential", weight_bits=3)).worth.tolist() == [[1, 2], [-1, -2]]
    assert layout(ArraySpec(mapping="offset", weight_bits=7, cell_bits=3)).worth.tolist() == [[1, 8, 64]]
    unequal = ArraySpec(mapping="twos_complement", weight_bits=7, cell_bits=4, slices=(2, 4, 1))
    assert layout(unequal).worth.tolist() == [[1, 4, -64]]


@pytest.mark.parametrize("bits", [1, 2, 5, 8])
def test_a_one_sided_weight_conducts_on_one_side_at_most(bits):
    digits = cell_digits(all_codes(bits)[:, None], ArraySpec(mapping="differential", weight_bits=bits))
    on = digits.any(axis=2)[:, :, 0]
    np.testing.assert_array_equal(on[:, 0], all_codes(bits) > 0)
    np.testing.assert_array_equal(on[:, 1], all_codes(bits) < 0)


@pytest.mark.parametrize("bits", [1, 2, 5, 8, 12])
def test_the_sides_of_a_two_sided_weight_sum_to_the_largest_code_or_one_more(bits):
    array, top = ArraySpec(mapping="differential_two_sided", weight_bits=bits), largest_code(bits)
    digits = cell_digits(all_codes(bits)[:, None], array)[..., 0]
    sides = digits @ layout(array).worth[0]
    assert set(sides.sum(axis=1)) <= {top, top + 1}
    assert sides.min() >= 0
    assert sides.max() <= top
    assert np.abs(sides - top / 2).max() <= (top + 1) / 2  # near half scale, where the code is small


@pytest.mark.parametrize(
    ("mapping", "minus", "plus"),
    [
        ("differential", [0, 1], [1, 0]),
        ("differential_two_sided", [0, 1], [1, 0]),
        ("offset", [0], [1]),
        ("twos_complement", [0], [1]),
    ],
)
def test_one_bit_is_minus_or_plus_one(mapping, minus, plus):
    # stored as (w + 1) / 2; differential: as one on-cell of the pair
    digits = cell_digits(np.array([[-1], [1]]), ArraySpec(mapping=mapping, weight_bits=1))
    assert digits[:, :, 0, 0].tolist() == [minus, plus]


def test_twos_complement_and_offset_store_what_their_names_say():
    twos, offset = (ArraySpec(mapping=mapping, weight_bits=4) for mapping in ("twos_complement", "offset"))
    # -3 is 1101 in two's complement, and -3 + 8 = 0101 with an offset
    assert cell_digits(np.array([[-3]]), twos)[0, 0, ::-1, 0].tolist() == [1, 1, 0, 1]
    assert cell_digits(np.array([[-3]]), offset)[0, 0, ::-1, 0].tolist() == [0, 1, 0, 1]


# Codes and their step


@pytest.mark.parametrize(("bits", "top"), [(1, 1), (2, 1), (3, 3), (4, 7), (8, 127), (16, 32767)])
def test_the_largest_code_leaves_codes_symmetric_about_zero(bits, top):
    assert largest_code(bits) == top


def test_weights_round_to_the_nearest_code_and_clip_at_the_largest():
    codes = quantise_weights(np.array([0.24, 0.26, -0.26, 3.4, 3.6, -99.0]), 0.5, 3)
    assert codes.tolist() == [0, 1, -1, 3, 3, -3]
    assert codes.dtype == np.int32


def test_one_bit_codes_are_signs_whatever_the_scale():
    assert quantise_weights(np.array([-2.0, -1e-9, 0.0, 1e-9, 2.0]), 0.3, 1).tolist() == [-1, -1, 1, 1, 1]


@given(st.integers(1, 16), hnp.arrays(float, 20, elements=st.floats(-1e3, 1e3)), st.floats(1e-3, 1e3))
def test_codes_are_odd_in_the_weights_and_never_beyond_the_largest(bits, weights, scale):
    codes = quantise_weights(weights, scale, bits)
    assert np.abs(codes).max() <= largest_code(bits)
    away = weights != 0
    np.testing.assert_array_equal(quantise_weights(-weights, scale, bits)[away], -codes[away])


def squared_error(weights, scale, bits):
    return float(np.square(weights - scale * quantise_weights(weights, scale, bits)).sum())


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("law", ["normal", "uniform", "laplace"])
def test_the_mse_scale_loses_no_more_than_any_of_a_scan_and_than_the_largest_weight(law, bits):
    rng = child(0, "weights", law)
    weights = getattr(rng, law)(size=(40, 50)) * rng.choice([-1, 1], size=(40, 50))
    chosen = squared_error(weights, weight_scale(weights, ArraySpec(weight_bits=bits)), bits)
    widest = weight_scale(weights, ArraySpec(weight_bits=bits, weight_scale="max"))
    scan = min(squared_error(weights, scale, bits) for scale in widest * np.linspace(0.05, 1, 1000))
    # the squared error of one rounding spreads by sqrt(4/5) of its mean: a finer scan finds steps that are merely lucky
    assert chosen <= (1 + 5 * np.sqrt(0.8 / weights.size)) * scan
    assert chosen <= squared_error(weights, widest, bits) * (1 + 1e-12)


@pytest.mark.parametrize("bits", [1, 2, 8, 16])
def test_the_max_scale_gives_the_largest_weight_the_largest_code(bits):
    weights = np.array([[0.3, -2.0], [1.0, 0.1]])
    scale = weight_scale(weights, ArraySpec(weight_bits=bits, weight_scale="max"))
    assert scale == 2.0 / largest_code(bits)
    assert quantise_weights(weights, scale, bits).min() == -largest_code(bits)


@pytest.mark.parametrize("bits", [1, 2, 8, 16])
def test_the_percentile_scale_gives_that_size_the_largest_code(bits):
    weights = np.arange(-50, 51.0).reshape(1, -1)  # sizes 0, 1, 1, 2, 2 ... 50, 50: 90 % are 45 or less
    array = ArraySpec(weight_bits=bits, weight_scale="percentile", weight_percentile=90)
    scale = weight_scale(weights, array)
    assert scale == 45 / largest_code(bits)
    if bits == 16:  # a step apart, so that all those beyond clip, and no others
        clipped = np.abs(quantise_weights(weights, scale, bits)) == largest_code(bits)
        np.testing.assert_array_equal(clipped, np.abs(weights) >= 45)
    everything = array.replace("weight_percentile", 100)
    assert weight_scale(weights, everything) == weight_scale(weights, array.replace("weight_scale", "max"))


@pytest.mark.parametrize("bits", [1, 2, 8])
def test_a_given_limit_is_what_the_largest_code_stands_for_whatever_the_weights(bits):
    array = ArraySpec(weight_bits=bits, weight_scale="given", weight_limit=0.7)
    for weights in (np.zeros((2, 2)), np.full((2, 2), 9.0)):
        assert weight_scale(weights, array) * largest_code(bits) == pytest.approx(0.7, rel=1e-15)


def test_the_best_scale_of_one_bit_is_the_mean_size():
    weights = np.array([[0.3, -2.0], [1.0, -0.1]])
    assert weight_scale(weights, ArraySpec(weight_bits=1)) == pytest.approx(0.85, rel=1e-12)


@pytest.mark.parametrize("bits", [1, 8])
@pytest.mark.parametrize("kind", ["mse", "max", "percentile"])
def test_weights_that_are_all_zero_have_a_scale_nevertheless(kind, bits):
    percentile = {"weight_percentile": 99} if kind == "percentile" else {}
    assert weight_scale(np.zeros((3, 3)), ArraySpec(weight_bits=bits, weight_scale=kind, **percentile)) > 0
