"""HDF5 files that nobody vouches for, opened in a process of its own under limits of memory and time."""

from __future__ import annotations

import json
import math
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
    "objects": 50_000,  # groups, datasets and attributes
    "dataset_bytes": 1024 * _MIB,
    "total_bytes": 2048 * _MIB,
    "free_bytes": 64 * _MIB,  # what a dataset may unpack to, however little of it is stored
    "ratio": 1000,
}
CLOCK_S = 180
SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SIGNED_AT = (0, *(512 << k for k in range(12)))  # HDF5 looks for it behind a block of the user's own


@dataclass(frozen=True)
class Stored:
    """A group or a dataset of a file: its path, the root's "", its attributes; of a dataset its shape and type."""

    path: str
    attributes: Mapping[str, Any]
    shape: tuple[int, ...] = ()
    dtype: str = ""

    @property
    def is_dataset(self) -> bool:
        """Whether it is a dataset."""
        return bool(self.dtype)

    @property
    def units(self) -> str:
        """The unit that it says it is in, "" where it says none."""
        return str(self.attributes.get("units", ""))


def contents(path: Path) -> dict[str, Stored]:
    """What the HDF5 file at `path` holds, by path, no values read. Raises DataError."""
    return load(path, ())[0]


def load(path: Path, wanted: Sequence[str]) -> tuple[dict[str, Stored], dict[str, NDArray[Any]]]:
    """What an HDF5 file holds, and the values of those datasets `wanted` that are in it, both by path.

    Raises DataError for a file that is broken or refers to what stands outside it, and for datasets `wanted` that are
    not of numbers or unpack beyond LIMITS.
    """
    answer, raw = _ask(path, wanted)
    held = {
        one["path"]: Stored(one["path"], one["attributes"], tuple(one.get("shape") or ()), one.get("dtype", ""))
        for one in answer["objects"]
    }
    found: dict[str, NDArray[Any]] = {}
    at = 0
    for name in wanted:
        if name in held and held[name].is_dataset:
            dtype = np.dtype(held[name].dtype)
            count = math.prod(held[name].shape)
            values = np.frombuffer(raw, dtype.newbyteorder("<"), count, at).reshape(held[name].shape)
            at += values.nbytes
            found[name] = values.astype(dtype.newbyteorder("="), copy=False)
    return held, found


def _ask(path: Path, wanted: Sequence[str]) -> tuple[dict[str, Any], bytes]:
    """What the child answers: a table, and the bytes of the datasets."""
    _starts_as_hdf5(path)
    request = json.dumps({"paths": list(wanted), "limits": LIMITS})
    command = [sys.executable, "-P", str(_CHILD), str(path.resolve())]
    try:
        ended = subprocess.run(command, input=request.encode(), capture_output=True, timeout=CLOCK_S, check=False)
    except subprocess.TimeoutExpired:
        raise _error(path, "", f"was not read within {CLOCK_S} s: it may be broken") from None
    line, _, raw = ended.stdout.partition(b"\n")
    if ended.returncode != 0:
        raise _error(path, "", f"is broken: the process that read it died (exit code {ended.returncode})")
    answer: dict[str, Any] = json.loads(line)
    if answer["refused"] is not None:
        raise _error(path, *answer["refused"])
    return answer, raw


def _starts_as_hdf5(path: Path) -> None:
    try:
        if path.exists() and not path.is_file():
            raise _error(path, "", "is a folder, not a file" if path.is_dir() else "is not a file")
        with path.open("rb") as file:
            for at in _SIGNED_AT:
                file.seek(at)
                if file.read(len(SIGNATURE)) == SIGNATURE:
                    return
    except FileNotFoundError:
        raise _error(path, "", "no such file") from None
    except ValueError as error:  # a name that no file can have; DataError is one, too
        raise error if isinstance(error, DataError) else _error(path, "", f"cannot be read: {error}") from None
    except OSError as error:
        raise _error(path, "", f"cannot be read: {error.strerror}") from None
    raise _error(path, "", "is not an HDF5 file")


def _error(path: Path, inside: str, allowed: str, given: str = "") -> DataError:
    return DataError.of(tuple(inside.split("/")) if inside else (), allowed, given, source=str(path))
