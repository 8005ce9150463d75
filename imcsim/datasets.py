"""Data sets to classify, split once and for all: every study compares on the same samples.

Two are shipped; the images are read from the folder that the variable IMCSIM_DATA names.
"""

from __future__ import annotations

import dataclasses
import functools
import gzip
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import SpecError, did_you_mean
from imcsim.images import IMAGES, read_images
from imcsim.rng import child

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class DataSet:
    """Samples of `classes` classes: x_... (n, features) in [0, 1], y_... (n,) in 0 ... classes - 1."""

    name: str
    x_train: Floats
    y_train: Ints
    x_test: Floats
    y_test: Ints
    classes: int

    @property
    def arrays(self) -> tuple[Floats, Ints, Floats, Ints]:
        """The samples and labels of the training part, then of the test part."""
        return self.x_train, self.y_train, self.x_test, self.y_test

    @functools.cached_property
    def sha256(self) -> str:
        """The hexadecimal digest of the four arrays, shapes and values; the same on every machine."""
        digest = hashlib.sha256()
        for array in self.arrays:
            digest.update(f"{array.shape}".encode())
            # without a copy where the machine's order is that: images take hundreds of megabytes
            digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
        return digest.hexdigest()

    @functools.cached_property
    def for_tuning(self) -> DataSet:
        """The training part alone, split again: a fifth of every class is its test part, which validates choices."""
        train, validation = stratified_split(self.y_train, child(0, "validation split", self.name))
        return _read_only(
            dataclasses.replace(
                self,
                x_train=self.x_train[train],
                y_train=self.y_train[train],
                x_test=self.x_train[validation],
                y_test=self.y_train[validation],
            )
        )


@functools.cache
def load(name: str) -> DataSet:
    """The data set called `name`, one of NAMES; its arrays are read-only.

    SHIPPED ones lie inside the package. Of the others, DataError where their files are not in $IMCSIM_DATA.
    """
    if name not in NAMES:
        known = ", ".join(f'"{known}"' for known in NAMES)
        raise SpecError.of("name", f"must be one of {known}", given=f'"{name}"', remedy=did_you_mean(name, NAMES))
    if name in IMAGES:
        return _read_only(DataSet(name, *read_images(name), classes=10))
    x, labels = _shipped(name)
    train, test = stratified_split(labels, child(0, "split", name))
    x_train, x_test = _SCALED[name](x[train], x[test])
    return _read_only(DataSet(name, x_train, labels[train], x_test, labels[test], classes=int(labels.max()) + 1))


def parity(bits: int) -> DataSet:
    """All patterns of so many bits, for training and for test; 1 where an odd number is set: of two bits, XOR."""
    x = (np.arange(2**bits)[:, np.newaxis] >> np.arange(bits) & 1).astype(np.float64)
    labels = x.sum(axis=1).astype(np.int64) % 2
    return _read_only(DataSet(f"parity of {bits} bits", x, labels, x, labels, classes=2))


def _read_only(data: DataSet) -> DataSet:
    for array in data.arrays:
        array.setflags(write=False)  # the next caller gets the same object
    return data


def stratified_split(labels: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Row numbers for training and for test, each shuffled: one sample in five of every class is for test.

    Where fifths are not whole, the classes with the largest remainders give one more sample, until the test part holds
    a fifth of all, rounded.
    """
    counts = np.bincount(labels)
    test_counts = counts // 5
    missing = round(len(labels) / 5) - int(test_counts.sum())
    test_counts[np.argsort(-(counts % 5), kind="stable")[:missing]] += 1

    # raw words: NumPy keeps their stream between versions, which it does not promise of rng.permutation
    order = np.argsort(rng.bit_generator.random_raw(len(labels)), kind="stable")
    in_test = np.zeros(len(labels), dtype=bool)
    for label, count in enumerate(test_counts):
        in_test[order[labels[order] == label][:count]] = True
    return order[~in_test[order]], order[in_test[order]]


def _shipped(name: str) -> tuple[Floats, Ints]:
    """The samples as published: x (n, features), labels (n,)."""
    packed = resources.files("imcsim").joinpath("data", f"{name}.csv.gz").read_bytes()
    table = np.loadtxt(gzip.decompress(packed).decode().splitlines(), delimiter=",")
    return table[:, :-1], table[:, -1].astype(np.int64)


def _by_training_range(x_train: Floats, x_test: Floats) -> tuple[Floats, Floats]:
    """Each feature on [0, 1] over the training part; a test value beyond that range is clipped to it."""
    low, high = x_train.min(axis=0), x_train.max(axis=0)
    return (x_train - low) / (high - low), np.clip((x_test - low) / (high - low), 0.0, 1.0)


def _by_full_scale_pixel(x_train: Floats, x_test: Floats) -> tuple[Floats, Floats]:
    """Pixels 0 ... 16 on [0, 1]."""
    return x_train / 16, x_test / 16


_SCALED: dict[str, Callable[[Floats, Floats], tuple[Floats, Floats]]] = {
    "iris": _by_training_range,
    "digits": _by_full_scale_pixel,
}
SHIPPED = tuple(_SCALED)
NAMES = (*SHIPPED, *IMAGES)
