"""Learning on a network: a rule estimates, transforms make updates of it, writes apply them; epoch by epoch.

    learned = learn(network, hardware_in_the_loop(), data, DescentSpec(epochs=10), rng)

Several dies may share the work: each batch is split over them, their estimates are summed, and the same update is
written to all. A run is a `Course`: `learn` begins one and goes through its epochs, and whoever keeps it can go on.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np

from imcsim.datasets import DataSet
from imcsim.descent import DescentSpec, transforms_of
from imcsim.errors import CapabilityError, Problem, SpecError
from imcsim.kernels.blas import single_threaded_blas
from imcsim.network.protocols import Counts, LayerUpdate, Network, Updates
from imcsim.rng import child, draw_key
from imcsim.rules.rule import Batch, LearningRule, Transform, in_order, require
from imcsim.training import StopSpec, accuracy, batches
from imcsim.updates import finite, weighted_sum

Array = np.ndarray[Any, Any]

CALIBRATION_SAMPLES = 256  # of the training part: enough for the ranges of a layer, little beside an epoch
READ_TOGETHER = 10_000  # samples of a pass that assesses a network: bounds the memory of large data sets


@dataclass(frozen=True, eq=False)
class History:
    """After each epoch (epochs,): loss and accuracy of the training samples as the network reads them, counts so far,
    and the accuracy of the test samples.

    Of several dies, loss and accuracies are their mean, and counts their sum. Assessing is not counted: it is not asked
    for by learning.
    """

    loss: tuple[float, ...] = ()
    accuracy: tuple[float, ...] = ()
    counts: tuple[Counts, ...] = ()
    accuracy_test: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Course:
    """A run of learning between two epochs: all that it goes on from.

    `key` addresses its streams, `common` those of batches and of what the rule draws at first; `asked` is what the
    rule asked for so far, `passes_in_turn` the forward passes of the busiest die, which the others wait for;
    `diverged_at` the epoch, from 1, that met what is not a finite number.
    """

    key: int
    common: int
    networks: tuple[Any, ...]
    states: tuple[Any, ...]
    descent: Any
    written_before: Counts
    asked: Counts
    passes_in_turn: int = 0
    stored: int = 0
    history: History = field(default_factory=History)
    diverged_at: int | None = None

    @property
    def counts(self) -> Counts:
        """What was read, and what was written to all dies."""
        return self.asked.plus(_written(self.networks).less(self.written_before))


@dataclass(frozen=True, eq=False)
class Learned:
    """What learning gave: the network of each die, the history, the whole counts, and the accuracy on the test samples.

    `stored` is the most scalars that the rule held at once beside the weights, on all dies together (optimizers hold
    more). `counts.forward_passes` / `passes_in_turn` is how many times faster several dies were. `diverged_at` is the
    epoch, from 1, in which learning diverged, None where it did not; `stopped` says whether it was given up as
    hopeless.
    """

    networks: tuple[Any, ...]
    history: History
    counts: Counts
    accuracy_test: float
    passes_in_turn: int
    stored: int
    diverged_at: int | None
    stopped: bool

    @property
    def network(self) -> Any:
        """The network of the first die."""
        return self.networks[0]


def learn(
    network: Network | Sequence[Network],
    rule: LearningRule,
    data: DataSet,
    spec: DescentSpec,
    rng: np.random.Generator,
    stop: StopSpec | None = None,
    shared: np.random.Generator | None = None,
    observe: Callable[[Course], None] | None = None,
) -> Learned:
    """`network`, or dies that were written alike, after `spec.epochs` epochs of the rule, with `spec` behind it.

    Fewer where `stop` tells so, or where it diverges: then with the weights before the step that is not finite. The
    batches depend on `shared` alone, which is `rng` where it is not given, so that rules that start from the same
    stream share them; and so does what a rule draws at first, such as feedback matrices. `observe` is called after each
    epoch, with the run as it stands.
    """
    course, stopped = begin(network, rule, data, spec, rng, shared), False
    while not (stopped or course.diverged_at or len(course.history.loss) == spec.epochs):
        course = one_epoch(course, rule, data, spec)
        if observe:
            observe(course)
        done = len(course.history.loss)
        if stop and not course.diverged_at and done == stop.after_epochs < spec.epochs:
            stopped = course.history.accuracy[-1] < stop.accuracy_below
    whole = course.diverged_at in (None, len(course.history.loss))  # not ended within an epoch
    read = course.history.accuracy_test if whole else ()
    share = read[-1] if read else _assessed(course, data.x_test, data.y_test, "test")[1]
    return Learned(
        course.networks,
        course.history,
        course.counts,
        accuracy_test=share,
        passes_in_turn=course.passes_in_turn,
        stored=course.stored,
        diverged_at=course.diverged_at,
        stopped=stopped,
    )


def begin(
    network: Network | Sequence[Network],
    rule: LearningRule,
    data: DataSet,
    spec: DescentSpec,
    rng: np.random.Generator,
    shared: np.random.Generator | None = None,
) -> Course:
    """A run ahead of its first epoch; raises SpecError for dies that do not fit, CapabilityError where one lacks what
    the rule needs.
    """
    networks: tuple[Any, ...] = tuple(network) if isinstance(network, Sequence) else (network,)
    if found := list(_problems(networks, data, spec)):
        raise SpecError(found)
    if spec.calibrate_every_epochs:
        for die in networks:
            require(die, "calibrated", "ranges to calibrate", "calibrate_every_epochs", remedy="leave it out")
    key = draw_key(rng)
    common = key if shared is None else draw_key(shared)
    # the same stream for each die: what a rule draws once, such as feedback matrices, all of them share
    states = tuple(rule.init(die, child(common, "rule")) for die in networks)
    return Course(key, common, networks, states, _descent(data, spec).init(networks[0]), _written(networks), Counts())


def one_epoch(course: Course, rule: LearningRule, data: DataSet, spec: DescentSpec) -> Course:
    """The run after another epoch, with `rule`, `data` and `spec` as it began."""
    key, epoch = course.key, len(course.history.loss)
    if spec.calibrate_every_epochs and epoch % spec.calibrate_every_epochs == 0:
        course = _calibrated(course, data)
    descent = _descent(data, spec)
    order = child(course.common, "order", epoch)
    # what diverges overflows first; it is looked for, and told
    with single_threaded_blas(), np.errstate(over="ignore", invalid="ignore"):
        for number, rows in enumerate(batches(len(data.x_train), spec.batch_size, order)):
            course, estimate = _estimated(course, rule, data, rows, (epoch, number))
            transforming = child(key, "descent", epoch, number)
            updates, state = descent.apply(estimate, course.descent, course.networks[0], transforming)
            if not all(finite(update.weights) and np.isfinite(update.biases).all() for update in updates):
                return dataclasses.replace(course, diverged_at=epoch + 1)
            # one stream for all dies, whose cells have write errors of their own: what is rounded at random is rounded
            # alike, or dies would come to hold different weights
            networks = tuple(die.write(updates, child(key, "write", epoch, number)) for die in course.networks)
            course = dataclasses.replace(course, networks=networks, descent=state)
        loss, share = _assessed(course, data.x_train, data.y_train, "training")
    so_far = course.history
    history = History(
        (*so_far.loss, loss), (*so_far.accuracy, share), (*so_far.counts, course.counts), so_far.accuracy_test
    )
    course = dataclasses.replace(course, history=history, diverged_at=None if math.isfinite(loss) else epoch + 1)
    _, of_test = _assessed(course, data.x_test, data.y_test, "test")
    history = dataclasses.replace(history, accuracy_test=(*history.accuracy_test, of_test))
    return dataclasses.replace(course, history=history)


def _calibrated(course: Course, data: DataSet) -> Course:
    """The run with dies whose ranges suit the weights as they are; what that reads is asked for by learning."""
    x, y = data.x_train[:CALIBRATION_SAMPLES], data.y_train[:CALIBRATION_SAMPLES]
    epoch, asked = len(course.history.loss), course.asked
    networks = []
    for k, die in enumerate(course.networks):
        networks.append(die.calibrated(x, y, child(course.key, "calibration", epoch, k)))
        asked = asked.plus(die.calibration_cost(len(x)))
    passes = course.passes_in_turn + networks[0].calibration_cost(len(x)).forward_passes
    return dataclasses.replace(course, networks=tuple(networks), asked=asked, passes_in_turn=passes)


def _estimated(
    course: Course, rule: LearningRule, data: DataSet, rows: Array, place: tuple[int, int]
) -> tuple[Course, Updates]:
    """The estimate of a batch: of each die from its part of it, weighted with the samples that it saw."""
    networks, estimates, shares, states, asked, in_turn, stored = [], [], [], [], course.asked, 0, 0
    for k, part in enumerate(np.array_split(rows, len(course.networks))):
        die = course.networks[k]
        if not len(part):  # the last batch of an epoch may be smaller than the number of dies
            networks.append(die)
            states.append(course.states[k])
            continue
        batch = Batch(data.x_train[part], data.y_train[part])
        estimate, state, info = rule.step(die, course.states[k], batch, child(course.key, "step", *place, k))
        estimates.append(estimate)
        shares.append(len(part) / len(rows))
        states.append(state)
        asked, in_turn = asked.plus(info.counts), max(in_turn, info.counts.forward_passes)
        networks.append(die if info.network is None else info.network)
        if len(course.networks) > 1 and info.network is not None and _apart(die, info.network):
            allowed = "matrices of several dies would come apart, each of which sees samples of its own"
            raise CapabilityError.of("decorrelation", allowed, remedy="learn on one die")
        if info.network is not None:  # which counts what was written to it, as info does
            asked = asked.less(info.network.counts().less(die.counts()))
        stored += info.stored
    whole = tuple(
        LayerUpdate(
            weighted_sum([one.weights for one in layer], shares),
            sum(share * one.biases for share, one in zip(shares, layer, strict=True)),
        )
        for layer in zip(*estimates, strict=True)
    )
    passes = course.passes_in_turn + in_turn
    stored = max(stored, course.stored)
    after = dataclasses.replace(
        course,
        networks=tuple(networks),
        states=tuple(states),
        asked=asked,
        passes_in_turn=passes,
        stored=stored,
    )
    return after, whole


def _assessed(course: Course, x: Array, labels: Array, part: str) -> tuple[float, float]:
    """The mean loss and the accuracy of samples as the dies read them, NaN where what they give is no number."""
    losses, shares = [], []
    with single_threaded_blas(), np.errstate(over="ignore", invalid="ignore"):
        for k, die in enumerate(course.networks):
            for start in range(0, len(x), READ_TOGETHER):
                stop = min(start + READ_TOGETHER, len(x))
                stream = course.key, "assess", part, len(course.history.loss), k, start
                reads = die.forward(x[start:stop], child(*stream, "read"))
                loss = float(die.loss(reads, labels[start:stop], child(*stream, "loss")).mean())
                # a loss ADC clips what overflows
                losses.append((stop - start) * (loss if np.isfinite(reads.z[-1]).all() else math.nan))
                shares.append((stop - start) * accuracy(reads.z[-1], labels[start:stop]))
    read = len(x) * len(course.networks)
    return sum(losses) / read, sum(shares) / read


def _descent(data: DataSet, spec: DescentSpec) -> Transform:
    return in_order(*transforms_of(spec, math.ceil(len(data.x_train) / spec.batch_size)))


def _written(networks: Sequence[Any]) -> Counts:
    so_far: list[Counts] = [die.counts() for die in networks]
    return reduce(Counts.plus, so_far)


def _problems(networks: Sequence[Any], data: DataSet, spec: DescentSpec) -> Iterator[Problem]:
    if not networks:
        yield Problem(("network",), "must be a network, or dies of one; none is given")
        return
    inputs, outputs = networks[0].shapes[0][0], networks[0].shapes[-1][1]
    if inputs != data.x_train.shape[1] or outputs < data.classes:
        needed = f"must have {data.x_train.shape[1]} inputs and {data.classes} outputs or more, as {data.name} does"
        yield Problem(("network",), needed, given=f"{inputs} inputs and {outputs} outputs")
    if len(networks) > spec.batch_size:
        allowed = f"must be at most batch_size = {spec.batch_size}: a die without a sample would idle"
        yield Problem(("network",), allowed, given=f"{len(networks)} dies")
    if not all(_alike(networks[0], die) for die in networks[1:]):
        yield Problem(("network",), "must be dies that hold the same written weights", remedy="program them alike")


def _apart(before: Any, after: Any) -> bool:
    """Whether a step changed the matrices ahead of the layers of a network, where it has any."""
    one, other = (getattr(network, "decorrelation", None) for network in (before, after))
    if one is None or other is None:
        return one is not other
    return any(not np.array_equal(*pair) for pair in zip(one, other, strict=True))


def _alike(one: Any, other: Any) -> bool:
    """Whether two dies have been written the same, as far as their controllers know."""
    if one.shapes != other.shapes:
        return False
    try:
        pairs = list(zip(one.written, other.written, strict=True))
    except (AttributeError, CapabilityError):
        return True
    return all(np.array_equal(first, second) for first, second in pairs)
