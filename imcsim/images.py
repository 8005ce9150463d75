"""MNIST and Fashion-MNIST, from the folder that the variable IMCSIM_DATA names: as published, checked by their MD5s."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import DataError
from imcsim.idx import read_idx

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ImageFiles:
    """Where 70,000 images of 28 x 28 pixels in ten classes come from.

    `md5` is of the unpacked files: images and labels of the training part, images and labels of the test part.
    """

    title: str
    url: str
    md5: tuple[str, str, str, str]


IMAGES = {
    "mnist": ImageFiles(
        "MNIST",
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        (
            "6bbc9ace898e44ae57da46a324031adb",
            "a25bea736e30d166cdddb491f175f624",
            "2646ac647ad5339dbf082846283269ea",
            "27ae3e4e09519cfbb04c329615203637",
        ),
    ),
    "fashion_mnist": ImageFiles(
        "Fashion-MNIST",
        "https://github.com/zalandoresearch/fashion-mnist",
        (
            "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "9018921c3c673c538a1fc5bad174d6f9",
            "8181f5470baa50b63fa0f6fddb340f0a",
            "15d484375f8d13e6eb1aabb0c3f46965",
        ),
    ),
}
TRAINING, TEST, SIDE = 60_000, 10_000, 28
FILES = (
    ("train-images-idx3-ubyte.gz", (TRAINING, SIDE, SIDE)),
    ("train-labels-idx1-ubyte.gz", (TRAINING,)),
    ("t10k-images-idx3-ubyte.gz", (TEST, SIDE, SIDE)),
    ("t10k-labels-idx1-ubyte.gz", (TEST,)),
)


def read_images(name: str) -> tuple[Floats, Ints, Floats, Ints]:
    """Samples (n, 784), pixels 0 ... 255 on [0, 1], and labels (n,) of the training part, then of the test part."""
    folder, digests = _folder(name), IMAGES[name].md5
    x_train, y_train, x_test, y_test = (
        read_idx(folder / file, shape, md5) for (file, shape), md5 in zip(FILES, digests, strict=True)
    )
    return (
        x_train.reshape(TRAINING, SIDE * SIDE) / 255,
        y_train.astype(np.int64),
        x_test.reshape(TEST, SIDE * SIDE) / 255,
        y_test.astype(np.int64),
    )


def _folder(name: str) -> Path:
    """Where the files of `name` lie; DataError, with what to do, where there is no such folder."""
    remedy = f"put {', '.join(file for file, _ in FILES)} of {IMAGES[name].title} there ({IMAGES[name].url})"
    base = os.environ.get("IMCSIM_DATA", "")
    if not base:
        allowed = f'must name the folder whose folder "{name}" holds the images'
        raise DataError.of("IMCSIM_DATA", allowed, "nothing", f"set the environment variable, and {remedy}")
    folder = Path(base) / name
    if not folder.is_dir():
        raise DataError.of("IMCSIM_DATA", f'must name a folder with a folder "{name}" in it', base, remedy)
    return folder
