"""Small studies, read from text."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from imcsim.errors import SpecError
from imcsim.experiment.study_file import read_study
from imcsim.study.plan import Plan

HEAD = """
name = "small"
dataset = "iris"
[replicates]
trainings = 2
[network]
hidden = [4]
[training]
epochs = 5
[chip]
device = "sram8t_65nm"
"""


@pytest.fixture
def sweep(tmp_path) -> Callable[..., Plan]:
    """Reads a small study with the text `grid` for its end, changed by settings."""

    def read(grid: str, *settings: str, quick: bool = False) -> Plan:
        path = tmp_path / "study.toml"
        path.write_text(HEAD + grid)
        return read_study(path, settings, quick=quick)

    return read


@pytest.fixture
def again(tmp_path) -> Callable[[Plan], Plan]:
    """Reads the text that a plan keeps of itself."""

    def read(plan: Plan) -> Plan:
        path = tmp_path / "again.toml"
        path.write_text(plan.toml)
        return read_study(path)

    return read


@pytest.fixture
def wrong(sweep, tmp_path) -> Callable[..., list[str]]:
    """What is told to be wrong with such a study, a line a problem, without the folder."""

    def read(grid: str, *settings: str, quick: bool = False) -> list[str]:
        with pytest.raises(SpecError) as caught:
            sweep(grid, *settings, quick=quick)
        return str(caught.value).replace(f"{tmp_path}/", "").splitlines()

    return read
