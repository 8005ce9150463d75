"""Yield from a study's file, and after the fact from any results folder: what is printed, written and refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from imcsim.cli import main
from imcsim.errors import SpecError
from imcsim.experiment.study_file import read_study
from imcsim.study.table import read_table

STUDY = """
name = "small"
dataset = "digits"
[replicates]
trainings = 1
dies = 40
[network]
hidden = [8]
[training]
epochs = 3
[chip]
device = "sram_ideal"
[chip.dac]
input_scale = "max"
[chip.array]
weight_scale = "max"
[grid]
"chip.array.weight_bits" = [4, 6]
"chip.cell.mismatch_sigma_rel" = [0.05, 0.4]
"""
YIELD = """
[yield]
accuracy = 0.8
target = 0.9
"""
PLOT = """
[plot]
kind = "dies"
x = "chip.cell.mismatch_sigma_rel"
series = "chip.array.weight_bits"
also = ["yield", "pareto"]
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a study that knows of no yield."""
    home = tmp_path_factory.mktemp("yield")
    (home / "study.toml").write_text(STUDY)
    assert main(["run", str(home / "study.toml"), "--out", str(home / "out"), "--workers", "1"]) == 0
    return home / "out"


def told(capsys, *arguments):
    code = main([str(one) for one in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_show_tells_the_yield_of_any_folder(finished, capsys):
    code, out, _ = told(capsys, "show", finished, "--yield", "0.8", "--target", "0.9")
    assert code == 0
    assert "small: dies that reach 80 %" in out
    assert "90 % of dies, along chip.cell.mismatch_sigma_rel" in out
    _, out, _ = told(capsys, "show", finished, "--yield", "0.8", "--target", "0.9", "--json")
    found = json.loads(out)["yield"]
    assert [row["dies"] for row in found["rows"]] == [40] * 4
    assert len(found["limits"]) == 2
    _, out, _ = told(capsys, "show", finished, "--yield", "0.8", "--target", "0.9", "--along", "chip.array.weight_bits")
    assert "90 % of dies, along chip.array.weight_bits" in out
    _, out, _ = told(capsys, "show", finished)
    assert "dies that reach" not in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--yield", "95"], "--yield = 95: must be a share from 0 to 1; 0.95 is 95 %"),
        (["--yield", "0.9", "--target", "99"], "--target = 99: must be a share from 0 to 1"),
        (["--target", "0.99"], "say which are: --yield 0.95"),
        (["--yield", "0.9", "--target", "0.9", "--along", "chip.array.weight_bit"], "did you mean"),
    ],
)
def test_what_show_cannot_tell_is_said(finished, capsys, options, said):
    code, out, err = told(capsys, "show", finished, *options)
    assert (code, out) == (2, "")
    assert said in err


def test_a_study_with_yield_prints_it_and_draws_what_it_asks_for_from_the_results_that_are_there(finished, capsys):
    study = finished.parent / "study.toml"
    before = json.loads((finished / "manifest.json").read_text())["config_sha256"]
    study.write_text(STUDY + YIELD + PLOT)
    code, out, err = told(capsys, "run", study, "--out", finished, "--workers", "1")
    assert code == 0, err
    assert "Nothing to do: all 160 points" in out
    assert "small: dies that reach 80 %" in out
    assert json.loads((finished / "manifest.json").read_text())["config_sha256"] == before
    names = {path.name for path in finished.iterdir()}
    assert {"dies.csv", "yield.csv", "dies.png", "yield.svg", "pareto.pdf"} <= names
    assert not any(name.startswith("accuracy_vs_bits") for name in names)
    _, out, _ = told(capsys, "show", finished)
    assert "small: dies that reach 80 %" in out
    (finished / "yield.png").unlink()
    _, out, _ = told(capsys, "plot", finished)
    assert {"yield.png", "dies.png", "pareto.png", "yield.csv"} <= {
        line.rpartition("/")[2] for line in out.splitlines()
    }


def test_a_die_alone_is_the_die_in_company_down_to_the_bytes_of_study_h5(tmp_path, capsys):
    study, alone, company = tmp_path / "study.toml", tmp_path / "alone", tmp_path / "company"
    study.write_text(STUDY)
    place = 21
    asked = read_study(study).points[place].id
    assert told(capsys, "run", study, "--out", alone, "--only", asked)[0] == 0
    assert told(capsys, "run", study, "--out", company, "--workers", "1")[0] == 0
    one, all_of_them = (read_table(folder / "study.h5").columns["accuracy"] for folder in (alone, company))
    assert np.flatnonzero(~np.isnan(one)).tolist() == [place]
    assert one[place] == all_of_them[place]
    assert told(capsys, "run", study, "--out", alone, "--workers", "1")[0] == 0
    assert (alone / "study.h5").read_bytes() == (company / "study.h5").read_bytes()


def test_trainings_on_the_same_dies_are_refused_when_the_file_is_read(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(STUDY.replace("trainings = 1", "trainings = 3") + YIELD)
    with pytest.raises(SpecError) as error:
        read_study(path)
    assert "[replicates] trainings = 3: must be 1 with [yield], which counts independent dies" in str(error.value)
    assert "replicates.own_dies = true with dies = 1" in str(error.value)
    path.write_text(STUDY.replace("trainings = 1\ndies = 40", "trainings = 3\nown_dies = true") + YIELD)
    assert read_study(path).yields is not None
    quick = read_study(path, quick=True)
    assert quick.yields is not None


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("[yield]\naccuracy = 95", "[yield] accuracy = 95: must be a finite number from 0 to 1"),
        ("[yield]\nacuracy = 0.95", 'unknown key "acuracy"; did you mean "accuracy"?'),
        ("[yield]\ntarget = 0.99", "[yield] accuracy"),
        ("[yield]\naccuracy = 0.95\ntarget = 99", "[yield] target = 99: must be a finite number from 0 to 1"),
        (PLOT, "is of dies that [yield] calls good"),
        (YIELD + PLOT.replace('"pareto"', '"parteo"'), "[plot] also"),
    ],
)
def test_what_is_wrong_with_the_sections_is_told_with_its_place(tmp_path, section, said):
    path = tmp_path / "study.toml"
    path.write_text(STUDY + section + "\n")
    with pytest.raises(SpecError) as error:
        read_study(path)
    assert said in str(error.value)
