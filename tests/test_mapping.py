"""Weights as bits of cells: codes are symmetric, and the columns of every mapping add up to them exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imcsim.mapping import cell_bits, largest_code, layout, quantise_weights, weight_scale
from imcsim.rng import child
from imcsim.specs.array import ArraySpec

MAPPINGS = ("differential", "offset", "twos_complement")


def all_codes(bits):
    top = 1 if bits == 1 else 2 ** (bits - 1) - 1
    return np.array([-1, 1]) if bits == 1 else np.arange(-top, top + 1)


def decoded(codes, array):
    """Codes (rows, cols) from their bits and the worth of the columns."""
    plan = layout(array)
    bits = cell_bits(codes, array)
    assert bits.shape == (codes.shape[0], plan.polarities, plan.slices, codes.shape[1])
    assert set(np.unique(bits)) <= {0, 1}
    return np.einsum("ps,rpsc->rc", plan.worth, bits) + plan.offset


@pytest.mark.parametrize(("bits", "top"), [(1, 1), (2, 1), (3, 3), (4, 7), (8, 127), (16, 32767)])
def test_the_largest_code_leaves_codes_symmetric_about_zero(bits, top):
    assert largest_code(bits) == top


@pytest.mark.parametrize("bits", range(1, 11))
@pytest.mark.parametrize("mapping", MAPPINGS)
def test_the_columns_of_a_weight_add_up_to_its_code(mapping, bits):
    codes = all_codes(bits)[:, None]
    np.testing.assert_array_equal(decoded(codes, ArraySpec(mapping=mapping, weight_bits=bits)), codes)


@given(
    st.sampled_from(MAPPINGS),
    hnp.arrays(np.int32, hnp.array_shapes(min_dims=2, max_dims=2), elements=st.integers(-32767, 32767)),
)
def test_sixteen_bits_add_up_too(mapping, codes):
    np.testing.assert_array_equal(decoded(codes, ArraySpec(mapping=mapping, weight_bits=16)), codes)


@pytest.mark.parametrize("bits", [1, 2, 8, 16])
def test_a_mapping_takes_the_columns_that_it_must(bits):
    plans = {mapping: layout(ArraySpec(mapping=mapping, weight_bits=bits)) for mapping in MAPPINGS}
    shapes = {mapping: (plan.polarities, plan.slices) for mapping, plan in plans.items()}
    # differential: a magnitude in each polarity; the others: all bits once
    assert shapes == {"differential": (2, max(bits - 1, 1)), "offset": (1, bits), "twos_complement": (1, bits)}


def test_slices_stand_least_significant_first():
    assert layout(ArraySpec(mapping="offset", weight_bits=3)).worth.tolist() == [[1, 2, 4]]
    assert layout(ArraySpec(mapping="twos_complement", weight_bits=3)).worth.tolist() == [[1, 2, -4]]
    assert layout(ArraySpec(mapping="differential", weight_bits=3)).worth.tolist() == [[1, 2], [-1, -2]]


@pytest.mark.parametrize("bits", [1, 2, 5])
def test_a_differential_weight_conducts_on_one_side_at_most(bits):
    on = cell_bits(all_codes(bits)[:, None], ArraySpec(mapping="differential", weight_bits=bits)).any(axis=2)[:, :, 0]
    np.testing.assert_array_equal(on[:, 0], all_codes(bits) > 0)
    np.testing.assert_array_equal(on[:, 1], all_codes(bits) < 0)


@pytest.mark.parametrize(
    ("mapping", "minus", "plus"),
    [("differential", [0, 1], [1, 0]), ("offset", [0], [1]), ("twos_complement", [0], [1])],
)
def test_one_bit_is_minus_or_plus_one(mapping, minus, plus):
    # stored as (w + 1) / 2; differential: as one on-cell of the pair
    bits = cell_bits(np.array([[-1], [1]]), ArraySpec(mapping=mapping, weight_bits=1))
    assert bits[:, :, 0, 0].tolist() == [minus, plus]


def test_twos_complement_and_offset_store_what_their_names_say():
    twos, offset = (ArraySpec(mapping=mapping, weight_bits=4) for mapping in ("twos_complement", "offset"))
    # -3 is 1101 in two's complement, and -3 + 8 = 0101 with an offset
    assert cell_bits(np.array([[-3]]), twos)[0, 0, ::-1, 0].tolist() == [1, 1, 0, 1]
    assert cell_bits(np.array([[-3]]), offset)[0, 0, ::-1, 0].tolist() == [0, 1, 0, 1]


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


def test_the_best_scale_of_one_bit_is_the_mean_size():
    weights = np.array([[0.3, -2.0], [1.0, -0.1]])
    assert weight_scale(weights, ArraySpec(weight_bits=1)) == pytest.approx(0.85, rel=1e-12)


@pytest.mark.parametrize("bits", [1, 8])
@pytest.mark.parametrize("kind", ["mse", "max"])
def test_weights_that_are_all_zero_have_a_scale_nevertheless(kind, bits):
    assert weight_scale(np.zeros((3, 3)), ArraySpec(weight_bits=bits, weight_scale=kind)) > 0
