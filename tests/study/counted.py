"""A study for other processes: its evaluator is a formula that keeps a record of itself and can be told to misbehave.

Everything it is told travels in the configuration of its cells, since workers import this module anew.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import time
from pathlib import Path

import numpy as np

from imcsim.study.axes import Axis, Cell, Replicates
from imcsim.study.plan import Plan
from imcsim.study.store import is_temporary
from imcsim.study.work import Work


def plan_of(record, *, cells=10, trainings=2, dies=5, reads=2, point_s=0.0, **behaviour):
    """A study of `cells` cells along one axis, whose points last `point_s`; `record` is a folder for `evaluations`."""
    told = {"record": str(record), "point_s": point_s, **behaviour}
    axis = Axis("chip.adc.bits", tuple(range(cells)))
    return Plan(
        name="counted",
        config={"name": "counted", "cells": cells},
        toml='name = "counted"\n',
        axes=(axis,),
        cells=tuple(Cell.of({axis.path: bits}, {"bits": bits, **told}) for bits in axis.values),
        replicates=Replicates(trainings=trainings, dies=dies, reads=reads),
        dataset_sha256="d" * 64,
        chance=0.1,
        test_samples=400,
        plot=None,
    )


def accuracy_at(bits, training, die, read):
    """The accuracy of a point: no two are alike."""
    return 0.3 + 1e-3 * bits + 1e-5 * training + 1e-7 * die + 1e-9 * read


def evaluate(config, training, replicates, artifacts):
    """Uses one artifact of the training; misbehaves where the configuration says so."""
    weight = artifacts.get({"training": training, "record": config["record"]})["weight"]
    for die, read in replicates:
        place = [config["bits"], training, die, read]
        _note(config["record"], *place)
        if place in config.get("raises_at", []):
            raise ValueError(f"no value at {place}")
        if place == config.get("loses_the_folder_at"):
            (artifacts.folder.parent / "shards").rename(Path(config["record"]) / "shards")
        if place == config.get("hangs_at"):
            ctypes.PyDLL(None).sleep(600)  # holding the interpreter's lock, as a kernel does
        if place in config.get("dies_at", []):
            os.kill(os.getpid(), signal.SIGKILL)
        if place == config.get("dies_once_at") and _count(config["record"], place) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        _work(config["point_s"])
        yield {"accuracy": accuracy_at(config["bits"], weight, die, read), "accuracy_float": 0.9}


def make(key, artifacts):
    """The artifact of a training: its own number."""
    _note(key["record"], "training", key["training"])
    return {"weight": float(key["training"])}


WORK = Work(evaluate, make)


def evaluations(record):
    """What was begun, one entry a beginning: (bits, training, die, read) or ("training", training)."""
    lines = [line for path in Path(record).glob("*.txt") for line in path.read_text().splitlines()]
    return [tuple(int(part) if part.isdigit() else part for part in line.split()) for line in lines]


def quiet(progress):
    """Show no progress."""


def sha256(folder):
    """The SHA-256 of a study's results."""
    return hashlib.sha256((Path(folder) / "study.h5").read_bytes()).hexdigest()


def left_over(folder):
    """What no run that has ended may leave behind."""
    return [path for path in folder.rglob("*") if is_temporary(path) or path.name == "study.lock"]


def threads():
    """How many threads numba and each BLAS of this process may use."""
    import numba
    import scipy.linalg  # noqa: F401  # loads its BLAS
    import threadpoolctl

    blas = {info["num_threads"] for info in threadpoolctl.threadpool_info() if info["user_api"] == "blas"}
    return {"numba": numba.get_num_threads(), "blas": sorted(blas)}


def _note(record, *what):
    # a file a process, written at once: what is noted has begun, whoever is killed
    with open(Path(record) / f"{os.getpid()}.txt", "a", encoding="utf-8") as file:
        file.write(" ".join(map(str, what)) + "\n")


def _count(record, place):
    return evaluations(record).count(tuple(place))


def _work(seconds):
    """Keep the processor busy for so much of its time."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        np.sum(np.arange(1000))
