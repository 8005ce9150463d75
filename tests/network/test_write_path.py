"""The write path: what of updates reaches the codes, and what accumulators keep, against exact sums and means."""

import dataclasses

import numpy as np
import pytest

from imcsim.compound import compound
from imcsim.errors import CapabilityError, SpecError
from imcsim.manufacturing import manufacture
from imcsim.network.write_path import kept_at_first, resolution, through
from imcsim.rng import child
from imcsim.specs.array import ArraySpec
from imcsim.specs.compound import ChoppedTikiTaka, MixedPrecision, TikiTaka, TikiTakaV2
from imcsim.specs.learning import WritePath
from imcsim.specs.library import load
from imcsim.updates import Dense, Outer

SHAPE = (12, 7)
WEIGHTS = child(0, "weights").uniform(-1, 1, SHAPE)
NEAREST, STOCHASTIC = WritePath(), WritePath(rounding="stochastic")
SCHEMES = {
    "tiki_taka": TikiTaka(transfer_rate=0.1, reference="exact"),
    "tiki_taka_v2": TikiTakaV2(transfer_rate=0.1, reference="exact"),
    "chopped": ChoppedTikiTaka(transfer_rate=0.1, reference="exact"),
    "mixed_precision": MixedPrecision(),
}


def layer_of(bits=6, weights=WEIGHTS, device="sram_ideal", key=3, limit=2.0):
    """A crossbar whose largest code is the weight `limit`."""
    array = {"weight_bits": bits, "weight_scale": "given", "weight_limit": limit, "mapping": "differential"}
    spec = load(device)
    spec = spec.replace("array", dataclasses.replace(spec.array, **array))
    return manufacture(spec, weights.shape, key).program(weights, child(0, "program"))


def many(path, layer, updates, kept=None):
    """The layer after updates in turn, and what its accumulators hold."""
    for step, update in enumerate(updates):
        layer, kept = through(path, layer, kept, Dense(update), child(1, "write", step), 0.0)
    return layer, kept


def small_updates(count, size, shape=SHAPE):
    return [child(2, "update", k).uniform(-size, size, shape) for k in range(count)]


# ---- rounding


def test_nearest_rounding_is_that_of_the_crossbar_and_loses_what_is_less_than_half_a_code():
    layer = layer_of()
    (step,) = layer.scale
    after, kept = through(NEAREST, layer, None, Dense(np.full(SHAPE, 2.6 * step)), child(0), 0.0)
    np.testing.assert_array_equal(after.codes, np.minimum(layer.codes + 3, 31))
    lost, _ = many(NEAREST, layer, [np.full(SHAPE, 0.49 * step)] * 20)
    np.testing.assert_array_equal(lost.codes, layer.codes)
    assert kept is None


def test_stochastic_rounding_gives_a_code_above_or_below_and_keeps_the_mean():
    layer = layer_of(bits=10, weights=np.zeros((200, 300)))
    (step,) = layer.scale
    change = 4.3
    after, _ = through(STOCHASTIC, layer, None, Dense(np.full((200, 300), change * step)), child(0), 0.0)
    assert set(np.unique(after.codes)) == {4, 5}
    sigma = np.sqrt(0.3 * 0.7 / after.codes.size)
    assert abs(after.codes.mean() - change) < 5 * sigma
    nearest, _ = through(NEAREST, layer, None, Dense(np.full((200, 300), change * step)), child(0), 0.0)
    assert abs(nearest.codes.mean() - change) > 5 * sigma, "a rounding that is biased would be told"


def test_stochastic_rounding_is_drawn_anew_for_each_write_and_for_each_weight():
    layer = layer_of(bits=10, weights=np.zeros((30, 40)))
    half = Dense(np.full((30, 40), 0.5 * layer.scale[0]))
    first, second = (through(STOCHASTIC, layer, None, half, child(0, k), 0.0)[0].codes for k in range(2))
    again = through(STOCHASTIC, layer, None, half, child(0, 0), 0.0)[0].codes
    np.testing.assert_array_equal(first, again)
    assert 0.3 < (first != second).mean() < 0.7
    assert 0.3 < first.mean() < 0.7


# ---- accumulators


@pytest.mark.parametrize("bits", [1, 2, 6, 8])
@pytest.mark.parametrize("extra", [4, 10])
def test_an_accumulator_follows_the_exact_sum_of_updates_and_the_codes_are_its_highest_bits(bits, extra):
    path, layer = WritePath(accumulator_bits=bits + extra), layer_of(bits)
    (step,), unit = layer.scale, 2.0**-extra
    at_first = kept_at_first(path, layer, WEIGHTS)
    off = np.abs((layer.codes + at_first) * step - WEIGHTS)[0] / (unit * step)
    middle = np.abs(at_first[0]) == (1.0 if bits == 1 else 0.5) - unit  # where what is half way would belong elsewhere
    assert np.all(off <= np.where(middle, 1.0, 0.5) * (1 + 1e-9))
    # in whole units, so that each update is held as it is; small, so that none meets the largest code
    updates = [unit * step * np.rint(u / (unit * step)) for u in small_updates(50, 0.02)]
    after, kept = many(path, layer, updates, at_first)
    held = (after.codes + kept)[0] * step
    np.testing.assert_allclose(held, (layer.codes + at_first)[0] * step + sum(updates), atol=1e-9 * step)
    top = max(2 ** (bits - 1) - 1, 1)
    nearest = np.where(held >= 0, 1, -1) if bits == 1 else np.clip(np.rint(held / step), -top, top)
    np.testing.assert_array_equal(after.codes[0], nearest)


def test_updates_below_half_a_code_are_lost_without_an_accumulator_and_add_up_in_one():
    layer = layer_of(weights=np.zeros(SHAPE))
    (step,) = layer.scale
    updates = [np.full(SHAPE, 0.125 * step)] * 40
    np.testing.assert_array_equal(many(NEAREST, layer, updates)[0].codes, 0)
    path = WritePath(accumulator_bits=9)
    np.testing.assert_array_equal(many(path, layer, updates, kept_at_first(path, layer, np.zeros(SHAPE)))[0].codes, 5)


def test_an_accumulator_rounds_each_update_to_half_its_unit_or_at_random_without_bias():
    layer = layer_of(bits=4, weights=np.zeros((200, 300)))
    (step,), bits = layer.scale, 6
    change = 0.3  # of a unit
    update = np.full((200, 300), change * 2.0 ** (4 - bits) * step)
    nearest = WritePath(accumulator_bits=bits)
    stochastic = WritePath(accumulator_bits=bits, rounding="stochastic")
    zero = kept_at_first(nearest, layer, np.zeros((200, 300)))
    np.testing.assert_array_equal(many(nearest, layer, [update], zero)[1], 0.0)
    units = many(stochastic, layer, [update], zero)[1] * 2.0 ** (bits - 4)
    assert set(np.unique(units)) == {0.0, 1.0}
    assert abs(units.mean() - change) < 5 * np.sqrt(change * (1 - change) / units.size)


def test_accumulators_and_codes_end_at_the_largest_code_and_come_back_from_it_at_once():
    path, layer = WritePath(accumulator_bits=12), layer_of()
    (step,) = layer.scale
    at_first = kept_at_first(path, layer, WEIGHTS)
    after, kept = many(path, layer, [np.full(SHAPE, 100 * step)], at_first)
    np.testing.assert_array_equal(after.codes, 31)
    np.testing.assert_array_equal(kept, 0.0)
    back, _ = many(path, after, [np.full(SHAPE, -2 * step)], kept)
    np.testing.assert_array_equal(back.codes, 29)
    down, _ = many(path, layer, [np.full(SHAPE, -100 * step)], at_first)
    np.testing.assert_array_equal(down.codes, -31)


# ---- weights of one bit


def test_an_accumulator_of_a_one_bit_weight_flips_it_where_its_sign_changes():
    weights = np.where(WEIGHTS >= 0, 1.0, -1.0)
    path, layer = WritePath(accumulator_bits=8), layer_of(1, weights, limit=1.0)
    kept = kept_at_first(path, layer, weights)
    np.testing.assert_array_equal(kept, 0.0)
    # -0.75 and 0.75 of the way to the other sign in steps of a quarter: no flip before it passes 0
    for quarters in range(1, 8):
        after, _ = many(path, layer, [-0.25 * weights] * quarters, kept)
        held = weights * (1 - 0.25 * quarters)
        np.testing.assert_array_equal(after.codes[0], np.where(held >= 0, 1, -1))


@pytest.mark.parametrize("sign", [-1, 1])
def test_stochastic_rounding_of_a_one_bit_weight_flips_it_with_half_the_change_for_probability(sign):
    shape = (200, 300)
    layer = layer_of(1, np.full(shape, -float(sign)), limit=1.0)
    towards, away = (
        through(STOCHASTIC, layer, None, Dense(np.full(shape, way * sign * 0.5)), child(0), 0.0)[0].codes
        for way in (1, -1)
    )
    flipped = (towards == sign).mean()
    assert abs(flipped - 0.25) < 5 * np.sqrt(0.25 * 0.75 / towards.size)
    assert abs(flipped - 0.5) > 5 * np.sqrt(0.25 / towards.size), "steps of one code would flip twice as many"
    np.testing.assert_array_equal(away, -sign)


@pytest.mark.parametrize(
    ("bits", "accumulator", "expected"), [(8, None, 1.0), (8, 12, 2.0**-4), (1, None, 2.0), (1, 8, 2.0**-7)]
)
def test_the_resolution_is_a_code_or_the_unit_of_the_accumulator(bits, accumulator, expected):
    assert resolution(WritePath(accumulator_bits=accumulator), ArraySpec(weight_bits=bits)) == expected


# ---- factors, shapes


@pytest.mark.parametrize("path", [NEAREST, STOCHASTIC, WritePath(accumulator_bits=12)], ids=str)
def test_factors_are_written_as_their_product(path):
    layer = layer_of()
    rng, kept = child(0, "factors"), kept_at_first(path, layer, WEIGHTS)
    x, delta = rng.normal(size=(9, 12)), 0.05 * rng.normal(size=(9, 7))
    product = x.T @ delta
    of_factors, of_product = (
        through(path, layer, kept, update, child(0, "write"), 0.0)[0].codes
        for update in (Outer(x, delta), Dense(product))
    )
    np.testing.assert_array_equal(of_factors, of_product)


@pytest.mark.parametrize("path", [NEAREST, STOCHASTIC, WritePath(accumulator_bits=12)], ids=str)
def test_an_update_of_another_shape_is_refused_and_not_stretched(path):
    layer = layer_of()
    with pytest.raises(SpecError, match=r"delta = shape \(1, 7\): must have shape \(12, 7\)"):
        through(path, layer, kept_at_first(path, layer, WEIGHTS), Dense(np.ones((1, 7))), child(0), 0.0)


# ---- resistive cells


@pytest.mark.parametrize("path", [NEAREST, STOCHASTIC, WritePath(accumulator_bits=12)], ids=str)
def test_programming_error_is_drawn_anew_for_cells_whose_digit_changes_and_for_no_others(path):
    layer = layer_of(bits=4, device="resistive_generic")
    (step,), kept = layer.scale, kept_at_first(path, layer, WEIGHTS)
    change = np.zeros(SHAPE)
    change[::2] = 3 * step * -np.sign(WEIGHTS[::2])
    after, kept = through(path, layer, kept, Dense(change), child(0, "write"), 1.0)
    was, now = (one.held.written.programmed_S for one in (layer, after))
    rewritten = (was != now).sum()
    assert rewritten == after.wear.total > 0
    untouched, _ = through(path, after, kept, Dense(np.zeros(SHAPE)), child(0, "again"), 2.0)
    np.testing.assert_array_equal(untouched.held.written.programmed_S, after.held.written.programmed_S)
    # the same digits, written once more from the other side, do not come to the same conductances
    there, kept = through(path, after, kept, Dense(-change), child(0, "there"), 3.0)
    back, _ = through(path, there, kept, Dense(change), child(0, "back"), 4.0)
    np.testing.assert_array_equal(back.codes, after.codes)
    assert (back.held.written.programmed_S != after.held.written.programmed_S).any()


# ---- pulsed cells


def pulsed_layer(scheme=None):
    spec = load("pulsed_generic").replace("array.weight_headroom", 2.0)
    if scheme is None:
        return manufacture(spec, SHAPE, 3).program(WEIGHTS, child(0, "program"))
    return compound(spec, scheme, SHAPE, 3).program(WEIGHTS, child(0, "program"))


FACTORS = Outer(child(0, "x").uniform(0, 1, (40, 12)), 0.02 * child(0, "delta").normal(size=(40, 7)))


@pytest.mark.parametrize("scheme", [None, *SCHEMES.values()], ids=["plain", *SCHEMES])
def test_pulsed_devices_take_factors_as_pulses_of_their_own_write_and_no_accumulator(scheme):
    layer = pulsed_layer(scheme)
    after, kept = through(NEAREST, layer, None, FACTORS, child(0, "write"), 0.0)
    by_itself = layer.write(FACTORS, child(0, "write"))
    x = np.eye(SHAPE[0])
    np.testing.assert_array_equal(*(one.calibrate(x).mvm(x, child(0, "read")) for one in (after, by_itself)))
    assert kept is None


def test_plain_devices_are_pulsed_towards_the_product_of_the_factors():
    layer = pulsed_layer()
    up, down = (
        through(NEAREST, layer, None, Outer(FACTORS.x, way * FACTORS.delta), child(0, "write"), 0.0)[0]
        for way in (1, -1)
    )
    # the difference: soft bounds pull both towards the middle
    moved, asked = (up.held.states - down.held.states).ravel(), (FACTORS.x.T @ FACTORS.delta).ravel()
    assert np.corrcoef(moved, asked)[0, 1] > 0.7
    assert up.wear.total > 0


@pytest.mark.parametrize("name", [name for name in SCHEMES if name != "mixed_precision"])
def test_a_matrix_for_a_fast_array_is_refused_with_what_keeps_the_factors(name):
    with pytest.raises(CapabilityError, match=r'written by pulse trains; .*optimizer = "sgd".*mixed_precision'):
        through(NEAREST, pulsed_layer(SCHEMES[name]), None, Dense(np.zeros(SHAPE)), child(0), 0.0)


@pytest.mark.parametrize("bits", [1, 2, 6])
@pytest.mark.parametrize("beyond", [1, 2, 8])
def test_an_update_of_nothing_changes_no_code_of_weights_half_way_between_two(bits, beyond):
    path = WritePath(accumulator_bits=bits + beyond)
    spread = np.linspace(-1, 1, 84).reshape(SHAPE)
    layer = layer_of(bits=bits, limit=1.0, weights=spread)
    top = 1 if bits == 1 else 2 ** (bits - 1) - 1
    # a little off the middle between codes, and so rounded to it by an accumulator
    middle = (np.rint(top * spread) + 0.5 - 1e-9) / top
    layer = layer.die.program(np.clip(middle, -1, 1), child(0, "program"))
    kept = kept_at_first(path, layer, np.clip(middle, -1, 1))
    after, still = through(path, layer, kept, Dense(np.zeros(SHAPE)), child(0), 0.0)
    np.testing.assert_array_equal(after.codes, layer.codes)
    np.testing.assert_array_equal(still, kept)
