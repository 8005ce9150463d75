"""MNIST by decorrelated activity-based node perturbation, as good as it is known to be."""

import os
from pathlib import Path

import pytest
from node_mnist import SMALL, WIDE, learned

from imcsim.datasets import load

FOLDER = Path(os.environ.get("IMCSIM_DATA", ""), "mnist")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not os.environ.get("IMCSIM_DATA") or not FOLDER.is_dir(),
        reason="mnist is not in $IMCSIM_DATA: docs/learning.md says what to put there",
    ),
]


def told(capsys, case):
    found = learned(case, load("mnist"), seed=0)
    with capsys.disabled():
        print(
            f"\n{case}, rate {case.rate:g}, {case.epochs} epochs: {found.accuracy_test:.4f}, reference {case.reference}"
        )
    return found.accuracy_test


def test_256_units_reach_94_percent(capsys):
    assert told(capsys, SMALL) >= 0.94


@pytest.mark.skipif(not os.environ.get("IMCSIM_HOURS"), reason="takes hours: set IMCSIM_HOURS=1")
def test_three_layers_of_1024_units_reach_what_a_third_party_found(capsys):
    assert told(capsys, WIDE) >= 0.955
