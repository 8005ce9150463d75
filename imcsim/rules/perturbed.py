"""What a perturbation of weights comes to on the network that is asked for it.

A chip writes whole codes, from the smallest to the largest and no further. So a perturbation is rounded to codes, and a
rule divides by what was really written; one that would be rounded to nothing is refused before anything is learnt.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from imcsim.errors import CapabilityError, SpecError
from imcsim.network.protocols import Updates
from imcsim.rng import child
from imcsim.rules.layer_updates import with_biases
from imcsim.updates import Dense, dense

Array = np.ndarray[Any, Any]


class Reach(NamedTuple):
    """By how much each weight moves if it is asked to go up, and down: (inputs + 1, outputs) a layer, biases last.

    `up` is no less than 0, `down` no more; `asked` are the steps up that are to be written, a layer each.
    """

    asked: tuple[Array, ...]
    up: tuple[Array, ...]
    down: tuple[Array, ...]

    @property
    def spans(self) -> tuple[Array, ...]:
        """Half the way from down to up, by which a difference of losses divides whose perturbation had a random sign.

        Where both ways are open, it is the step. At the largest code half the signs move the weight twice the span,
        and half do not move it at all: it still goes with the sign, and no sign but its own.
        """
        return tuple((up - down) / 2.0 for up, down in zip(self.up, self.down, strict=True))


def weight_steps(network: Any, delta: float, option: str = "delta") -> tuple[float, ...]:
    """Perturbations of weights by delta as they are written, a layer each: in whole codes, where weights have codes.

    Raises SpecError, in the name of the rule's `option`, where one would be rounded to nothing.
    """
    steps = code_steps(network)
    if steps is None:
        return (delta,) * len(network.shapes)
    require_written(network, delta, option, delta)
    return tuple(float(in_codes(np.asarray(delta), step)) for step in steps)


def require_written(network: Any, largest: float, option: str, given: float) -> None:
    """Raise SpecError where the largest perturbation of a weight, that of `given` for `option`, is rounded to nothing.

    A write rounds to whole codes, in the layer with the largest steps as in all others.
    """
    steps = code_steps(network)
    if steps is None or largest >= max(steps) / 2.0:
        return
    coarsest = steps.index(max(steps))
    allowed = (
        f"moves no weight by more than {largest:.3g}, below the write resolution: weights of layer {coarsest} "
        f"(the first is 0) are written in steps of {steps[coarsest]:.3g}"
    )
    smallest = _rounded_up(given * steps[coarsest] / 2.0 / largest)
    remedy = f"set it to {smallest:g} or more, or give the array more weight_bits"
    raise SpecError.of(("rule_options", option), allowed, f"{given:g}", remedy)


def code_steps(network: Any) -> tuple[float, ...] | None:
    """From a code of weights to the next, a layer each; None where weights have no codes."""
    try:
        return tuple(network.weight_lsb)
    except (AttributeError, CapabilityError):
        return None


def in_codes(values: Array, step: float) -> Array:
    """Values in whole codes, a half away from zero; as they are where `step` is 0."""
    return values if step == 0.0 else np.asarray(np.sign(values) * step * np.floor(np.abs(values) / step + 0.5))


def whole_codes(network: Any, perturbation: Updates) -> Updates:
    """A perturbation of weights in whole codes, which a write takes as they are, whatever its accumulators hold."""
    steps = code_steps(network)
    if steps is None:
        return perturbation
    return tuple(
        one._replace(weights=Dense(in_codes(dense(one.weights), step)))
        for one, step in zip(perturbation, steps, strict=True)
    )


def reach(network: Any, delta: float, option: str = "delta") -> Reach:
    """What perturbing by delta comes to at the weights as they stand; raises SpecError as weight_steps does.

    Where weights have codes, it is what a controller knows that wrote them; nothing is written to find out. Of pulsed
    devices nobody knows, and it is what is asked for.
    """
    steps = weight_steps(network, delta, option)
    asked = tuple(_with_biases(np.full(shape, step), delta) for shape, step in zip(network.shapes, steps, strict=True))
    if code_steps(network) is None:
        return Reach(asked, asked, tuple(-one for one in asked))
    return Reach(asked, _moved(network, asked, 1.0), _moved(network, asked, -1.0))


def _with_biases(weights: Array, bias: float) -> Array:
    """The steps of weights (inputs, outputs) and, in one more row, of biases, which are digital and take any."""
    return np.vstack([weights, np.full(weights.shape[1], bias)])


def _moved(network: Any, asked: tuple[Array, ...], sign: float) -> tuple[Array, ...]:
    """What a write of all the steps at once makes of each weight, which does not depend on the others."""
    updates = tuple(with_biases(sign * one) for one in asked)
    after = network.write(updates, child(0, "nobody reads it"))
    return tuple(
        _with_biases(now - before, sign * one[-1, 0])
        for now, before, one in zip(after.written, network.written, asked, strict=True)
    )


def _rounded_up(number: float) -> float:
    """To three digits that are no less."""
    digit = 10.0 ** (np.floor(np.log10(number)) - 2)
    return float(np.ceil(number / digit * (1 - 1e-12)) * digit)
