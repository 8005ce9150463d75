"""What is made of results folders on the command line: a page, a comparison, what is needed, every point."""

from __future__ import annotations

import csv
import json

import pytest

from imcsim.cli import main

STUDY = """
# How many bits does iris need?  A second sentence is not the question.
name = "small"
dataset = "iris"
[replicates]
dies = 3
[network]
hidden = [4]
[training]
epochs = 2
[chip]
device = "sram8t_65nm"
[grid]
"chip.adc.bits" = [2, 4, 6]
"""
SEARCH = """
[search]
along = "chip.adc.bits"
within = 0.05
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a study, its results, and those of a search through it."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "study.toml").write_text(STUDY)
    (folder / "search.toml").write_text(STUDY + SEARCH)
    for name in ("study", "search"):
        assert main(["run", str(folder / f"{name}.toml"), "--out", str(folder / name), "--workers", "1"]) == 0
    return folder


def told(capsys, *arguments):
    code = main([str(one) for one in arguments])
    return code, *capsys.readouterr()


def test_a_report_is_written_and_its_path_told(home, capsys):
    code, out, err = told(capsys, "report", home / "study")
    assert (code, out.strip(), err) == (0, str(home / "study" / "report.html"), "")
    text = (home / "study" / "report.html").read_text(encoding="utf-8")
    assert "<h1>How many bits does iris need?</h1>" in text
    code, out, _ = told(capsys, "report", home / "study", "--out", home / "page.html", "--json")
    assert json.loads(out) == {"report": str(home / "page.html"), "bytes": len(text.encode())}


def test_two_folders_are_compared(home, capsys):
    code, out, _ = told(capsys, "diff", home / "study", home / "search")
    assert code == 0
    assert "0 cells differ" in out
    assert 'search.along: absent -> "chip.adc.bits"' in out
    found = json.loads(told(capsys, "diff", home / "study", home / "study", "--json")[1])
    assert (found["equal"], found["points"], found["significant"]) == (3, 0, 0)


def test_a_search_tells_what_is_needed_and_the_whole_grid_the_same(home, capsys):
    searched = json.loads(told(capsys, "show", home / "search", "--json")[1])["needed"]
    whole = json.loads(told(capsys, "show", home / "study", "--needed", "chip.adc.bits=5", "--json")[1])["needed"]
    for one in (searched, whole):
        assert one["within"] == 0.05
    parts = ("value", "at_best", "surely")
    assert [searched["rows"][0][part] for part in parts] == [whole["rows"][0][part] for part in parts]
    assert "needed to stay within 5 points of float" in told(capsys, "show", home / "search")[1]


def test_every_point_is_written_as_csv(home, capsys, tmp_path):
    assert told(capsys, "show", home / "study", "--points", tmp_path / "points.csv")[0] == 0
    with open(tmp_path / "points.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["chip.adc.bits"], row["die"]) for row in rows[:4]] == [("2", "0"), ("2", "1"), ("2", "2"), ("4", "0")]
    assert {row["status"] for row in rows} == {"ok"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("report", "nowhere"), 2, "nowhere: no such folder"),
        (("report", "{home}"), 2, "holds no study.h5"),
        (("report", "{home}/study", "--out", "{home}/none/page.html"), 2, "make the folder first"),
        (("diff", "{home}/study", "nowhere"), 2, "nowhere: no such folder"),
        (("show", "{home}/study", "--needed", "chip.adc.bit"), 2, 'did you mean "chip.adc.bits"?'),
        (("show", "{home}/study", "--needed", "chip.adc.bits=many"), 2, "0 to 100 points"),
        (("show", "{home}/study", "--needed", "chip.adc.bits=101"), 2, "0 to 100 points"),
        (("run", "{home}/study.toml", "--insecure"), 2, "--insecure: is of schedulers"),
        (("run", "{home}/study.toml", "--scheduler", "here"), 2, "tcp://HOST:PORT"),
        (("run", "{home}/study.toml", "--scheduler", "tcp://10.0.0.1:8786"), 2, "add --insecure"),
        (("run", "{home}/study.toml", "--scheduler", "local", "--profile"), 2, "leave one of them out"),
        (("run", "{home}/study.toml", "--scheduler", "local", "--dry-run"), 2, "leave one of them out"),
        (
            ("run", "{home}/study.toml", "--scheduler", "tcp://127.0.0.1:1", "--workers", "2"),
            2,
            "leave one of them out",
        ),
        (("check", "{home}/search.toml", "--set", "search.along=chip.adc.bit"), 2, "must be a swept path of numbers"),
        (("check", "{home}/study.toml", "--set", "replicates.target_ci=0.01"), 2, "say most_trainings, most_dies"),
    ],
)
def test_what_is_wrong_is_one_clear_error(home, capsys, monkeypatch, tmp_path, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    found, out, err = told(capsys, *(one.format(home=home) for one in arguments))
    assert (found, out) == (code, "")
    assert words in err
    assert all(line.startswith("imcsim: ") for line in err.splitlines())
    assert list(tmp_path.iterdir()) == []


def test_check_tells_that_a_study_looks_at_its_results(home, capsys):
    assert (
        "a search along chip.adc.bits evaluates the cells that it needs"
        in told(capsys, "check", home / "search.toml")[1]
    )
    grown = ("--set", "replicates.target_ci=0.01", "--set", "replicates.most_dies=9")
    assert "wider than 1 points to either side" in told(capsys, "check", home / "study.toml", *grown)[1]
