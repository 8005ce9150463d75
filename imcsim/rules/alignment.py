"""How good a rule's estimate of the gradient is: its angle to a reference, and its signal-to-noise ratio, a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imcsim.errors import SpecError
from imcsim.kernels.blas import single_threaded_blas
from imcsim.rng import Generators, children, draw_keys
from imcsim.rules.reference import Reference, exact_gradient
from imcsim.rules.rule import Batch, LearningRule
from imcsim.updates import dense

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Alignment:
    """Of every layer's weights, (layers,), or (layers, members) of an ensemble.

    `cosine` is that of the mean estimate and the reference, `single_cosine` the mean of those of single estimates: of
    signed vectors, so that what is opposite is -1; `whole` is that of all layers together, no array of layers. `snr` is
    |mean|^2 over the mean of |estimate - mean|^2, corrected for the finite number of draws: infinite where all
    estimates are equal. The norms are those of the reference and of the mean estimate.
    """

    cosine: Array
    single_cosine: Array
    snr: Array
    reference_norm: Array
    norm: Array
    whole: Array
    draws: int

    @property
    def angle_deg(self) -> Array:
        """Between the mean estimate and the reference, from 0 to 180 degrees."""
        return np.asarray(np.degrees(np.arccos(np.clip(self.cosine, -1.0, 1.0))))


def gradient_alignment(
    rule: LearningRule,
    network: Any,
    batch: Batch,
    rng: Generators,
    *,
    draws: int = 16,
    reference: Reference = exact_gradient,
    state: Any = None,
) -> Alignment:
    """Compare `draws` estimates of a rule, begun once and then stepped without any write, with a reference gradient.

    The default reference is the exact gradient of the loss at the weights as last written; where the chip's own
    expected loss is meant, errors and all, `reference.die_gradient` or `reference.finite_differences`. `state` is that
    of a rule that began earlier, as one whose random matrices the weights have learnt from; None: it begins here.
    """
    if draws < 2:
        raise SpecError.of("draws", "must be an integer of at least 2", str(draws), "a ratio to noise needs two")
    keys = draw_keys(rng)
    with single_threaded_blas():  # the bits of products depend on their threads
        expected = reference(network, batch, children(keys, "reference"))
        state = rule.init(network, children(keys, "init")) if state is None else state
        sums: list[Array] = [np.zeros(())] * len(expected)
        squares, cosines = list(sums), list(sums)
        whole = np.zeros(())
        for draw in range(draws):
            updates, state, _ = rule.step(network, state, batch, children(keys, "draw", draw))
            estimates = [dense(update.weights) for update in updates]
            whole = whole + _cosine_of_layers(estimates, expected)
            for layer, estimate in enumerate(estimates):
                sums[layer] = sums[layer] + estimate
                squares[layer] = squares[layer] + _dot(estimate, estimate)
                cosines[layer] = cosines[layer] + _cosine(estimate, expected[layer])
    means = [total / draws for total in sums]
    return Alignment(
        cosine=np.stack([_cosine(mean, g) for mean, g in zip(means, expected, strict=True)]),
        single_cosine=np.stack(cosines) / draws,
        snr=np.stack([_snr(mean, square / draws, draws) for mean, square in zip(means, squares, strict=True)]),
        reference_norm=np.stack([np.sqrt(_dot(g, g)) for g in expected]),
        norm=np.stack([np.sqrt(_dot(mean, mean)) for mean in means]),
        whole=whole / draws,
        draws=draws,
    )


def _dot(a: Array, b: Array) -> Array:
    return np.asarray((a * b).sum(axis=(-1, -2)))


def _cosine(a: Array, b: Array) -> Array:
    """Of signed vectors; not a number where one of them is zero and has no direction."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(_dot(a, b) / np.sqrt(_dot(a, a) * _dot(b, b)))


def _cosine_of_layers(a: Sequence[Array], b: Sequence[Array]) -> Array:
    """Of vectors of which each layer holds a part."""
    product, one, other = (
        sum((_dot(x, y) for x, y in zip(p, q, strict=True)), np.zeros(())) for p, q in ((a, b), (a, a), (b, b))
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(product / np.sqrt(one * other))


def _snr(mean: Array, square: Array, draws: int) -> Array:
    """From the mean of `draws` estimates and that of their squared norms, both (...)."""
    power = _dot(mean, mean)
    noise = np.asarray((square - power) * draws / (draws - 1))
    # estimates that are all equal differ by rounding at most
    noise = np.where(noise <= 1e-12 * square, 0.0, noise)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.maximum(power - noise / draws, 0.0) / noise)
