"""Evaluate one cell of a study: tune where it asks for it, train, program, and run the test set on each die."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from imcsim import datasets
from imcsim.datasets import DataSet
from imcsim.experiment.aligned import alignments, make_learnt
from imcsim.experiment.design import Design
from imcsim.experiment.learned import learning_key, make_learning, on_its_die
from imcsim.experiment.reading import TimedDie, extrapolations
from imcsim.experiment.trained import make_training, make_tuning_training, on_chip, training_key
from imcsim.experiment.tune import changed, read_config
from imcsim.experiment.tuned import make_score, make_tuned, tuned_key
from imcsim.network.on_chip import ChipNetwork
from imcsim.rng import child, draw_key
from imcsim.specs.codec import to_table
from imcsim.study.canonical import digest
from imcsim.study.store import Artifacts
from imcsim.study.work import Key, Work
from imcsim.training import accuracy

MOST_TOGETHER = 16  # dies of an ensemble: from four on, a die hardly gets cheaper
MEMORY_BYTES = 2**26  # that an ensemble may take

_Reads = tuple[int, Sequence[int]]  # a die and its reads


def evaluate(
    config: Mapping[str, Any], training: int, replicates: Sequence[tuple[int, int]], artifacts: Artifacts
) -> Iterator[Mapping[str, Any]]:
    """The accuracies of each (die, read) of `replicates`, one after the other, with the weights of `training`.

    Streams are keyed by replicate alone, so that cells share initial weights, data order, dies and, as far as their
    designs agree, the noise of each read: differences between cells are not blurred by different draws. Of a study of
    alignment, what that measures.
    """
    design, tuning = read_config(config)
    notes: dict[str, Any] = {}
    if tuning is not None:
        found = artifacts.get(tuned_key(config))
        notes["tuned"] = found["winner"]
        if "refused" in found:
            yield from ({**_refused(found["refused"]), **notes} for _ in replicates)
            return
        design = changed(design, notes["tuned"])
    if design.alignment is not None:
        yield from alignments(design, training, replicates, artifacts)
        return
    if design.training.where == "chip":
        for values in _of_dies_that_learned(design, training, replicates, artifacts):
            yield {**values, **notes}
        return
    trained = artifacts.get(training_key(design, training))
    notes |= trained.get("outcomes", {"stopped": True} if trained.get("stopped") else {})
    data = datasets.load(design.dataset)
    network, beyond = _calibrated(design, training, trained, data)
    for dies in _groups(replicates, _most_together(network, len(data.x_test))):
        for of_read, extrapolated in _on_dies(network, design, training, dies, data):
            told = {**notes, "extrapolated": True} if beyond or extrapolated else notes
            yield {"accuracy": of_read, "accuracy_float": float(trained["accuracy"]), **told}


def _groups(replicates: Sequence[tuple[int, int]], most: int) -> Iterator[Sequence[_Reads]]:
    """Dies in their order, up to `most` at a time, of as many reads each."""
    dies: list[_Reads] = [
        (die, [read for _, read in group]) for die, group in itertools.groupby(replicates, lambda one: one[0])
    ]
    for _, alike in itertools.groupby(dies, lambda die: len(die[1])):
        group = list(alike)
        yield from (group[first : first + most] for first in range(0, len(group), most))


def _most_together(network: ChipNetwork, samples: int) -> int:
    """How many dies of a network are read as one ensemble: more share what a call sets up, and take more memory."""
    silicon = [layer.die.currents for layer in network.layers]
    columns = sum(math.prod(currents.shape[3:]) for currents in silicon)
    # of a die: what is made of its cells, some eight times their currents; and the sums of every column
    of_a_die: int = 8 * sum(currents.nbytes for currents in silicon) + 8 * samples * columns
    return max(1, min(MOST_TOGETHER, MEMORY_BYTES // of_a_die))


def _on_dies(
    network: ChipNetwork, design: Design, training: int, dies: Sequence[_Reads], data: DataSet
) -> Iterator[tuple[float, bool]]:
    """The accuracy of each read of each die, one after the other, and whether a device model was extrapolated."""
    if len(dies) > 1:
        try:
            found = list(_together(network, design, training, dies, data))
        except Exception:  # of which die it is, is told by itself
            for die in dies:
                yield from _together(network, design, training, [die], data)
        else:
            yield from found
    else:
        yield from _together(network, design, training, dies, data)


def _together(
    network: ChipNetwork, design: Design, training: int, dies: Sequence[_Reads], data: DataSet
) -> Iterator[tuple[float, bool]]:
    """The same of dies as one ensemble, in which each has the bits that it has alone."""
    keys = [draw_key(child(design.seed, "die", die)) for die, _ in dies]
    probing = [child(design.seed, "compensation", training, die) for die, _ in dies]
    timed = TimedDie(network, keys, design.read, data.x_train, probing)
    found: list[list[float]] = []  # read by read, as far as they were asked for
    for member, (_, reads) in enumerate(dies):
        for place in range(len(reads)):
            if place == len(found):
                rng = [child(design.seed, "read", training, die, those[place]) for die, those in dies]
                found.append([accuracy(z, data.y_test) for z in timed.logits(data.x_test, rng)])
            yield found[place][member], timed.extrapolated


def _of_dies_that_learned(
    design: Design, training: int, replicates: Sequence[tuple[int, int]], artifacts: Artifacts
) -> Iterator[Mapping[str, Any]]:
    """The values of each (die, read), on the dies on which the network learned."""
    keys = {die: learning_key(design, training, die) for die, _ in replicates}
    learned = dict(zip(keys, artifacts.get_all(list(keys.values())), strict=True))
    data, dies = datasets.load(design.dataset), {}
    for die, read in replicates:
        found = learned[die]
        if "refused" in found:
            yield _refused(found["refused"])
            continue
        if die not in dies:
            probing = child(design.seed, "compensation", training, die)
            dies[die] = TimedDie(on_its_die(keys[die], found), None, design.read, data.x_train, probing)
        z = dies[die].logits(data.x_test, child(design.seed, "read", training, die, read))
        told = {**found["outcomes"], **({"extrapolated": True} if dies[die].extrapolated else {})}
        yield {"accuracy": accuracy(z, data.y_test), "accuracy_float": found["accuracy"], **told}


def _refused(why: str) -> dict[str, Any]:
    """The values of a point whose rule could not begin."""
    return {"accuracy": None, "accuracy_float": None, "refused": why}


_READY: dict[str, tuple[ChipNetwork, bool]] = {}  # the last network that was calibrated: the next cell's, perhaps


def _calibrated(design: Design, training: int, trained: Mapping[str, Any], data: DataSet) -> tuple[ChipNetwork, bool]:
    """The weights of a training on the nominal die, calibrated; and whether its device model was extrapolated.

    Cells that differ in their reads alone follow each other, and share it.
    """
    of = digest({**training_key(design, training), "chip": to_table(design.chip)})
    if of not in _READY:
        beyond: list[str] = []
        with extrapolations(beyond):
            network = on_chip(trained, design, data, child(design.seed, "calibration", training))
        _READY.clear()
        _READY[of] = network, bool(beyond)
    return _READY[of]


def make(key: Key, artifacts: Artifacts) -> Mapping[str, Any]:
    """The artifact of `key`: a training, or one on a die, the score of a candidate, the tuned values of a cell."""
    match key["kind"]:
        case "training":
            return make_training(key)
        case "learnt":
            return make_learnt(key)
        case "tuning training":
            return make_tuning_training(key)
        case "learning" | "tuning learning":
            return make_learning(key)
        case "score":
            return make_score(key, artifacts)
        case "tuned":
            return make_tuned(key, artifacts)
    raise ValueError(f"make: no artifact of the kind {key['kind']!r}")


WORK = Work(evaluate, make)
