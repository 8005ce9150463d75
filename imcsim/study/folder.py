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
from imcsim.study.canonical import digest, plain
from imcsim.study.plan import Plan
from imcsim.study.store import is_temporary, write_atomic
from imcsim.version import MODEL_VERSION, __version__

MANIFEST = "manifest.json"
SHARDS = "shards"
ARTIFACTS = "artifacts"

_REMEDY = "give another --out"
_SHOWN = 4


def open_folder(plan: Plan, folder: Path) -> None:
    """Make `folder` the home of `plan`: created where there is none, kept as it is where it is this study's already.

    Raises SpecError, before anything is written, where it holds another study, results of another MODEL_VERSION or
    files that are no study's.
    """
    if folder.exists() and not folder.is_dir():
        raise SpecError.of((), "is not a folder", remedy=_REMEDY, source=str(folder))
    known = (folder / MANIFEST).exists()
    if known:
        _check_same_study(plan, folder)
    else:
        _check_empty(folder)
    # before the manifest: writing it makes these names last, too
    for name in (SHARDS, ARTIFACTS):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if not known:
        _write_manifest(folder, {"format": "imcsim-manifest", "name": plan.name, **_identity(plan), "runs": []})


@contextlib.contextmanager
def recorded(folder: Path) -> Iterator[None]:
    """Note in the manifest that a run started here and, unless it is cut short, when it finished."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    entry = {"started": _now(), "finished": None, **_circumstances()}
    manifest["runs"].append(entry)
    _write_manifest(folder, manifest)
    yield
    entry["finished"] = _now()
    _write_manifest(folder, manifest)


def _check_empty(folder: Path) -> None:
    """Empty apart from what a run leaves that was killed before it wrote its manifest."""
    foreign = sorted(path.name for path in _entries(folder) if path.name not in (SHARDS, ARTIFACTS) or _entries(path))
    if foreign:
        shown = ", ".join(foreign[:_SHOWN]) + (", ..." if len(foreign) > _SHOWN else "")
        raise SpecError.of((), f"holds files but no {MANIFEST} of a study: {shown}", remedy=_REMEDY, source=str(folder))


def _check_same_study(plan: Plan, folder: Path) -> None:
    wanted = _identity(plan)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        known = {key: manifest[key] for key in wanted}
        if not isinstance(known["config"], dict):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        raise SpecError.of((), f"its {MANIFEST} is not one of a study", remedy=_REMEDY, source=str(folder)) from None
    if known == wanted:
        return
    old, new = _described(known), _described(wanted)
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    shown = ", ".join(f"{key}: {old.get(key, 'absent')} -> {new.get(key, 'absent')}" for key in keys[:_SHOWN])
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    raise SpecError.of((), f"holds results of another study ({shown}{more})", remedy=_REMEDY, source=str(folder))


def _identity(plan: Plan) -> dict[str, Any]:
    """What two runs must agree on to share a folder: all but how the results are drawn."""
    config = {key: value for key, value in plan.config.items() if key != "plot"}
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
    return _flat({**rest, **identity["config"]})


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Every value of nested tables as text under its dotted path."""
    flat: dict[str, str] = {}
    for key, value in table.items():
        path = f"{prefix}{key}"
        flat |= _flat(value, f"{path}.") if isinstance(value, dict) else {path: json.dumps(value)}
    return flat


def _write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    write_atomic(folder / MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())


def _circumstances() -> dict[str, Any]:
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
