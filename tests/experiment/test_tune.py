"""[tune] and [stop] in a study's file: what they say is what every cell does, and all that is wrong is told."""

import numpy as np
import pytest

from imcsim.errors import SpecError
from imcsim.experiment.study_file import read_study
from imcsim.experiment.tune import candidates, read_config

STUDY = """
name = "tuned"
dataset = "iris"

[network]
hidden = [4]

[training]
epochs = 18

[chip]
device = "sram8t_65nm"

[tune]
{tune}

[tune.over]
{over}

[grid]
{grid}
"""
RATES = '"training.learning_rate" = { log = [1e-4, 1e-1], points = 4 }'
BITS = '"chip.adc.bits" = [4, 6]'


@pytest.fixture
def study(tmp_path):
    """Reads a study that tunes over these lines, changed by settings; `more` stands ahead of its [tune]."""

    def read(over=RATES, *settings, tune="", grid=BITS, more="", quick=False):
        text = STUDY.format(tune=tune, over=over, grid=grid).replace("[tune]\n", f"{more}\n[tune]\n", 1)
        (tmp_path / "study.toml").write_text(text)
        return read_study(tmp_path / "study.toml", settings, quick=quick)

    return read


@pytest.fixture
def problems(study, tmp_path):
    """The problems of such a study, as text without its folder."""

    def read(*arguments, **changes):
        with pytest.raises(SpecError) as caught:
            study(*arguments, **changes)
        return str(caught.value).replace(f"{tmp_path}/", "").splitlines()

    return read


def tried(plan):
    """The candidates of the cells, which all have the same ones."""
    first, *others = [read_config(cell.config)[1].candidates for cell in plan.cells]
    assert all(other == first for other in others)
    return first


# ---- the space


def test_a_log_range_is_a_geometric_series_with_both_its_ends(study):
    rates = [values["training.learning_rate"] for values in tried(study())]
    np.testing.assert_allclose(rates, [1e-4, 1e-3, 1e-2, 1e-1], rtol=1e-14)
    assert (rates[0], rates[-1]) == (1e-4, 1e-1)


def test_every_combination_is_a_candidate_in_the_order_of_the_file(study):
    over = '"training.batch_size" = [8, 32]\n"training.learning_rate" = [0.01, 0.1]\n"chip.adc.range" = ["mse", "full"]'
    found = tried(study(over))
    keys = ("training.batch_size", "training.learning_rate", "chip.adc.range")
    assert [tuple(values[key] for key in keys) for values in found[:3]] == [
        (8, 0.01, "mse"),
        (8, 0.01, "full"),
        (8, 0.1, "mse"),
    ]
    assert len(found) == 8


def test_of_more_combinations_than_wanted_a_named_stream_draws():
    space = {"a": range(10), "b": range(10)}
    drawn = candidates(space, 30, seed=0)
    assert len({tuple(values.items()) for values in drawn}) == 30
    assert [(v["a"], v["b"]) for v in drawn] == sorted((v["a"], v["b"]) for v in drawn)
    assert drawn == candidates(space, 30, seed=0)
    assert drawn != candidates(space, 30, seed=1)
    assert candidates(space, 100, seed=0) == candidates(space, 10**6, seed=1)  # all of them: nothing to draw


def test_every_combination_is_drawn_equally_often():
    draws, most, of = 4000, 3, 9
    counts = np.zeros((3, 3))
    for seed in range(draws):
        for values in candidates({"a": range(3), "b": range(3)}, most, seed):
            counts[values["a"], values["b"]] += 1
    p = most / of
    sigma = np.sqrt(draws * p * (1 - p))
    assert np.all(np.abs(counts - draws * p) < 5 * sigma)
    assert not np.all(np.abs(counts - draws * 1.2 * p) < 5 * sigma)  # a draw that is a fifth off would be seen


def test_a_space_beyond_all_counting_is_drawn_from():
    drawn = candidates(dict.fromkeys("abcdefg", range(1000)), 5, seed=0)  # 10^21 combinations
    assert len({tuple(values.values()) for values in drawn}) == 5


def test_of_a_range_one_value_is_told_that_its_field_refuses(problems):
    (found,) = problems('"training.learning_rate" = { log = [0.1, 20], points = 1000 }')
    assert "must be a finite number from 0 to 10" in found


def test_a_value_is_held_as_its_field_holds_it(study):
    found = tried(study('"training.learning_rate" = [1, 0.5]\n"network.hidden" = [[4], [8, 8]]'))
    assert found[0] == {"training.learning_rate": 1.0, "network.hidden": [4]}
    assert isinstance(found[0]["training.learning_rate"], float)


# ---- the plan


def test_the_plan_names_what_is_tuned_and_its_text_makes_the_same_plan(study, tmp_path):
    plan = study(tune="dies = 2\nreduction = 2")
    assert plan.tuned == ("training.learning_rate",)
    (tmp_path / "again.toml").write_text(plan.toml)
    again = read_study(tmp_path / "again.toml")
    assert (again.config, again.points) == (plan.config, plan.points)


def test_tuning_is_part_of_a_points_id_and_a_study_without_it_is_what_it_was(study, tmp_path):
    def ids(plan):
        return {point.id for point in plan.points}

    tuned = study()
    others = [study(tune="dies = 2"), study(tune="min_epochs = 2"), study('"training.learning_rate" = [0.1, 0.2]')]
    for other in others:
        assert ids(other).isdisjoint(ids(tuned))
    assert ids(study(tune="candidates = 4")) == ids(tuned)  # as many as there are
    text = (tmp_path / "study.toml").read_text()
    (tmp_path / "plain.toml").write_text(text[: text.index("[tune]")] + text[text.index("[grid]") :])
    plain = read_study(tmp_path / "plain.toml")
    assert all(cell.config.keys().isdisjoint({"tune", "stop"}) for cell in plain.cells)
    assert ids(plain).isdisjoint(ids(tuned))


def test_the_budget_is_said_in_epochs_and_samples(study):
    # 24 of 120 training samples validate; rungs of 9 candidates for 6 epochs and 3 for 18; 2 trainings, 3 dies, 2 reads
    over = RATES.replace("points = 4", "points = 9")
    (note,) = study(over, tune="trainings = 2\ndies = 3\nreads = 2").notes
    epochs, samples = 2 * (9 * 6 + 3 * 18), 24 * 2 * 3 * 2 * (9 + 3)
    assert note == (
        "tuned over training.learning_rate: candidates x epochs 9 x 6 then 3 x 18: "
        f"{epochs} epochs trained, {samples} samples read on chips, in every cell"
    )


def test_the_budget_is_that_of_the_cells_where_the_grid_gives_their_epochs(study):
    (note,) = study(grid='"training.epochs" = [40]').notes
    assert "candidates x epochs 4 x 40: 160 epochs trained" in note


def test_a_quick_study_tunes_quickly(study):
    over = RATES.replace("points = 4", "points = 40")
    tune = "candidates = 30\ntrainings = 3\ndies = 3\nreads = 3\nmin_epochs = 12"
    plan = study(over, tune=tune, quick=True)
    assert plan.config["tune"] | {"over": None} == {
        "candidates": 6,
        "reduction": 3,
        "min_epochs": 10,
        "trainings": 1,
        "dies": 1,
        "reads": 1,
        "over": None,
    }
    assert len(tried(plan)) == 6


def test_tuning_can_be_set_from_outside(study):
    settings = ["tune.dies=3", "tune.over.training.learning_rate=[0.1, 0.2]"]
    plan = study(RATES, *settings)
    assert plan.config["tune"]["dies"] == 3
    assert [values["training.learning_rate"] for values in tried(plan)] == [0.1, 0.2]


# ---- what is wrong


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ("", 'over: must be a table of at least one path; for one, "training.learning_rate"'),
        ('"training.learnin_rate" = [0.1, 0.2]', 'no such path to tune; did you mean "training.learning_rate"?'),
        ('"seed" = [1, 2]', "seed: no such path to tune"),
        ('"training" = [{}, {}]', "training: no such path to tune"),
        (
            "training.learning_rate = [0.1, 0.2]",
            'a path is one key: put it in quotes; write "training.learning_rate" = ...',
        ),
        ('"chip.device" = ["a", "b"]', "chip.device: no such path to tune"),
        ('"training.epochs" = [5, 10]', "training.epochs: cannot be tuned: epochs are what tuning spends"),
        ('"training.learning_rate" = [0.1]', "over = 1: must have at least 2 candidates to choose from"),
        ('"training.learning_rate" = []', "learning_rate = []: must be a list of 1 to 1000 values, or { log"),
        ('"training.learning_rate" = [0.1, 20]', '"training.learning_rate"[1] = 20: must be a finite number from 0 to'),
        ('"training.batch_size" = [8, 0.5]', '"training.batch_size"[1] = 0.5: must be an integer from 1 to'),
        ('"chip.dac" = [{bits = 4}, 6]', '"chip.dac"[1] = 6: must be a table'),
        ('"chip.dac" = [{bits = 4}, {bitz = 6}]', '"chip.dac"[1]] bitz: unknown key "bitz"'),
        ('"training.learning_rate" = [0.1, 0.1]', "training.learning_rate: has a value twice: 0.1"),
        (
            '"training.learning_rate" = { log = [0, 1], points = 3 }',
            '"training.learning_rate".log = [0, 1]: must start above 0',
        ),
        (
            '"training.learning_rate" = { log = [1, 0.1], points = 3 }',
            '"training.learning_rate".log = [1, 0.1]: must rise',
        ),
        ('"training.learning_rate" = { log = [0.1, 1] }', '"training.learning_rate".points: is missing'),
        (
            '"training.learning_rate" = { log = [0.1, 1], points = 1 }',
            '"training.learning_rate".points = 1: must be an integer',
        ),
        (
            '"chip.cell.mismatch_sigma_rel" = [0.1, 0.2]\n"chip.cell.sigma_vt_V" = [0.01, 0.02]',
            "give either sigma_vt_V, from which it is derived, or the value itself: both are given",
        ),
        ('"chip.adc.bits" = [5, 7]', 'cannot be tuned: [grid] sweeps "chip.adc.bits"; tune it, or sweep it'),
        ('"chip.adc" = [{bits = 5}, {kind = "ideal"}]', 'cannot be tuned: [grid] sweeps "chip.adc.bits"'),
        (
            '"chip.dac" = [{kind = "ideal"}, {bits = 4}]\n"chip.dac.bits" = [4, 5]',
            'chip.dac.bits: lies inside "chip.dac", which is tuned, too',
        ),
    ],
)
def test_a_space_that_cannot_be_is_refused(problems, over, message):
    found = problems(over)
    assert any(message in line and line.startswith("study.toml: [tune") for line in found), found


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        ("candidates = 1", "[tune] candidates = 1: must be an integer from 2 to 10000"),
        ("reduction = 1", "[tune] reduction = 1: must be an integer from 2 to 100"),
        ("dies = 0", "[tune] dies = 0: must be an integer from 1 to 1000"),
        ("min_epochs = 19", "[tune] min_epochs = 19: must be at most training.epochs = 18"),
        ("epochs = 5", '[tune] epochs: unknown key "epochs"'),
    ],
)
def test_a_rule_that_cannot_be_is_refused(problems, tune, message):
    assert problems(tune=tune)[0].startswith(f"study.toml: {message}")


def test_all_problems_are_told_at_once(problems):
    found = problems('"training.learning_rate" = [0.1]\n"training.batch_sice" = [8, 16]', tune="dies = 0")
    assert len(found) == 2  # with a path unknown, nobody can tell how many candidates there are


def test_what_variants_set_cannot_be_tuned(problems):
    variants = "[variants.base]\n[variants.fast]\ntraining.learning_rate = 0.5\n"
    (found,) = problems(more=variants)
    assert 'cannot be tuned: the variant "fast" sets training.learning_rate' in found


def test_a_candidate_that_some_cell_cannot_have_is_told_with_the_cell(problems):
    found, _ = problems('"training.momentum" = [0.5, 0.9]', grid='"training.optimizer" = ["momentum", "adam"]')
    assert 'training.momentum = 0.5: has no meaning with optimizer = "adam"' in found
    assert 'in the cell at training.optimizer = "adam"' in found


def test_cells_of_different_epochs_would_have_different_budgets(problems):
    (found,) = problems(grid='"training.epochs" = [10, 20]')
    assert "every cell must have the same budget, but training.epochs is 10, 20" in found


def test_a_setting_that_every_cell_would_override_is_refused(problems):
    (found,) = problems(RATES, "training.learning_rate=0.5")
    assert 'would not be heard: every cell tunes "training.learning_rate"' in found


# ---- [stop]

STOP = "[stop]\nafter_epochs = {}\naccuracy_below = {}\n"


def test_the_rule_for_stopping_is_part_of_the_cell_where_there_is_one(study):
    plan = study(more=STOP.format(5, 0.4))
    assert all(cell.config["stop"] == {"after_epochs": 5, "accuracy_below": 0.4} for cell in plan.cells)
    assert plan.config["stop"] == {"after_epochs": 5, "accuracy_below": 0.4}
    assert "at most 144 epochs trained" not in study().notes[0]
    assert "at most " in plan.notes[0]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (STOP.format(18, 0.4), "[stop] after_epochs = 18: must be less than training.epochs = 18"),
        (STOP.format(5, 1.5), "[stop] accuracy_below = 1.5: must be a finite number from 0 to 1"),
        (STOP.format(0, 0.5), "[stop] after_epochs = 0: must be an integer from 1 to 100000"),
        ("[stop]\nafter_epochs = 5\n", "[stop] accuracy_below: is missing"),
    ],
)
def test_a_rule_for_stopping_that_cannot_be_is_refused(problems, rule, message):
    assert problems(more=rule)[0].startswith(f"study.toml: {message}")


def test_a_rule_that_comes_too_late_for_one_cell_is_told_with_its_epochs(problems):
    found = problems('"training.batch_size" = [8, 16]', grid='"training.epochs" = [5, 20]', more=STOP.format(6, 0.5))
    assert any("stop.after_epochs = 6: must be less than training.epochs = 5" in line for line in found)


def test_a_quick_study_asks_earlier_whether_to_stop(study):
    plan = study(more=STOP.format(15, 0.5), quick=True)
    assert plan.config["stop"]["after_epochs"] == 9
