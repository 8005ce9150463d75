"""Streams are addressed by name: the address alone decides, and no two addresses share a stream."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imcsim.rng import child, children, draw_key, draw_keys, drawn

ADDRESSES = st.lists(st.integers() | st.text(max_size=5), max_size=4).map(tuple)


def words(rng):
    return tuple(rng.integers(0, 2**64, size=4, dtype=np.uint64).tolist())


@given(st.integers(min_value=0), ADDRESSES)
def test_the_same_address_gives_the_same_stream(seed, path):
    assert words(child(seed, *path)) == words(child(seed, *path))


@given(st.integers(min_value=0), ADDRESSES, st.integers(min_value=0), ADDRESSES)
def test_two_addresses_give_two_streams(seed, path, other_seed, other_path):
    same = (seed, *path) == (other_seed, *other_path)
    assert (words(child(seed, *path)) == words(child(other_seed, *other_path))) == same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "bc"), ("ab", "c")),
        (("abc",), ("a", "bc")),
        ((1,), ("1",)),
        ((1, 11), (11, 1)),
        (("a", "b"), ("b", "a")),
        ((), ("",)),
        (("die",), ("die", 0)),
        (("a", "b"), ("a/b",)),  # parts that look like a separator and the next part
        (("a", "b"), ("a/s:b",)),
        (("a", "b"), ("a/s1:b",)),
        ((-1,), (1,)),
    ],
)
def test_addresses_that_read_alike_are_kept_apart(one, other):
    assert words(child(0, *one)) != words(child(0, *other))


def test_the_order_in_which_streams_are_made_and_drawn_from_does_not_matter():
    names = ["die", "read", "calibration"]
    forward = {name: words(child(7, name)) for name in names}
    made = {name: child(7, name) for name in reversed(names)}
    made["read"].normal(size=1000)  # drawing from one moves no other
    assert {name: words(made[name]) for name in ("die", "calibration")} == {
        name: forward[name] for name in ("die", "calibration")
    }


def test_a_stream_does_not_depend_on_the_process_that_makes_it():
    program = "from imcsim.rng import child; print(child(3, 'die', 1).integers(0, 2**62, size=4).tolist())"
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert printed == {f"{child(3, 'die', 1).integers(0, 2**62, size=4).tolist()}\n"}


def test_streams_of_neighbouring_addresses_are_uncorrelated():
    n = 20_000
    streams = [child(seed, "die", k).normal(size=n) for seed in (0, 1) for k in range(4)]
    for one, other in combinations(streams, 2):
        assert abs(np.mean(one * other)) < 5 / np.sqrt(n)
    leaking = 0.05 * streams[0] + streams[1]
    assert abs(np.mean(streams[0] * leaking)) > 5 / np.sqrt(n)


def test_a_seed_may_be_of_any_size():
    assert words(child(2**200)) != words(child(2**200 + 1))


@pytest.mark.parametrize("integer", [np.int8, np.int64, np.uint8, np.uint64])
def test_numpy_integers_address_as_those_of_python_do(integer):
    assert words(child(integer(3), "die", integer(5))) == words(child(3, "die", 5))


@pytest.mark.parametrize("seed", [-1, True, 1.5, "0", None])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(ValueError, match=r"child: seed = .*: must be an integer of at least 0"):
        child(seed)


def test_a_key_is_a_python_integer_of_64_bits_and_each_bit_is_set_half_of_the_time():
    rng = child(0, "keys")
    n = 4000
    keys = [draw_key(rng) for _ in range(n)]
    assert all(type(key) is int and 0 <= key < 2**64 for key in keys)
    for bit in range(64):
        count = sum(key >> bit & 1 for key in keys)
        assert abs(count - n / 2) < 5 * np.sqrt(n) / 2
    assert len(set(keys)) == n


def test_two_keys_from_one_generator_differ_and_the_same_generator_draws_the_same_key():
    rng = child(0, "keys")
    first, second = draw_key(rng), draw_key(rng)
    assert first != second
    assert draw_key(child(0, "keys")) == first


def test_each_member_of_an_ensemble_has_the_keys_streams_and_numbers_that_it_has_alone():
    def numbers(rng):
        return drawn(children(draw_keys(rng), "stream", 3), lambda one: one.normal(size=(2, 5)))

    together = numbers([child(seed, "member") for seed in range(3)])
    assert together.shape == (3, 2, 5)
    for seed in range(3):
        np.testing.assert_array_equal(together[seed], numbers(child(seed, "member")))
    assert len(np.unique(together)) == together.size
