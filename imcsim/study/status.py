"""How a study's folder stands: what is finished, what failed and why, who is at work in it. Nothing is changed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imcsim.errors import SpecError
from imcsim.study.folder import read_manifest
from imcsim.study.lock import holder
from imcsim.study.store import ARTIFACTS, SHARDS, read_shards


@dataclass(frozen=True)
class Status:
    """The state of a folder: points counted by their different ids; `errors` with how many points each; sizes in bytes.

    `running` is who holds the lock; `last_run` the manifest's entry of the last run that began.
    """

    name: str
    points: int
    finished: int
    stopped: int
    diverged: int
    failed: int
    missing: int
    errors: Mapping[str, int]
    damaged: tuple[str, ...]
    running: Mapping[str, Any] | None
    last_run: Mapping[str, Any] | None
    shards: int
    artifacts: int
    bytes: int


def status(folder: Path) -> Status:
    """How the study in `folder` stands; SpecError where there is none."""
    if not folder.is_dir():
        raise SpecError.of((), "no such folder", source=str(folder))
    manifest = read_manifest(folder)
    if not isinstance(manifest.get("points"), int):
        remedy = "run the study again: it takes up what is there"
        raise SpecError.of((), "was written by an earlier imcsim", remedy=remedy, source=str(folder))
    running = holder(folder)
    shards = read_shards(folder / SHARDS)
    errors = _errors(folder / "failures.jsonl", known=shards.results)
    finished = min(len(shards.results), manifest["points"])
    return Status(
        name=manifest["name"],
        points=manifest["points"],
        finished=finished,
        stopped=sum(bool(values.get("stopped")) for values in shards.results.values()),
        diverged=sum(values.get("diverged_at") is not None for values in shards.results.values()),
        failed=sum(errors.values()),
        missing=max(0, manifest["points"] - finished - sum(errors.values())),
        errors=dict(errors.most_common()),
        damaged=tuple(f"{SHARDS}/{name}" for name in shards.damaged),
        running=running,
        last_run=manifest["runs"][-1] if manifest["runs"] else None,
        shards=len(shards.sound),
        artifacts=sum(1 for _ in (folder / ARTIFACTS).glob("*.json")),
        bytes=_size(folder),
    )


def format_status(state: Status) -> str:
    """The status in lines to read."""
    early = {"stopped early": state.stopped, "diverged": state.diverged}
    told = ", ".join(f"{count} of them {what}" for what, count in early.items() if count)
    stopped = f" ({told})" if told else ""
    counts = f"{state.failed} failed, {state.missing} missing"
    lines = [f"{state.name}: {state.finished} of {state.points} points finished{stopped}, {counts}"]
    lines += [f"  {count} x {error}" for error, count in state.errors.items()]
    if state.running:
        lines.append("running: process {pid} on {host}, since {since}".format(**state.running))
    elif state.last_run is None:
        lines.append("never run")
    else:
        ended = f"to {state.last_run['finished']}" if state.last_run["finished"] else "on, cut short"
        lines.append(f"nobody is at work; last run: from {state.last_run['started']} {ended}")
    lines += [f"damaged, its points will be done again: {name}" for name in state.damaged]
    if (state.failed or state.missing) and not state.running:
        lines.append("the same `imcsim run` does what failed or is missing")
    lines.append(f"{state.shards} shards, {state.artifacts} artifacts, {state.bytes / 1e6:.1f} MB")
    return "\n".join(lines)


def _errors(path: Path, known: Mapping[str, Any]) -> Counter[str]:
    """How often each error stands in failures.jsonl, of points without a result."""
    try:
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return Counter(record["error"] for record in records if record["point"] not in known)
    except (OSError, ValueError, TypeError, KeyError):
        return Counter()


def _size(folder: Path) -> int:
    """Bytes of all files, of which some may vanish meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total
