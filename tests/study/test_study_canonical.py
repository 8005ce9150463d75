"""Canonical JSON is one text for equal values, and loses nothing."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imcsim.study.canonical import canonical_json, digest, plain, restored

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(VALUES)
def test_reading_canonical_json_gives_the_value_back(value):
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(), SCALARS), st.randoms())
def test_the_order_of_keys_does_not_matter(table, random):
    items = list(table.items())
    random.shuffle(items)
    assert canonical_json(dict(items)) == canonical_json(table)


@given(VALUES, VALUES)
def test_different_values_have_different_texts(one, other):
    assert (canonical_json(one) == canonical_json(other)) == (repr_of(one) == repr_of(other))


def repr_of(value):
    """A text by which 1, 1.0 and True differ, as they do in JSON, and the order of keys does not count."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key!r}:{repr_of(value[key])}" for key in sorted(value)) + "}"
    return "[" + ",".join(map(repr_of, value)) + "]" if isinstance(value, list) else repr(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_the_shortest_that_read_back_the_same(number):
    assert canonical_json(number) == repr(number)


def test_numpy_scalars_and_tuples_read_as_python_ones():
    given_ = {"i": np.int32(3), "f": np.float64(0.1), "b": np.bool_(True), "t": (1, np.uint8(2))}
    assert canonical_json(given_) == '{"b":true,"f":0.1,"i":3,"t":[1,2]}'


@pytest.mark.parametrize("number", [math.nan, math.inf, np.float32("-inf")])
def test_what_is_not_finite_is_refused(number):
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"x": [number]})


@pytest.mark.parametrize("value", [{1: "a"}, {"x": {2, 3}}, b"bytes", np.array(["text"]), np.array([1j])])
def test_what_json_cannot_say_is_refused(value):
    with pytest.raises(TypeError, match="canonical JSON"):
        canonical_json(value)


DTYPES = (
    hnp.integer_dtypes(endianness="?") | hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)) | hnp.boolean_dtypes()
)
ARRAYS = hnp.arrays(dtype=DTYPES, shape=hnp.array_shapes(min_dims=0, min_side=0))


@given(ARRAYS)
def test_arrays_come_back_to_the_bit(array):
    back = restored(json.loads(canonical_json({"weights": [array]})))["weights"][0]
    assert back.shape == array.shape
    assert back.dtype == array.dtype.newbyteorder("<")
    assert back.tobytes() == array.astype(back.dtype).tobytes()


def test_arrays_are_stored_little_endian_and_come_back_writable():
    stored = plain(np.array([1, 256], dtype=">i2"))
    assert stored == {"dtype": "<i2", "shape": [2], "data": "AQAAAQ=="}  # base64 of 01 00 00 01
    assert restored(stored).flags.writeable


def test_the_digest_is_the_sha256_of_the_text():
    # printf '{"a":1}' | sha256sum
    assert digest({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
