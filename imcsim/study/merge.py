"""study.h5: the results of a study in one file, the same to the bit whenever plan and results are the same.

A file of netCDF-4's dimension scales, which xarray opens as it is: one `point` dimension in the root group and, where
the grid is a full product, the same numbers as a cube in the group `cube`. No times, hosts or paths, no compression,
whose output varies with the library.
"""

from __future__ import annotations

import bisect
import hashlib
import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imcsim.specs.codec import to_table
from imcsim.study.axes import Gap, column
from imcsim.study.canonical import canonical_json, digest
from imcsim.study.plan import Plan
from imcsim.study.quantities import Dimension, column_of, dimensions, plain_quantities
from imcsim.study.questions import SearchSpec, searched_apart
from imcsim.study.store import Values
from imcsim.version import MODEL_VERSION, __version__

if TYPE_CHECKING:
    import h5py

FORMAT = "imcsim-study"
FORMAT_VERSION = 5
MISSING, OK, FAILED, STOPPED, DIVERGED, REFUSED = 0, 1, 2, 3, 4, 5

_REPLICATES = {"training": "training replicate", "die": "die replicate", "read": "read replicate"}
_RESULTS: dict[str, dict[str, Any]] = {
    "accuracy": {"long_name": "accuracy on the chip", "units": "1"},
    "accuracy_float": {"long_name": "accuracy of the same weights in float64", "units": "1"},
    "status": {
        "long_name": "what became of the point",
        "units": "1",
        "flag_values": np.array([MISSING, OK, FAILED, STOPPED, DIVERGED, REFUSED], dtype=np.uint8),
        "flag_meanings": "missing ok failed stopped_early diverged could_not_begin",
    },
    "extrapolated": {
        "long_name": "beyond the states or times that the device model was measured for",
        "units": "1",
        "flag_values": np.array([0, 1], dtype=np.uint8),
        "flag_meanings": "no yes",
    },
}


def study_file(plan: Plan, results: Mapping[str, Values], failed: Collection[str]) -> bytes:
    """The bytes of study.h5: `results` by point id, `failed` the ids of the points that raised an error."""
    import h5py

    columns = _columns(plan, results, failed)
    # in memory, so that the caller can compare before it replaces a file
    with h5py.File("study.h5", "w", driver="core", backing_store=False, libver="earliest") as file:
        file.attrs.update(_attributes(plan))
        _write_points(file, plan, columns)
        if plan.is_product:
            _write_cube(file.create_group("cube"), plan, columns)
        file.flush()
        image: bytes = file.id.get_file_image()
    return image + _seal(image)


def is_intact(data: bytes) -> bool:
    """Whether `data` is what study_file gave, to the byte."""
    image, seal = data[:-SEAL_BYTES], data[-SEAL_BYTES:]
    return seal == _seal(image)


def _seal(image: bytes) -> bytes:
    """What follows the HDF5 image, where HDF5 does not look: its SHA-256, since damaged HDF5 can hang its readers."""
    return f"\nimcsim sha256 {hashlib.sha256(image).hexdigest()}\n".encode()


SEAL_BYTES = len(_seal(b""))


def _columns(plan: Plan, results: Mapping[str, Values], failed: Collection[str]) -> dict[str, NDArray[Any]]:
    """What every point has beside its coordinates, each (points,), or (points, places of a dimension)."""
    found = [results.get(point.id) for point in plan.points]
    columns: dict[str, NDArray[Any]] = {
        # None, too, is no number: NaN
        name: np.array([None if values is None else values[name] for values in found], dtype=np.float64)
        for name in ("accuracy", "accuracy_float")
    }
    status = [
        _status(values) if values is not None else FAILED if point.id in failed else MISSING
        for point, values in zip(plan.points, found, strict=True)
    ]
    columns["status"] = np.array(status, dtype=np.uint8)
    columns["extrapolated"] = np.array(
        [bool(values and values.get("extrapolated")) for values in found], dtype=np.uint8
    )
    for path in plan.tuned:
        chosen = [None if values is None else values["tuned"].get(path) for values in found]
        columns[tuned_name(path)] = column(chosen)
    return columns | {quantity.name: column_of(quantity, found) for quantity in plan.quantities}


def _status(values: Values) -> int:
    """What became of a point that has values."""
    if values.get("refused"):
        return REFUSED
    return DIVERGED if values.get("diverged_at") is not None else STOPPED if values.get("stopped") else OK


def tuned_name(path: str) -> str:
    """The column of the values that tuning found for `path`."""
    return f"tuned {path}"


def _attributes(plan: Plan) -> dict[str, Any]:
    return {
        "Conventions": "CF-1.8",
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": plan.name,
        "toml": plan.toml,
        "config_sha256": digest(plan.config),
        "dataset_sha256": plan.dataset_sha256,
        "imcsim_version": __version__,
        "model_version": MODEL_VERSION,
        "chance": plan.chance,
        "test_samples": plan.test_samples,
        "swept": json.dumps([axis.path for axis in plan.axes]),
        "own_dies": int(plan.replicates.own_dies),
        "gaps": json.dumps([[_row_of(plan, gap), dict(gap.coordinates), gap.reason] for gap in plan.gaps]),
        "tuned": json.dumps(plan.tuned),
        "quantities": json.dumps(plain_quantities(plan.quantities)),
        "plot": "" if plan.plot is None else canonical_json({"series": None, **to_table(plan.plot)}),
        **({"question": plan.question} if plan.question else {}),
        **({} if plan.yields is None else {"yield": canonical_json(to_table(plan.yields))}),
        **({} if plan.replicates.target_ci is None else {"target_ci": plan.replicates.target_ci}),
        **({} if plan.search is None else {"search": _search(plan, plan.search)}),
    }


def _row_of(plan: Plan, gap: Gap) -> int:
    """Before which of the cells that are asked for a gap stands."""
    return gap.place if plan.asked is None else bisect.bisect_left(plan.asked, gap.place)


def _search(plan: Plan, search: SearchSpec) -> str:
    cells = sum(search.along in cell.coordinates for cell in plan.cells)
    return canonical_json([to_table(search), cells, list(searched_apart(search, plan.cells))])


def _write_points(group: h5py.Group, plan: Plan, columns: Mapping[str, NDArray[Any]]) -> None:
    """The root group: every variable along `point`, series along a second dimension, each with CF's coordinates."""
    scale = _write(group, "point", np.arange(len(plan.points), dtype=np.int64), {"long_name": "point, in study order"})
    scale.make_scale("point")
    cells = np.array([point.cell for point in plan.points])
    coordinates: dict[str, tuple[NDArray[Any], dict[str, Any]]] = {}
    for axis in plan.axes:
        values = column([cell.coordinates.get(axis.path) for cell in plan.cells])
        coordinates[axis.path] = values[cells], {"long_name": axis.path}
    for name, long_name in _REPLICATES.items():
        numbers = np.array([getattr(point, name) for point in plan.points], dtype=np.int32)
        coordinates[name] = numbers, {"long_name": long_name, "units": "1"}
    for name, (values, attributes) in coordinates.items():
        _write(group, name, values, attributes).dims[0].attach_scale(scale)
    series = _write_dimensions(group, plan)
    for name, values in columns.items():
        attributes = {**_described(name, plan), "coordinates": " ".join(coordinates)}
        variable = _write(group, name, values, attributes)
        for dimension, one in zip(variable.dims, [scale, *series.get(name, [])], strict=True):
            dimension.attach_scale(one)


def _write_dimensions(group: h5py.Group, plan: Plan) -> dict[str, list[h5py.Dataset]]:
    """The scales of what series run along; for every series its own, in a list."""
    scales: dict[Dimension, h5py.Dataset] = {}
    for dimension in dimensions(plan.quantities):
        places = np.array(dimension.places, dtype=np.int32)
        scales[dimension] = _write(group, dimension.name, places, {"long_name": dimension.long_name, "units": "1"})
        scales[dimension].make_scale(dimension.name)
    return {one.name: [scales[one.along]] for one in plan.quantities if one.along is not None}


def _write_cube(group: h5py.Group, plan: Plan, columns: Mapping[str, NDArray[Any]]) -> None:
    """The group `cube`: the same numbers with a named dimension for each axis, training, die and read."""
    count = plan.replicates
    sides = {axis.path: (axis.coordinates(), {"long_name": axis.path}) for axis in plan.axes}
    for (name, long_name), n in zip(_REPLICATES.items(), (count.trainings, count.dies, count.reads), strict=True):
        sides[name] = np.arange(n, dtype=np.int32), {"long_name": long_name, "units": "1"}
    scales = []
    for name, (values, attributes) in sides.items():
        scales.append(_write(group, name, values, attributes))
        scales[-1].make_scale(name)
    shape = tuple(len(values) for values, _ in sides.values())
    series = _write_dimensions(group, plan)
    for name, values in columns.items():
        variable = _write(group, name, values.reshape(*shape, *values.shape[1:]), _described(name, plan))
        for dimension, scale in zip(variable.dims, [*scales, *series.get(name, [])], strict=True):
            dimension.attach_scale(scale)


def _described(name: str, plan: Plan) -> dict[str, Any]:
    quantities = {one.name: {"long_name": one.long_name, "units": one.units} for one in plan.quantities}
    return {**_RESULTS, **quantities}.get(name, {"long_name": name})


def _write(group: h5py.Group, name: str, values: NDArray[Any], attributes: Mapping[str, Any]) -> h5py.Dataset:
    import h5py

    text = values.dtype.kind == "U"
    dataset = group.create_dataset(
        name, data=values.astype(object) if text else values, dtype=h5py.string_dtype() if text else None
    )
    dataset.attrs.update(attributes)
    return dataset
