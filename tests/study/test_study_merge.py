"""study.h5 opens in xarray with names on everything, and is the same to the bit for the same results."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import h5py
import numpy as np
import pytest
import xarray as xr

from imcsim.study.axes import Axis
from imcsim.study.merge import study_file
from imcsim.version import MODEL_VERSION, __version__

SHAPE = (2, 3, 2, 3, 2)
DIMENSIONS = ("chip.adc.bits", "chip.adc", "training", "die", "read")
LABELS = ["ideal", "uniform bits=6", "sar"]
CANONICAL_CONFIG = (  # of the small study, by hand
    b'{"grid":{"chip.adc":["ideal",{"bits":6,"kind":"uniform"},"sar"],"chip.adc.bits":[4,6]},"name":"small","seed":1}'
)


@pytest.fixture
def results(make_plan, accuracy_at):
    plan = make_plan()
    return {
        point.id: {"accuracy": accuracy_at(plan.cells[point.cell].config["at"], *point[2:]), "accuracy_float": 0.9}
        for point in plan.points
    }


@pytest.fixture
def path(make_plan, results, tmp_path):
    (tmp_path / "study.h5").write_bytes(study_file(make_plan(), results, failed=()))
    return tmp_path / "study.h5"


def test_the_root_group_has_one_point_dimension_and_a_coordinate_for_each_path(path, accuracy_at):
    with xr.open_dataset(path, engine="h5netcdf") as data:
        assert dict(data.sizes) == {"point": 72}
        assert set(data.data_vars) == {"accuracy", "accuracy_float", "status", "extrapolated"}
        assert set(data.coords) == {"point", *DIMENSIONS}
        everywhere = dict(zip(DIMENSIONS, np.indices(SHAPE).reshape(len(SHAPE), -1), strict=True))
        for name in ("training", "die", "read"):
            assert data[name].dtype == np.int32
            np.testing.assert_array_equal(data[name], everywhere[name])
        np.testing.assert_array_equal(data["chip.adc.bits"], np.array([4, 6])[everywhere["chip.adc.bits"]])
        assert data["chip.adc"].values.tolist() == [LABELS[i] for i in everywhere["chip.adc"]]
        expected = [accuracy_at(index[:2], *index[2:]) for index in np.ndindex(SHAPE)]
        np.testing.assert_array_equal(data["accuracy"], expected)


def test_the_cube_has_a_named_dimension_for_each_path_and_replicate(path, accuracy_at):
    with xr.open_dataset(path, group="cube", engine="h5netcdf") as cube:
        assert cube["accuracy"].dims == cube["accuracy_float"].dims == cube["status"].dims == DIMENSIONS
        assert cube["accuracy"].shape == SHAPE
        assert cube["chip.adc"].values.tolist() == LABELS
        chosen = cube["accuracy"].sel({"chip.adc.bits": 6, "chip.adc": "uniform bits=6", "die": 2, "training": 1})
        np.testing.assert_array_equal(chosen, [accuracy_at((1, 1), 1, 2, read) for read in range(2)])
        assert cube["status"].dtype == np.uint8


def test_every_variable_has_a_long_name_and_every_result_a_unit(path):
    with h5py.File(path) as file:
        for group in (file, file["cube"]):
            for name, item in group.items():
                if isinstance(item, h5py.Dataset):
                    assert item.attrs["long_name"]
                    assert item.attrs.get("units") == "1" or name in ("point", "chip.adc", "chip.adc.bits")


def test_the_attributes_say_what_the_study_is(make_plan, path):
    with xr.open_dataset(path, engine="h5netcdf") as data:
        plan = make_plan()
        assert data.attrs["toml"] == plan.toml
        assert data.attrs["config_sha256"] == hashlib.sha256(CANONICAL_CONFIG).hexdigest()
        assert (data.attrs["name"], data.attrs["chance"]) == ("small", 0.1)
        assert (data.attrs["imcsim_version"], data.attrs["model_version"]) == (__version__, MODEL_VERSION)
        assert data.attrs["dataset_sha256"] == "d" * 64


def test_missing_and_failed_points_are_marked_and_hold_no_number(make_plan, results, tmp_path):
    plan = make_plan()
    missing, failed = plan.points[3].id, plan.points[7].id
    del results[missing], results[failed]
    (tmp_path / "study.h5").write_bytes(study_file(plan, results, failed={failed}))
    with h5py.File(tmp_path / "study.h5") as file:
        assert [int(file["status"][i]) for i in (2, 3, 7)] == [1, 0, 2]
        assert np.flatnonzero(np.isnan(file["accuracy"][()])).tolist() == [3, 7]
        assert np.flatnonzero(np.isnan(file["accuracy_float"][()])).tolist() == [3, 7]


def test_float_axes_stay_numbers(make_plan, tmp_path):
    plan = make_plan(axes=(Axis("chip.cell.mismatch_sigma_rel", (0, 0.05)),), plot=None)
    (tmp_path / "study.h5").write_bytes(study_file(plan, {}, failed=()))
    with xr.open_dataset(tmp_path / "study.h5", group="cube", engine="h5netcdf") as cube:
        assert cube["chip.cell.mismatch_sigma_rel"].dtype == np.float64
        assert cube["chip.cell.mismatch_sigma_rel"].values.tolist() == [0.0, 0.05]


def test_the_oldest_superblock_is_kept_for_old_readers(path):
    signature, superblock = path.read_bytes()[:8], path.read_bytes()[8]
    assert (signature, superblock) == (b"\x89HDF\r\n\x1a\n", 0)


IN_A_PROCESS_OF_ITS_OWN = """
import hashlib, numpy as np
from imcsim.study.merge import study_file
from imcsim.study.axes import Axis, Cell, Replicates
from imcsim.study.plan import Plan
axes = (Axis("chip.adc", ("ideal", "sar")),)
cells = tuple(Cell.of({"chip.adc": value}, {"at": value}) for value in axes[0].values)
plan = Plan(name="n", config={"b": 1, "a": [2]}, toml="", axes=axes, cells=cells, replicates=Replicates(dies=3),
            dataset_sha256="", chance=0.1, test_samples=400, plot=None)
results = {p.id: {"accuracy": 0.1 * p.die, "accuracy_float": 0.5} for p in plan.points}
print(hashlib.sha256(study_file(plan, results, failed=())).hexdigest())
"""


def test_the_bytes_do_not_depend_on_the_process():
    shas = [
        subprocess.run(
            [sys.executable, "-c", IN_A_PROCESS_OF_ITS_OWN],
            env={"PYTHONHASHSEED": seed, "MALLOC_PERTURB_": seed},  # another order of sets, other garbage in memory
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "77")
    ]
    assert shas[0] == shas[1]
    assert len(shas[0].strip()) == 64


def test_points_beyond_a_device_model_are_a_column(make_plan, results, tmp_path):
    plan = make_plan()
    marked = {point.id for point in plan.points if point.die == 1}
    told = {id_: {**values, "extrapolated": True} if id_ in marked else values for id_, values in results.items()}
    (tmp_path / "study.h5").write_bytes(study_file(plan, told, ()))
    with h5py.File(tmp_path / "study.h5") as file:
        np.testing.assert_array_equal(file["extrapolated"][()], [point.die == 1 for point in plan.points])
        assert file["cube/extrapolated"][()].sum() == len(marked)
