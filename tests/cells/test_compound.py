"""Compound arrays: transfer, buffers and choppers, and that they learn where a plain pulsed array does not."""

from __future__ import annotations

import numpy as np
import pytest

from imcsim.cells.compound import chopped, one_hot, released, transfers
from imcsim.cells.pulsed import manufactured, symmetric_point, write_counts, write_outer
from imcsim.errors import SpecError
from imcsim.kernels.frozen import frozen_normals
from imcsim.rng import child, draw_key
from imcsim.specs.pulsed import SoftBoundsDevice, UpdateSpec


def test_rows_are_transferred_in_turn_one_every_so_many_samples():
    when, rows = transfers(0, 8, 2, 3)
    assert when.tolist() == [2, 4, 6, 8]
    assert rows.tolist() == [0, 1, 2, 0]
    # the same samples in parts
    parts = [transfers(before, count, 2, 3) for before, count in [(0, 1), (1, 4), (5, 3)]]
    assert [(part[0] + before).tolist() for part, before in zip(parts, [0, 1, 5], strict=True)] == [[], [2, 4], [6, 8]]
    assert [part[1].tolist() for part in parts] == [[], [0, 1], [2, 0]]
    with pytest.raises(SpecError, match="every = 0: must be an integer of at least 1"):
        transfers(0, 1, 0, 3)


def test_a_one_hot_input_reads_a_row_and_its_factors_write_that_row():
    a = np.arange(12.0).reshape(4, 3)
    x = one_hot(np.array([2, 0]), 4)
    delta = x @ a
    assert delta.tolist() == [a[2].tolist(), a[0].tolist()]
    expected = np.zeros((4, 3))
    expected[[0, 2]] = a[[0, 2]]
    np.testing.assert_array_equal(x.T @ delta, expected)


def test_a_buffer_lets_go_of_whole_pulses_and_keeps_the_rest():
    left, counts = released(np.array([0.9, 1.0, -2.6, 7.5, 0.0]), 1.0, most=5)
    assert counts.tolist() == [0, 1, -2, 5, 0]
    np.testing.assert_allclose(left, [0.9, 0.0, -0.6, 2.5, 0.0])
    assert counts.dtype == np.int32


def test_a_forgetful_buffer_keeps_a_share_of_what_pulsed():
    left, counts = released(np.array([0.9, 2.5, -1.2]), 1.0, most=1, kept=0.1)
    assert counts.tolist() == [0, 1, -1]
    np.testing.assert_allclose(left, [0.9, 0.25, -0.12])


def test_nothing_is_lost_between_the_buffer_and_the_pulses():
    rng = child(1, "buffer")
    buffer, paid, put_in = np.zeros(50), np.zeros(50), np.zeros(50)
    for _ in range(300):
        more = rng.normal(0, 0.3, 50)
        buffer, counts = released(buffer + more, 0.25, most=31)
        paid, put_in = paid + 0.25 * counts, put_in + more
        assert np.all(np.abs(buffer) < 0.25)
    np.testing.assert_allclose(paid + buffer, put_in, atol=1e-12)


@pytest.mark.parametrize(("threshold", "most", "told"), [(0.0, 1, "threshold = 0.0"), (1.0, 0, "most = 0")])
def test_a_buffer_without_threshold_or_pulses_is_refused(threshold, most, told):
    with pytest.raises(SpecError, match=told):
        released(np.zeros(2), threshold, most)


def test_choppers_flip_the_row_that_was_read_as_often_as_told():
    rng, chopper, flips, n = child(2, "chopper"), np.ones(3), 0, 20000
    for _ in range(n):
        after = chopped(chopper, np.array([1]), 0.1, rng)
        flips += after[1] != chopper[1]
        chopper = after
    assert chopper[[0, 2]].tolist() == [1, 1]
    assert abs(flips / n - 0.1) < 5 * np.sqrt(0.1 * 0.9 / n)
    assert not abs(flips / n - 0.12) < 5 * np.sqrt(0.1 * 0.9 / n)


def test_choppers_take_off_what_every_read_adds():
    rng, chopper, signal, offset, n = child(3, "chopper"), np.ones(2), 0.2, 1.0, 20000
    with_choppers = plain = 0.0
    for _ in range(n):
        # A holds its signal with the sign under which it was written
        with_choppers += chopper[0] * (chopper[0] * signal + offset) / n
        plain += (signal + offset) / n
        chopper = chopped(chopper, np.array([0]), 0.5, rng)
    assert abs(with_choppers - signal) < 5 * offset / np.sqrt(n)
    assert abs(plain - signal) > 0.9


def test_a_transfer_of_the_first_kind_writes_pulses_to_one_row_in_proportion_to_the_read():
    read, shape, n = np.array([0.3, -0.2, 0.0]), (1, 4, 3), 2000
    device = SoftBoundsDevice(dw_min=1e-4, w_min=-1, w_max=1, cycle_noise="additive")
    devices = manufactured(device, lambda source: np.zeros(shape))
    x, delta = one_hot(np.array([2]), 4), read[None]
    c = np.zeros(shape, np.float32)
    for key in range(n):
        c = write_outer(devices, UpdateSpec(), c, x[None], delta[None], 1e-4, np.array([key], np.uint64)).states
    assert (c[0, [0, 1, 3]] == 0).all()
    # a pulse is dw_min (1 -+ w), its number binomial: n p = n |read|; soft bounds take w / 2 off
    expected = np.sign(read) * (1 - np.exp(-np.abs(read) * n * 1e-4))
    np.testing.assert_allclose(c[0, 2], expected, atol=5 * 1e-4 * np.sqrt(n * 0.25))


# Learning: a linear regression of 20 inputs, 5 outputs, on devices whose asymmetry spreads by 30 %

ROWS, COLS = 20, 5
DEVICE = SoftBoundsDevice(dw_min=0.005, w_min=-1, w_max=1, dw_min_dtod_rel=0.1, up_down_dtod=0.3, cycle_sigma_rel=0.3)


def drawn_devices(key):
    return manufactured(
        DEVICE, lambda source: frozen_normals(np.uint64(key), source, 1, ROWS, 1, 1, COLS, COLS)[0, :, 0, 0][None]
    )


def regression(weights_of, learn, steps=6000):
    """The mean squared error over the last sixth of the steps, of which each shows one sample."""
    rng = child(3, "regression")
    wanted, errors = rng.uniform(-0.5, 0.5, (ROWS, COLS)), []
    for _ in range(steps):
        x = rng.normal(size=(1, ROWS))
        delta = x @ (wanted - weights_of()) + rng.normal(0, 0.3, (1, COLS))
        errors.append(((weights_of() - wanted) ** 2).mean())
        learn(x, delta)
    return np.mean(errors[-steps // 6 :])


def plain_array():
    devices, rng = drawn_devices(1), child(4, "pulses")
    state = [np.zeros((1, ROWS, COLS), np.float32)]

    def learn(x, delta):
        key = np.array([draw_key(rng)], np.uint64)
        state[0] = write_outer(devices, UpdateSpec(), state[0], x[None], delta[None], 0.01, key).states

    return lambda: state[0][0], learn


def compound_array(reference):
    """Tiki-Taka v2, with the symmetric points of A taken off where it has a reference."""
    devices, rng = [drawn_devices(1), drawn_devices(2)], child(4, "pulses")
    points = symmetric_point(devices[0])[0] if reference else np.zeros((ROWS, COLS))
    a, c = points[None].astype(np.float32), np.zeros((1, ROWS, COLS), np.float32)
    held = {"a": a, "c": c, "h": np.zeros((ROWS, COLS)), "n": 0}

    def learn(x, delta):
        keys = [np.array([draw_key(rng)], np.uint64) for _ in range(2)]
        held["a"] = write_outer(devices[0], UpdateSpec(), held["a"], x[None], delta[None], 0.01, keys[0]).states
        _, k = transfers(held["n"], 1, 1, ROWS)
        held["n"] += 1
        read = one_hot(k, ROWS) @ (held["a"][0] - points)
        counts = np.zeros((1, ROWS, COLS), np.int32)
        held["h"][k], counts[0, k] = released(held["h"][k] + 0.5 * read, 0.5, most=1)
        held["c"] = write_counts(devices[1], held["c"], counts, keys[1]).states

    return lambda: held["c"][0], learn


def test_tiki_taka_learns_what_asymmetric_devices_alone_do_not():
    # learning_rules.md, section 8: SGD on asymmetric devices keeps an error that does not vanish, Tiki-Taka converges
    plain, compound = regression(*plain_array()), regression(*compound_array(reference=True))
    assert compound < plain / 2
    # and it is the reference that does it
    assert regression(*compound_array(reference=False)) > 2 * compound
