"""The results of a study, read back from its study.h5."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imcsim.errors import DataError, SpecError
from imcsim.study.axes import Replicates
from imcsim.study.exports import points_csv, to_xarray
from imcsim.study.merge import (
    DIVERGED,
    FAILED,
    FORMAT,
    FORMAT_VERSION,
    MISSING,
    OK,
    REFUSED,
    STOPPED,
    is_intact,
    tuned_name,
)
from imcsim.study.questions import PlotSpec, Searched, SearchSpec, YieldSpec
from imcsim.study.statistics import Interval, mean_interval
from imcsim.study.store import write_atomic
from imcsim.study.summary import Row, Summary

if TYPE_CHECKING:
    import xarray

STUDY_FILE = "study.h5"
REFUSED_WORDS = "the rule could not begin"
MAX_ROWS = 10_000_000
MAX_PLACES = 100_000  # of a series
_REPLICATES = ("training", "die", "read")


@dataclass(frozen=True, eq=False)
class StudyTable:
    """Every point of a study: `columns` (points,) by name, cell by cell, each with training, die, read in C order.

    `axes` are the swept paths, `tuned` those whose value each cell found by itself; `numbers` and `series` name the
    quantities that the study has beside accuracies, series with their dimension: (points, places), the places being
    `places` of that dimension. `attributes` are those of the file: name, toml, chance, config_sha256, dataset_sha256,
    imcsim_version and so on.
    """

    axes: tuple[str, ...]
    tuned: tuple[str, ...]
    numbers: tuple[str, ...]
    series: Mapping[str, str]
    places: Mapping[str, NDArray[Any]]
    columns: Mapping[str, NDArray[Any]]
    attributes: Mapping[str, Any]
    plot: PlotSpec | None
    yields: YieldSpec | None = None
    searched: Searched | None = None

    def summary(self) -> Summary:
        """A row for each cell of the grid: mean accuracies, their 95 % intervals, counts."""
        rows = [self._row(start, shape) for start, shape in _cells(self.columns, own_dies=self._own_dies)]
        for passed, (place, coordinates, reason) in enumerate(json.loads(self.attributes["gaps"])):
            rows.insert(place + passed, self._gap(coordinates, reason))
        name, chance = self.attributes["name"], float(self.attributes["chance"])
        samples = int(self.attributes["test_samples"])
        along = {name: tuple(self.places[dimension].tolist()) for name, dimension in self.series.items()}
        told: dict[str, Any] = {
            "test_samples": samples,
            "along": along,
            "own_dies": self._own_dies,
            "yields": self.yields,
            "target_ci": self.attributes.get("target_ci"),
            "searched": self.searched,
        }
        return Summary(name, self.axes, tuple(rows), chance, self.plot, **told)

    @property
    def _own_dies(self) -> bool:
        return bool(self.attributes["own_dies"])

    def _row(self, start: int, shape: tuple[int, ...]) -> Row:
        """The row of one cell of the grid, whose points (trainings, dies, reads) begin at `start`."""
        points = slice(start, start + math.prod(shape))
        cell = {name: column[points].reshape(*shape, *column.shape[1:]) for name, column in self.columns.items()}
        on_chip = cell["accuracy"].mean(axis=2)
        in_float = _of_weights(_mean_of_known(cell["accuracy_float"], (2,)))
        ok, failed, missing, stopped, diverged, refused = (
            int(np.sum(cell["status"] == status)) for status in (OK, FAILED, MISSING, STOPPED, DIVERGED, REFUSED)
        )
        return Row(
            coordinates=self._coordinates({path: cell[path].flat[0].item() for path in self.axes}),
            accuracy=_of_accuracy(mean_interval(on_chip)),
            accuracy_float=_of_accuracy(mean_interval(in_float)),
            values=cell["accuracy"],
            values_float=in_float,
            ok=ok + stopped + diverged,
            stopped=stopped,
            diverged=diverged,
            numbers={name: float(_mean_of_known(cell[name], (0, 1, 2))) for name in self.numbers},
            # the reads of a die share what came before them
            series={name: _mean_of_known(cell[name], (2,)) for name in self.series},
            extrapolated=int(cell["extrapolated"].sum()),
            tuned={path: _first_known(cell[tuned_name(path)]) for path in self.tuned},
            failed=failed,
            missing=missing,
            refused=refused,
            refusals=(cell["status"] == REFUSED).any(axis=2),
            gap=REFUSED_WORDS if refused and refused == cell["status"].size else "",
        )

    def _gap(self, coordinates: Mapping[str, Any], reason: str) -> Row:
        """The row of a cell that cannot be."""
        nothing = np.full((1, 1, 1), np.nan)
        unknown = mean_interval(nothing[0])
        tuned = dict.fromkeys(self.tuned)
        numbers = dict.fromkeys(self.numbers, math.nan)
        series = {name: np.full((1, 1, len(self.places[along])), np.nan) for name, along in self.series.items()}
        empty: dict[str, Any] = {"gap": reason, "tuned": tuned, "numbers": numbers, "series": series}
        return Row(coordinates, unknown, unknown, nothing, ok=0, failed=0, missing=0, **empty)

    def _coordinates(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values that apply; whole numbers, which stand as floats beside NaN, are whole again."""
        found = {path: value for path, value in values.items() if not _absent(value)}
        return {path: int(value) if path in self._whole else value for path, value in found.items()}

    @cached_property
    def _whole(self) -> frozenset[str]:
        """The axes of floats that are whole numbers and gaps."""
        columns = {path: self.columns[path] for path in self.axes if self.columns[path].dtype.kind == "f"}
        gaps = {path: np.isnan(column) for path, column in columns.items()}
        return frozenset(
            path
            for path, column in columns.items()
            if gaps[path].any() and (column[~gaps[path]] == np.rint(column[~gaps[path]])).all()
        )

    def write_csv(self, path: Path) -> None:
        """Write the summary as comma-separated values."""
        write_atomic(path, self.summary().csv().encode())

    def write_points(self, path: Path) -> None:
        """Write every point as comma-separated values."""
        write_atomic(path, points_csv(self).encode())

    def to_xarray(self) -> xarray.Dataset:
        """The points as an xarray.Dataset: a cube where the grid is a full product, else along one dimension `point`.

        Raises SpecError without the package xarray.
        """
        return to_xarray(self)


def open_study(path: Path | str) -> StudyTable:
    """The results of a study, from its folder or its study.h5.

    Raises SpecError where there is no study, DataError where its study.h5 is damaged.
    """
    return read_table(study_file_of(Path(path)))


def study_file_of(path: Path) -> Path:
    """The study.h5 of a results folder, or `path` itself where it is one; SpecError where there is none."""
    if path.is_file():
        return path
    if not (path / STUDY_FILE).is_file():
        told = "holds no study.h5" if path.is_dir() else "no such folder"
        raise SpecError.of((), told, remedy="give the folder that `imcsim run` wrote", source=str(path))
    return path / STUDY_FILE


def read_table(path: Path) -> StudyTable:
    """Read the study.h5 at `path`; DataError where there is none or it is something else."""
    import h5py

    if not path.is_file():
        raise DataError.of((), "no such file", remedy="run the study first: imcsim run", source=str(path))
    try:
        if not is_intact(path.read_bytes()):
            raise ValueError("it does not end in its own SHA-256: another file, or a damaged one")
        with h5py.File(path) as file:
            attributes = {name: _scalar(value) for name, value in file.attrs.items()}
            found = attributes["format"], attributes["format_version"]
            if found != (FORMAT, FORMAT_VERSION):
                raise ValueError(f"its format is {found[0]} {found[1]}, this imcsim reads {FORMAT} {FORMAT_VERSION}")
            axes = tuple(json.loads(attributes["swept"]))
            tuned = tuple(json.loads(attributes["tuned"]))
            names = (
                *axes,
                *_REPLICATES,
                "accuracy",
                "accuracy_float",
                "status",
                "extrapolated",
                *map(tuned_name, tuned),
            )
            columns = {name: _column(file, name) for name in names}
            quantities = dict(json.loads(attributes["quantities"]))
            numbers = tuple(name for name, along in quantities.items() if not along)
            series = {name: along for name, along in quantities.items() if along}
            columns |= {name: _column(file, name, axes=2 if name in series else 1) for name in quantities}
            places = {along: _column(file, along) for along in series.values()}
        _check(attributes, columns)
        _check_quantities(columns, numbers, {name: places[along] for name, along in series.items()})
        plot = PlotSpec(**json.loads(attributes["plot"])) if attributes["plot"] else None
        yields = YieldSpec(**json.loads(attributes["yield"])) if "yield" in attributes else None
        return StudyTable(
            axes, tuned, numbers, series, places, columns, attributes, plot, yields, _searched(attributes)
        )
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise DataError.of(
            (),
            f"is not a study.h5 of imcsim ({error})",
            remedy="the same `imcsim run` merges it again from the results beside it",
            source=str(path),
        ) from error


def _searched(attributes: Mapping[str, Any]) -> Searched | None:
    """The search that was made, None where none was."""
    if "search" not in attributes:
        return None
    asked, cells, others = json.loads(attributes["search"])
    return Searched(SearchSpec(**asked), int(cells), tuple(others))


def _check(attributes: Mapping[str, Any], columns: Mapping[str, NDArray[Any]]) -> None:
    """Raise ValueError where the content is not that of a study, whatever its hash says."""
    expected = {"name": str, "chance": float, "test_samples": int}
    if wrong := [name for name, kind in expected.items() if not isinstance(attributes[name], kind)]:
        raise ValueError(f"its {' and '.join(wrong)} is wrong")
    points = len(columns["accuracy"])
    for name, kinds in {
        "accuracy": "f",
        "accuracy_float": "f",
        "status": "u",
        "extrapolated": "u",
        **dict.fromkeys(_REPLICATES, "i"),
    }.items():
        if columns[name].dtype.kind not in kinds:
            raise ValueError(f"{name} is of type {columns[name].dtype}")
    if any(len(column) != points for column in columns.values()) or points == 0:
        raise ValueError("its columns differ in length")
    own_dies = bool(attributes["own_dies"])
    for start, (trainings, dies, reads) in _cells(columns, own_dies=own_dies):
        replicates = Replicates(trainings=trainings, dies=dies, reads=reads, own_dies=own_dies)
        found = np.array([columns[name][start : start + trainings * dies * reads] for name in _REPLICATES]).T
        if found.tolist() != [list(place) for place in replicates.places(trainings, replicates.dies)]:
            raise ValueError("its replicates are not those of a study")
    for place, coordinates, reason in json.loads(attributes["gaps"]):
        if not (isinstance(place, int) and isinstance(coordinates, dict) and isinstance(reason, str)):
            raise ValueError("its gaps are none")


def _cells(columns: Mapping[str, NDArray[Any]], *, own_dies: bool) -> Iterator[tuple[int, tuple[int, int, int]]]:
    """Where the points of each cell begin, and how many trainings, dies and reads it has."""
    first = np.all([columns[name] == 0 for name in _REPLICATES], axis=0)
    starts = np.flatnonzero(first).tolist()
    if not first[0]:
        raise ValueError("its replicates are not those of a study")
    for start, end in itertools.pairwise([*starts, len(first)]):
        training, die, read = (int(columns[name][end - 1]) for name in _REPLICATES)  # the last has the highest numbers
        yield start, (training + 1, 1 if own_dies else die + 1, read + 1)


def _check_quantities(
    columns: Mapping[str, NDArray[Any]], numbers: Sequence[str], series: Mapping[str, NDArray[Any]]
) -> None:
    """Raise ValueError where quantities are none; `series` gives the places of each."""
    for name in (*numbers, *series):
        if columns[name].dtype.kind != "f":
            raise ValueError(f"{name} is of type {columns[name].dtype}")
    for name, places in series.items():
        if places.dtype.kind != "i" or columns[name].shape[1] != len(places):
            raise ValueError(f"{name} does not fit its dimension")


def _column(file: Any, name: str, axes: int = 1) -> NDArray[Any]:
    import h5py

    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name} is a link")  # never followed: it could lead to any other file
    dataset = file[name]
    if len(dataset.shape) != axes or dataset.shape[0] > MAX_ROWS or max(dataset.shape[1:], default=0) > MAX_PLACES:
        raise ValueError(f"{name} has the shape {dataset.shape}")
    if dataset.dtype.kind == "O":
        return np.array(dataset.asstr()[()], dtype=np.str_)
    return np.asarray(dataset[()])


def _first_known(values: NDArray[Any]) -> Any:
    """What the points of a cell share, some of which may lack it; None where all do."""
    return next((value for value in values.ravel().tolist() if not _absent(value)), None)


def _absent(value: Any) -> bool:
    """Whether a swept path does not apply to a cell: NaN among numbers, an empty text among texts."""
    return value == "" or (isinstance(value, float) and math.isnan(value))


def _scalar(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _of_accuracy(interval: Interval) -> Interval:
    """The interval cut to 0 ... 1, where an accuracy lies."""
    low, high = (float(np.clip(bound, 0.0, 1.0)) for bound in (interval.low, interval.high))
    return dataclasses.replace(interval, low=low, high=high)


def _of_weights(in_float: NDArray[np.float64]) -> NDArray[np.float64]:
    """Accuracies in float (trainings, dies): (trainings, 1) where all dies were programmed with the same weights."""
    first = np.array([_first_known(row) for row in in_float], dtype=np.float64)[:, np.newaxis]
    return first if (np.isnan(in_float) | (in_float == first)).all() else in_float


def _mean_of_known(values: NDArray[np.float64], axes: tuple[int, ...]) -> NDArray[np.float64]:
    """The mean along `axes` over what is not NaN, NaN where nothing is; the other axes are left."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float64] = np.where(known, values, 0.0).sum(axis=axes) / known.sum(axis=axes)
    return mean
