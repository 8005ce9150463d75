"""The report of a study: one page of HTML that holds all it shows."""

from __future__ import annotations

from pathlib import Path

from imcsim.errors import SpecError
from imcsim.report.page import page
from imcsim.study.store import write_atomic
from imcsim.study.table import study_file_of

__all__ = ["write_report"]


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Write the report of the study in `folder` to `out`, by default report.html beside its results; the path.

    Raises SpecError where `folder` holds no study or there is no folder for `out`, DataError where study.h5 is damaged.
    """
    study_file_of(folder)
    path = folder / "report.html" if out is None else out
    if not path.parent.is_dir():
        raise SpecError.of("--out", "must be a file in a folder that is there", str(path), "make the folder first")
    if path.is_dir():
        raise SpecError.of("--out", "must be a file, not a folder", str(path), "add a name: report.html")
    write_atomic(path, page(folder).encode())
    return path
