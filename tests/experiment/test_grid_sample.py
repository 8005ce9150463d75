"""Samples of several paths: the distributions they promise, and points that stay when others are added."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sweeping import cells, ids, value_of

from imcsim.experiment.ranges import Range
from imcsim.experiment.sampling import Dimension, Sampling, sampled

METHODS = pytest.mark.parametrize("method", ["sobol", "random"])
NOISE, LSB, BITS = "chip.cell.read_noise_rel", "chip.adc.noise_lsb", "chip.adc.bits"

UNIT = Range("linear", 0.0, 1.0)
CUBE = (Dimension("a", UNIT), Dimension("b", UNIT), Dimension("c", UNIT))


def drawn(method, points, seed=0, dimensions=CUBE):
    """The values (points, dimensions) of a sample."""
    rows = sampled(Sampling(method=method, points=points), dimensions, seed)
    return np.array([[row[dimension.path] for dimension in dimensions] for row in rows])


@METHODS
def test_a_sample_lies_evenly_in_its_cube(method):
    values = drawn(method, 4096)
    of_mean, of_square = math.sqrt(1 / 12 / 4096), math.sqrt(4 / 45 / 4096)
    np.testing.assert_allclose(values.mean(axis=0), 0.5, atol=5 * of_mean)
    np.testing.assert_allclose((values**2).mean(axis=0), 1 / 3, atol=5 * of_square)
    assert abs((values**2).mean() - 1 / 3 - 6 * of_square) > 5 * of_square  # a bias of six would be seen


@METHODS
def test_the_dimensions_of_a_sample_are_uncorrelated(method):
    correlation = np.corrcoef(drawn(method, 4096).T)
    assert np.abs(correlation - np.eye(3)).max() < 5 / math.sqrt(4096)
    repeated = (Dimension("a", UNIT), Dimension("a", UNIT))
    assert np.corrcoef(drawn("random", 4096, dimensions=repeated).T)[0, 1] > 0.99  # the same stream would be seen


@pytest.mark.parametrize("power", [0, 1, 3, 7])
def test_sobol_points_put_one_in_each_equal_interval_of_every_dimension(power):
    values = drawn("sobol", 2**power)
    for column in values.T:
        assert sorted(np.floor(column * 2**power)) == list(range(2**power))


def test_random_points_do_not():
    values = drawn("random", 128)
    assert sorted(np.floor(values[:, 0] * 128)) != list(range(128))


def test_sobol_points_fill_the_plane_more_evenly_than_random_ones():
    """Of 256 points of Sobol's first two dimensions one lies in each of 16 x 16 squares, a (0, 8, 2)-net in base 2."""
    squares = np.floor(drawn("sobol", 256)[:, :2] * 16)
    assert len(np.unique(squares, axis=0)) == 256
    assert len(np.unique(np.floor(drawn("random", 256)[:, :2] * 16), axis=0)) < 200  # 256 (1 - 1/e) = 162 expected


@METHODS
@pytest.mark.parametrize("points", [1, 3, 64, 100])
def test_more_points_keep_the_first(method, points):
    np.testing.assert_array_equal(drawn(method, 128)[:points], drawn(method, points))


@METHODS
def test_the_seed_moves_every_dimension_by_itself(method):
    assert not np.isclose(drawn(method, 64, seed=0), drawn(method, 64, seed=1)).any(axis=0).all()
    few = drawn(method, 64, dimensions=CUBE[:2])
    np.testing.assert_array_equal(drawn(method, 64)[:, :2], few)


@METHODS
def test_a_log_range_is_even_in_the_logarithm(method):
    values = drawn(method, 4096, dimensions=(Dimension("a", Range("log", 1e-3, 1e-1)),))
    assert values.min() >= 1e-3
    assert values.max() <= 1e-1
    assert abs(np.log10(values).mean() + 2) < 5 * 2 / math.sqrt(12 * 4096)
    assert abs(values.mean() - 1e-2) > 5 * values.std() / 64  # the values themselves are not centred there


@METHODS
def test_choices_and_integers_are_equally_likely(method):
    choice, whole = Dimension("a", (10, 20, 30)), Dimension("b", Range("linear", 4, 7), whole=True)
    values = drawn(method, 6000, dimensions=(choice, whole))
    for column, kinds in zip(values.T, ((10, 20, 30), (4, 5, 6, 7)), strict=True):
        found, counts = np.unique(column, return_counts=True)
        assert tuple(found) == kinds
        share = 1 / len(kinds)
        assert np.abs(counts - 6000 * share).max() < 5 * math.sqrt(6000 * share * (1 - share))


SAMPLE = f"""
[[grid.sample]]
method = "METHOD"
points = 16
"{NOISE}" = {{ log = [1e-3, 1e-1] }}
"{LSB}" = {{ linear = [0, 1] }}
"{BITS}" = {{ linear = [4, 12] }}
"""


@METHODS
def test_the_values_of_a_sample_reach_their_cells_in_the_type_of_their_fields(sweep, method):
    plan = sweep(SAMPLE.replace("METHOD", method))
    assert len(plan.cells) == 16
    for cell in plan.cells:
        for path in (NOISE, LSB, BITS):
            assert value_of(cell, path) == cell.coordinates[path]
        assert type(cell.coordinates[BITS]) is int
        assert 1e-3 <= cell.coordinates[NOISE] <= 1e-1


@METHODS
def test_a_study_of_more_points_contains_that_of_fewer(sweep, method):
    few, many = (sweep(SAMPLE.replace("METHOD", method).replace("16", points)) for points in ("16", "40"))
    assert cells(many)[:16] == cells(few)
    assert set(ids(few)) < set(ids(many))


@METHODS
def test_the_seed_of_the_study_draws_its_samples(sweep, method):
    text = SAMPLE.replace("METHOD", method)
    assert cells(sweep(text)) == cells(sweep(text))
    assert cells(sweep(text)) != cells(sweep(text, "seed=1"))


def test_what_is_drawn_again_among_few_values_is_one_cell(sweep):
    grid = f'[[grid.sample]]\nmethod = "random"\npoints = 50\n"{BITS}" = {{ choice = [4, 5, 6] }}\n'
    assert sorted(cell[BITS] for cell in cells(sweep(grid))) == [4, 5, 6]


def test_texts_lists_and_components_can_be_chosen_among(sweep):
    grid = """
    [[grid.sample]]
    method = "random"
    points = 40
    "chip.adc" = { choice = [{ kind = "ideal" }, { bits = 6 }] }
    "chip.array.mapping" = { choice = ["offset", "differential"] }
    "network.hidden" = { choice = [[], [8]] }
    """
    assert len(sweep(grid).cells) == 8
