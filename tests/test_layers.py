"""Imports point one way; and what the command line does not need at once, it does not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import imcsim

PACKAGE = Path(imcsim.__file__).parent

# From left to right: a part may import those of the lines above its own, and no part of its own line.
ORDER = [
    {"errors", "rng", "version", "updates"},
    {"specs", "kernels", "idx"},
    {"cells", "converters", "mapping", "tiling", "wires", "images", "member_rng", "measurements"},
    {"products", "floorplan", "device_curves", "accepted", "noisy_reads", "fit"},
    {"reads", "wear"},
    {"transferred"},
    {"solved"},
    {"calibration", "silicon", "places"},
    {"conductances", "pulses"},
    {"programmed"},
    {"trimming", "held"},
    {"transposed"},
    {"crossbar"},
    {"manufacturing"},
    {"budget", "compound", "faults"},
    {"network"},
    {"rules", "datasets", "diagnose"},
    {"descent", "cost"},
    {"training"},
    {"learning", "ensembles"},
    {"study"},
    {"experiment"},
    {"x_axis"},
    {"plots"},
    {"learning_curves", "alignment_figure", "ladder_figure", "pareto_figure", "table_figure", "yield_figures"},
    {"figures"},
    {"budget_figure", "device_figure", "fit_figures"},
    {"fit_report", "report"},
    {"cli"},
]
RANK = {part: rank for rank, parts in enumerate(ORDER) for part in parts}

# Tighter than the order: a study takes the function that runs a point as an argument, and figures only read tables.
ONLY = {
    "kernels": set(),
    "specs": {"errors"},
    "measurements": {"errors", "specs"},
    "fit": {"errors", "rng", "version", "specs", "kernels", "measurements"},
    "study": {"errors", "version", "specs"},
    "x_axis": set(),
    "plots": {"errors", "study", "specs", "x_axis"},
    "learning_curves": {"errors", "study", "specs", "x_axis", "plots"},
    "alignment_figure": {"errors", "study", "specs", "x_axis", "plots"},
    "ladder_figure": {"errors", "study", "specs", "x_axis", "plots"},
    "pareto_figure": {"errors", "study", "specs", "x_axis", "plots"},
    "table_figure": {"errors", "study", "specs", "x_axis", "plots"},
    "yield_figures": {"errors", "study", "specs", "x_axis", "plots"},
}

# Its names are imported when they are first used, so it stands right of everything; nothing imports it.
PUBLIC = "imcsim"


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}


def imports_of(name):
    """The modules of imcsim that a module imports, anywhere in it: at its top, in a function, for a type checker."""
    found = set()
    for node in ast.walk(ast.parse(SOURCES[name])):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}, line {node.lineno}: a relative import"
            if node.module.split(".")[0] == "imcsim":
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    found.add(full if full in SOURCES else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "imcsim"}
    return found


GRAPH = {name: imports_of(name) for name in SOURCES}
MODULES = [name for name in SOURCES if name != PUBLIC]
EVERY_MODULE = pytest.mark.parametrize("module", MODULES)


def part_of(module):
    return module.split(".")[1]


def test_imports_are_seen_at_the_top_of_a_module_in_its_functions_and_for_the_type_checker():
    assert "imcsim.programmed" in GRAPH["imcsim.crossbar"]
    assert "imcsim.study.run" in GRAPH["imcsim.cli.studies"]
    assert "imcsim.study.plan" in GRAPH["imcsim.cli.studies"]
    assert "imcsim.training" in GRAPH["imcsim"]


def test_every_part_of_the_package_has_its_place_in_the_order():
    parts = {part_of(module) for module in MODULES}
    assert parts - RANK.keys() == set(), "give it a place in ORDER, and tell DESIGN.md"
    assert RANK.keys() - parts == set(), "it is no more: take it out of ORDER"


@EVERY_MODULE
def test_a_module_imports_only_what_stands_left_of_it(module):
    for imported in GRAPH[module]:
        assert imported in SOURCES, f"{module} imports {imported}, which is not there"
        assert imported != PUBLIC, f"{module} imports the package, which imports everything"
        if part_of(imported) != part_of(module):
            assert RANK[part_of(imported)] < RANK[part_of(module)], f"{module} imports {imported}"


@EVERY_MODULE
def test_a_part_that_must_know_little_knows_little(module):
    allowed = ONLY.get(part_of(module))
    if allowed is not None:
        assert {part_of(imported) for imported in GRAPH[module]} - {part_of(module)} <= allowed


def test_no_module_imports_itself_by_a_detour():
    done, path = set(), []

    def visit(module):
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module in done:
            return
        path.append(module)
        for imported in sorted(GRAPH[module]):
            visit(imported)
        path.pop()
        done.add(module)

    for module in MODULES:
        visit(module)
    assert done >= set(MODULES)


def run(program, *arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments], capture_output=True, text=True, check=False
    )


HEAVY = ("numba", "scipy.stats", "matplotlib.pyplot", "matplotlib", "h5py", "tqdm")


@pytest.mark.parametrize("module", ["imcsim", "imcsim.cli"])
def test_importing_the_command_line_loads_nothing_heavy(module):
    done = run(f"import sys, {module}; print(*[name for name in {HEAVY} if name in sys.modules])")
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [], "")


def test_help_is_printed_and_is_a_success():
    done = run("import sys; from imcsim.cli import main; sys.exit(main(sys.argv[1:]))", "--help")
    assert done.returncode == 0, done.stderr
    assert "usage: imcsim" in done.stdout


def test_every_public_name_is_there():
    for name in imcsim.__all__:
        assert getattr(imcsim, name) is not None
    assert set(dir(imcsim)) == set(imcsim.__all__)
    with pytest.raises(AttributeError, match="module 'imcsim' has no attribute 'nonsense'"):
        _ = imcsim.nonsense
