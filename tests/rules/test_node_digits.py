"""Digits by node perturbation, with decorrelation and without: as a twin written from the equations learns them."""

import numpy as np
import pytest
from node_digits import CASES, of_rule, of_twin
from rule_digits import EPOCHS

from imcsim.datasets import load

EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=str)


@EVERY_CASE
def test_a_rule_learns_in_a_few_epochs_what_its_twin_learns(case):
    data, fast = load("digits"), case._replace(rate=1e-2)
    found, twin = of_rule(fast, data, [0], epochs=8).item(), of_twin(fast, data, [0], epochs=8).item()
    # each with noise of its own, and so by a few points apart
    assert found > 0.8, "a tenth would be chance"
    assert abs(found - twin) < 0.1


@pytest.mark.slow
@EVERY_CASE
def test_the_mean_of_five_seeds_is_within_a_point_of_the_twin(case, capsys):
    data = load("digits")
    found, twin = of_rule(case, data, range(5)), of_twin(case, data, range(5))
    with capsys.disabled():
        print(
            f"\n{case!s:16} rate {case.rate:g}, {EPOCHS} epochs: {found.mean():.4f} +- {found.std(ddof=1):.4f} a seed, "
            f"twin {twin.mean():.4f}, reference {case.reference:.3f}"
        )
    assert abs(found.mean() - twin.mean()) < 0.01
    assert found.mean() > case.reference - 0.015, "not far below what the reference found"
    assert np.all(found > 0.9)
