"""Opens one HDF5 file that may be hostile or broken; a program of its own, so that what it does to itself harms nobody.

Its argument is the path of the file; its standard input one JSON object: "paths", the datasets to give, and "limits".
On standard output it writes a line of JSON, what the file holds and what is wrong with it, and then the datasets, one
after the other, as little-endian bytes. It follows hard links alone, and reads nothing that stands outside the file.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

os.environ["HDF5_PLUGIN_PRELOAD"] = "::"  # no filter is loaded from elsewhere

import h5py

FILTERS = {1, 2, 3, 4, 5, 6, 32000}  # deflate, shuffle, fletcher32, szip, nbit, scale-offset, LZF: all built in
PLAIN = "iufb"


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
            answer["objects"] = [told(path, item) for path, item in found.items()]
            wanted = [values(path, found[path], limits) for path in request["paths"] if path in found]
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
    """Take no more memory and time than is allowed; where a system has no such limits, the parent's clock does."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (limits["memory_bytes"], limits["memory_bytes"]))
        resource.setrlimit(resource.RLIMIT_CPU, (limits["cpu_s"], limits["cpu_s"]))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def walk(file: h5py.File, limits: dict[str, int]) -> Iterator[tuple[str, Any]]:
    """All groups and datasets, by path, the root first; each link is looked at before it is followed."""
    seen = {h5py.h5o.get_info(file.id).addr}
    left = [("", file["/"])]
    count = 0
    while left:
        path, item = left.pop()
        yield path, item
        if not isinstance(item, h5py.Group):
            continue
        for name in item:
            count += 1
            here = f"{path}/{name}" if path else name
            if count > limits["objects"]:
                raise RefusedError(here, f"holds more than {limits['objects']} groups and datasets")
            link = item.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                kind = "an external link" if isinstance(link, h5py.ExternalLink) else "a soft link"
                raise RefusedError(here, f"is {kind}: only what stands in the file itself is read")
            inner = item[name]
            if isinstance(inner, h5py.Datatype):
                raise RefusedError(here, "is a named type: groups and datasets alone are read")
            address = h5py.h5o.get_info(inner.id).addr
            if address in seen and isinstance(inner, h5py.Group):
                raise RefusedError(here, "is a group that stands elsewhere, too: it may hold itself")
            seen.add(address)
            left.append((here, inner))


def told(path: str, item: Any) -> dict[str, Any]:
    """A group or dataset in plain data: what it is, and those of its attributes that are text or numbers."""
    plain: dict[str, Any] = {"path": path, "attributes": attributes(item)}
    if isinstance(item, h5py.Dataset):
        plain |= {"shape": item.shape, "dtype": item.dtype.str}
    return plain


def attributes(item: Any) -> dict[str, Any]:
    """The attributes that are text, numbers or short lists of them; others are left out."""
    plain = {}
    for name in item.attrs:
        at = h5py.h5a.open(item.id, name.encode() if isinstance(name, str) else name)
        text = h5py.check_string_dtype(at.dtype) is not None
        size = 1
        for length in at.shape:
            size *= length
        if not (text or at.dtype.kind in PLAIN + "S") or size > 1000:
            continue
        value = item.attrs[name]
        value = value.tolist() if hasattr(value, "tolist") else value
        plain[name] = json.loads(json.dumps(value, default=lambda raw: raw.decode("utf-8", "replace")))
    return plain


def values(path: str, item: Any, limits: dict[str, int]) -> Any:
    """The content of a dataset; RefusedError where it stands elsewhere, is of objects, or unpacks to too much."""
    if not isinstance(item, h5py.Dataset):
        raise RefusedError(path, "must be a dataset", "a group")
    properties = item.id.get_create_plist()
    if item.is_virtual:
        raise RefusedError(path, "is a virtual dataset: its values stand in other files")
    if properties.get_external_count():
        raise RefusedError(path, "is stored in another file")
    if item.shape is None or item.dtype.kind not in PLAIN:
        raise RefusedError(path, "must hold numbers", "nothing" if item.shape is None else str(item.dtype))
    foreign = {properties.get_filter(k)[0] for k in range(properties.get_nfilters())} - FILTERS
    if foreign:
        raise RefusedError(path, "is packed by a filter that HDF5 does not bring", f"filter {min(foreign)}")
    size = item.dtype.itemsize
    for length in item.shape:
        size *= length
    stored = item.id.get_storage_size()
    if size > limits["dataset_bytes"]:
        raise RefusedError(path, f"unpacks to more than {limits['dataset_bytes'] >> 20} MiB", f"{size >> 20} MiB")
    if size > limits["free_bytes"] and size > limits["ratio"] * stored:
        reason = f"unpacks to more than {limits['ratio']} times what is stored"
        raise RefusedError(path, reason, f"{size} bytes out of {stored}")
    chunk = item.dtype.itemsize
    for length in item.chunks or ():
        chunk *= length
    if chunk > limits["dataset_bytes"]:
        raise RefusedError(path, f"has chunks of more than {limits['dataset_bytes'] >> 20} MiB", f"{chunk >> 20} MiB")
    limits["total_bytes"] -= size
    if limits["total_bytes"] < 0:
        raise RefusedError(path, "is one dataset too many: together they unpack to more than is allowed")
    try:
        return item[()]
    except MemoryError:
        raise RefusedError(path, "does not fit into the memory that is allowed") from None
    except Exception as error:  # whatever HDF5 finds damaged
        raise RefusedError(path, f"cannot be read: {one_line(error)}") from None


def one_line(error: Exception) -> str:
    """What an error says, short and in one line."""
    return " ".join(f"{error}".split())[:200] or type(error).__name__


if __name__ == "__main__":
    main()
