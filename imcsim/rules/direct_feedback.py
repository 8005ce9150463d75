"""Direct feedback: the error of the outputs, or the target alone, goes straight to every hidden layer.

delta_l = (B_l s) f' with a matrix B_l (n_L, n_l) and the source s: the error e (DFA), its sign, or minus the target
(DRTP). A sparse B_l has a few connections a hidden neuron (SDFA), or one (SSDFA).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from imcsim.errors import Problem, SpecError
from imcsim.network.protocols import Counts
from imcsim.rng import Generators
from imcsim.rules.entry import RuleEntry, Shapes, StepCost
from imcsim.rules.feedback import Errors, Feedback, feedback_rule
from imcsim.rules.matrices import (
    Draw,
    FixedMatrices,
    Limit,
    MatrixSpec,
    fixed_matrices,
    matrices_cost,
    needs_arrays,
    uniform,
)
from imcsim.rules.rule import LearningRule
from imcsim.specs.fields import limited

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class DirectSpec(MatrixSpec):
    """Entries are uniform within +- `scale` times 1 / sqrt(units written) (`limit` "fan_out"), sqrt(6 / (units read +
    written)) ("glorot") or sqrt(6 / units read) ("kaiming"); `feedback_on` says what reads the matrix.
    """

    limit: Limit = "fan_out"


@dataclass(frozen=True, kw_only=True)
class TargetSpec(MatrixSpec):
    """As the options of dfa; but DRTP's code draws "kaiming"."""

    limit: Limit = "kaiming"


@dataclass(frozen=True, kw_only=True)
class SparseSpec(MatrixSpec):
    """Every hidden neuron receives the errors of `connections` outputs, chosen at random, not more than there are.

    Entries are uniform within +- `scale` sqrt(sqrt(classes x connections) / hidden units); `feedback_on` says what
    reads the matrix.
    """

    connections: int = limited(2, low=1, high=100_000)


@dataclass(frozen=True, kw_only=True)
class SingleSpec(MatrixSpec):
    """Every hidden neuron receives the error of one output, chosen at random.

    Entries are uniform within +- `scale` sqrt(sqrt(classes) / hidden units); `feedback_on` says what reads the matrix.
    """


_DIRECT, _TARGET, _SPARSE, _SINGLE = DirectSpec(), TargetSpec(), SparseSpec(), SingleSpec()


def direct_feedback_alignment(spec: DirectSpec = _DIRECT) -> LearningRule:
    """DFA: the source is the error e."""
    return _direct(uniform(spec, spec.limit), lambda errors: errors.error, spec, "direct feedback alignment")


def sign_direct_feedback_alignment(spec: DirectSpec = _DIRECT) -> LearningRule:
    """Sign-only DFA: the source is sign(e), one bit and a zero an output."""
    return _direct(
        uniform(spec, spec.limit), lambda errors: np.sign(errors.error), spec, "sign-only direct feedback alignment"
    )


def direct_random_target_projection(spec: TargetSpec = _TARGET) -> LearningRule:
    """DRTP: the source is -y*, the target one-hot; hidden layers wait for no error, the last has its own."""
    return _direct(uniform(spec, spec.limit), _negative_target, spec, "direct random target projection")


def sparse_direct_feedback_alignment(spec: SparseSpec = _SPARSE) -> LearningRule:
    """SDFA: DFA through matrices of `connections` entries a hidden neuron."""
    return _sparse(spec.connections, spec)


def single_sparse_direct_feedback_alignment(spec: SingleSpec = _SINGLE) -> LearningRule:
    """SSDFA: DFA through matrices of one entry a hidden neuron."""
    return _sparse(1, spec)


def _direct(
    draw: Draw, source: Callable[[Errors], Array], spec: MatrixSpec, rule: str, connections: int | None = None
) -> LearningRule:
    """Direct feedback of `source` through matrices (n_L, n_l) as `draw` draws them."""

    def init(network: Any, rng: Generators) -> FixedMatrices:
        if connections is not None and (found := _beyond(connections, network.shapes[-1][1])):
            raise SpecError([found])
        return fixed_matrices(network, _matrices(network.shapes), draw, spec, rng, rule)

    def send(network: Any, state: FixedMatrices, errors: Errors, rng: Generators) -> tuple[Array, Counts]:
        del network
        matrix = state[errors.layer - 1]
        return matrix.mvm(source(errors), rng), matrix.cost(errors.error.shape[-2])

    return feedback_rule(Feedback(init, send, lambda shapes: _entries(shapes, connections)))


def _matrices(shapes: Shapes) -> list[tuple[int, int]]:
    return [(shapes[-1][1], units) for units, _ in shapes[1:]]


def _entries(shapes: Shapes, connections: int | None) -> int:
    """The entries of the matrices that are not zero: of each hidden neuron one an output, or so many."""
    return sum(units * (outputs if connections is None else connections) for outputs, units in _matrices(shapes))


def _dense_cost(spec: DirectSpec, shapes: Shapes, samples: int) -> StepCost:
    entries = _entries(shapes, None)
    return matrices_cost(spec, shapes, samples, _matrices(shapes), stored=entries, multiplications=entries)


def _target_cost(spec: TargetSpec, shapes: Shapes, samples: int) -> StepCost:
    """A one-hot target picks a row: nothing is multiplied."""
    stored = _entries(shapes, None)
    return matrices_cost(spec, shapes, samples, _matrices(shapes), stored=stored, multiplications=0)


def _sparse_cost(spec: SparseSpec, shapes: Shapes, samples: int) -> StepCost:
    return _of_connections(spec, spec.connections, shapes, samples)


def _single_cost(spec: SingleSpec, shapes: Shapes, samples: int) -> StepCost:
    return _of_connections(spec, 1, shapes, samples)


def _of_connections(spec: MatrixSpec, connections: int, shapes: Shapes, samples: int) -> StepCost:
    entries = _entries(shapes, connections)
    return matrices_cost(spec, shapes, samples, _matrices(shapes), stored=entries, multiplications=entries)


def _sparse(connections: int, spec: MatrixSpec) -> LearningRule:
    def draw(classes: int, units: int, rng: np.random.Generator) -> Array:
        # U(+-1 / sqrt(fan)), fan = n_h / sqrt(n_L k) (Crafton's code of SSDFA); for k = n_L, too: the scale has no jump
        bound = spec.scale * math.sqrt(math.sqrt(classes * connections) / units)
        values = rng.uniform(-bound, bound, (classes, units))
        place = rng.permuted(np.tile(np.arange(classes)[:, np.newaxis], (1, units)), axis=0)
        return np.where(place < connections, values, 0.0)

    return _direct(draw, lambda errors: errors.error, spec, "sparse direct feedback alignment", connections=connections)


def _too_many_connections(spec: SparseSpec, classes: int) -> Iterable[Problem]:
    if found := _beyond(spec.connections, classes):
        yield found


def _beyond(connections: int, classes: int) -> Problem | None:
    """What is wrong with so many connections a hidden neuron to so many outputs."""
    if connections <= classes:
        return None
    allowed = f"the network has {classes} outputs, and a hidden neuron can receive the error of each once"
    return Problem(("connections",), allowed, given=str(connections), remedy=f"give {classes} or less")


def _negative_target(errors: Errors) -> Array:
    return -np.eye(errors.error.shape[-1])[errors.labels]


_ERROR_READS = "; (L - 1) B reads of the feedback matrices, which hold "
_NEEDS = 'forward reads; with feedback_on = "chip" an array a hidden layer: [feedback.dac], [feedback.adc] of a chip'
ENTRIES = (
    RuleEntry(
        name="dfa",
        summary="direct feedback alignment: the output error goes to each hidden layer through a fixed random matrix",
        options=DirectSpec,
        build=direct_feedback_alignment,
        unbiased=False,
        requires=needs_arrays,
        asks=_dense_cost,
        needs=_NEEDS,
        cost="B forward passes" + _ERROR_READS + "n_L (n_1 + ... + n_(L-1))",
        source="Nokland 2016 (unverified); initial values: his code",
    ),
    RuleEntry(
        name="sign_dfa",
        summary="direct feedback of the sign of the output error",
        options=DirectSpec,
        build=sign_direct_feedback_alignment,
        unbiased=False,
        requires=needs_arrays,
        asks=_dense_cost,
        needs=_NEEDS,
        cost="B forward passes" + _ERROR_READS + "n_L (n_1 + ... + n_(L-1))",
        source="sDFA: dfa of the sign of the error (origin unverified); initial values as dfa",
    ),
    RuleEntry(
        name="sdfa",
        summary="direct feedback through sparse matrices: k connections a hidden neuron",
        options=SparseSpec,
        build=sparse_direct_feedback_alignment,
        unbiased=False,
        requires=needs_arrays,
        asks=_sparse_cost,
        unfit=_too_many_connections,
        needs=_NEEDS + "; at least as many classes as connections",
        cost="B forward passes" + _ERROR_READS + "k (n_1 + ... + n_(L-1)) values that are not zero",
        source="Crafton et al. 2019 (unverified); initial values: their code",
    ),
    RuleEntry(
        name="ssdfa",
        summary="direct feedback, each hidden neuron from a single output (k = 1)",
        options=SingleSpec,
        build=single_sparse_direct_feedback_alignment,
        unbiased=False,
        requires=needs_arrays,
        asks=_single_cost,
        needs=_NEEDS,
        cost="B forward passes" + _ERROR_READS + "n_1 + ... + n_(L-1) values that are not zero",
        source="Crafton et al. 2019 (unverified); initial values: their code",
    ),
    RuleEntry(
        name="drtp",
        summary="direct random target projection: hidden layers learn from the target alone, and wait for no error",
        options=TargetSpec,
        build=direct_random_target_projection,
        unbiased=False,
        requires=needs_arrays,
        asks=_target_cost,
        needs=_NEEDS,
        cost="B forward passes" + _ERROR_READS + "n_L (n_1 + ... + n_(L-1)), of which a one-hot target reads one row",
        source="Frenkel et al. 2021 (unverified); initial values: their code",
    ),
)
