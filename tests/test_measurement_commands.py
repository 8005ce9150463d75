"""`imcsim inspect` and `imcsim fit`: what a device engineer types, and what goes wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from imcsim.cli import main
from imcsim.measurements import PowerUp, ProgramVerify, ReadNoise, write
from imcsim.specs.library import load


@pytest.fixture
def lab(tmp_path):
    rng = np.random.default_rng(1)
    target = rng.uniform(2, 20, 400)
    conductance = target + 0.5 * rng.standard_normal(400)
    path = tmp_path / "lab.h5"
    write(
        path,
        [ProgramVerify(target=target * 1e-6, conductance=conductance * 1e-6)],
        sample={"name": "<cell> & co"},
        instrument={"smu": "B1500"},
    )
    return path


def run(capsys, *words):
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def test_inspect_says_what_could_be_fitted(capsys, lab):
    assert "could be fitted: programming" in run(capsys, "inspect", lab)[1]


def test_fit_writes_a_model_that_loads_and_a_report_that_stands_alone(capsys, lab, tmp_path):
    out, report = tmp_path / "my_cell.toml", tmp_path / "report"
    code, text, err = run(capsys, "fit", lab, "--out", out, "--report", report, "--set", "programming.law=normal")
    assert code == 0
    assert "programming error" in text
    assert "fitting programming, 1 of 1" in err
    assert load(out).cell.programming.law == "normal"
    page = (report / "report.html").read_text()
    assert "<cell>" not in page
    assert "&lt;cell&gt; &amp; co" in page
    assert page.count("data:image/svg+xml;base64,") == 4
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert page.index("No warnings.") < page.index("<h2")
    assert (report / "programming_1.png").stat().st_size > 1000


def test_fit_as_json_has_values_and_intervals(capsys, lab):
    code, out, _ = run(capsys, "fit", lab, "--json", "--set", "programming.sigma=constant")
    found = {one["name"]: one for one in json.loads(out)["fits"]["programming"]["parameters"]}
    assert code == 0
    assert found["sigma"]["low"] < found["sigma"]["value"] < found["sigma"]["high"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--out", "model.json"), 2, "must end in .toml"),
        (("--only", "drft"), 2, 'did you mean "drift"'),
        (("--set", "programming.lw=normal"), 2, 'did you mean "law"'),
        (("--seed", "-1"), 2, "must be an integer of at least 0"),
        (("--base", "nothing"), 2, 'no device model "nothing"'),
        (("--only", "drift"), 3, "holds nothing that these estimators fit"),
        (("--map", "none.toml"), 2, "no such file"),
        (("--base", "sram8t_65nm", "--out", "x.toml"), 3, "must be a device of resistive cells"),
    ],
)
def test_what_cannot_be_fitted_is_told_and_nothing_is_written(capsys, lab, monkeypatch, words, code, told):
    monkeypatch.chdir(lab.parent)
    before = sorted(Path().iterdir())
    found, out, err = run(capsys, "fit", lab, *words)
    assert found == code
    assert (out == "") == ("--base" not in words or "nothing" in words)  # what was fitted is told, whatever comes of it
    assert told in err
    assert sorted(Path().iterdir()) == before


def test_a_file_that_is_none_exits_with_3(capsys, tmp_path):
    path = tmp_path / "x.h5"
    path.write_bytes(b"nothing")
    for command in ("inspect", "fit"):
        code, _, err = run(capsys, command, path)
        assert (code, "is not an HDF5 file" in err) == (3, True)


def test_one_fit_that_fails_leaves_the_others_and_is_told(capsys, tmp_path):
    path = tmp_path / "two.h5"
    rng = np.random.default_rng(1)
    write(
        path,
        [
            ReadNoise(conductance=(10 + 0.1 * rng.standard_normal((40, 50))) * 1e-6),
            PowerUp(power_ups=np.array(5), ones=np.tile([0, 5], 50)),
        ],
    )
    code, out, _ = run(capsys, "fit", path, "--only", "read_noise", "power_up")
    assert code == 1
    assert "power_up was not fitted" in out
    assert "sigma_rel" in out
