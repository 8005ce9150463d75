"""Nodal analysis against its dense twins, on every kind of line, ideal ones among them; and its bits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from imcsim.kernels import reference
from imcsim.kernels.nodal import LANES, Line, cell_voltages, line_resistances, transfer_matrix
from imcsim.rng import child

LINES = {
    "driven at the first end": Line(2.0, 5.0, math.inf),
    "driven at the last end": Line(2.0, math.inf, 5.0),
    "driven at both ends": Line(1.0, 5.0, 3.0),
    "one node behind a terminal": Line(0.0, 7.0, math.inf),
    "one node between two terminals": Line(0.0, 7.0, 2.0),
    "ideal": Line(0.0, 0.0, math.inf),
    "ideal at both ends": Line(0.0, 0.0, 0.0),
}
WORD = pytest.mark.parametrize("word", LINES.values(), ids=LINES)
BIT = pytest.mark.parametrize("bit", LINES.values(), ids=LINES)
SHAPES = ((5, 4), (4, 6), (1, 1), (1, 5), (6, 1))


def cells(shape, rng):
    """Conductances that load their lines, some of them off."""
    return np.where(rng.random(shape) < 0.2, 0.0, rng.uniform(0, 0.1, shape))


@WORD
@BIT
def test_the_transfer_matrix_is_that_of_the_dense_twin(word, bit):
    for shape in SHAPES:
        g = cells((2, *shape), child(0, "cells"))
        for one, m in zip(g, transfer_matrix(g, word, bit), strict=True):
            np.testing.assert_allclose(m, reference.transfer_matrix(one, word, bit), rtol=1e-9, atol=1e-14)


@WORD
@BIT
@pytest.mark.parametrize("parallel", [False, True])
def test_iterated_voltages_are_those_of_the_dense_twin(word, bit, parallel):
    for shape in SHAPES:
        rng = child(1, "cells")
        g, v = cells((2, *shape, LANES), rng), rng.normal(size=(2, *shape, LANES))
        d, converged = cell_voltages(g, v, word, bit, parallel=parallel)
        assert converged.all()
        for item, lane in np.ndindex(2, LANES):
            at = (item, ..., lane)
            expected = reference.cell_voltages(g[at], v[at], word, bit, parallel=parallel)
            np.testing.assert_allclose(d[at], expected, atol=1e-10)


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_the_resistances_of_a_line_are_the_inverse_of_its_conductances(line):
    if line.segment == 0:
        pytest.skip("one node has no conductance between its cells")
    k = np.diag(np.full(5, 2 / line.segment)) - np.diag(np.full(4, 1 / line.segment), 1)
    k -= np.diag(np.full(4, 1 / line.segment), -1)
    k[0, 0] += 1 / line.before - 1 / line.segment
    k[-1, -1] += 1 / line.after - 1 / line.segment
    np.testing.assert_allclose(line_resistances(line, 5) @ k, np.eye(5), atol=1e-12)


def test_a_lane_has_the_bits_that_it_has_beside_other_networks():
    rng = child(2, "cells")
    g, v = cells((1, 9, 8, LANES), rng), rng.normal(size=(1, 9, 8, LANES))
    word, bit = Line(2.0, 5.0, math.inf), Line(3.0, math.inf, 4.0)
    together, _ = cell_voltages(g, v, word, bit)
    alone_g, alone_v = np.zeros_like(g), np.zeros_like(v)
    alone_g[..., 2], alone_v[..., 2] = g[..., 2], v[..., 2]
    alone, _ = cell_voltages(alone_g, alone_v, word, bit)
    np.testing.assert_array_equal(alone[..., 2], together[..., 2])


def test_the_bits_do_not_depend_on_the_threads(on_threads):
    rng = child(3, "cells")
    word, bit = Line(2.0, 5.0, math.inf), Line(3.0, math.inf, 4.0)
    g = cells((4, 40, 33), rng)
    stacked, v = cells((6, 40, 33, LANES), rng), rng.normal(size=(6, 40, 33, LANES))
    for solve in (lambda: transfer_matrix(g, word, bit), lambda: cell_voltages(stacked, v, word, bit)[0]):
        np.testing.assert_array_equal(on_threads(1, solve), on_threads(2, solve))


def test_an_array_beyond_reach_of_the_iteration_says_so():
    rng = child(4, "cells")
    g, v = cells((1, 30, 30, LANES), rng) * 10.0 ** rng.uniform(-9, 9, (1, 30, 30, LANES)), np.ones((1, 30, 30, LANES))
    _, converged = cell_voltages(g, v, Line(1e6, 1e6, math.inf), Line(1e6, math.inf, 1e6))
    assert not converged.any()
