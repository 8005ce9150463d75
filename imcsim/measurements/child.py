"""Opens one HDF5 file that may be hostile or broken; a program of its own, so that what it does to itself harms nobody.

Its argument is the path of the file; its standard input one JSON object: "paths", the datasets to give, and "limits".
On standard output it writes a line of JSON, what the file holds and what is wrong with it, and then the datasets, one
after the other, as little-endian bytes. It follows hard links alone, and reads nothing that stands outside the file.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Iterator
from typing import Any

os.environ["HDF5_PLUGIN_PRELOAD"] = "::"  # no filter is loaded from elsewhere
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # each thread would take of the memory that is allowed

import h5py

FILTERS = {1, 2, 3, 4, 5, 6, 32000}  # deflate, shuffle, fletcher32, szip, nbit, scale-offset, LZF: all built in
NUMBERS = "iufb"
MAX_VALUES = 1000  # of an attribute
MAX_TEXT = 2000


class RefusedError(Exception):
    """What the file holds is not read: the path inside it, and why."""

    def __init__(self, path: str, reason: str, given: str = "") -> None:
        super().__init__(path, reason, given)


def main() -> None:
    request = json.load(sys.stdin)
    limits = request["limits"]
    confine(limits)
    answer: dict[str, Any] = {"objects": [], "refused": None}
    wanted: list[Any] = []
    try:
        with h5py.File(sys.argv[1], "r", locking=False) as file:
            found = dict(walk(file, limits))
            answer["objects"] = [told(path, item, limits) for path, item in found.items()]
            datasets = {path: item for path, item in found.items() if isinstance(item, h5py.Dataset)}
            wanted = [values(path, datasets[path], limits) for path in request["paths"] if path in datasets]
    except RefusedError as refused:
        answer["refused"] = refused.args
    except Exception as error:  # h5py raises of every kind on a broken file; the parent tells it
        answer["refused"] = ("", f"is not a sound HDF5 file: {one_line(error)}", "")
    out = sys.stdout.buffer
    out.write(json.dumps(answer).encode() + b"\n")
    if answer["refused"] is None:
        for array in wanted:
            out.write(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())


def confine(limits: dict[str, int]) -> None:
    """Take no more memory and processor time than is allowed; where no system sets limits, the parent's clock does."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (limits["cpu_s"], limits["cpu_s"]))
        resource.setrlimit(resource.RLIMIT_AS, (limits["memory_bytes"], limits["memory_bytes"]))


def walk(file: h5py.File, limits: dict[str, int]) -> Iterator[tuple[str, Any]]:
    """All groups and datasets, by path, the root first; each link is looked at before it is followed."""
    seen = {h5py.h5o.get_info(file.id).addr}
    left = [("", file["/"])]
    while left:
        path, item = left.pop()
        yield path, item
        if not isinstance(item, h5py.Group):
            continue
        for name in item:
            here = f"{path}/{name}" if path else name
            count(here, limits)
            if not name.isprintable():
                raise RefusedError(plain(here), "is a name that cannot be printed")
            link = item.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                kind = "an external link" if isinstance(link, h5py.ExternalLink) else "a soft link"
                raise RefusedError(here, f"is {kind}: only what stands in the file itself is read")
            inner = opened(here, item, name)
            address = h5py.h5o.get_info(inner.id).addr
            if address in seen and isinstance(inner, h5py.Group):
                raise RefusedError(here, "is a group that stands elsewhere, too: it may hold itself")
            seen.add(address)
            left.append((here, inner))


def count(path: str, limits: dict[str, int]) -> None:
    """One more group, dataset or attribute."""
    limits["objects"] -= 1
    if limits["objects"] < 0:
        raise RefusedError(plain(path), "is one too many groups, datasets and attributes")


def opened(path: str, group: h5py.Group, name: str) -> Any:
    """The group or dataset of a name; RefusedError where its values stand outside the file, or it is neither."""
    item = group[name]
    if isinstance(item, h5py.Datatype):
        raise RefusedError(path, "is a named type: groups and datasets alone are read")
    if isinstance(item, h5py.Dataset):
        properties = item.id.get_create_plist()
        if properties.get_layout() == h5py.h5d.VIRTUAL:
            raise RefusedError(path, "is a virtual dataset: its values stand in other files")
        if properties.get_external_count():
            raise RefusedError(path, "is stored in another file")
    return item


def told(path: str, item: Any, limits: dict[str, int]) -> dict[str, Any]:
    """A group or dataset as plain data: what it is, and those of its attributes that are text or numbers."""
    described: dict[str, Any] = {"path": path, "attributes": attributes(path, item, limits)}
    if isinstance(item, h5py.Dataset):
        try:
            dtype = item.dtype.str
        except TypeError:
            dtype = "unknown"  # no type that numpy has
        described |= {"shape": item.shape, "dtype": dtype}
    return described


def attributes(path: str, item: Any, limits: dict[str, int]) -> dict[str, Any]:
    """The attributes that are text, numbers or short lists of them; others are left out."""
    found = {}
    for name in item.attrs:
        count(f"{path}@{name}", limits)
        at = h5py.h5a.open(item.id, name.encode("utf-8", "surrogateescape"))
        try:
            readable = h5py.check_string_dtype(at.dtype) is not None or at.dtype.kind in NUMBERS + "S"
        except TypeError:
            continue
        if readable and at.shape is not None and math.prod(at.shape) <= MAX_VALUES:
            found[plain(name)] = plain(item.attrs[name])
    return found


def plain(value: Any) -> Any:
    """Text that can be printed, numbers, or lists of them."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in value[:MAX_TEXT])
    return value if isinstance(value, bool | int | float) else str(value)


def values(path: str, item: Any, limits: dict[str, int]) -> Any:
    """The content of a dataset; RefusedError where it is not of numbers, damaged, or unpacks to too much."""
    numbers(path, item)
    size = item.dtype.itemsize * math.prod(item.shape)
    stored = item.id.get_storage_size()
    most = limits["dataset_bytes"]
    if size > most:
        raise RefusedError(path, f"unpacks to more than {most >> 20} MiB", f"{size >> 20} MiB")
    if size > limits["free_bytes"] and size > limits["ratio"] * stored:
        reason = f"unpacks to more than {limits['ratio']} times what is stored"
        raise RefusedError(path, reason, f"{size} bytes out of {stored}")
    chunk = item.dtype.itemsize * math.prod(item.chunks or ())
    if chunk > most:
        raise RefusedError(path, f"has chunks of more than {most >> 20} MiB", f"{chunk >> 20} MiB")
    limits["total_bytes"] -= size
    if limits["total_bytes"] < 0:
        raise RefusedError(path, "is one dataset too many: together they unpack to more than is allowed")
    try:
        return item[()]
    except MemoryError:
        raise RefusedError(path, "does not fit into the memory that is allowed") from None
    except Exception as error:  # whatever HDF5 finds damaged
        raise RefusedError(path, f"cannot be read: {one_line(error)}") from None


def numbers(path: str, item: h5py.Dataset) -> None:
    """Refuse a dataset of anything but numbers, or that needs a filter from elsewhere."""
    try:
        dtype = item.dtype
    except TypeError as error:
        raise RefusedError(path, f"must hold numbers: {one_line(error)}") from None
    if item.shape is None or dtype.kind not in NUMBERS:
        raise RefusedError(path, "must hold numbers", "nothing" if item.shape is None else f"type {dtype}")
    properties = item.id.get_create_plist()
    foreign = {properties.get_filter(k)[0] for k in range(properties.get_nfilters())} - FILTERS
    if foreign:
        raise RefusedError(path, "is packed by a filter that HDF5 does not bring", f"filter {min(foreign)}")


def one_line(error: Exception) -> str:
    """What an error says, short and in one line."""
    return plain(" ".join(str(error).split())[:200]) or type(error).__name__


if __name__ == "__main__":
    main()
