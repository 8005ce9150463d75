"""Weight codes become codes after a write, and cells for products, as their twins have it."""

from __future__ import annotations

import numpy as np
import pytest

from imcsim.kernels import jit, reference
from imcsim.kernels.codes import ROWS as ROWS_OF_A_PRODUCT
from imcsim.kernels.codes import lay, rewrite, rewrite_outer
from imcsim.rng import child

TOP, ROWS, COLS = 7, 21, 10
NEVER = np.zeros((0, 0, 0, 0), np.uint8)
PAIRS = np.stack([np.maximum(np.arange(-TOP, TOP + 1), 0), np.maximum(-np.arange(-TOP, TOP + 1), 0)], axis=1)


def written(members=1, *, binary=False, shared=False, before=False):
    """The operands of a write: codes, scale, delta, binary, digits, earlier writes."""
    rng = child(0, "codes", members)
    top = 1 if binary else TOP
    codes = rng.integers(-top, top + 1, (1 if shared else members, ROWS, COLS)).astype(np.int32)
    codes = np.where(codes < 0, -1, 1).astype(np.int32) if binary else codes
    scale = rng.uniform(0.1, 0.3, len(codes))
    delta = rng.normal(0, 0.3, (members, ROWS, COLS))
    digits = (PAIRS if not binary else np.array([[0], [0], [1]])).astype(np.uint8)
    earlier = rng.integers(0, 5, (len(codes), ROWS, COLS, digits.shape[1])).astype(np.uint8)
    return codes, scale, delta, binary, digits, earlier if before else NEVER


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("members", [1, 3])
def test_a_write_gives_the_codes_and_counts_of_the_twin(members, binary, shared, before):
    args = written(members, binary=binary, shared=shared, before=before)
    for got, expected in zip(rewrite(*args), reference.rewrite(*args), strict=True):
        assert got.shape == expected.shape
        np.testing.assert_array_equal(got, expected)


def factors(members, rows, cols, dtype, samples=6):
    """Eighths, whose products and sums float32 holds exactly: a change in codes that no order of sums can tell."""
    rng = child(0, "factors", members)
    x, delta = rng.integers(-8, 9, (members, samples, rows)) / 8, rng.integers(-8, 9, (members, samples, cols)) / 8
    return x.astype(dtype), delta.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("rows", [5, ROWS_OF_A_PRODUCT, 2 * ROWS_OF_A_PRODUCT + 5])
@pytest.mark.parametrize("members", [1, 3])
def test_a_write_of_factors_gives_the_codes_and_counts_of_the_twin(members, rows, binary, before, dtype):
    codes, _, _, binary, digits, earlier = written(members, binary=binary, before=before)
    codes = np.resize(codes, (members, rows, COLS))
    earlier = np.resize(earlier, (members, rows, COLS, digits.shape[1])) if before else earlier
    args = codes, *factors(members, rows, COLS, dtype), binary, digits, earlier
    for got, expected in zip(rewrite_outer(*args), reference.rewrite_outer(*args), strict=True):
        assert got.shape == expected.shape
        np.testing.assert_array_equal(got, expected)
    assert (rewrite_outer(*args)[2] > 0).any()


def test_a_member_of_an_ensemble_has_the_codes_that_its_factors_give_alone():
    codes, _, _, _, digits, _ = written(3)
    rng = child(1, "factors")
    x, delta = (rng.normal(size=(3, 50, n)).astype(np.float32) for n in (ROWS, COLS))
    together = rewrite_outer(codes, x, delta, False, digits, NEVER)
    for member in range(3):
        one = slice(member, member + 1)
        alone = rewrite_outer(codes[one], x[one], delta[one], False, digits, NEVER)
        for whole, part in zip(together, alone, strict=True):
            np.testing.assert_array_equal(whole[one], part)


def test_a_cell_is_written_where_its_digit_changes():
    digits = PAIRS.astype(np.uint8)
    codes, delta = np.array([[[3, 3, 3, -7]]], np.int32), np.array([[[1.0, -5.0, 0.4, -9.0]]])
    after, cells, words = rewrite(codes, np.ones(1), delta, False, digits, NEVER)
    assert after.tolist() == [[[4, -2, 3, -7]]]
    assert cells.tolist() == [[[[1, 0], [1, 1], [0, 0], [0, 0]]]]
    assert words.tolist() == [[2]]


# Cells as products read them: (members x reads, pair x chunks, rows of a read, width)


def laid(args, *, groups, parallel, pair, chunks, width, members):
    *_, used, sign = args
    codes, values, factors, source = args[:4]
    tiles = -(-codes.shape[1] // used)
    out = np.zeros((members * tiles * groups, pair * chunks, parallel, width), np.float32)
    lay(codes, values, factors, source, used, groups, sign, pair, out)
    return out


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize(("used", "groups", "parallel"), [(21, 1, 21), (8, 1, 8), (8, 3, 3)])
@pytest.mark.parametrize(("sign", "pair"), [(0, 1), (0, 2), (-1, 1), (1, 1)])
def test_cells_lie_where_the_twin_has_them(sign, pair, used, groups, parallel, scaled):
    rng, members, slices, width = child(0, "lay"), 3, 2, 16
    codes = rng.integers(-TOP, TOP + 1, (1, ROWS, COLS)).astype(np.int32)
    source = np.array([*range(5), -1, *range(5, COLS), -1])  # two unit columns
    values = rng.normal(size=(2, slices, 2 * TOP + 1)).astype(np.float32)
    tiles = -(-ROWS // used)
    factors = rng.normal(size=(members, tiles, used, 2, slices, len(source))).astype(np.float32)
    factors = factors if scaled else np.zeros((0,) * 6, np.float32)
    columns = slices * len(source) * (1 if sign else 2) // pair
    chunks = -(-columns // width)
    args = (np.repeat(codes, members, axis=0), values, factors, source, used, sign)
    got = laid((codes, *args[1:]), groups=groups, parallel=parallel, pair=pair, chunks=chunks, width=width, members=3)
    twin = reference.cells_of_codes(*args)
    twin = np.pad(twin, [(0, 0), (0, 0), (0, groups * parallel - used), *[(0, 0)] * 3])
    twin = twin.reshape(members * tiles * groups, parallel, pair, columns)
    twin = np.pad(twin, [*[(0, 0)] * 3, (0, chunks * width - columns)])
    expected = np.moveaxis(twin.reshape(len(twin), parallel, pair * chunks, width), 1, 2)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)
    assert (got != 0).any()


def test_codes_and_cells_do_not_depend_on_the_number_of_threads(on_threads, monkeypatch):
    monkeypatch.setattr(jit, "_SMALL", 0)
    args = written(3, before=True)
    rng = child(2, "factors")
    x, delta = (rng.normal(size=(3, 50, n)).astype(np.float32) for n in (ROWS, COLS))
    of_factors = args[0], x, delta, *args[3:]
    for function, operands in ((rewrite, args), (rewrite_outer, of_factors)):
        one, two = (on_threads(n, lambda f=function, of=operands: f(*of)) for n in (1, 2))
        for got, expected in zip(one, two, strict=True):
            np.testing.assert_array_equal(got, expected)
