"""Sign-symmetric feedback: the signs of the weights as last written, with magnitudes that are not theirs.

delta_l = ((M_(l+1) sign(W_(l+1)))^T delta_(l+1)) f': M the same for all weights of a layer (uniform, uSF), drawn for
each batch (batch-wise random, brSF), or once (fixed random, frSF); with pruned errors frSF is EfficientGrad. The
substitute follows the signs, so that it is no matrix to be programmed once: it is computed digitally.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from imcsim.network.protocols import Counts
from imcsim.rng import Generators, children, draw_keys, drawn
from imcsim.rules.entry import RuleEntry, Shapes, StepCost, needs_written, weights_of
from imcsim.rules.feedback import (
    Errors,
    Feedback,
    feedback_cost,
    feedback_rule,
    no_scalars,
    scalars_above_the_first,
)
from imcsim.rules.matrices import uniform_limit
from imcsim.rules.pruning import PruningSpec
from imcsim.rules.rule import LearningRule, require
from imcsim.specs.fields import Spec, limited

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class UniformSignSpec(Spec):
    """All weights of a layer have the magnitude `scale` sqrt(2 / (fan_in + fan_out)) ("glorot", as BioTorch) or
    `scale` / sqrt(fan_in).
    """

    scale: float = limited(1.0, low=1e-6, high=1e6)
    magnitude: Literal["glorot", "fan_in"] = "glorot"


@dataclass(frozen=True, kw_only=True)
class RandomSignSpec(Spec):
    """Magnitudes are uniform from 0 to `scale` sqrt(6 / (fan_in + fan_out)) (`limit` "glorot", as BioTorch) or `scale`
    sqrt(6 / fan_in) ("kaiming").
    """

    scale: float = limited(1.0, low=1e-6, high=1e6)
    limit: Literal["glorot", "kaiming"] = "glorot"


@dataclass(frozen=True, kw_only=True)
class FixedSignSpec(RandomSignSpec):
    """As the options of brsf; the deltas of hidden layers are pruned where `pruning` is given."""

    pruning: PruningSpec | None = None


_ALWAYS = PruningSpec()


@dataclass(frozen=True, kw_only=True)
class EfficientGradSpec(Spec):
    """As the options of frsf; but EfficientGrad's code draws "kaiming", and it always prunes."""

    scale: float = limited(1.0, low=1e-6, high=1e6)
    limit: Literal["glorot", "kaiming"] = "kaiming"
    pruning: PruningSpec = _ALWAYS


_UNIFORM, _RANDOM, _FIXED, _EFFICIENT = UniformSignSpec(), RandomSignSpec(), FixedSignSpec(), EfficientGradSpec()


def uniform_sign_symmetric(spec: UniformSignSpec = _UNIFORM) -> LearningRule:
    """uSF: every weight of a layer is told by its sign alone."""

    def init(network: Any, rng: Generators) -> None:
        del rng
        _require_signs(network)

    def send(network: Any, state: None, errors: Errors, rng: Generators) -> tuple[Array, Counts]:
        del state, rng
        fan_in, fan_out = network.shapes[errors.layer]
        size = math.sqrt(2.0 / (fan_in + fan_out) if spec.magnitude == "glorot" else 1.0 / fan_in)
        return _sent(network, errors, np.asarray(spec.scale * size)), Counts()

    return feedback_rule(Feedback(init, send, no_scalars))


def batch_random_sign_symmetric(spec: RandomSignSpec = _RANDOM) -> LearningRule:
    """brSF: magnitudes drawn anew for each batch."""

    def init(network: Any, rng: Generators) -> None:
        del rng
        _require_signs(network)

    def send(network: Any, state: None, errors: Errors, rng: Generators) -> tuple[Array, Counts]:
        del state
        fan_in, fan_out = network.shapes[errors.layer]
        magnitudes = _magnitudes(spec, (fan_in, fan_out), rng)
        return _sent(network, errors, magnitudes), Counts(random_numbers=fan_in * fan_out)

    return feedback_rule(Feedback(init, send, _largest_above_the_first))


def _largest_above_the_first(shapes: Shapes) -> int:
    """Of a feedback that draws a layer's magnitudes when those of the one above are gone."""
    return max((fan_in * fan_out for fan_in, fan_out in shapes[1:]), default=0)


def fixed_random_sign_symmetric(spec: FixedSignSpec | EfficientGradSpec = _FIXED) -> LearningRule:
    """frSF: magnitudes drawn once, in `init`."""

    def init(network: Any, rng: Generators) -> tuple[Array, ...]:
        _require_signs(network)
        keys = draw_keys(rng)
        layers = list(enumerate(network.shapes))[1:]
        return tuple(_magnitudes(spec, shape, children(keys, "magnitudes", layer)) for layer, shape in layers)

    def send(network: Any, state: tuple[Array, ...], errors: Errors, rng: Generators) -> tuple[Array, Counts]:
        del rng
        return _sent(network, errors, state[errors.layer - 1]), Counts()

    return feedback_rule(Feedback(init, send, scalars_above_the_first), spec.pruning)


def efficientgrad(spec: EfficientGradSpec = _EFFICIENT) -> LearningRule:
    """EfficientGrad: frSF with stochastic gradient pruning (its eq. 2 to 5)."""
    return fixed_random_sign_symmetric(spec)


def substitute(weights: Array, magnitudes: Array) -> Array:
    """What stands for weights (..., inputs, outputs) on the way back: a weight that is zero sends nothing."""
    return np.asarray(np.sign(weights) * magnitudes)


def _uniform_cost(spec: UniformSignSpec, shapes: Shapes, samples: int) -> StepCost:
    del spec
    return feedback_cost(shapes, samples, multiplications=weights_of(shapes[1:]))


def _redrawn_cost(spec: RandomSignSpec, shapes: Shapes, samples: int) -> StepCost:
    del spec
    above = weights_of(shapes[1:])
    stored = _largest_above_the_first(shapes)
    return feedback_cost(shapes, samples, stored=stored, multiplications=above, drawn=above)


def _fixed_cost(spec: FixedSignSpec | EfficientGradSpec, shapes: Shapes, samples: int) -> StepCost:
    above = weights_of(shapes[1:])
    return feedback_cost(shapes, samples, stored=above, multiplications=above, pruning=spec.pruning)


def _sent(network: Any, errors: Errors, magnitudes: Array) -> Array:
    feedback = substitute(network.written[errors.layer], magnitudes)
    return np.asarray(errors.delta @ np.swapaxes(feedback, -1, -2))


def _magnitudes(spec: RandomSignSpec | EfficientGradSpec, shape: tuple[int, int], rng: Generators) -> Array:
    bound = spec.scale * uniform_limit(spec.limit, *shape)
    return drawn(rng, lambda one: one.uniform(0.0, bound, shape))


def _require_signs(network: Any) -> None:
    require(network, "written", "the signs of the weights as last written", "sign-symmetric feedback")


_NEEDS = "forward reads; the signs of the weights as last written, which any chip knows but one of pulsed devices"
_HELD = "n_1 n_2 + ... + n_(L-1) n_L"
ENTRIES = (
    RuleEntry(
        name="usf",
        summary="uniform sign-symmetric feedback: the signs of the weights, one magnitude a layer",
        options=UniformSignSpec,
        build=uniform_sign_symmetric,
        unbiased=False,
        requires=needs_written,
        asks=_uniform_cost,
        needs=_NEEDS,
        cost="B forward passes; no scalar beside the signs",
        source="Liao et al. 2016 (unverified); magnitudes: BioTorch",
    ),
    RuleEntry(
        name="brsf",
        summary="batch-wise random sign-symmetric feedback: the signs of the weights, magnitudes redrawn each batch",
        options=RandomSignSpec,
        build=batch_random_sign_symmetric,
        unbiased=False,
        requires=needs_written,
        asks=_redrawn_cost,
        needs=_NEEDS,
        cost=f"B forward passes; {_HELD} random numbers a batch, of which it holds those of one layer at a time",
        source="Liao et al. 2016 (unverified); magnitudes: BioTorch",
    ),
    RuleEntry(
        name="frsf",
        summary="fixed random sign-symmetric feedback: the signs of the weights, magnitudes drawn once",
        options=FixedSignSpec,
        build=fixed_random_sign_symmetric,
        unbiased=False,
        requires=needs_written,
        asks=_fixed_cost,
        needs=_NEEDS,
        cost=f"B forward passes; holds {_HELD} magnitudes; pruning draws B (n_1 + ... + n_(L-1)) random numbers",
        source="Liao et al. 2016 (unverified); magnitudes: BioTorch",
    ),
    RuleEntry(
        name="efficientgrad",
        summary="EfficientGrad: frsf with stochastic pruning of the errors of hidden layers",
        options=EfficientGradSpec,
        build=efficientgrad,
        unbiased=False,
        requires=needs_written,
        asks=_fixed_cost,
        needs=_NEEDS,
        cost=f"B forward passes; holds {_HELD} magnitudes; draws B (n_1 + ... + n_(L-1)) random numbers",
        source="EfficientGrad, eq. 1 to 5, or its code's threshold; magnitudes: its code",
    ),
)
