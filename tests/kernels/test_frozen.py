"""Frozen normals belong to a place on the die: no other place, and nothing manufactured beside it, moves them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imcsim.kernels.frozen import ADC_GAIN, ADC_OFFSET, CELL_MISMATCH, frozen_normals
from imcsim.kernels.reference import normals

KEY = 0xC0FFEE1234567890
SHAPE = {"row_tiles": 2, "rows": 6, "polarities": 2, "slices": 3, "columns": 11}


def manufactured(key=KEY, source=CELL_MISMATCH, tile_columns=4, **shape):
    return frozen_normals(np.uint64(key), source, *{**SHAPE, **shape}.values(), tile_columns)


def twin(key, source, row_tiles, rows, polarities, slices, columns, tile_columns):
    out = np.empty((row_tiles, rows, polarities, slices, columns))
    for tile, row, polarity, s in np.ndindex(out.shape[:4]):
        for first in range(0, columns, tile_columns):
            n = min(tile_columns, columns - first)
            where = (row, tile << 16 | first // tile_columns, source << 16 | polarity << 8 | s)
            out[tile, row, polarity, s, first : first + n] = normals(n, key, *where)
    return out


@settings(max_examples=25)
@given(
    st.integers(0, 2**64 - 1),
    st.sampled_from([CELL_MISMATCH, ADC_GAIN, ADC_OFFSET]),
    st.tuples(*[st.integers(1, high) for high in (3, 5, 2, 4, 10, 6)]),
)
def test_frozen_normals_are_those_of_the_twin(key, source, shape):
    np.testing.assert_allclose(
        frozen_normals(np.uint64(key), source, *shape), twin(key, source, *shape), rtol=2e-6, atol=1e-9
    )


@pytest.mark.parametrize("larger", SHAPE)
def test_a_place_keeps_its_normal_when_more_is_manufactured(larger):
    small = manufactured()
    large = manufactured(**{larger: SHAPE[larger] + 5})
    np.testing.assert_array_equal(large[tuple(slice(n) for n in small.shape)], small)


def shared(*dies):
    """How many normals occur more than once: of a thousand in float32, one or two by chance, more only by a flaw."""
    everything = np.concatenate([die.ravel() for die in dies])
    return everything.size - np.unique(everything).size


def test_no_two_places_share_a_normal_nor_do_two_sources():
    assert shared(*(manufactured(source=source) for source in (CELL_MISMATCH, ADC_GAIN, ADC_OFFSET))) <= 3
    assert shared(manufactured(), manufactured()[..., :1]) > 3


def test_another_key_gives_another_die():
    assert shared(manufactured(), manufactured(key=KEY + 1)) <= 3


def test_the_tile_of_a_column_is_told_by_its_width_alone():
    # column 4 is the first of the second tile, as column 8 is that of the third
    wide, narrow = manufactured(tile_columns=128), manufactured(tile_columns=4)
    np.testing.assert_array_equal(wide[..., :4], narrow[..., :4])
    assert shared(narrow[..., 4:], wide) <= 3


def test_frozen_normals_are_standard_normal(assert_moments):
    assert_moments(manufactured(row_tiles=3, rows=128, columns=64, tile_columns=16), 0.0, 1.0)


def test_neighbouring_places_are_uncorrelated_in_every_direction():
    x = manufactured(row_tiles=3, rows=64, slices=4, columns=64, tile_columns=16).astype(np.float64)
    for axis in range(x.ndim):
        near = np.take(x, range(1, x.shape[axis]), axis) * np.take(x, range(x.shape[axis] - 1), axis)
        assert abs(near.mean()) < 5 / np.sqrt(near.size)


def test_the_bits_do_not_depend_on_the_number_of_threads(on_threads):
    one, two = (on_threads(threads, lambda: manufactured(rows=50)) for threads in (1, 2))
    np.testing.assert_array_equal(one, two)
