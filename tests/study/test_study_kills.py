"""Workers and drivers killed at random instants: nothing unreadable, nothing lost, nothing wrong."""

from __future__ import annotations

import sys

import pytest
from kills import torture

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds worker processes by /proc")


@pytest.mark.parametrize("kills", [8, pytest.param(200, marks=pytest.mark.slow)])
def test_kills_at_random_instants_lose_nothing(tmp_path, kills):
    tally = torture(tmp_path, kills, seed=kills)
    assert tally.kills == kills
    assert tally.kills_of_drivers * tally.kills_of_workers > 0
    unharmed = {name: count for name, count in vars(tally).items() if not name.startswith(("kills", "studies"))}
    assert unharmed == dict.fromkeys(unharmed, 0)
