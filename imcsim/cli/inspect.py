"""The command that tells what a file of measurements holds."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imcsim.cli.codes import DONE

if TYPE_CHECKING:
    from imcsim.measurements import Group, Measurements
    from imcsim.measurements.guard import Stored

_NAMES = {"device": "devices", "die": "dies", "chip": "chips"}  # fields that name what was measured


def inspect(options: argparse.Namespace) -> int:
    from imcsim.measurements import read, read_mapped
    from imcsim.measurements.files import is_measurement
    from imcsim.measurements.guard import contents

    if options.map is None:
        held = contents(options.file)
        if not is_measurement(held[""].attributes):
            found = _tree(held)
            print(json.dumps(found, indent=1) if options.json else _told_tree(options.file, found))
            return DONE
    data = read(options.file) if options.map is None else read_mapped(options.file, options.map)
    found = _plain(data)
    print(json.dumps(found, indent=1) if options.json else _told(options.file, found))
    return DONE


def _plain(data: Measurements) -> dict[str, Any]:
    """What is told of measurements: the groups by name, sample and instrument, the file's hash."""
    groups = {name: _group(group) for name, group in data.groups.items()}
    about = {"sample": dict(data.sample), "instrument": dict(data.instrument)}
    return {"layout": "imcsim-measurement", "sha256": data.sha256, **about, "groups": groups}


def _group(group: Group) -> dict[str, Any]:
    import numpy as np

    fields: dict[str, Any] = {}
    axes: dict[str, int] = {}
    for name, quantity in group.quantities().items():
        values = group.present.get(name)
        if values is None:
            continue
        missing = int(np.isnan(values).sum())
        bounds = (np.nanmin(values).item(), np.nanmax(values).item())
        axes |= dict(zip(quantity.axes, values.shape, strict=True))
        fields[name] = {
            "axes": list(quantity.axes),
            "shape": list(values.shape),
            "unit": group.unit_of(name),
            "min": bounds[0],
            "max": bounds[1],
            "missing": missing,
            "values": values.size,
        }
    counted = {plural: len(np.unique(group.present[name])) for name, plural in _NAMES.items() if name in group.present}
    return {"title": group.title, "axes": axes, "distinct": counted, "fields": fields, "fits": _fits(group)}


def _fits(group: Group) -> list[str]:
    """The estimators that the group has what it takes for."""
    from imcsim.fit import estimators

    return [name for name, one in estimators().items() if one.group is type(group) and one.fits(group)]


def _told(file: Path, found: Mapping[str, Any]) -> str:
    lines = [f"{file}: measurements, {', '.join(found['groups'])}"]
    for name in ("sample", "instrument"):
        told = ", ".join(f"{key} {value}" for key, value in found[name].items())
        lines.append(f"{name:10}  {told or 'not told'}")
    for name, group in found["groups"].items():
        axes = ", ".join(f"{length} {axis}" for axis, length in group["axes"].items())
        lines += ["", f"{name}: {group['title']}", f"  {axes or 'one number each'}"]
        counted = [f"{count} {plural}" for plural, count in group["distinct"].items() if plural not in group["axes"]]
        lines += [f"  of {', '.join(counted)}"] if counted else []
        width = max(map(len, group["fields"]))
        lines += [f"  {field:{width}}  {_told_field(about)}" for field, about in group["fields"].items()]
        lines.append(f"  could be fitted: {', '.join(group['fits']) or 'nothing'}")
    return "\n".join(lines)


def _told_field(field: Mapping[str, Any]) -> str:
    shape = f"({', '.join(map(str, field['shape']))})" if field["shape"] else "one number"
    unit = f" {field['unit']}" if field["unit"] not in ("", "1") else ""
    low, high = (str(one) if isinstance(one, int) else f"{one:.4g}" for one in (field["min"], field["max"]))
    told = f"{shape:18} {low}{unit}" if low == high else f"{shape:18} {low} ... {high}{unit}"
    share = 100 * field["missing"] / field["values"]
    return f"{told}, {share:.2g} % missing" if field["missing"] else told


def _tree(held: Mapping[str, Stored]) -> dict[str, Any]:
    """What is told of a file of another layout: the attributes of its root, and its datasets."""
    datasets = [
        {"path": one.path, "shape": list(one.shape), "dtype": one.dtype, "units": one.units}
        for one in sorted(held.values(), key=lambda one: one.path)
        if one.is_dataset
    ]
    return {"layout": "other", "attributes": dict(held[""].attributes), "datasets": datasets}


def _told_tree(file: Path, found: Mapping[str, Any]) -> str:
    datasets = found["datasets"]
    lines = [f"{file}: HDF5 of another layout, {len(datasets)} datasets"]
    lines += [f"  {name}: {value}" for name, value in found["attributes"].items()]
    rows = [
        (one["path"], f"({', '.join(map(str, one['shape']))})", one["dtype"].lstrip("<|>"), one["units"] or "no units")
        for one in datasets
    ]
    widths = [max(len(row[k]) for row in rows) for k in range(3)] if rows else []
    lines += ["", *("  ".join(f"{row[k]:{widths[k]}}" for k in range(3)) + f"  {row[3]}" for row in rows), ""]
    hint = (
        "a mapping says which of them are measurements, --map MAP.toml: docs/measurements.md, examples in docs/mappings"
    )
    return "\n".join([*lines, hint])
