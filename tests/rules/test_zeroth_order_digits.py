"""Digits, 64-32-10, weights of 8, 6 and 4 bits: zeroth order on a chip learns as integers in numpy do."""

import math

import numpy as np
import pytest
from zeroth_order_digits import Case, of_twin, on_chip

from imcsim.datasets import load

CASES = (
    Case(8, "bp", "nearest", 0.3, 0.971),
    Case(8, "bp", "stochastic", 0.3, 0.977),
    Case(8, "wp", "nearest", 0.03, 0.948),
    Case(8, "wp", "stochastic", 0.03, 0.946),
    Case(8, "np", "nearest", 0.3, 0.971),
    Case(8, "np", "stochastic", 0.3, 0.98),
    Case(6, "bp", "nearest", 1.0, 0.96),
    Case(6, "bp", "stochastic", 1.0, 0.968),
    Case(6, "wp", "nearest", 0.03, 0.69),
    Case(6, "wp", "stochastic", 0.03, 0.84),
    Case(6, "np", "nearest", 0.3, 0.969),
    Case(6, "np", "stochastic", 0.1, 0.957),
    Case(4, "bp", "nearest", 1.0, 0.474),
    Case(4, "bp", "stochastic", 0.3, 0.944),
    Case(4, "wp", "nearest", 0.03, 0.1),
    Case(4, "wp", "stochastic", 0.01, 0.2),
    Case(4, "np", "nearest", 1.0, 0.76),
    Case(4, "np", "stochastic", 0.1, 0.887),
)
EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=str)


@pytest.mark.parametrize("case", [case for case in CASES if case.bits == 8 and case.rounding == "nearest"], ids=str)
def test_a_chip_learns_in_a_few_epochs_what_its_twin_learns(case):
    data = load("digits")
    found, twin = (of(case, data, 0, epochs=3) for of in (on_chip, of_twin))
    assert found > 0.4, "a tenth would be chance"
    assert abs(found - twin) < 0.15, "other signs and another order, three epochs"


@pytest.mark.slow
@EVERY_CASE
def test_the_mean_of_five_seeds_is_within_a_point_of_the_twin(case, capsys):
    data = load("digits")
    found, twin = (np.array([of(case, data, seed) for seed in range(5)]) for of in (on_chip, of_twin))
    spread = math.sqrt((found.var(ddof=1) + twin.var(ddof=1)) / 5)
    with capsys.disabled():
        print(
            f"\n{case!s:20} rate {case.rate:<5g} {found.mean():.4f} +- {found.std(ddof=1):.4f} a seed, "
            f"twin {twin.mean():.4f} +- {twin.std(ddof=1):.4f}, reference {case.reference:.3f}"
        )
    # signs of their own: where seeds differ by many points, so do means of five
    assert abs(found.mean() - twin.mean()) < max(0.01, 3 * spread)
