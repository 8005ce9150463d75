"""MNIST on the ideal chip: backprop as good as it is known to be, direct feedback alignment close behind."""

import functools
import os
from pathlib import Path

import numpy as np
import pytest
from rule_mnist import SMALL, WIDE, accuracy

from imcsim.datasets import load

SEEDS = range(3)
BACKPROP, *DIRECT = SMALL
FOLDER = Path(os.environ.get("IMCSIM_DATA", ""), "mnist")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not os.environ.get("IMCSIM_DATA") or not FOLDER.is_dir(),
        reason="mnist is not in $IMCSIM_DATA: docs/learning.md says what to put there",
    ),
]


@functools.cache
def accuracies(case):
    return np.array([accuracy(case, load("mnist"), seed) for seed in SEEDS])


def told(capsys, case):
    found = accuracies(case)
    with capsys.disabled():
        print(
            f"\n{case}, rate {case.rate:g}, {case.epochs} epochs:",
            *(f"{share:.4f}" for share in found),
            f"{found.mean():.4f}",
        )
    return found.mean()


def test_backprop_reaches_what_the_network_is_known_for(capsys):
    assert told(capsys, BACKPROP) >= 0.975


@pytest.mark.parametrize("case", DIRECT, ids=str)
def test_direct_feedback_alignment_is_within_a_point_and_a_half_of_backprop(case, capsys):
    assert told(capsys, case) > accuracies(BACKPROP).mean() - 0.015


@pytest.mark.parametrize("case", WIDE, ids=str)
def test_800_units_are_enough_for_either_rule(case, capsys):
    assert told(capsys, case) > 0.97
