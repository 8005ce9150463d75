"""Shift and add, against the twin and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from imcsim.kernels import jit, reference
from imcsim.kernels.recombine import shift_and_add
from imcsim.rng import child


def recombined(sums, *args):
    out = np.empty((*sums.shape[:2], sums.shape[-1]))
    shift_and_add(sums, *args, out)
    return out


WORTH = np.array([[1.0, 2, 4], [-1, -2, -4]])


def operands(of_ranges):
    rng = child(0, "sums")
    sums = rng.integers(0, 99, size=(3, 5, 2, 3, 7)).astype(float)
    return sums, WORTH, rng.uniform(0.5, 2, (of_ranges, 3)), rng.uniform(-3, 3, (of_ranges, 3))


@pytest.mark.parametrize("of_ranges", [1, 3])
def test_products_are_those_of_the_twin(of_ranges):
    args = operands(of_ranges)
    np.testing.assert_allclose(recombined(*args), reference.shift_and_add(*args), rtol=1e-12, atol=1e-9)


def test_each_column_counts_what_it_is_worth():
    sums = np.array([1.0, 10, 100, 2, 20, 200]).reshape(1, 1, 2, 3, 1)
    lsb, constant = np.array([[1.0, 0.5, 2]]), np.array([[0.0, 3, -1]])
    # 1 (1) + 2 (5 + 3) + 4 (200 - 1) less 1 (2) + 2 (10 + 3) + 4 (400 - 1)
    assert recombined(sums, WORTH, lsb, constant).tolist() == [[[813 - 1624]]]


def test_the_bits_do_not_depend_on_the_number_of_threads(on_threads, monkeypatch):
    monkeypatch.setattr(jit, "_SMALL", 0)
    one, two = (on_threads(n, lambda: recombined(*operands(3))) for n in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_a_column_a_weight_is_recombined_in_place():
    sums, worth = operands(1)[0][:, :, :1, :1], np.array([[2.0]])
    expected = 2 * (0.5 * sums[:, :, 0, 0] + 3)
    out = sums.reshape(3, 5, 7)
    shift_and_add(sums, worth, np.array([[0.5]]), np.array([[3.0]]), out)
    np.testing.assert_array_equal(out, expected)
