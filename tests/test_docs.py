"""The pages of docs/: their Python runs, the files they name exist, and they quote the numbers that were measured."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
if not DOCS.is_dir():
    pytest.skip("the pages are not part of this copy", allow_module_level=True)
PAGES = sorted(DOCS.glob("*.md"))
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def text_of(page):
    return page.read_text(encoding="utf-8")


@pytest.fixture
def points(monkeypatch):
    """The module of that name, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("validation_points", DOCS / "validation" / "points.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


@EVERY_PAGE
def test_the_python_of_a_page_runs_from_its_top_to_its_end(page):
    namespace = {}
    for block in re.finditer(r"^```python\n(.*?)^```", text_of(page), flags=re.DOTALL | re.MULTILINE):
        line = text_of(page)[: block.start()].count("\n") + 1
        exec(compile("\n" * line + block[1], str(page), "exec"), namespace)


@EVERY_PAGE
def test_the_source_files_that_a_page_names_exist(page):
    named = set(re.findall(r"`((?:imcsim|device_models)/[\w/.]+)`", text_of(page)))
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


@EVERY_PAGE
def test_the_figures_and_tables_that_a_page_links_exist(page):
    linked = set(re.findall(r"\]\(([\w/.]+\.(?:png|csv))\)", text_of(page)))
    assert sorted(name for name in linked if not (DOCS / name).exists()) == []


@EVERY_PAGE
def test_the_figures_of_devices_are_what_the_commands_beside_them_draw(page, tmp_path):
    from matplotlib.image import imread

    from imcsim import cli

    for name, figure in re.findall(r"^imcsim devices (\w+) --plot --out docs/([\w/.]+)$", text_of(page), re.MULTILINE):
        assert cli.main(["devices", name, "--plot", "--out", str(tmp_path / "drawn.png")]) == 0
        shown, drawn = imread(DOCS / figure), imread(tmp_path / "drawn.png")
        assert shown.shape == drawn.shape
        assert abs(shown - drawn).mean() < 0.01  # letters may lie elsewhere; with another device it is 0.03


def test_the_page_on_validation_has_the_table_of_the_numbers_beside_it(points):
    table = points.summary(points.read(DOCS / "validation.csv"))
    assert len(table) > 20
    assert "\n".join(table) in text_of(DOCS / "validation.md")


def test_every_validated_point_lies_within_its_tolerance_of_its_closed_form(points):
    found = points.read(DOCS / "validation.csv")
    assert len(found) > 100
    assert [point for point in found if point.off > 1] == []


def test_a_point_beyond_its_tolerance_would_be_told(points):
    assert points.Point("figure", "series", x=0, closed_form=1, emulated=1.2, tolerance=0.1, unit="V").off > 1


def test_sources_name_what_a_reader_can_find():
    # notes that are in no clone tell a reader nothing
    notes = re.compile(r"(learning_rules|device_and_array_models|engineering)\.md")
    folders = ["imcsim", "docs", "studies", "device_models"]
    files = [path for name in folders for path in (ROOT / name).rglob("*") if path.suffix in {".py", ".md", ".toml"}]
    assert len(files) > 300
    assert [str(path) for path in files if notes.search(path.read_text(encoding="utf-8"))] == []
