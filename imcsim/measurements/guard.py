"""HDF5 files that nobody vouches for, opened in a process of its own under limits of memory and time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import DataError

_CHILD = Path(__file__).with_name("child.py")
_MIB = 1 << 20
LIMITS = {
    "memory_bytes": 6144 * _MIB,
    "cpu_s": 120,
    "objects": 10_000,
    "dataset_bytes": 1024 * _MIB,
    "total_bytes": 2048 * _MIB,
    "free_bytes": 16 * _MIB,  # what a dataset may unpack to, however little of it is stored
    "ratio": 200,
}
CLOCK_S = 180
SIGNATURE = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class Stored:
    """A group or a dataset of a file: its path, the root's "", its attributes; of a dataset its shape and type."""

    path: str
    attributes: Mapping[str, Any]
    shape: tuple[int, ...] | None = None
    dtype: str = ""

    @property
    def is_dataset(self) -> bool:
        """Whether it is a dataset."""
        return self.shape is not None

    @property
    def count(self) -> int:
        """How many values it holds."""
        return int(np.prod(self.shape, dtype=np.int64)) if self.shape is not None else 0


def contents(path: Path) -> dict[str, Stored]:
    """What the HDF5 file at `path` holds, by path, no values read. Raises DataError."""
    return _ask(path, ())[0]


def arrays(path: Path, wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The values of the datasets `wanted`, by path; those that are not there are left out.

    Raises DataError for a file that is broken, for what stands outside the file, is no number or unpacks beyond LIMITS.
    """
    held, raw = _ask(path, wanted)
    found: dict[str, NDArray[Any]] = {}
    at = 0
    for name in wanted:
        if name in held:
            one = held[name]
            dtype = np.dtype(one.dtype).newbyteorder("<")
            values = np.frombuffer(raw, dtype, one.count, at).reshape(one.shape or ())
            at += one.count * dtype.itemsize
            found[name] = values.astype(dtype.newbyteorder("="), copy=False)
    return found


def _ask(path: Path, wanted: Sequence[str]) -> tuple[dict[str, Stored], bytes]:
    _starts_as_hdf5(path)
    request = json.dumps({"paths": list(wanted), "limits": LIMITS})
    command = [sys.executable, "-P", str(_CHILD), str(path.resolve())]
    try:
        ended = subprocess.run(command, input=request.encode(), capture_output=True, timeout=CLOCK_S, check=False)
    except subprocess.TimeoutExpired:
        raise _error(path, "", f"was not read within {CLOCK_S} s: it may be broken") from None
    line, _, raw = ended.stdout.partition(b"\n")
    try:
        answer = json.loads(line) if ended.returncode == 0 else None
    except ValueError:
        answer = None
    if answer is None:
        raise _error(path, "", "is broken: the process that read it died", f"exit code {ended.returncode}")
    if answer["refused"] is not None:
        raise _error(path, *answer["refused"])
    held = {}
    for one in answer["objects"]:
        shape = tuple(one["shape"]) if one.get("shape") is not None else None
        held[one["path"]] = Stored(one["path"], one["attributes"], shape, one.get("dtype", ""))
    return held, raw


def _starts_as_hdf5(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(len(SIGNATURE))
    except FileNotFoundError:
        raise _error(path, "", "no such file") from None
    except OSError as error:
        raise _error(path, "", f"cannot be read: {error.strerror}") from None
    if start != SIGNATURE:
        raise _error(path, "", "is not an HDF5 file")


def _error(path: Path, inside: str, allowed: str, given: str = "") -> DataError:
    return DataError.of((inside,) if inside else (), allowed, given, source=str(path))
