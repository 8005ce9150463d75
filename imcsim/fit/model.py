"""Fits become a device model: the numbers of a chip's cell or converter, each with where it comes from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from imcsim.errors import FitError, SpecError
from imcsim.measurements.files import Measurements
from imcsim.specs.chip import ChipSpec
from imcsim.specs.fields import Spec, fields_of, kind_of
from imcsim.specs.library import DeviceModel, Note, read_device
from imcsim.specs.pulsed import PulsedCell
from imcsim.specs.resistive import LogarithmicDrift, RelaxationDrift, ResistiveCell, ValidRange
from imcsim.version import __version__

# On which model what is fitted is laid, where none is named: arrays and converters are its own.
BASES = {"resistive": "resistive_ideal", "pulsed": "pulsed_generic", "converter": "sram_ideal"}
_OF_STATES = (
    "programming",
    "drift",
    "read_noise",
    "spectrum",
    "telegraph",
)  # the first of them tells which states were measured
_NOTHING = 0.02  # of the largest state
# The read noise that a chip draws is one estimator's: together they would count the same noise twice.
_NOISE = ("cell.white_noise", "cell.flicker_noise", "cell.telegraph_noise")
_OF_READS = ("telegraph", "spectrum", "read_noise")  # the first that tells most of it


class Fitted(Protocol):
    """What of a fit becomes a device model: see imcsim.fit.result.FitResult."""

    @property
    def estimator(self) -> str: ...
    @property
    def parameters(self) -> tuple[Any, ...]: ...
    @property
    def tells_most(self) -> bool: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    @property
    def components(self) -> Mapping[str, Any]: ...
    @property
    def valid(self) -> Mapping[str, float]: ...


def device_model(
    results: Mapping[str, Fitted], measurements: Measurements, name: str, base: str | None = None
) -> DeviceModel:
    """The device model `name` of what was fitted, laid on the device `base`.

    Raises FitError where nothing of it is part of one.
    """
    parts, made_by = _parts(results)
    if not parts:
        held = ", ".join(results)
        raise FitError.of((), f"nothing that was fitted ({held}) is part of a device model", source=measurements.source)
    kind = (
        "pulsed"
        if "cell.device" in parts
        else "resistive"
        if any(path.startswith("cell.") for path in parts)
        else "converter"
    )
    below = read_device(base or BASES[kind])
    try:
        spec = _laid_on(below.spec, parts, results, kind)
    except SpecError as error:
        raise FitError(
            dataclasses.replace(
                problem, remedy=problem.remedy or "what was fitted is no cell that a chip can have: give another law"
            )
            for problem in error.problems
        ) from None
    notes = {path: note for path, note in below.notes.items() if _same(below.spec, spec, path)}
    source = f"fitted to {measurements.source} (SHA-256 {measurements.sha256[:16]}...) by imcsim {__version__}"
    for path, unit in _numbers(spec, ()):
        note = _note(path, spec, unit, source, made_by, results)
        if note is not None:
            notes[path] = note
    return DeviceModel(
        name=name,
        title=f"{measurements.sample.get('name', measurements.source)}, as fitted",
        description=_description(results, measurements, below.name),
        spec=spec,
        notes=notes,
    )


def _parts(results: Mapping[str, Fitted]) -> tuple[dict[str, Any], dict[str, str]]:
    """The components of the fits by place, of read noise those of one estimator; and which estimator made each."""
    noisy = _of_reads(results)
    parts: dict[str, Any] = {}
    made_by: dict[str, str] = {}
    for name, result in results.items():
        for path, component in result.components.items():
            if path in _NOISE and name != noisy:
                continue
            if path in parts and name == "drift":  # writes are told better by writes than by the first of reads
                continue
            parts[path] = component
            made_by[path] = name
    return parts, made_by


def _of_reads(results: Mapping[str, Fitted]) -> str | None:
    """Whose read noise a chip draws."""
    there = [name for name in _OF_READS if name in results]
    return next((name for name in there if results[name].tells_most), there[-1] if there else None)


def _laid_on(base: ChipSpec, parts: Mapping[str, Any], results: Mapping[str, Fitted], kind: str) -> ChipSpec:
    spec = base
    if kind == "resistive":
        if not isinstance(base.cell, ResistiveCell):
            raise FitError.of(("--base",), "must be a device of resistive cells", kind_of(type(base.cell)))
        spec = dataclasses.replace(spec, cell=_resistive(base.cell, parts, results))
    elif kind == "pulsed":
        if not isinstance(base.cell, PulsedCell):
            raise FitError.of(("--base",), "must be a device of pulsed cells", kind_of(type(base.cell)))
        spec = dataclasses.replace(spec, cell=dataclasses.replace(base.cell, device=parts["cell.device"]))
    if "adc" in parts:
        spec = dataclasses.replace(spec, adc=parts["adc"])
    return spec


def _resistive(base: ResistiveCell, parts: Mapping[str, Any], results: Mapping[str, Fitted]) -> ResistiveCell:
    """The cell of what was fitted; of what was not measured, nothing."""
    known = next((results[name].valid for name in _OF_STATES if name in results and results[name].valid), {})
    latest = results["drift"].valid.get("t_max_s") if "drift" in results else None
    g_max, low = known.get("g_high_S", base.g_max_S), known.get("g_low_S", 0.0)
    lowest = low if low > _NOTHING * g_max else None  # what conducts as little as that is a cell that is off
    # cells about one state tell nothing of how far down a cell goes: to nothing, with a warning that it is extrapolated
    g_min = lowest if lowest is not None and lowest < g_max / 2 else 0.0
    changes: dict[str, Any] = {path.partition(".")[2]: part for path, part in parts.items() if path.startswith("cell.")}
    drift = changes.get("drift")
    t0 = float(changes.get("t0_s", base.t0_s))
    if isinstance(drift, LogarithmicDrift | RelaxationDrift):
        t0 = max(t0, 1.0)
    flicker = changes.get("flicker_noise")
    if flicker is not None:
        t0 = max(t0, flicker.t_read_s)
    return ResistiveCell(
        g_max_S=g_max,
        g_min_S=g_min,
        t0_s=t0,
        clips="zero",
        programming=changes.get("programming"),
        drift=drift,
        white_noise=changes.get("white_noise"),
        flicker_noise=flicker,
        telegraph_noise=changes.get("telegraph_noise"),
        valid=ValidRange(
            g_low_S=lowest, g_high_S=g_max, beyond_states="warning", t_max_s=latest, beyond_t_max="warning"
        ),
    )


def _numbers(spec: Spec, path: tuple[str, ...]) -> Iterable[tuple[str, str]]:
    """The dotted paths of all numbers of a spec, each with its unit."""
    for field in fields_of(type(spec)):
        value = getattr(spec, field.name)
        here = (*path, field.name)
        if isinstance(value, Spec):
            yield from _numbers(value, here)
        elif isinstance(value, tuple) or (isinstance(value, (int, float)) and not isinstance(value, bool)):
            yield ".".join(here), field.limits.unit


def _at(spec: Spec, path: str) -> Any:
    value: Any = spec
    for part in path.split("."):
        value = getattr(value, part, None)
    return value


def _same(before: ChipSpec, after: ChipSpec, path: str) -> bool:
    """Whether a number is that of the device below."""
    return _at(before, path) is not None and _at(before, path) == _at(after, path)


def _note(
    path: str,
    spec: ChipSpec,
    unit: str,
    source: str,
    made_by: Mapping[str, str],
    results: Mapping[str, Fitted],
) -> Note | None:
    """Where a number comes from that was fitted, or marks where the measurements end; of others None."""
    if path.startswith("cell.valid") or path == "cell.g_max_S":
        return Note(source=source, unit=unit, reason="where the measurements end")
    if path == "cell.g_min_S":
        nothing = "a cell that is off"
        return Note(source=source, unit=unit, reason="where the measurements end" if _at(spec, path) else nothing)
    whose = next((name for part, name in made_by.items() if path == part or path.startswith(f"{part}.")), None)
    if whose is None:
        return None
    interval = _interval(_at(spec, path), results[whose].parameters)
    return Note(source=source, unit=unit, reason=results[whose].estimator, interval=interval)


def _interval(value: Any, parameters: Iterable[Any]) -> tuple[float, ...] | None:
    """The lower and the upper end of each number that is a parameter as it was fitted; None where one is not."""
    ends: list[float] = []
    for one in value if isinstance(value, tuple) else (value,):
        if isinstance(one, tuple):
            return None
        known = next(
            (
                p
                for p in parameters
                if np.isclose(p.value, one, rtol=1e-12, atol=0) and np.isfinite([p.low, p.high]).all()
            ),
            None,
        )
        if known is None:
            return None
        ends += [known.low, known.high]
    return tuple(ends) or None


def _description(results: Mapping[str, Fitted], measurements: Measurements, base: str) -> str:
    kinds = "; ".join(result.estimator for result in results.values())
    warnings = " ".join(f"{warning}." for result in results.values() for warning in result.warnings)
    about = (
        f"Fitted to {measurements.source}, SHA-256 {measurements.sha256}: {kinds}. "
        f"Array and converters that were not fitted are those of {base}."
    )
    return f"{about} Beware: {warnings}" if warnings else about
