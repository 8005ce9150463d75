"""Ladders of non-idealities, gaps, copies, scopes, swept devices, dies of their own, cells trained more often."""

from pathlib import Path

import pytest

from imcsim.errors import SpecError
from imcsim.experiment.evaluate import WORK
from imcsim.experiment.study_file import read_study
from imcsim.experiment.tuned import tuned_key
from imcsim.study.run import run
from imcsim.study.table import read_table

STUDY = """
name = "small"
dataset = "iris"
gaps = true
[replicates]
trainings = 2
own_dies = true
[[replicates.more]]
if = { level = 0 }
trainings = 3
[network]
hidden = [4]
[training]
where = "chip"
rule = "hardware_in_the_loop"
epochs = 2
[chip]
device = "sram_ideal"
dac.out_of_range = "clip"
[variants.plain]
[variants.again]
training.copy = 1
[variants."on-chip"]
training.rule = "on_chip_backprop"
[ladders.bits]
"chip.array.weight_bits" = [4, 2]
"chip.array.cell_bits"   = [3, 1]
[ladders.noise]
"chip.cell.read_noise_rel" = [0.1, 0.3, 1.0]
"""

TUNE = """
[tune]
at = ["base", "cell"]
candidates = 2
[tune.over]
"training.learning_rate" = [1e-3, 1e-2]
"""


@pytest.fixture
def study(tmp_path):
    def written(text=STUDY, settings=(), *, quick=False):
        path = tmp_path / "study.toml"
        path.write_text(text)
        return read_study(path, settings, quick=quick)

    return written


def nothing(_):
    pass


def test_level_0_is_shared_and_each_ladder_climbs_by_itself(study):
    cells = [cell.coordinates for cell in study().cells if cell.coordinates["variant"] == "plain"]
    assert cells == [
        {"variant": "plain", "level": 0},
        {
            "variant": "plain",
            "ladder": "bits",
            "level": 1,
            "chip.array.weight_bits": 4,
            "chip.array.cell_bits": 3,
        },
        {
            "variant": "plain",
            "ladder": "bits",
            "level": 2,
            "chip.array.weight_bits": 2,
            "chip.array.cell_bits": 1,
        },
        {"variant": "plain", "ladder": "noise", "level": 1, "chip.cell.read_noise_rel": 0.1},
        {"variant": "plain", "ladder": "noise", "level": 2, "chip.cell.read_noise_rel": 0.3},
        {"variant": "plain", "ladder": "noise", "level": 3, "chip.cell.read_noise_rel": 1.0},
    ]


def test_a_level_changes_what_it_says_and_no_more(study):
    plan = study()
    base, first = (cell.config for cell in plan.cells[:2])
    assert first["chip"]["array"] == {**base["chip"]["array"], "weight_bits": 4, "cell_bits": 3}
    assert {**first, "chip": {**first["chip"], "array": base["chip"]["array"]}} == base


def test_a_rule_that_the_chip_cannot_run_is_a_gap_with_its_reason(study):
    plan = study()
    assert {cell.coordinates["variant"] for cell in plan.cells} == {"plain", "again"}
    assert len(plan.gaps) == 6
    assert "transposed read" in plan.gaps[0].reason
    assert not any(cell.text == "" for cell in plan.cells)


def test_without_gaps_it_is_an_error(study):
    with pytest.raises(SpecError, match="needs a transposed read"):
        study(STUDY.replace("gaps = true", ""))


def test_gaps_forgive_nothing_but_what_a_chip_lacks(study):
    with pytest.raises(SpecError, match="no_such_rule"):
        study(STUDY.replace("on_chip_backprop", "no_such_rule"))


def test_some_cells_are_trained_more_often_on_dies_of_their_own(study):
    plan = study()
    of_base = [(point.training, point.die) for point in plan.points if point.cell == 0]
    above = [(point.training, point.die) for point in plan.points if point.cell == 1]
    assert of_base == [(0, 0), (1, 1), (2, 2)]
    assert above == [(0, 0), (1, 1)]


def test_the_table_has_rows_of_different_lengths_and_the_gaps(study, tmp_path):
    plan = study()
    run(plan, tmp_path / "out", WORK, nothing)
    summary = read_table(tmp_path / "out" / "study.h5").summary()
    assert summary.own_dies
    assert [row.values.shape for row in summary.rows[:2]] == [(3, 1, 1), (2, 1, 1)]
    assert [row.coordinates["variant"] for row in summary.rows] == ["plain"] * 6 + ["again"] * 6 + ["on-chip"] * 6
    gaps = [row for row in summary.rows if row.gap]
    assert len(gaps) == 6
    assert "transposed read" in gaps[0].gap
    assert all(row.ok == row.values.size for row in summary.rows if not row.gap)


def test_a_copy_is_the_same_training_by_another_draw(study, tmp_path):
    plan = study()
    run(plan, tmp_path / "out", WORK, nothing)
    rows = read_table(tmp_path / "out" / "study.h5").summary().rows
    plain, again = (next(row for row in rows if row.coordinates == {"variant": one, "level": 0}) for one in PAIR)
    assert plain.values.shape == again.values.shape
    assert (plain.series["epoch_loss"] != again.series["epoch_loss"]).all()


PAIR = ("plain", "again")


def test_cells_are_tuned_at_their_base_and_again_by_themselves(study):
    plan = study(STUDY + TUNE)
    by_place = {
        tuple(cell.coordinates.get(path) for path in ("variant", "ladder", "level", "tune.at")): tuned_key(cell.config)
        for cell in plan.cells
    }
    base = by_place["plain", None, 0, None]
    assert by_place["plain", "bits", 2, "base"] == by_place["plain", "noise", 1, "base"] == base
    assert by_place["plain", "bits", 2, "cell"] != base
    assert by_place["again", None, 0, None] == base  # a copy takes what its original found
    assert by_place["again", "bits", 2, "cell"] == by_place["plain", "bits", 2, "cell"]


def test_some_cells_tune_other_paths_and_all_have_as_many_candidates(study):
    more = '[[tune.when]]\nif = { variant = "again" }\nover = { "training.batch_size" = [10, 20] }\n'
    with pytest.raises(SpecError, match="2 or 4 candidates"):
        study(STUDY + TUNE.replace("candidates = 2", "candidates = 4") + more)
    plan = study(STUDY + TUNE + more)
    tuned = {cell.coordinates["variant"]: cell.config["tune"]["over"] for cell in plan.cells}
    assert [path for path, _ in tuned["plain"]] == ["training.learning_rate"]
    assert [path for path, _ in tuned["again"]] == ["training.learning_rate", "training.batch_size"]


def test_a_rule_that_cannot_begin_is_an_outcome(study, tmp_path):
    # of a step that is tuned, nothing is known ahead of the run
    text = STUDY.replace('training.rule = "on_chip_backprop"', 'training.rule = "spsa"')
    over = '[tune]\n[tune.over]\n"training.learning_rate" = [1e-2]\n"training.batch_size" = [10, 20]\n'
    when = '[[tune.when]]\nif = {variant = "on-chip"}\nover = {"training.rule_options.step" = [1e-9, 1e-8]}\n'
    plan = study(text + over.replace("[tune]\n", "[tune]\ncandidates = 2\n") + when)
    outcome = run(plan, tmp_path / "out", WORK, nothing)
    assert outcome.failed == 0
    summary = read_table(tmp_path / "out" / "study.h5").summary()
    refused = [row for row in summary.rows if row.coordinates["variant"] == "on-chip"]
    assert all(row.refused == row.values.size and "could not begin" in row.gap for row in refused)


def test_a_scope_is_laid_over_the_file_and_named(study):
    text = STUDY + "[scope.long.training]\nepochs = 5\n[scope.long.ladders.bits]\n"
    text += '"chip.array.weight_bits" = [6, 3]\n"chip.array.cell_bits" = [5, 2]\n'
    plan = study(text, ["scope=long", "training.batch_size=7"])
    assert plan.name == "small-long"
    assert plan.cells[0].config["training"]["epochs"] == 5
    assert plan.cells[0].config["training"]["batch_size"] == 7
    assert plan.cells[1].coordinates["chip.array.weight_bits"] == 6
    assert study(text).name == "small"
    with pytest.raises(SpecError, match=r'scope = "lon": no such scope; did you mean "long"'):
        study(text, ["scope=lon"])


def test_devices_are_swept_with_the_study_s_own_fields_on_each(study):
    text = STUDY.replace("gaps = true", "")
    text = text[: text.index("[variants.plain]")] + '[grid]\n"chip.device" = ["sram_ideal", "sram8t_65nm"]\n'
    text = text.replace("[[replicates.more]]\nif = { level = 0 }\ntrainings = 3\n", "")
    plan = study(text)
    kinds = {cell.coordinates["chip.device"]: cell.config["chip"]["cell"]["kind"] for cell in plan.cells}
    assert kinds == {"sram_ideal": "sram", "sram8t_65nm": "sram_discharge"}
    assert all(cell.config["chip"]["dac"]["out_of_range"] == "clip" for cell in plan.cells)
    with pytest.raises(SpecError, match="did you mean"):
        study(text.replace('"sram8t_65nm"]', '"sram8t_65n"]'))


def test_quick_keeps_one_level_of_each_ladder_and_tunes_once(study):
    plan = study(STUDY + TUNE, quick=True)
    assert {cell.coordinates["level"] for cell in plan.cells} == {0, 1}
    assert {cell.coordinates.get("tune.at") for cell in plan.cells} == {None, "base"}
    assert {cell.coordinates.get("chip.cell.read_noise_rel") for cell in plan.cells} == {None, 0.3}
    assert {point.training for point in plan.points} == {0, 1}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"chip.array.cell_bits"   = [3, 1]', '"chip.array.cell_bits" = [3]', "must have as many values"),
        ('"chip.cell.read_noise_rel" =', '"chip.cell.read_noise_re" =', "no such path to sweep"),
        ("[0.1, 0.3, 1.0]", "[0.1, -0.3, 1.0]", r'\[ladders.noise\] "chip.cell.read_noise_rel"\[1\] = -0.3'),
        ("if = { level = 0 }", "if = { level = 7 }", "is no value of this path"),
        ("if = { level = 0 }", "if = { levle = 0 }", "names no swept path"),
        ("own_dies = true", "own_dies = true\ndies = 2", "must be 1 with own_dies"),
        ("gaps = true", "gaps = 3", "must be true or false"),
        ("[ladders.noise]", "[tune]\nat = ['cel']\n[ladders.noise]", 'must be a list of "base", "cell" or both'),
    ],
)
def test_what_is_wrong_is_told(study, old, new, told):
    assert old in STUDY
    with pytest.raises(SpecError, match=told):
        study(STUDY.replace(old, new))


def test_the_text_of_a_plan_is_a_study_that_gives_the_same_plan(study, tmp_path):
    plan = study(STUDY + TUNE)
    again = tmp_path / "again.toml"
    again.write_text(plan.toml)
    assert [cell.text for cell in read_study(again).cells] == [cell.text for cell in plan.cells]
    assert read_study(again).points == plan.points


def test_the_study_of_the_rules_is_sound():
    folder = Path(__file__).parents[2] / "studies" / "rules_under_nonideality"
    plan = read_study(folder / "study.toml")
    assert len(plan.cells) == 11 * (1 + 6 * 3 * 2)
    assert not plan.gaps
