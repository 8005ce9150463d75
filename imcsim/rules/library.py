"""The learning rules by name."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Mapping
from typing import Any

from imcsim.errors import Problem, SpecError, did_you_mean
from imcsim.rules import (
    backprop,
    decorrelated_backprop,
    decorrelated_perturbation,
    direct_feedback,
    feedback_alignment,
    in_float,
    multiplexed,
    multiplexed_analog,
    node_perturbation,
    noise_based,
    sequential,
    sign_symmetry,
    spsa,
    summed,
    weight_perturbation,
    zeroth_order,
)
from imcsim.rules.entry import RuleEntry
from imcsim.rules.rule import LearningRule
from imcsim.specs.codec import build
from imcsim.specs.fields import Spec

# Rules that send the error backward, and rules that perturb, and see what the loss makes of it.
_BACKWARD = (
    backprop,
    decorrelated_backprop,
    feedback_alignment,
    direct_feedback,
    sign_symmetry,
)
_PERTURBING = (
    node_perturbation,
    decorrelated_perturbation,
    noise_based,
    weight_perturbation,
    sequential,
    summed,
    multiplexed,
    multiplexed_analog,
    spsa,
    zeroth_order,
)
FEEDBACK: dict[str, RuleEntry] = {entry.name: entry for family in _BACKWARD for entry in family.ENTRIES}
PERTURBATION: dict[str, RuleEntry] = {entry.name: entry for family in _PERTURBING for entry in family.ENTRIES}
RULES: dict[str, RuleEntry] = FEEDBACK | PERTURBATION

IN_FLOAT: dict[str, RuleEntry] = {entry.name: entry for entry in in_float.ENTRIES}

_NO_OPTIONS: Mapping[str, Any] = types.MappingProxyType({})


def rule_entry(name: str) -> RuleEntry:
    """What is told of the rule called `name`, on the chip or in float. Raises SpecError where there is none."""
    known = RULES | IN_FLOAT
    if name not in known:
        raise SpecError.of("rule", "must be the name of a learning rule", f'"{name}"', nearest_rule(name))
    return known[name]


def nearest_rule(word: str) -> str:
    """The remedy for what is no name of a rule: the rules whose names, short or in full, come nearest to it."""
    rules = IN_FLOAT | RULES
    in_full: dict[str, list[str]] = {}
    for name in rules:
        in_full.setdefault(_full_name(name), []).append(name)
    for name in rules:
        in_full[name] = [name]
    near = difflib.get_close_matches(word.lower().replace("-", "_").replace(" ", "_"), in_full, n=1, cutoff=0.6)
    if not near:
        return did_you_mean(word, rules)
    found = " or ".join(f'"{name}"' for name in in_full[near[0]])
    return f"did you mean {found}?"


def _full_name(name: str) -> str:
    """What the summary of a rule calls it, as a name: "weight_perturbation" of wp."""
    head = (IN_FLOAT | RULES)[name].summary.partition(":")[0]
    of_what, decorrelated, _ = head.partition(" on decorrelated inputs")
    if decorrelated:
        return f"decorrelated_{_full_name(of_what)}"
    return re.sub("[ -]", "_", head.lower())


def rule_options(name: str, options: Mapping[str, Any] = _NO_OPTIONS) -> Spec:
    """The options of a rule, checked; those not given have their defaults. Raises SpecError with all that is wrong."""
    problems: list[Problem] = []
    spec = build(rule_entry(name).options, options, ("rule_options",), problems)
    if spec is None:
        raise SpecError(problems)
    return spec


def learning_rule(name: str, options: Mapping[str, Any] | Spec = _NO_OPTIONS) -> LearningRule:
    """The rule called `name`, with options as a table or as its spec.

        learning_rule("efficientgrad", {"pruning": {"rate": 0.9, "spread": "mean_magnitude"}})

    Raises SpecError with all that is wrong.
    """
    entry = rule_entry(name)
    spec = options if isinstance(options, Spec) else rule_options(name, options)
    if not isinstance(spec, entry.options):
        raise SpecError.of(
            "rule_options", f"must be a {entry.options.__name__} for rule {name}", given=type(spec).__name__
        )
    return entry.build(spec)
