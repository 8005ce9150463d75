"""Optimizers: what a step makes of a gradient, as (init, step) pairs of pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Arrays = tuple[NDArray[np.float64], ...]
State = TypeVar("State")


class Optimizer(NamedTuple, Generic[State]):
    """A descent, as two pure functions: init(parameters) -> state; step(state, gradients) -> (updates, state).

    Updates are to be added to the parameters and have their shapes.
    """

    init: Callable[[Arrays], State]
    step: Callable[[State, Arrays], tuple[Arrays, State]]


def sgd(learning_rate: float) -> Optimizer[tuple[()]]:
    """Gradient descent: the update is -learning_rate g."""

    def init(parameters: Arrays) -> tuple[()]:
        del parameters
        return ()

    def step(state: tuple[()], gradients: Arrays) -> tuple[Arrays, tuple[()]]:
        return tuple(-learning_rate * g for g in gradients), state

    return Optimizer(init, step)


def heavy_ball(learning_rate: float, momentum: float) -> Optimizer[Arrays]:
    """Gradient descent with momentum (Polyak 1964): v <- momentum v + g; the update is -learning_rate v."""

    def init(parameters: Arrays) -> Arrays:
        return tuple(np.zeros_like(p) for p in parameters)

    def step(velocity: Arrays, gradients: Arrays) -> tuple[Arrays, Arrays]:
        velocity = tuple(momentum * v + g for v, g in zip(velocity, gradients, strict=True))
        return tuple(-learning_rate * v for v in velocity), velocity

    return Optimizer(init, step)


class AdamState(NamedTuple):
    """Steps taken, and the running means of the gradient and of its square, not yet corrected for their start."""

    steps: int
    mean: Arrays
    square: Arrays


def adam(learning_rate: float) -> Optimizer[AdamState]:
    """Adam (Kingma & Ba 2015, algorithm 1) with the figures given there."""
    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-8

    def init(parameters: Arrays) -> AdamState:
        zeros = tuple(np.zeros_like(p) for p in parameters)
        return AdamState(0, zeros, zeros)

    def step(state: AdamState, gradients: Arrays) -> tuple[Arrays, AdamState]:
        steps = state.steps + 1
        mean = tuple(beta_1 * m + (1 - beta_1) * g for m, g in zip(state.mean, gradients, strict=True))
        square = tuple(beta_2 * s + (1 - beta_2) * g * g for s, g in zip(state.square, gradients, strict=True))
        # both means start at zero: without the correction the first steps would be too short or too long
        first, second = 1 - beta_1**steps, 1 - beta_2**steps
        updates = tuple(
            -learning_rate * (m / first) / (np.sqrt(s / second) + epsilon) for m, s in zip(mean, square, strict=True)
        )
        return updates, AdamState(steps, mean, square)

    return Optimizer(init, step)
