"""Rules by name: options that are valid or not born, errors that name the nearest, the command that tells of them."""

import dataclasses
import json
import re
import tomllib

import pytest

from imcsim.cli import main
from imcsim.errors import SpecError
from imcsim.rules.backprop import BackpropSpec
from imcsim.rules.library import IN_FLOAT, RULES, learning_rule, rule_options
from imcsim.rules.pruning import PruningSpec
from imcsim.training import TrainingSpec

EVERY = RULES | IN_FLOAT
EVERY_RULE = pytest.mark.parametrize("name", EVERY)


def test_the_rules_of_this_family_are_there():
    assert {
        "hardware_in_the_loop", "on_chip_backprop", "fa", "dfa", "sign_dfa", "sdfa", "ssdfa", "drtp", "usf", "brsf",
        "frsf", "efficientgrad",
    } <= RULES.keys()  # fmt: skip


@EVERY_RULE
def test_a_rule_is_built_from_its_defaults_and_from_its_spec(name):
    spec = rule_options(name)
    assert isinstance(spec, EVERY[name].options)
    assert learning_rule(name, spec)._fields == learning_rule(name)._fields == ("init", "step")


def test_an_unknown_rule_is_told_the_nearest():
    with pytest.raises(SpecError, match=r'rule = "efficient_grad": .*did you mean "efficientgrad"\?'):
        learning_rule("efficient_grad")


@EVERY_RULE
def test_an_unknown_option_is_an_error_of_its_path(name):
    with pytest.raises(SpecError, match=r'rule_options.nonsense: unknown key "nonsense"'):
        learning_rule(name, {"nonsense": 1})


def test_all_that_is_wrong_is_told_at_once_with_the_nearest_key():
    with pytest.raises(SpecError) as told:
        learning_rule("sdfa", {"connection": 3, "feedback_on": "moon", "scale": 0})
    text = str(told.value)
    assert 'unknown key "connection"; did you mean "connections"?' in text
    assert 'rule_options.feedback_on = "moon": must be one of "digital", "chip"' in text
    assert "rule_options.scale = 0" in text


def test_options_inside_options_are_checked_where_they_stand():
    with pytest.raises(SpecError, match=r"rule_options.pruning.rate = 1.0: must lie between 0 and 1"):
        learning_rule("efficientgrad", {"pruning": {"rate": 1.0}})
    spec = rule_options("frsf", {"pruning": {"rate": 0.7, "spread": "mean_magnitude"}})
    assert spec.pruning == PruningSpec(rate=0.7, spread="mean_magnitude")


def test_the_options_of_one_rule_are_not_those_of_another():
    with pytest.raises(SpecError, match="must be a SparseSpec for rule sdfa"):
        learning_rule("sdfa", BackpropSpec())


@pytest.mark.parametrize("connections", [0, -1, 1.5, True])
def test_a_number_of_connections_that_is_none_is_refused(connections):
    with pytest.raises(SpecError, match=r"connections = .*must be an integer of at least 1|from 1 to"):
        learning_rule("sdfa", {"connections": connections})


def told(capsys, *words):
    code = main(["rules", *words])
    return code, capsys.readouterr()


def test_the_command_lists_every_rule_with_its_summary(capsys):
    code, out = told(capsys)
    assert (code, out.err) == (0, "")
    listed = out.out.partition("\n\n")[0].splitlines()
    assert [line.split(maxsplit=1) for line in listed] == [[n, e.summary] for n, e in RULES.items()]
    assert all(f"{name}  " in out.out for name in IN_FLOAT)
    summaries = {name: entry.summary for name, entry in EVERY.items()}
    assert json.loads(told(capsys, "--json")[1].out) == summaries


@EVERY_RULE
def test_the_command_tells_what_a_rule_needs_and_costs_its_source_and_what_its_options_mean(name, capsys):
    entry, text = EVERY[name], " ".join(told(capsys, name)[1].out.split())
    for words in (entry.summary, entry.needs, entry.cost, entry.source, entry.options.__doc__):
        assert " ".join(words.split()) in text
    described = json.loads(told(capsys, name, "--json")[1].out)
    assert described["name"] == name
    assert {path.split(".")[0] for path in described["options"]} == {f.name for f in dataclasses.fields(entry.options)}


@EVERY_RULE
def test_the_tables_that_the_command_prints_are_the_rule_at_its_defaults(name, capsys):
    text = told(capsys, name)[1].out
    table = tomllib.loads(text[text.index("[training]") :])["training"]
    assert table.pop("rule") == name
    assert rule_options(name, table.pop("rule_options")) == rule_options(name)
    assert table == {"where": EVERY[name].where}
    options = json.loads(told(capsys, name, "--json")[1].out)["options"]
    spec = rule_options(name)
    for path, option in options.items():
        held = spec
        for part in path.split("."):
            held = getattr(held, part, None)
        if not path.endswith("kind"):
            assert option["default"] == (list(held) if isinstance(held, tuple) else held)  # of tables, too
        line = next(line for line in text.splitlines() if line.startswith((f"{path} =", f"# {path} ")))
        assert line.endswith("# " + option["allowed"].removeprefix("must be "))


@pytest.mark.parametrize(
    ("name", "section"), [("on_chip_backprop", "[transpose.adc]"), ("fa", "[feedback.adc]"), ("dfa", "[feedback.adc]")]
)
def test_what_a_rule_needs_names_the_tables_of_the_chip(name, section):
    assert section in RULES[name].needs


def test_the_command_says_which_rule_was_meant(capsys):
    code, out = told(capsys, "sign-dfa")
    assert (code, out.out) == (2, "")
    assert 'did you mean "sign_dfa"?' in out.err


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("weight_perturbation", ["wp", "wp_sequential"]),
        ("node_perturbation", ["np", "np_sequential"]),
        ("Feedback Alignment", ["fa"]),
        ("noise-based learning", ["nbl"]),
        ("multiplexed_gradient_descent", ["mgd"]),
        ("decorrelated_node_perturbation", ["dnp"]),
        ("decorrelated_backprop", ["dbp"]),
        ("backpropagation", ["backprop"]),
        ("sign_dfaa", ["sign_dfa"]),
    ],
)
def test_a_rule_called_by_its_full_name_is_told_by_its_own(given, names):
    remedy = f"did you mean {' or '.join(map(repr, names))}?".replace("'", '"')
    for build in (lambda: learning_rule(given), lambda: TrainingSpec(where="chip", rule=given)):
        with pytest.raises(SpecError) as told:
            build()
        assert str(told.value).endswith(remedy)


def test_a_rule_that_nothing_is_called_is_told_all_there_are():
    with pytest.raises(SpecError, match=r"known: .*hardware_in_the_loop, .*zeroth_order"):
        learning_rule("xyzzy")


def test_options_inside_others_are_told_with_their_defaults_and_under_their_table(capsys):
    text = told(capsys, "danp")[1].out
    assert "\ndecorrelation.rate = 0.001 " in text
    assert re.search(r"\n +decorrelation: R learns at `rate`", text)
    text = told(capsys, "nbl")[1].out
    assert re.search(r'\n +source with kind = "tunnel_junctions": `junctions` stochastic', text)
    assert re.search(r'\n +source with kind = "read_noise": Nothing is added', text)
