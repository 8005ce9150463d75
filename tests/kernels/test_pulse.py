"""Pulse kernels against their twins; trains whose coincidences have the moments of independent bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imcsim.kernels import pulse, pulse_reference, trains
from imcsim.kernels.pulsed_devices import CONSTANT, EXPONENTIAL, LINEAR, POWER, TABLE, Devices

KEYS = np.array([0xC0FFEE1234567890, 5], np.uint64)
SHAPES = {EXPONENTIAL: [0.3, 0.4, 1.5, 0.7, 1.2, 0.1], POWER: [1.7]}
STEPS = [[0.2, 1.5, 1.0, 0.1], [0.3, 0.6, 2.0, 1.0]]
KINDS = pytest.mark.parametrize("kind", [CONSTANT, LINEAR, EXPONENTIAL, POWER, TABLE])


def made(kind, shape, *, step=0.01, spread=0.3, sigma=0.3, additive=False, bound=0.3):
    """Devices of random sizes and bounds."""
    rng = np.random.default_rng(1)
    up, down, low, high = (1 + spread * rng.uniform(-1, 1, (4, *shape))).astype(np.float32)
    up, down, low, high = step * up, step * down, -bound * low, bound * high
    sloped = kind == LINEAR
    return Devices(
        kind=kind,
        up=up,
        down=down,
        low=low,
        high=high,
        slope_up=-up / high if sloped else np.zeros((0, 0, 0), np.float32),
        slope_down=-down / low if sloped else np.zeros((0, 0, 0), np.float32),
        shape=np.array(SHAPES.get(kind, [])),
        table=np.array(STEPS),
        cycle_sigma=sigma,
        additive=additive,
        dw_min=step,
    )


def drawn_trains(members, samples, rows, cols, slots=31, seed=2):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, slots + 1, (members, samples))
    p_rows, p_columns = (rng.uniform(-1, 1, (members, samples, lines)) for lines in (rows, cols))
    p_rows[:, :, ::3] = 0  # inputs often are
    keys = KEYS[:members]
    return [
        trains.pulse_trains(p, lengths, keys, source)[0]
        for p, source in ((p_rows, trains.ROW_TRAIN), (p_columns, trains.COLUMN_TRAIN))
    ]


# Trains


@settings(max_examples=20)
@given(st.integers(1, 2), st.integers(1, 4), st.integers(1, 70), st.integers(0, 2**64 - 1), st.integers(0, 31))
def test_trains_are_those_of_the_twin_bit_for_bit(members, samples, lines, key, slots):
    rng = np.random.default_rng(3)
    p = np.clip(rng.uniform(-1.3, 1.3, (members, samples, lines)), -1, 1)
    lengths = np.full((members, samples), slots)
    keys = np.array([key, 7][:members], np.uint64)
    ours, twins = (f(p, lengths, keys, trains.ROW_TRAIN) for f in (trains.pulse_trains, pulse_reference.pulse_trains))
    for one, other in zip(ours, twins, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("length", [1, 5, 31])
def test_a_certain_pulse_comes_in_every_slot_and_an_impossible_one_in_none(length):
    p = np.array([[[1.0, 0.0, -1.0]]])
    words, pulses = trains.pulse_trains(p, np.array([[length]]), KEYS[:1], trains.ROW_TRAIN)
    full = 2**length - 1
    assert words.tolist() == [[[full, 0, 2**31 + full]]]
    assert pulses.tolist() == [[2 * length]]


def test_each_slot_pulses_with_its_probability_independent_of_the_others():
    n, p = 200_000, 0.3
    words, _ = trains.pulse_trains(np.full((1, 1, n), p), np.array([[31]]), KEYS[:1], trains.ROW_TRAIN)
    bits = words[0, 0] >> np.arange(32, dtype=np.uint32)[:, None] & 1
    assert np.all(np.abs(bits[:31].mean(axis=1) - p) < 5 * np.sqrt(p * (1 - p) / n))
    assert not np.any(np.abs(bits[:31].mean(axis=1) - 1.05 * p) < 5 * np.sqrt(p * (1 - p) / n))
    together = np.corrcoef(bits[:31])[~np.eye(31, dtype=bool)]
    assert np.all(np.abs(together) < 5 / np.sqrt(n))


def test_trains_of_rows_columns_samples_and_keys_share_nothing():
    p, lengths = np.full((2, 2, 500), 0.5), np.full((2, 2), 31)
    drawn = [trains.pulse_trains(p, lengths, KEYS, source)[0] for source in (trains.ROW_TRAIN, trains.COLUMN_TRAIN)]
    words = np.concatenate([one.ravel() for one in drawn])
    assert np.unique(words).size >= words.size - 2


# Cells


@KINDS
@pytest.mark.parametrize("additive", [False, True])
@pytest.mark.parametrize("sigma", [0.0, 0.3])
@pytest.mark.parametrize("bound", [0.1, 0.3, 9], ids=["many cells meet a bound", "some are near one", "none is"])
def test_trains_on_cells_do_what_the_twin_does(kind, additive, sigma, bound):
    shape = (2, 3, 66)
    devices = made(kind, shape, sigma=sigma, additive=additive, bound=bound)
    states = np.random.default_rng(4).uniform(-0.06, 0.06, shape).astype(np.float32)
    words = drawn_trains(2, 4, *shape[1:], slots=12)
    ours, up, down = pulse.apply_trains(states, *words, devices, KEYS)
    twins, twins_up, twins_down = pulse_reference.apply_trains(states, *words, devices, KEYS)
    np.testing.assert_array_equal(up, twins_up)
    np.testing.assert_array_equal(down, twins_down)
    # float32 states; normals to 2e-6 of theirs, each of which moves a cell by a hundredth
    np.testing.assert_allclose(ours, twins, atol=2e-7)
    assert up.sum() > 100
    assert down.sum() > 100


@KINDS
@pytest.mark.parametrize("additive", [False, True])
def test_counted_pulses_do_what_the_twin_does(kind, additive):
    shape = (2, 4, 11)
    devices = made(kind, shape, additive=additive)
    counts = np.random.default_rng(5).integers(-100, 100, shape).astype(np.int32)
    states = np.zeros(shape, np.float32)
    ours, twins = (f(states, counts, devices, KEYS) for f in (pulse.apply_counts, pulse_reference.apply_counts))
    np.testing.assert_allclose(ours, twins, atol=1e-6)


@KINDS
def test_pairs_of_pulses_do_what_the_twin_does(kind):
    shape = (2, 3, 5)
    states = np.full(shape, 0.05, np.float32)
    devices = made(kind, shape)
    ours, twins = (f(states, 40, devices, KEYS) for f in (pulse.apply_pairs, pulse_reference.apply_pairs))
    np.testing.assert_allclose(ours, twins, atol=1e-6)


@KINDS
def test_the_bits_do_not_depend_on_the_number_of_threads(kind, on_threads):
    shape = (1, 200, 130)
    devices, words = made(kind, shape), drawn_trains(1, 64, 200, 130)
    states = np.zeros(shape, np.float32)
    counts = np.random.default_rng(6).integers(-60, 60, shape).astype(np.int32)

    def everything():
        return [
            *pulse.apply_trains(states, *words, devices, KEYS[:1]),
            pulse.apply_counts(states, counts, devices, KEYS[:1]),
            pulse.apply_pairs(states, 10, devices, KEYS[:1]),
        ]

    for one, two in zip(on_threads(1, everything), on_threads(2, everything), strict=True):
        np.testing.assert_array_equal(one, two)


@KINDS
def test_a_cell_does_the_same_whatever_else_is_in_the_array_and_in_the_ensemble(kind):
    shape = (2, 6, 130)
    devices, words = made(kind, shape), drawn_trains(2, 9, 6, 130)
    states = np.zeros(shape, np.float32)
    whole, *_ = pulse.apply_trains(states, *words, devices, KEYS)

    def first(values):
        return np.ascontiguousarray(values[1:, :4, :70]) if values.size else values

    part = devices._replace(**{name: first(getattr(devices, name)) for name in Devices._fields[1:7]})
    fewer = np.ascontiguousarray(words[0][1:, :, :4]), np.ascontiguousarray(words[1][1:, :, :70])
    alone, *_ = pulse.apply_trains(first(states), *fewer, part, KEYS[1:])
    np.testing.assert_array_equal(alone, first(whole))


# Pulses at once


def counted(devices, states, counts, seed):
    """The states after pulses of each cell, of a key of its own."""
    return pulse.apply_counts(states, counts, devices, np.array([seed], np.uint64))


def one_by_one(devices, states, n, seed):
    for pulse_number in range(n):
        states = counted(devices, states, np.ones(states.shape, np.int32), 1000 * seed + pulse_number)
    return states


def distance(a, b):
    """Kolmogorov and Smirnov's distance between two samples of equal size, in units of its spread."""
    both = np.sort(np.concatenate([a.ravel(), b.ravel()]))
    apart = np.searchsorted(np.sort(a.ravel()), both, "right") - np.searchsorted(np.sort(b.ravel()), both, "right")
    return np.abs(apart).max() / a.size * np.sqrt(a.size / 2)


FAR = 2.8  # P(distance > 2.8) = 2 exp(-2 2.8^2) = 3e-7, which is five sigma

SAME = (1, 1000, 300)


@pytest.mark.parametrize(("kind", "additive"), [(CONSTANT, False), (LINEAR, True)])
@pytest.mark.parametrize("n", [2, 12])
def test_pulses_drawn_at_once_are_distributed_as_one_by_one(kind, additive, n):
    devices = made(kind, SAME, spread=0.0, sigma=0.5, additive=additive)
    states = np.zeros(SAME, np.float32)
    counts = np.full(SAME, n, np.int32)
    at_once, apart = counted(devices, states, counts, 1), one_by_one(devices, states, n, 2)
    assert distance(at_once, apart) < FAR
    wrong = counted(devices._replace(cycle_sigma=0.53), states, counts, 1)
    assert distance(wrong, apart) > FAR


def test_trains_drawn_at_once_are_distributed_as_pulse_by_pulse():
    devices = made(CONSTANT, SAME, spread=0.0, sigma=0.5)
    states, n = np.zeros(SAME, np.float32), 7
    certain = [np.full((1, 1, lines), 2**n - 1, np.uint32) for lines in SAME[1:]]
    at_once, up, _ = pulse.apply_trains(states, *certain, devices, KEYS[:1])
    assert (up == n).all()
    assert distance(at_once, one_by_one(devices, states, n, 2)) < FAR
    assert distance(at_once, one_by_one(devices, states, n + 1, 2)) > FAR


@pytest.mark.parametrize("way", ["counts", "trains"])
def test_where_a_bound_is_near_pulses_are_not_drawn_at_once(way):
    # steps so noisy that cells leave the bound again: only the order of the pulses tells where they end
    devices, n = made(CONSTANT, SAME, spread=0.0, sigma=2.0), 4
    states = np.full(SAME, 0.29, np.float32)
    if way == "counts":
        ours = counted(devices, states, np.full(SAME, n, np.int32), 1)
    else:
        certain = [np.full((1, 1, lines), 2**n - 1, np.uint32) for lines in SAME[1:]]
        ours, *_ = pulse.apply_trains(states, *certain, devices, KEYS[:1])
    apart = one_by_one(devices, states, n, 2)
    assert distance(ours, apart) < FAR
    far_bound = devices._replace(high=np.full(SAME, 9, np.float32), low=np.full(SAME, -9, np.float32))
    cut_at_the_end = np.minimum(counted(far_bound, states, np.full(SAME, n, np.int32), 1), devices.high)
    assert distance(cut_at_the_end, apart) > FAR
