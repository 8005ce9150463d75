"""IDX files, the format of MNIST, gzipped: read without trusting what they say of their size.

A magic number 0x00000800 + dimensions (type 8: unsigned bytes), each dimension as a big-endian uint32, then the bytes
(LeCun, Cortes & Burges, "The MNIST database of handwritten digits", file formats).
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import DataError


def read_idx(path: Path, shape: tuple[int, ...], md5: str | None = None) -> NDArray[np.uint8]:
    """The bytes of the gzipped IDX file at `path`, of the `shape` that is expected; no more than that is unpacked.

    `md5` is the digest of the whole unpacked file. Raises DataError, with the remedy, for any other file.
    """
    head = 4 + 4 * len(shape)
    size = head + int(np.prod(shape, dtype=np.int64))
    try:
        with gzip.open(path) as file:
            content = file.read(size + 1)
    except FileNotFoundError:
        raise _error(path, "no such file") from None
    except (OSError, EOFError, zlib.error) as error:
        raise _error(path, f"is not a whole gzip file: {error}") from None
    magic = 0x0800 + len(shape)
    told = [int.from_bytes(content[at : at + 4], "big") for at in range(0, min(head, len(content) // 4 * 4), 4)]
    expected = " x ".join(map(str, shape))
    if told[:1] != [magic]:
        given = f"0x{told[0]:08x}" if told else "nothing"
        raise _error(path, f"must start with 0x{magic:08x}, as an IDX file of {expected} bytes does", given)
    if tuple(told[1:]) != shape:
        raise _error(path, f"must hold {expected} values", " x ".join(map(str, told[1:])))
    if len(content) != size:
        raise _error(path, f"must hold {size} bytes", f"{len(content)}" if len(content) < size else "more")
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 is not None and found != md5:
        raise _error(path, f"must have the MD5 {md5} when unpacked", found)
    values: NDArray[Any] = np.frombuffer(content, np.uint8, offset=head).reshape(shape)
    return values


def _error(path: Path, allowed: str, given: str = "") -> DataError:
    return DataError.of((), allowed, given, "fetch the file anew", source=str(path))
