"""`imcsim cost STUDY`: every rule on the network and chip of a study, the study's own marked."""

import json

import pytest

from imcsim.cli import main
from imcsim.rules.library import RULES

STUDY = """
name = "small"
dataset = "iris"

[network]
hidden = [8]
activation = "tanh"

[training]
where = "chip"
rule = "np"
batch_size = 10
rule_options = { draws = 3 }

[chip]
device = "sram8t_65nm"
[chip.dac]
out_of_range = "clip"
signed = true

[grid]
"chip.adc.bits" = [6, 8]
"""


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(STUDY, encoding="utf-8")
    return str(path)


def told(capsys, *arguments):
    code = main(["cost", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def rows(capsys, *arguments):
    code, out, _ = told(capsys, *arguments, "--json")
    assert code == 0
    return json.loads(out)


def test_every_rule_has_a_line_of_costs_and_one_of_growth_and_the_studys_own_is_marked(study, capsys):
    code, out, err = told(capsys, study)
    assert (code, err) == (0, "")
    for name in RULES:
        assert sum(line.removeprefix("*").split()[:1] == [name] for line in out.splitlines()) == 2, name
    assert [line.split()[1] for line in out.splitlines() if line.startswith("*")] == ["np", "np"]
    assert "small: 4-8-3, N = 56 weights, n = 11 nodes" in out
    assert "the first point of what it sweeps: chip.adc.bits = 6" in out


def test_rules_that_the_chip_does_not_serve_are_told_with_what_it_lacks(study, capsys):
    _, out, _ = told(capsys, study)
    lacking = out[out.index("not on this chip") :]
    assert "on_chip_backprop: the design has no transposed read" in lacking


def test_json_holds_the_options_of_the_study_and_the_samples_of_its_batch(study, capsys):
    found = rows(capsys, study)
    assert (found["samples"], found["shapes"]) == (10, [[4, 8], [8, 3]])
    own = [row for row in found["rules"] if row["own"]]
    assert [row["rule"] for row in own] == ["np"]
    assert own[0]["forward_passes"] == (1 + 3) * 10
    assert own[0]["random_numbers"] == 3 * 10 * 11
    assert own[0]["growth"]["random_numbers"] == "n"


def test_samples_and_rules_are_those_asked_for(study, capsys):
    found = rows(capsys, study, "--samples", "1", "--rules", "np", "dfa", "backprop")
    assert [row["rule"] for row in found["rules"]] == ["np", "dfa", "backprop"]
    assert found["rules"][0]["forward_passes"] == 1 + 3


def test_settings_change_the_network_and_the_chip(study, capsys):
    before, after = (
        rows(capsys, study, "--rules", "np", *setting)["rules"][0]
        for setting in ((), ("--set", "network.hidden=[16]", "--set", "chip.dac.bits=4"))
    )
    assert after["word_writes"] == 4 * 16 + 16 * 3 == 2 * before["word_writes"]
    assert after["array_reads"] == before["array_reads"] / 2, "4 cycles in place of 8"


def test_a_study_that_learns_on_the_ideal_network_costs_what_that_takes(study, capsys):
    (row,) = rows(capsys, study, "--set", "training.where=ideal", "--rules", "np")["rules"]
    # three noisy passes and a clean one, of 10 samples through 2 layers
    assert (row["array_reads"], row["conversions"]) == (4 * 10 * 2, 0)
    assert row["cell_writes"] == row["word_writes"]
    assert "learning is on the ideal chip" in told(capsys, study, "--set", "training.where=ideal")[1]


def test_a_study_that_sweeps_its_rule_marks_them_all(study, capsys, tmp_path):
    text = STUDY.replace("rule_options = { draws = 3 }\n", "")
    path = tmp_path / "rules.toml"
    path.write_text(text.replace('"chip.adc.bits" = [6, 8]', '"training.rule" = ["np", "dfa"]'), encoding="utf-8")
    found = rows(capsys, str(path))
    assert [row["rule"] for row in found["rules"] if row["own"]] == ["dfa", "np"]
    assert found["at"] == {}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--samples", "0"), "--samples = 0: must be an integer from 1 to"),
        (("--rules", "dfaa"), 'did you mean "dfa"?'),
        (("--set", "chip.adc.bits=40"), "must be an integer from 1 to 16"),
    ],
)
def test_wrong_usage_is_one_clear_error(study, capsys, arguments, words):
    code, out, err = told(capsys, study, *arguments)
    assert (code, out) == (2, "")
    assert words in err
