"""Learning curves of the linear perceptron: every rule follows its closed form, and ends where it says."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from imcsim.rules.perceptron import PerceptronLaw, gradient_law, node_law, weight_law

FILE = Path(__file__).parents[2] / "studies" / "learning_curves" / "study.py"
_SPEC = importlib.util.spec_from_file_location("learning_curves_study", FILE)
study = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(study)

EVERY_CASE = pytest.mark.parametrize("case", study.CASES, ids=lambda case: case.label)
RANDOM = pytest.mark.parametrize(
    "case", [case for case in study.CASES if case.rule != "hardware_in_the_loop"], ids=lambda case: case.label
)


def test_the_laws_are_the_numbers_of_the_reference():
    # learning_rules.md, section 7: N = 10, M = 5, eta = 0.5 / A; E_inf .0625, .0347 (s = .2), .0379 (s = .05)
    for law, expected in (
        (node_law(10, 5, sigma=0.2), 0.0625),
        (node_law(10, 5, sigma=0.2, noise="rademacher"), 0.0347),
        (weight_law(10, 5, sigma=0.05), 0.0379),
    ):
        assert law.floor(0.5 / law.A) == pytest.approx(expected, abs=5e-5)


def test_the_rates_of_node_and_weight_perturbation_are_slower_by_outputs_and_by_weights():
    A = [law.A for law in (gradient_law(10, 5), node_law(10, 5, sigma=1e-3), weight_law(10, 5, sigma=1e-3))]
    assert A[1] / A[0] == 5 + 2
    assert A[2] / A[0] == 5 * 10 + 2


def test_the_curve_is_its_recurrence():
    law, rate, expected = PerceptronLaw(A=12.0, B=3.0), 0.05, [7.0]
    for _ in range(4):
        expected.append((1 - 2 * rate + rate**2 * law.A) * expected[-1] + rate**2 * law.B)
    np.testing.assert_allclose(law.curve(7.0, rate, 5), expected, rtol=1e-12)


@EVERY_CASE
def test_a_mean_curve_is_the_closed_form(case):
    runs, steps, rate = 1000, int(min(case.law.A, 500)), 0.5 * case.law.fastest_rate
    errors = study.excess_errors(case, rate, runs, steps)
    standard_error = errors.std(axis=1, ddof=1)[1:] / np.sqrt(runs)

    def farthest(law):
        told = law.curve(0.5 * study.INPUTS * study.OUTPUTS, rate, steps)
        return np.abs((errors.mean(axis=1) - told)[1:] / standard_error).max()

    assert farthest(case.law) < 5
    assert farthest(PerceptronLaw(1.5 * case.law.A, case.law.B)) > 5, "another law would be seen"


@pytest.mark.slow
@EVERY_CASE
def test_a_mean_curve_of_1500_steps_is_within_two_percent(case):
    measured, _, told = study.curve(case, runs=10_000, steps=1500)
    np.testing.assert_allclose(measured, told, rtol=0.02)


@pytest.mark.slow
@RANDOM
@pytest.mark.parametrize("relative", [0.1, 0.5])
def test_it_ends_within_five_percent_of_its_floor(case, relative):
    found, told = study.floor(case, relative, runs=500, steps=max(1500, int(10 * case.law.A)))
    assert found == pytest.approx(told, rel=0.05)


@RANDOM
def test_below_the_largest_rate_errors_fall_and_above_it_they_grow(case):
    steps = int(0.8 * case.law.A)
    for relative in (0.9, 1.1):
        grown, told = study.growth(case, relative, runs=400, steps=steps)
        assert (grown < 1) == (told < 1) == (relative < 1)
