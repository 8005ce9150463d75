"""What a perturbation of weights comes to on the network that is asked for it, and whether its loss shows any.

A chip writes whole codes, from the smallest to the largest and no further. So a perturbation is rounded to codes, and a
rule divides by what was really written; one that would be rounded to nothing is refused before anything is learnt.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from imcsim.errors import CapabilityError, SpecError
from imcsim.rng import child
from imcsim.rules.layer_updates import with_biases

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
    coarsest = max(range(len(steps)), key=lambda layer: steps[layer])
    if delta < steps[coarsest] / 2.0:
        allowed = (
            f"is a perturbation below the write resolution: weights of layer {coarsest} (the first is 0) are written "
            f"in steps of {steps[coarsest]:.3g}"
        )
        smallest = _rounded_up(steps[coarsest] / 2.0)
        remedy = f"set it to {smallest:g} or more, or give the array more weight_bits"
        raise SpecError.of(("rule_options", option), allowed, f"{delta:g}", remedy)
    return tuple(float(in_codes(np.asarray(delta), step)) for step in steps)


def code_steps(network: Any) -> tuple[float, ...] | None:
    """From a code of weights to the next, a layer each; None where weights have no codes."""
    try:
        return tuple(network.weight_lsb)
    except (AttributeError, CapabilityError):
        return None


def in_codes(values: Array, step: float) -> Array:
    """Values in whole codes, a half away from zero; as they are where `step` is 0."""
    return values if step == 0.0 else np.asarray(np.sign(values) * step * np.floor(np.abs(values) / step + 0.5))


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


def require_seen(network: Any, changes: Array, option: str = "delta") -> None:
    """Raise SpecError where no perturbation changed any loss, as the loss ADC reads it.

    Ahead of a batch nobody can tell: what a perturbation makes of the loss depends on samples and weights, and even a
    change far below an LSB shows where losses lie close to the edge of a code, or noise takes some across. So rules
    ask at their first step alone: later a loss may well come to rest in one code.
    """
    lsb = getattr(network, "loss_lsb", None)
    if lsb is None or changes.any():
        return
    allowed = f"is a perturbation that the loss ADC cannot see: none of {len(changes)} changed its code (LSB {lsb:.3g})"
    remedy = "enlarge it, or give [chip.loss_adc] more bits, or a full_scale nearer to the losses, and no smaller"
    raise SpecError.of(("rule_options", option), allowed, remedy=remedy)


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
