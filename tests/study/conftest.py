"""A small study without chips: its evaluator is a formula."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import counted
import numpy as np
import pytest

from imcsim.study.axes import Axis, Cell, Replicates
from imcsim.study.plan import Plan
from imcsim.study.questions import PlotSpec
from imcsim.study.run import run
from imcsim.study.work import Work

AXES = (Axis("chip.adc.bits", (4, 6)), Axis("chip.adc", ("ideal", {"kind": "uniform", "bits": 6}, "sar")))


Place = tuple[tuple[int, ...], int, int, int]


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
            "cells": tuple(
                Cell.of(
                    {axis.path: axis.values[i] for axis, i in zip(axes, index, strict=True)},
                    {"seed": 1, "at": list(index)},
                )
                for index in np.ndindex(shape)
            ),
            "replicates": Replicates(trainings=2, dies=3, reads=2),
            "dataset_sha256": "d" * 64,
            "chance": 0.1,
            "test_samples": 400,
            "plot": PlotSpec(kind="accuracy_vs_bits", x="chip.adc.bits"),
        }
        return Plan(**{**given, **changes})

    return build


@pytest.fixture
def evaluator() -> Evaluator:
    return Evaluator()


class Evaluator:
    """Evaluates points by `accuracy_at`, remembers them in `asked`, and raises `error` where `fails(place)` says so.

    A place is (index of the cell, training, die, read). `work` is what a run takes.
    """

    def __init__(self) -> None:
        self.asked: list[Place] = []
        self.fails: Callable[[Place], bool] = lambda place: False
        self.error: type[BaseException] = RuntimeError

    @property
    def work(self) -> Work:
        return Work(self.evaluate, lambda key, artifacts: {})

    def evaluate(
        self, config: Mapping[str, Any], training: int, replicates: Sequence[tuple[int, int]], artifacts: Any
    ) -> Iterator[Mapping[str, Any]]:
        index = tuple(config["at"])
        for die, read in replicates:
            place = (index, training, die, read)
            self.asked.append(place)
            if self.fails(place):
                raise self.error("out of luck")
            accuracy = accuracy_at(index, training, die, read)
            yield {"accuracy": accuracy, "accuracy_float": 0.9 + 0.001 * training}


@pytest.fixture
def plan(tmp_path):
    """plan(**behaviour): the counted study, whose record is empty."""

    def build(**behaviour):
        (tmp_path / "record").mkdir(exist_ok=True)
        return counted.plan_of(tmp_path / "record", **behaviour)

    return build


@pytest.fixture
def begun(tmp_path):
    """What was begun so far, and how often."""
    return lambda: Counter(counted.evaluations(tmp_path / "record"))


@pytest.fixture
def serial(plan, tmp_path):
    """The SHA-256 of study.h5 of a run in this process that nothing disturbs."""
    run(plan(), tmp_path / "serial", counted.WORK, counted.quiet)
    for path in (tmp_path / "record").iterdir():
        path.unlink()
    return counted.sha256(tmp_path / "serial")
