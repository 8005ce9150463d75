"""What the tests of resistive cells share: the shipped models, and a million normals of places."""

from __future__ import annotations

import functools

import numpy as np

from imcsim.kernels.frozen import frozen_normals
from imcsim.specs.library import device_folder, device_names, load
from imcsim.specs.resistive import ResistiveCell

FOLDER = device_folder()
MODELS = [name for name in device_names() if load(name).cell.kind == "resistive"]
MILLION = 1_000_000


@functools.cache
def cell(name) -> ResistiveCell:
    return load(FOLDER / f"{name}.toml").cell


@functools.cache
def normals(source, key=20):
    """A million normals of a source, as a die, a write or a call of that key has them: (1000, 1000) float32."""
    drawn = frozen_normals(np.uint64(key), source, 1, 1000, 1, 1, 1000, 1000)[0, :, 0, 0]
    drawn.flags.writeable = False
    return drawn


def states(S):
    """A million cells in one state."""
    return np.full((1000, 1000), S, np.float32)
