"""study.h5: the results of a study in one file, the same to the bit whenever plan and results are the same.

A file of netCDF-4's dimension scales, which xarray opens as it is: one `point` dimension in the root group, the same
numbers as a cube in the group `cube`. No times, hosts or paths, no compression, whose output varies with the library.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imcsim.study.canonical import canonical_json, digest
from imcsim.study.plan import Plan
from imcsim.version import MODEL_VERSION, __version__

if TYPE_CHECKING:
    import h5py

FORMAT = "imcsim-study"
FORMAT_VERSION = 1
MISSING, OK, FAILED = 0, 1, 2

_REPLICATES = {"training": "training replicate", "die": "die replicate", "read": "read replicate"}
_RESULTS: dict[str, dict[str, Any]] = {
    "accuracy": {"long_name": "accuracy on the chip", "units": "1"},
    "accuracy_float": {"long_name": "accuracy of the same weights in float64", "units": "1"},
    "status": {
        "long_name": "what became of the point",
        "units": "1",
        "flag_values": np.array([MISSING, OK, FAILED], dtype=np.uint8),
        "flag_meanings": "missing ok failed",
    },
}


def study_file(plan: Plan, results: Mapping[str, Mapping[str, float]], failed: Collection[str]) -> bytes:
    """The bytes of study.h5: `results` by point id, `failed` the ids of the points that raised an error."""
    import h5py

    columns = _columns(plan, results, failed)
    # in memory, so that the caller can compare before it replaces a file
    with h5py.File("study.h5", "w", driver="core", backing_store=False, libver="earliest") as file:
        file.attrs.update(_attributes(plan))
        _write_points(file, plan, columns)
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


def _columns(
    plan: Plan, results: Mapping[str, Mapping[str, float]], failed: Collection[str]
) -> dict[str, NDArray[Any]]:
    """Accuracy, float accuracy and status of every point, each (points,)."""
    ids = [point.id for point in plan.points]
    columns: dict[str, NDArray[Any]] = {
        name: np.array([results[id_][name] if id_ in results else np.nan for id_ in ids], dtype=np.float64)
        for name in ("accuracy", "accuracy_float")
    }
    status = [OK if id_ in results else FAILED if id_ in failed else MISSING for id_ in ids]
    return columns | {"status": np.array(status, dtype=np.uint8)}


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
        "swept": json.dumps([axis.path for axis in plan.axes]),
        "plot": "" if plan.plot is None else canonical_json(vars(plan.plot)),
    }


def _write_points(group: h5py.Group, plan: Plan, columns: Mapping[str, NDArray[Any]]) -> None:
    """The root group: every variable along `point`, each with all coordinates in CF's attribute."""
    coordinates = _coordinates(plan)
    scale = _write(group, "point", np.arange(len(plan.points), dtype=np.int64), {"long_name": "point, in C order"})
    scale.make_scale("point")
    everywhere = np.indices(plan.shape)
    for (name, (values, attributes)), place in zip(coordinates.items(), everywhere, strict=True):
        _write(group, name, values[place.ravel()], attributes).dims[0].attach_scale(scale)
    for name, values in columns.items():
        attributes = {**_RESULTS[name], "coordinates": " ".join(coordinates)}
        _write(group, name, values, attributes).dims[0].attach_scale(scale)


def _write_cube(group: h5py.Group, plan: Plan, columns: Mapping[str, NDArray[Any]]) -> None:
    """The group `cube`: the same numbers with a named dimension for each axis, training, die and read."""
    scales = []
    for name, (values, attributes) in _coordinates(plan).items():
        scales.append(_write(group, name, values, attributes))
        scales[-1].make_scale(name)
    for name, values in columns.items():
        variable = _write(group, name, values.reshape(plan.shape), _RESULTS[name])
        for dimension, scale in zip(variable.dims, scales, strict=True):
            dimension.attach_scale(scale)


def _coordinates(plan: Plan) -> dict[str, tuple[NDArray[Any], dict[str, Any]]]:
    """Values and attributes of each dimension of the cube, in order."""
    swept = {axis.path: (axis.coordinates(), {"long_name": axis.path}) for axis in plan.axes}
    counts = zip(_REPLICATES.items(), plan.shape[-3:], strict=True)
    replicates = {
        name: (np.arange(count, dtype=np.int32), {"long_name": long_name, "units": "1"})
        for (name, long_name), count in counts
    }
    return {**swept, **replicates}


def _write(group: h5py.Group, name: str, values: NDArray[Any], attributes: Mapping[str, Any]) -> h5py.Dataset:
    import h5py

    text = values.dtype.kind == "U"
    dataset = group.create_dataset(
        name, data=values.astype(object) if text else values, dtype=h5py.string_dtype() if text else None
    )
    dataset.attrs.update(attributes)
    return dataset
