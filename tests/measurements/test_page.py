"""docs/measurements.md tells every field of every group, every key of a mapping, and links every mapping."""

import re
from pathlib import Path

import pytest

from imcsim.measurements import GROUPS
from imcsim.measurements.entry import KEYS

DOCS = Path(__file__).parents[2] / "docs"
if not DOCS.is_dir():
    pytest.skip("the pages are not part of this copy", allow_module_level=True)
PAGE = (DOCS / "measurements.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", GROUPS)
def test_the_table_of_a_group_has_its_fields_axes_and_units(name):
    section = re.search(rf"^### `{name}`\n(.*?)^#", PAGE + "\n#", flags=re.DOTALL | re.MULTILINE)[1]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in re.findall(r"^\| `.*$", section, re.MULTILINE)]
    group = GROUPS[name]
    told = [
        [f"`{field.name}`", field.shape, " ".join(field.units) or "whole", "yes" if field.required else "", field.what]
        for field in group.quantities().values()
    ]
    assert rows[: len(told)] == told
    assert [row[0] for row in rows[len(told) :]] == (["`valid`"] if group.masked else [])
    for names in group.one_of:
        assert f"ne of {', '.join(f'`{one}`' for one in names)}" in section


def test_every_key_of_a_mapping_and_every_mapping_is_told():
    assert re.findall(r"^\| `(\w+)` \| (?!\(|one n|as `)", PAGE, re.MULTILINE)[-len(KEYS) :] == list(KEYS)
    linked = re.findall(r"\]\(mappings/(\w+)\.toml\)", PAGE)
    assert sorted(linked) == sorted(path.stem for path in (DOCS / "mappings").glob("*.toml"))
