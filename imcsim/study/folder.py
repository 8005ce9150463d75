"""The folder of a study: whose it is, and the record of what ran in it, when and on what."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from imcsim.errors import SpecError
from imcsim.study.canonical import digest, flat, plain
from imcsim.study.lock import LOCK
from imcsim.study.plan import Plan
from imcsim.study.store import ARTIFACTS, SHARDS, is_temporary, read_shards, remove_temporary, write_atomic
from imcsim.version import MODEL_VERSION, __version__

MANIFEST = "manifest.json"

_REMEDY = "give another --out"
_SHOWN = 4


def check_folder(plan: Plan, folder: Path) -> None:
    """Raise SpecError where `folder` cannot be the home of `plan`.

    It cannot where it holds another study, results of another MODEL_VERSION or files that are no study's. A study that
    grew (more replicates, a larger grid) is no other as long as every result that is there is one of its points.
    """
    if folder.exists() and not folder.is_dir():
        raise SpecError.of((), "is not a folder", remedy=_REMEDY, source=str(folder))
    if (folder / MANIFEST).exists():
        _check_same_study(plan, folder)
    elif not _is_of(plan, folder):
        _check_empty(folder)


def open_folder(plan: Plan, folder: Path) -> None:
    """Make `folder`, checked and locked, the home of `plan`; what killed runs left half-written is removed."""
    # before the manifest: writing it makes these names last, too
    for name in (SHARDS, ARTIFACTS):
        (folder / name).mkdir(parents=True, exist_ok=True)
        remove_temporary(folder / name)
    remove_temporary(folder)
    manifest: dict[str, Any] = {"format": "imcsim-manifest", "name": plan.name, "runs": []}
    with contextlib.suppress(SpecError):  # a damaged one is written anew: the results say whose they are
        manifest = read_manifest(folder)
    current = {**manifest, **_identity(plan), "points": _extent(plan)}
    if current != manifest:
        _write_manifest(folder, current)


def note_extent(plan: Plan, folder: Path) -> None:
    """Note in the manifest how many points the study has by now."""
    _write_manifest(folder, {**read_manifest(folder), "points": _extent(plan)})


def _extent(plan: Plan) -> int:
    return len({point.id for point in plan.points})


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a study's folder; SpecError where it is none."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if not isinstance(manifest["config"], dict) or not isinstance(manifest["runs"], list):
            raise TypeError
    except FileNotFoundError:
        raise SpecError.of((), f"holds no {MANIFEST} of a study", source=str(folder)) from None
    except (ValueError, KeyError, TypeError):
        raise SpecError.of((), f"its {MANIFEST} is not one of a study", remedy=_REMEDY, source=str(folder)) from None
    return manifest


@contextlib.contextmanager
def recorded(folder: Path, workers: Mapping[str, Any]) -> Iterator[None]:
    """Note in the manifest that a run started here and, unless it is cut short, when it finished.

    `workers` says what there is to tell of them where they are not processes of this machine.
    """
    manifest = read_manifest(folder)
    entry = {"started": _now(), "finished": None, **circumstances(), **workers}
    manifest["runs"].append(entry)
    _write_manifest(folder, manifest)
    yield
    manifest = read_manifest(folder)  # which may have grown
    manifest["runs"][-1]["finished"] = _now()
    _write_manifest(folder, manifest)


def _check_empty(folder: Path) -> None:
    """Empty apart from what a run leaves that was killed before it wrote its manifest."""
    foreign = sorted(
        path.name for path in _entries(folder) if path.name not in (SHARDS, ARTIFACTS, LOCK) or _entries(path)
    )
    if foreign:
        shown = ", ".join(foreign[:_SHOWN]) + (", ..." if len(foreign) > _SHOWN else "")
        raise SpecError.of((), f"holds files but no {MANIFEST} of a study: {shown}", remedy=_REMEDY, source=str(folder))


def _check_same_study(plan: Plan, folder: Path) -> None:
    wanted = _identity(plan)
    try:
        manifest = read_manifest(folder)
    except SpecError:
        if _is_of(plan, folder):
            return
        raise
    known: dict[str, Any] = {key: manifest.get(key) for key in wanted}
    if known == wanted:
        return
    if isinstance(known["model_version"], int) and known["model_version"] > MODEL_VERSION:
        told = f"holds results of a newer imcsim (model version {known['model_version']}, this is {MODEL_VERSION})"
        raise SpecError.of((), told, remedy="update imcsim, or give another --out", source=str(folder))
    grows = _without_extent(known) == _without_extent(wanted)
    if grows and _results(folder).keys() <= plan.possible_ids:
        return
    old, new = _described(known), _described(wanted)
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    shown = ", ".join(f"{key}: {old.get(key, 'absent')} -> {new.get(key, 'absent')}" for key in keys[:_SHOWN])
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    told, remedy = "holds results of another study", _REMEDY
    if grows:
        told = "holds results of points that this study does not have"
        remedy = "a study only grows in its folder: keep what it had, or give another --out"
    raise SpecError.of((), f"{told} ({shown}{more})", remedy=remedy, source=str(folder))


def _without_extent(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The identity without what may grow: replicates, variants, ladders, grid, and what is searched."""
    extent = ("replicates", "variants", "ladders", "grid", "search")
    config = {key: value for key, value in identity["config"].items() if key not in extent}
    return {"model_version": identity["model_version"], "dataset_sha256": identity["dataset_sha256"], "config": config}


def _is_of(plan: Plan, folder: Path) -> bool:
    """Whether `folder` has results, and all of them are of points of the study, which nobody finds by chance."""
    return bool(found := _results(folder).keys()) and found <= plan.possible_ids


def _results(folder: Path) -> Mapping[str, Any]:
    return read_shards(folder / SHARDS).results


def _identity(plan: Plan) -> dict[str, Any]:
    """What two runs must agree on to share a folder: all but how the results are drawn and which dies are good."""
    config = {key: value for key, value in plan.config.items() if key not in ("plot", "yield")}
    return {
        "model_version": MODEL_VERSION,
        "dataset_sha256": plan.dataset_sha256,
        "config_sha256": digest(config),
        "config": plain(config),
    }


def _entries(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not is_temporary(path)] if folder.is_dir() else []


def _described(identity: Mapping[str, Any]) -> dict[str, str]:
    """Every single thing that two studies can differ in, as text under its path."""
    rest = {key: value for key, value in identity.items() if not key.startswith("config")}
    return flat({**identity["config"], **rest})


def _write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    write_atomic(folder / MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())


def circumstances() -> dict[str, Any]:
    """This machine and the versions on it."""
    versions = {name: metadata.version(name) for name in ("numpy", "numba", "scipy", "h5py")}
    return {
        "host": platform.node(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "versions": {"python": platform.python_version(), **versions, "imcsim": __version__},
    }


def _cpu() -> str:
    """The processor's name; on Linux, platform.processor() does not tell it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
