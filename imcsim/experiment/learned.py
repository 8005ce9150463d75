"""Learning on the chip: every training on every die is an artifact, of which all reads are evaluated."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from imcsim import datasets
from imcsim.datasets import DataSet
from imcsim.errors import CapabilityError, SpecError
from imcsim.experiment.curves import outcomes
from imcsim.experiment.design import Design, built
from imcsim.experiment.gradient import GradientSpec, measuring
from imcsim.experiment.kept import held_by, state_of
from imcsim.experiment.reading import extrapolations
from imcsim.experiment.trained import artifact_key, start_of
from imcsim.learning import learn
from imcsim.network.ideal import IdealNetwork
from imcsim.network.learning_chip import LearningChip, learning_chip
from imcsim.network.mlp import MLP
from imcsim.network.on_chip import ChipNetwork
from imcsim.rng import child, draw_key
from imcsim.rules.library import learning_rule
from imcsim.specs.chip import ChipSpec
from imcsim.specs.codec import to_table
from imcsim.study.work import Key
from imcsim.training import StopSpec, TrainingSpec, accuracy


def learning_key(design: Design, training: int, die: int) -> Key:
    """The artifact of a network that learned on a die, from the whole training part."""
    key = _key("learning", design, training, die, datasets.load(design.dataset))
    return {**key, "gradient": to_table(design.gradient)} if design.gradient else key


def tuning_learning_key(design: Design, training: int, die: int, epochs: int) -> Key:
    """The artifact of what a candidate is scored by: learned without the validation samples, for `epochs`."""
    key = _key("tuning learning", design, training, die, datasets.load(design.dataset).for_tuning)
    return {**key, "recipe": {**key["recipe"], "epochs": epochs}}


def _key(kind: str, design: Design, training: int, die: int, data: DataSet) -> Key:
    return {**artifact_key(kind, design, training, data), "die": die, "chip": to_table(design.chip)}


def make_learning(key: Key) -> Mapping[str, Any]:
    """The network of a key of either kind, what its points have of its learning, and its accuracy in float.

    That is of the weights as last written: None where nobody knows them. Or why the rule could not begin, or found that
    nothing it did was seen: `refused`.
    """
    whole, tuning = datasets.load(key["dataset"]), key["kind"] == "tuning learning"
    data, recipe = whole.for_tuning if tuning else whole, built(TrainingSpec, key["recipe"])
    # a chip that is never calibrated would not be read
    spec = dataclasses.replace(recipe, calibrate_every_epochs=recipe.calibrate_every_epochs or 1)
    stop = built(StopSpec, key["stop"]) if "stop" in key else None
    rule = learning_rule(recipe.rule, recipe.rule_options or {})
    seed, training, die, streams = key["seed"], key["training"], key["die"], _streams(key)
    observe, measured = None, dict[str, Any]()
    if "gradient" in key:
        chip = built(ChipSpec, key["chip"])
        observe, measured = measuring(built(GradientSpec, key["gradient"]), rule, chip, data, (seed, training))
    beyond: list[str] = []
    with extrapolations(beyond):
        network: Any = _manufactured(key, data)
        own = child(seed, *streams, "learning", training, die)
        # batches and what a rule draws once are those of the training, on whatever die
        shared = child(seed, *streams, "data order", training)
        try:
            learned = learn(network, rule, data, spec, own, stop, shared, observe)
        except (SpecError, CapabilityError) as error:  # of this chip with this rule; others may do
            return {"refused": str(error)}
    told = outcomes(learned, on_chip=True) | measured | ({"extrapolated": True} if beyond else {})
    return {"state": state_of(learned.network), "outcomes": told, "accuracy": _in_float(learned.network, data)}


def on_its_die(key: Key, learned: Mapping[str, Any]) -> ChipNetwork:
    """The network of an artifact, on the die on which it learned."""
    whole = datasets.load(key["dataset"])
    data = whole.for_tuning if key["kind"] == "tuning learning" else whole
    with extrapolations([]):  # the artifact tells of them
        manufactured = _manufactured(key, data)
    network: LearningChip = held_by(learned["state"], manufactured)
    return network.chip


def _manufactured(key: Key, data: DataSet) -> LearningChip:
    """The network on its die before it learns, with the initial weights of the training."""
    seed, training, die, streams = key["seed"], key["training"], key["die"], _streams(key)
    recipe, chip = built(TrainingSpec, key["recipe"]), built(ChipSpec, key["chip"])
    programming = child(seed, *streams, "programming", training, die)
    die_key = draw_key(child(seed, *streams, "die", die))
    return learning_chip(start_of(key, data, *streams), chip, recipe.loss, die_key, programming)


def _streams(key: Key) -> tuple[str, ...]:
    return ("tune",) if key["kind"] == "tuning learning" else ()


def _in_float(network: LearningChip, data: DataSet) -> float | None:
    try:
        written = network.written
    except CapabilityError:
        return None
    mlp = MLP(written, network.biases, network.activation)
    exact = IdealNetwork(mlp, network.loss_name, decorrelation=network.decorrelation)
    return accuracy(exact.forward(data.x_test, child(0, "nothing is drawn")).z[-1], data.y_test)
