"""The chip that a study means: a device model by its name or path, the study's own fields laid over it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imcsim.errors import Problem, SpecError
from imcsim.experiment.labels import DEVICE
from imcsim.specs.chip import ChipSpec
from imcsim.specs.codec import format_value, overlaid
from imcsim.specs.library import is_path, load


def device_of(chip: Mapping[str, Any], folder: Path, problems: list[Problem]) -> ChipSpec | None:
    """The device model that the section [chip] names, of a study in `folder`."""
    device = chip.get("device")
    if not isinstance(device, str):
        given = "" if device is None else format_value(device)
        allowed = "must be the name of a device model or the path of a TOML file"
        problems.append(Problem(("chip", "device"), allowed, given, "`imcsim devices` lists the models"))
        return None
    try:
        return load(folder / device if is_path(device) else device)
    except SpecError as error:
        # what is wrong with a file says where itself; a wrong name stands here
        problems.extend(p if p.source else p.within("chip", "device") for p in error.problems)
        return None


def own_fields(chip: Mapping[str, Any]) -> dict[str, Any]:
    """What the section [chip] says beside its device."""
    return {key: value for key, value in chip.items() if key != "device"}


def without_devices(
    variants: Mapping[str, Any], chip: Mapping[str, Any], folder: Path, problems: list[Problem]
) -> tuple[dict[str, Any], dict[str, ChipSpec]]:
    """The variants without the device that some name, and the chip of each of those: [chip] on another device."""
    rest, chips = dict(variants), {}
    for name, changes in variants.items():
        of_chip = changes.get("chip") if isinstance(changes, Mapping) else None
        if not isinstance(of_chip, Mapping) or "device" not in of_chip:
            continue
        rest[name] = {**changes, "chip": own_fields(of_chip)}
        found: list[Problem] = []
        device = device_of(of_chip, folder, found)
        whole = overlaid(device, own_fields(chip), ("chip",), found) if device else None
        problems.extend(problem.within("variants", name) if not problem.source else problem for problem in found)
        if whole is not None:
            chips[name] = whole
    return rest, chips


def swept_devices(
    grid: Mapping[str, Any], chip: Mapping[str, Any], folder: Path, problems: list[Problem]
) -> tuple[dict[str, Any], dict[str, ChipSpec]]:
    """The grid without "chip.device", and the chip of each device that it sweeps: [chip] on that device."""
    rest, chips = {path: values for path, values in grid.items() if path != DEVICE}, {}
    if DEVICE not in grid:
        return rest, {}
    names = grid[DEVICE]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        problems.append(Problem(("grid", DEVICE), "must be a list of device models", given=format_value(names)))
        return rest, {}
    if len(set(names)) < len(names):
        problems.append(Problem(("grid", DEVICE), "has a device twice", given=format_value(names)))
    for place, name in enumerate(names):
        found: list[Problem] = []
        device = device_of({"device": name}, folder, found)
        whole = overlaid(device, own_fields(chip), ("chip",), found) if device else None
        where = ("grid", f'"{DEVICE}"[{place}]')
        problems.extend(
            problem
            if problem.source
            else dataclasses.replace(problem, path=where)
            if problem.path == ("chip", "device")
            else problem.within(*where)
            for problem in found
        )
        if whole is not None:
            chips[name] = whole
    return rest, chips


def named(variants: Mapping[str, Any]) -> dict[str, Any]:
    """The variants as a plan tells them: of a device's path only the name, the same wherever the file lies."""
    told = {}
    for name, changes in variants.items():
        of_chip = changes.get("chip", {})
        device = {"device": Path(of_chip["device"]).name} if "device" in of_chip else {}
        told[name] = {**changes, "chip": {**of_chip, **device}} if device else changes
    return told
