"""Transforms that chain behind a rule: what becomes of its estimate of the gradient before it is written.

A rule gives an estimate g; behind a chain that holds one of `scale_by_learning_rate`, `adam` and `rmsprop`, which turn
it downhill, the updates are what is added to the weights. Clipping stands ahead of those, decay and rounding after:

    chain(rule, clip_norm(1.0), momentum(0.9), scale_by_learning_rate(0.1), round_to_resolution("stochastic"))

Only a learning rate and `clip_norm` keep the factors of an outer product; all others need the change itself. Weights
(..., rows, cols) and biases (..., cols) are treated alike, but for decay and rounding: biases are digital.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from imcsim.network.protocols import LayerUpdate, Updates
from imcsim.rng import Generators, children, draw_keys, drawn
from imcsim.rules.rule import Transform, require
from imcsim.rules.schedules import Schedule, constant
from imcsim.updates import Dense, dense, scaled

Array = np.ndarray[Any, Any]
Arrays = tuple[Any, ...]  # the weights of every layer, then the biases of every layer; 0.0 where nothing came yet
Rate = float | Schedule


def scale_by_learning_rate(learning_rate: Rate) -> Transform:
    """Gradient descent: -learning_rate g."""
    rate = _schedule(learning_rate)

    def init(network: Any) -> int:
        del network
        return 0

    def apply(updates: Updates, step: int, network: Any, rng: Generators) -> tuple[Updates, int]:
        del network, rng
        factor = -rate(step)
        return tuple(LayerUpdate(scaled(u.weights, factor), factor * u.biases) for u in updates), step + 1

    return Transform(init, apply)


def momentum(mu: float) -> Transform:
    """A heavy ball (Polyak 1964): v <- mu v + g goes on in place of g."""

    def init(network: Any) -> Arrays:
        return _zeros(network)

    def apply(updates: Updates, velocity: Arrays, network: Any, rng: Generators) -> tuple[Updates, Arrays]:
        del network, rng
        velocity = tuple(mu * v + g for v, g in zip(velocity, _arrays(updates), strict=True))
        return _updates(velocity), velocity

    return Transform(init, apply)


class AdamState(NamedTuple):
    """Steps taken, and the running means of the gradient and of its square, not yet corrected for their start."""

    steps: int
    mean: Arrays
    square: Arrays


def adam(learning_rate: Rate) -> Transform:
    """Adam (Kingma & Ba 2015, algorithm 1) with the figures given there; the learning rate is in it."""
    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-8
    rate = _schedule(learning_rate)

    def init(network: Any) -> AdamState:
        return AdamState(0, _zeros(network), _zeros(network))

    def apply(updates: Updates, state: AdamState, network: Any, rng: Generators) -> tuple[Updates, AdamState]:
        del network, rng
        gradients, factor, steps = _arrays(updates), -rate(state.steps), state.steps + 1
        mean = tuple(_running(beta_1, m, (1 - beta_1) * g) for m, g in zip(state.mean, gradients, strict=True))
        square = _running_squares(beta_2, state.square, gradients)
        # both means start at zero: without the correction the first steps would be too short or too long
        first, second = 1 - beta_1**steps, 1 - beta_2**steps
        moves = tuple(_normalised(factor * (m / first), s / second, epsilon) for m, s in zip(mean, square, strict=True))
        return _updates(moves), AdamState(steps, mean, square)

    return Transform(init, apply)


class RMSpropState(NamedTuple):
    """Steps taken, and the running mean of the square of the gradient, which starts at zero."""

    steps: int
    square: Arrays


def rmsprop(learning_rate: Rate) -> Transform:
    """RMSprop (Tieleman & Hinton 2012, lecture 6.5): s <- 0.9 s + 0.1 g^2; -learning_rate g / (sqrt(s) + 1e-8)."""
    rho, epsilon = 0.9, 1e-8
    rate = _schedule(learning_rate)

    def init(network: Any) -> RMSpropState:
        return RMSpropState(0, _zeros(network))

    def apply(updates: Updates, state: RMSpropState, network: Any, rng: Generators) -> tuple[Updates, RMSpropState]:
        del network, rng
        gradients, factor = _arrays(updates), -rate(state.steps)
        square = _running_squares(rho, state.square, gradients)
        moves = tuple(_normalised(factor * g, 1.0 * s, epsilon) for g, s in zip(gradients, square, strict=True))
        return _updates(moves), RMSpropState(state.steps + 1, square)

    return Transform(init, apply)


# Whole matrices: what is made on the way is written over, as memory takes longer than arithmetic.


def _running(beta: float, before: Any, share: Array) -> Array:
    """The running mean: beta before + share, in the place of the share."""
    share += beta * before
    return share


def _running_squares(beta: float, before: Arrays, gradients: Arrays) -> Arrays:
    """The running means of squares: beta s + (1 - beta) g^2 of each."""
    squares = []
    for s, g in zip(before, gradients, strict=True):
        share = (1 - beta) * g
        share *= g
        squares.append(_running(beta, s, share))
    return tuple(squares)


def _normalised(move: Array, square: Array, epsilon: float) -> Array:
    """The move by the size of gradients: move / (sqrt(square) + epsilon), in their places."""
    np.sqrt(square, out=square)
    square += epsilon
    move /= square
    return move


def clip_values(limit: float) -> Transform:
    """Every entry of the change within -limit ... limit."""

    def apply(updates: Updates, network: Any, rng: Generators) -> Updates:
        del network, rng
        return _updates(tuple(np.clip(g, -limit, limit) for g in _arrays(updates)))

    return _without_state(apply)


def clip_norm(limit: float) -> Transform:
    """The change of all layers together, made shorter where its Euclidean norm exceeds `limit`: min(1, limit / |g|) g.

    Pascanu, Mikolov & Bengio 2013, algorithm 1. Each member of an ensemble has a norm of its own.
    """

    def apply(updates: Updates, network: Any, rng: Generators) -> Updates:
        del network, rng
        of_weights = [np.square(dense(u.weights)).sum(axis=(-2, -1)) for u in updates]
        norm = np.sqrt(sum(of_weights) + sum(np.square(u.biases).sum(axis=-1) for u in updates))
        # a change of zero has no length to be made shorter, and must not be divided by
        factor = limit / np.maximum(norm, limit)
        return tuple(
            LayerUpdate(scaled(u.weights, factor[..., None, None]), factor[..., None] * u.biases) for u in updates
        )

    return _without_state(apply)


def decay_weights(decay: float, learning_rate: Rate) -> Transform:
    """Less learning_rate decay W, of the weights W as last written; biases do not decay.

    Decoupled from the estimate of the gradient, and so the same behind every optimizer: Loshchilov & Hutter 2019,
    algorithm 2, where the learning rate is the schedule's. With gradient descent alone it is an L2 penalty, decay / 2
    |W|^2.
    """
    rate = _schedule(learning_rate)

    def init(network: Any) -> int:
        require(network, "written", "the weights as last written", "weight decay")
        return 0

    def apply(updates: Updates, step: int, network: Any, rng: Generators) -> tuple[Updates, int]:
        del rng
        less = rate(step) * decay
        decayed = tuple(
            u._replace(weights=Dense(dense(u.weights) - less * written))
            for u, written in zip(updates, network.written, strict=True)
        )
        return decayed, step + 1

    return Transform(init, apply)


def round_to_resolution(rounding: Literal["nearest", "stochastic"]) -> Transform:
    """The change of the weights in whole steps q of the write path, `network.write_resolution`, one a layer.

    "nearest": q rint(d / q), so that smaller changes than q / 2 are lost. "stochastic": q floor(d / q + u) with u
    uniform on [0, 1), a random number a weight: unbiased.
    """

    def init(network: Any) -> None:
        require(network, "write_resolution", "a smallest step of its write path", "rounding to the write resolution")

    def apply(updates: Updates, state: None, network: Any, rng: Generators) -> tuple[Updates, None]:
        keys = draw_keys(rng) if rounding == "stochastic" else 0
        rounded = []
        for layer, (update, step) in enumerate(zip(updates, network.write_resolution, strict=True)):
            steps = dense(update.weights) / step
            if rounding == "stochastic":
                steps = np.floor(steps + _uniform(children(keys, "rounding", layer), steps.shape[-2:]))
            else:
                steps = np.rint(steps)
            rounded.append(update._replace(weights=Dense(step * steps)))
        return tuple(rounded), state

    return Transform(init, apply)


def _uniform(rng: Generators, matrix: tuple[int, ...]) -> Array:
    return drawn(rng, lambda one: one.random(matrix))


def _schedule(learning_rate: Rate) -> Schedule:
    return learning_rate if callable(learning_rate) else constant(learning_rate)


def _without_state(apply: Callable[[Updates, Any, Generators], Updates]) -> Transform:
    return Transform(lambda _: None, lambda updates, state, network, rng: (apply(updates, network, rng), state))


def _zeros(network: Any) -> Arrays:
    return (0.0,) * (2 * len(network.shapes))  # a number, as the change may be an ensemble's


def _arrays(updates: Updates) -> Arrays:
    return (*(dense(u.weights) for u in updates), *(u.biases for u in updates))


def _updates(arrays: Arrays) -> Updates:
    layers = len(arrays) // 2
    return tuple(LayerUpdate(Dense(w), b) for w, b in zip(arrays[:layers], arrays[layers:], strict=True))
