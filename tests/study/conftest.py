"""A small study without chips: its evaluator is a formula."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from imcsim.study.plan import Axis, Cell, Plan, PlotSpec, Replicates

AXES = (Axis("chip.adc.bits", (4, 6)), Axis("chip.adc", ("ideal", {"kind": "uniform", "bits": 6}, "sar")))


def accuracy_at(index: Sequence[int], training: int, die: int, read: int) -> float:
    """The accuracy of a point of the small study: no two are alike."""
    return 0.5 + 0.1 * index[0] + 0.01 * sum(index[1:]) + 0.001 * training + 0.0001 * die + 0.00001 * read


@pytest.fixture(name="accuracy_at")
def accuracy_at_fixture() -> Callable[..., float]:
    return accuracy_at


@pytest.fixture
def make_plan() -> Callable[..., Plan]:
    """Builds the small study: 2 x 3 cells, 2 trainings x 3 dies x 2 reads, changed by keyword."""

    def build(axes: tuple[Axis, ...] = AXES, **changes: Any) -> Plan:
        shape = tuple(len(axis.values) for axis in axes)
        given = {
            "name": "small",
            "config": {"name": "small", "seed": 1, "grid": {axis.path: list(axis.values) for axis in axes}},
            "toml": 'name = "small"\n',
            "axes": axes,
            "cells": tuple(Cell(index, {"seed": 1, "at": list(index)}) for index in np.ndindex(shape)),
            "replicates": Replicates(trainings=2, dies=3, reads=2),
            "dataset_sha256": "d" * 64,
            "chance": 0.1,
            "plot": PlotSpec(kind="accuracy_vs_bits", x="chip.adc.bits"),
        }
        return Plan(**{**given, **changes})

    return build


@pytest.fixture
def evaluator() -> Evaluator:
    return Evaluator()


class Evaluator:
    """Evaluates points by `accuracy_at`, remembers its calls, and raises `error` at the calls where `fails` says so."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[int, ...], int, tuple[tuple[int, int], ...]]] = []
        self.fails: Callable[[int], bool] = lambda call: False
        self.error: type[BaseException] = RuntimeError

    def __call__(
        self, cell: Cell, training: int, replicates: Sequence[tuple[int, int]], artifacts: Any
    ) -> list[Mapping[str, float]]:
        self.calls.append((cell.index, training, tuple(replicates)))
        if self.fails(len(self.calls)):
            raise self.error("out of luck")
        return [
            {"accuracy": accuracy_at(cell.index, training, die, read), "accuracy_float": 0.9 + 0.001 * training}
            for die, read in replicates
        ]
