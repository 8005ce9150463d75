"""The report of a study: one page of HTML that holds all it shows."""

from __future__ import annotations

from pathlib import Path

from imcsim.errors import SpecError
from imcsim.report.page import page
from imcsim.study.store import write_atomic
from imcsim.study.table import study_file_of

__all__ = ["write_report"]

KINDS = (".html", ".htm")


def write_report(folder: Path, out: Path | None = None) -> Path:
    """Write the report of the study in `folder` to `out`, by default report.html beside its results; the path.

    `folder` may be the path of a study.h5, too. Raises SpecError where it holds no study or `out` cannot be a page,
    DataError where study.h5 is damaged.
    """
    results = study_file_of(folder)
    path = results.parent / "report.html" if out is None else out
    if path.is_dir():
        raise SpecError.of("--out", "must be a file, not a folder", str(path), "add a name: report.html")
    if path.suffix not in KINDS:  # above all not study.h5, which would be lost
        raise SpecError.of("--out", f"must end in {' or '.join(KINDS)}", str(path))
    if not path.parent.is_dir():
        raise SpecError.of("--out", "must be a file in a folder that is there", str(path), "make the folder first")
    write_atomic(path, page(results).encode())
    return path
