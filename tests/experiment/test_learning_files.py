"""Rules and their options in a study's file: swept, varied, and refused before anything runs."""

from __future__ import annotations

import re

import pytest

from imcsim import cli
from imcsim.errors import SpecError
from imcsim.experiment.beginning import steps_of_codes
from imcsim.experiment.study_file import read_study
from imcsim.network.learning_chip import learning_chip
from imcsim.network.mlp import NetworkSpec, initial_mlp
from imcsim.rng import child
from imcsim.specs.library import load

STUDY = """
name = "rules"
dataset = "iris"
[network]
hidden = [4]
[training]
epochs = 2
{training}
[chip]
device = "{device}"
{rest}
"""
BITS = '[grid]\n"chip.adc.bits" = [6]\n'


@pytest.fixture
def plan_of(tmp_path):
    def read(training, rest=BITS, device="sram8t_65nm", *settings):
        (tmp_path / "study.toml").write_text(STUDY.format(training=training, rest=rest, device=device))
        return read_study(tmp_path / "study.toml", settings)

    return read


@pytest.fixture
def wrong(plan_of, tmp_path):
    """What is told to be wrong with such a study, a line a problem."""

    def read(*arguments):
        with pytest.raises(SpecError) as caught:
            plan_of(*arguments)
        return str(caught.value).replace(f"{tmp_path}/", "").splitlines()

    return read


def trainings(plan):
    return [cell.config["training"] for cell in plan.cells]


CHIP = 'where = "chip"\nrule = "{}"\n'

# ---- what a file may say


def test_a_rule_has_its_own_options_with_their_defaults(plan_of):
    (cell,) = trainings(plan_of(CHIP.format("efficientgrad") + "rule_options.pruning.rate = 0.5"))
    assert cell["rule_options"] == {
        "scale": 1.0,
        "limit": "kaiming",
        "pruning": {"rate": 0.5, "spread": "standard_deviation"},
    }


def test_rules_are_swept_and_each_starts_from_its_own_defaults(plan_of):
    grid = '[grid]\n"training.rule" = ["dfa", "sign_dfa", "hardware_in_the_loop"]\n'
    dfa, sign, loop = trainings(plan_of(CHIP.format("dfa") + "rule_options.scale = 2.0", grid))
    assert (dfa["rule_options"]["scale"], sign["rule_options"]["scale"], loop["rule_options"]) == (2.0, 1.0, {})


def test_options_of_a_rule_are_swept_where_the_rule_is_another_one(plan_of):
    grid = """
[grid]
"training.rule" = ["dfa", "sdfa"]
[[grid.when]]
if = { "training.rule" = "sdfa" }
"training.rule_options.connections" = [1, 3]
"""
    found = trainings(plan_of(CHIP.format("dfa"), grid))
    assert [cell["rule_options"].get("connections") for cell in found] == [None, 1, 3]


def test_rules_and_options_go_together_in_a_list(plan_of):
    grid = """
[[grid.list]]
combinations = [
    { "training.rule" = "sdfa", "training.rule_options" = { connections = 3 } },
    { "training.rule" = "efficientgrad", "training.rule_options" = { pruning = { rate = 0.3 } } },
]
"""
    sparse, pruned = trainings(plan_of(CHIP.format("dfa"), grid))
    assert sparse["rule_options"]["connections"] == 3
    assert pruned["rule_options"]["pruning"]["rate"] == 0.3


FIVE = """
[variants."in silico"]
[variants.aware]
training = { where = "digital", rule = "hardware_aware", rule_options = { weight_noise_rel = 0.1 } }
[variants."in the loop"]
training = { where = "chip", rule = "hardware_in_the_loop" }
[variants."on chip"]
training = { where = "chip", rule = "on_chip_backprop" }
chip.transpose.dac = { signed = true }
[variants.analog]
training = { where = "chip", rule = "fa", optimizer = "sgd" }
chip.device = "pulsed_generic"
"""


def test_variants_set_rules_options_and_parts_of_the_chip_together(plan_of):
    plan = plan_of("", FIVE)
    assert [(cell["where"], cell["rule"]) for cell in trainings(plan)] == [
        ("digital", "backprop"),
        ("digital", "hardware_aware"),
        ("chip", "hardware_in_the_loop"),
        ("chip", "on_chip_backprop"),
        ("chip", "fa"),
    ]
    assert trainings(plan)[1]["rule_options"]["weight_noise_rel"] == 0.1
    assert "transpose" in plan.cells[3].config["chip"]


def test_a_variant_in_float_leaves_out_what_belongs_to_chips(plan_of):
    variants = '[variants.chip]\n[variants.float]\ntraining = { where = "digital", rule = "backprop" }\n'
    training = CHIP.format("dfa") + 'calibrate_every_epochs = 5\nrounding = "nearest"\n'
    on_chip, in_float = trainings(plan_of(training, variants))
    assert (on_chip["calibrate_every_epochs"], on_chip["rounding"]) == (5, "nearest")
    assert not in_float.keys() & {"calibrate_every_epochs", "rounding", "rule_options"}


def test_the_study_s_own_text_holds_its_rule(plan_of, tmp_path):
    plan = plan_of(CHIP.format("sdfa") + "rule_options.connections = 3", FIVE)
    (tmp_path / "again.toml").write_text(plan.toml)
    again = read_study(tmp_path / "again.toml")
    assert [cell.config for cell in again.cells] == [cell.config for cell in plan.cells]


def test_curves_are_as_long_as_the_longest_learning(plan_of):
    plan = plan_of(CHIP.format("dfa"), '[grid]\n"training.epochs" = [2, 5]\n')
    (epochs,) = {len(one.along.places) for one in plan.quantities if one.along is not None}
    assert epochs == 5


# ---- what is wrong is told


@pytest.mark.parametrize(
    ("training", "told"),
    [
        ('where = "chip"', 'rule = "backprop": is no rule with where = "chip"; with where = "chip" there are'),
        ('rule = "dfa"', 'rule = "dfa": is no rule with where = "digital"; set where = "chip", or "ideal"'),
        ('where = "ideal"', 'rule = "backprop": is no rule with where = "ideal"; with where = "ideal" there are'),
        ('where = "ideal"\nrule = "dfa"\nrounding = "nearest"', "float weights have no write resolution"),
        ('where = "ideal"\nrule = "sdfa"\nrule_options.connections = 4', "connections = 4: the network has 3 outputs"),
        (CHIP.format("dfaa"), 'rule = "dfaa": must be the name of a learning rule; did you mean "dfa"?'),
        (CHIP.format("dfaa") + "rule_options.scale = 2.0", 'rule = "dfaa": must be the name of a learning rule'),
        (CHIP.format("dfa") + "rule_options.skale = 2.0", 'skale: unknown key "skale"; did you mean "scale"?'),
        (CHIP.format("dfa") + "rule_options = 3", "rule_options = 3: must be a table"),
        ("rule_options.scale = 2.0", 'scale: unknown key "scale"; none is known here'),
        (CHIP.format("sdfa") + "rule_options.connections = 4", "connections = 4: the network has 3 outputs"),
        (CHIP.format("efficientgrad") + "rule_options.pruning.rate = 1.0", "rate = 1.0: must lie between 0 and 1"),
        (
            CHIP.format("on_chip_backprop"),
            "needs a transposed read: the design has no transposed read; add [chip.trans",
        ),
        (CHIP.format("fa") + 'rule_options.feedback_on = "chip"', "needs arrays for feedback matrices"),
        ('rule = "hardware_aware"\nrule_options.weight_bits = 1', "weight_bits = 1: must be an integer from 2 to 16"),
        ("calibrate_every_epochs = 2", "float weights have no ranges; leave it out"),
    ],
)
def test_a_rule_that_cannot_be_is_told_with_a_remedy(wrong, training, told):
    (line,) = wrong(training)
    assert told in line
    assert line.startswith("study.toml: [training")


@pytest.mark.parametrize("rule", ["hardware_in_the_loop", "usf", "efficientgrad"])
def test_pulsed_devices_do_not_tell_what_was_written(wrong, rule):
    (line,) = wrong(CHIP.format(rule), BITS, "pulsed_generic")
    assert (
        "needs the weights as last written: nobody knows what pulses have written; use a rule that does without" in line
    )
    assert "dfa" in line.split("without")[1]


def test_all_that_is_wrong_is_told_at_once(wrong):
    training = CHIP.format("usf") + 'weight_decay = 1e-4\nrounding = "nearest"\n'
    lines = wrong(training, 'dac = { out_of_range = "error", input_scale = "max" }\n' + BITS, "pulsed_generic")
    assert len(lines) == 4
    for told in ('rule = "usf"', "weight_decay = 0.0001", 'rounding = "nearest"', "out_of_range"):
        assert any(told in line for line in lines)


def test_an_error_converter_of_no_bits_is_refused(wrong):
    (line,) = wrong(CHIP.format("on_chip_backprop"), "transpose.dac = { signed = true, bits = 0 }\n" + BITS)
    assert "bits = 0: must be an integer from 1" in line


def test_a_swept_rule_that_the_chip_cannot_is_told_where_it_stands(wrong):
    (line,) = wrong(CHIP.format("dfa"), '[grid]\n"training.rule" = ["dfa", "on_chip_backprop"]\n')
    assert '[grid] "training.rule"[1] = "on_chip_backprop"' in line
    assert "needs a transposed read" in line


def test_a_variant_whose_rule_the_chip_cannot_is_told_where_it_stands(wrong):
    (line,) = wrong("", FIVE.replace("chip.transpose.dac = { signed = true }\n", ""))
    assert line.startswith("study.toml: [variants.on chip.training] rule")


def test_an_option_that_the_rule_of_a_cell_has_not_is_told(wrong):
    grid = '[grid]\n"training.rule" = ["dfa", "hardware_in_the_loop"]\n"training.rule_options.scale" = [1.0, 2.0]\n'
    lines = wrong(CHIP.format("dfa"), grid)
    assert all("unknown key" in line and "hardware_in_the_loop" in line for line in lines)


def test_compound_arrays_are_for_learning_on_the_chip(wrong):
    compound = 'compound = { kind = "tiki_taka", transfer_rate = 0.1 }\n'
    (line,) = wrong("", compound + BITS, "pulsed_generic")
    assert 'set training.where = "chip"' in line


def test_a_fast_array_takes_factors_alone(wrong):
    compound = 'compound = { kind = "tiki_taka", transfer_rate = 0.1 }\n'
    (line,) = wrong(CHIP.format("fa"), compound + BITS, "pulsed_generic")
    assert '[training] optimizer = "adam": makes a matrix of an update' in line
    assert 'set optimizer = "sgd"' in line


def test_the_command_line_ends_with_2_before_anything_runs(tmp_path, capsys):
    text = STUDY.format(training=CHIP.format("on_chip_backprop"), rest=BITS, device="sram8t_65nm")
    (tmp_path / "study.toml").write_text(text)
    assert cli.main(["run", str(tmp_path / "study.toml"), "--out", str(tmp_path / "out")]) == 2
    assert "needs a transposed read" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# ---- what a rule says when it begins, told before it does

IRIS = 4 * 4 + 4 + 4 * 3 + 3  # parameters of 4-4-3


@pytest.mark.parametrize("where", ["chip", "ideal"])
def test_a_code_that_is_shorter_than_the_parameters_is_told_before_anything_runs(wrong, plan_of, where):
    training = f'where = "{where}"\nrule = "mgd"\nrule_options.norm = 2.0\nrule_options.code = "walsh"\n'
    (told,) = wrong(training + "rule_options.code_length = 32")
    where_it_stands = "study.toml: [training.rule_options] code_length = 32: must be at least the number of parameters"
    assert told == f"{where_it_stands} that are perturbed together, {IRIS}; leave it out, which takes 64"
    assert trainings(plan_of(training + "rule_options.code_length = 64"))


@pytest.mark.parametrize(
    ("rule", "option"),
    [("wp", "sigma"), ("wp_sequential", "delta"), ("swnp", "delta"), ("spsa", "step"), ("mgd", "norm")],
)
def test_a_perturbation_below_the_write_resolution_is_told_before_anything_runs(wrong, plan_of, rule, option):
    (told,) = wrong(CHIP.format(rule) + f"rule_options.{option} = 1e-6")
    assert told.startswith(f"study.toml: [training.rule_options] {option} = 1e-06: ")
    assert "below the write resolution" in told
    enough = re.search(r"set it to ([0-9.]+) or more", told).group(1)
    assert trainings(plan_of(CHIP.format(rule) + f"rule_options.{option} = {enough}"))
    ideal = f'where = "ideal"\nrule = "{rule}"\n'  # whose weights have no codes
    assert trainings(plan_of(ideal + f"rule_options.{option} = 1e-6"))


def test_a_swept_perturbation_is_told_where_it_stands(wrong, plan_of):
    grid = '[grid]\n"training.rule_options.norm" = [1e-6, 2.0]\n'
    told = wrong(CHIP.format("mgd"), grid)
    assert len(told) == 1
    assert "norm" in told[0]
    assert "below the write resolution" in told[0]
    # the norm that every cell sets need not be right in [training], too: 0.05 moves no weight
    assert trainings(plan_of(CHIP.format("mgd"), grid.replace("1e-6", "1.0")))


def test_steps_of_weights_are_known_before_a_chip_is_made():
    network, chip, seed = NetworkSpec(hidden=[5]), load("sram8t_65nm"), 3
    start = initial_mlp(network, 4, 3, child(seed, "initial weights", 0))
    made = learning_chip(start, chip, "cross_entropy", 0, child(seed, "programming"))
    assert steps_of_codes(network, chip.array, "iris", seed) == made.weight_lsb
