"""The grids that docs/studies.md shows are grids, of as many cells as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imcsim.experiment.study_file import read_study

PAGE = Path(__file__).parents[2] / "docs" / "studies.md"
if not PAGE.is_file():
    pytest.skip("the pages are not part of this copy", allow_module_level=True)
TEXT = PAGE.read_text(encoding="utf-8")
(STUDY,) = re.findall(r'^STUDY = """\n(.*?)"""', TEXT, flags=re.DOTALL | re.MULTILINE)
GRIDS = re.findall(
    r"^### ([^\n]*)\n(?:(?!^###).)*?^```toml\n(.*?)^```\n\n<!-- cells: (\d+) -->", TEXT, re.DOTALL | re.M
)


def test_every_grid_of_the_page_is_found():
    shown = re.findall(r"^```toml\n[^`]*grid", TEXT, flags=re.MULTILINE)
    assert len(GRIDS) == len(shown) == 7


@pytest.mark.parametrize(("title", "grid", "count"), GRIDS, ids=[title for title, _, _ in GRIDS])
def test_a_grid_of_the_page_has_the_cells_it_says(tmp_path, title, grid, count):
    path = tmp_path / "study.toml"
    path.write_text(STUDY + grid)
    plan = read_study(path)
    assert len(plan.cells) == int(count), title
    assert len(plan.points) == 9 * int(count)
