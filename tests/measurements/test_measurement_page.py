"""The page on measurements names every field of the layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from imcsim.measurements import GROUPS

PAGE = Path(__file__).parents[2] / "docs" / "measurements.md"


@pytest.mark.parametrize("name", GROUPS)
def test_the_page_has_a_row_for_every_field(name):
    if not PAGE.is_file():
        pytest.skip("the pages are not part of this copy")
    section = PAGE.read_text(encoding="utf-8").partition(f"### {name}\n")[2].partition("\n### ")[0]
    for field, quantity in GROUPS[name].quantities().items():
        assert f"| `{field}`{' (needed)' if quantity.required else ''} | {quantity.shape} |" in section
        assert quantity.what in section
