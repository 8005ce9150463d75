"""The commands that take a chip: its error budget, the device models."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imcsim.cli.codes import DONE
from imcsim.errors import Problem, SpecError

if TYPE_CHECKING:
    from imcsim.specs.library import DeviceModel


def budget(options: argparse.Namespace) -> int:
    from imcsim.budget.budget import budget, by_rows
    from imcsim.budget.report import plain, text
    from imcsim.experiment.settings import changed_chip
    from imcsim.specs.library import load

    if options.seed < 0:
        raise SpecError.of("--seed", "must be an integer of at least 0", given=str(options.seed))
    _check_figure(options.out)
    spec, layer = changed_chip(load(options.chip), options.set), _layer(options.layer)
    found = budget(spec, layer, seed=options.seed)
    if options.out is not None:
        from imcsim.budget_figure import write_figure

        rows = by_rows(spec, layer, seed=options.seed)
        write_figure(found, rows, Path(options.chip).stem, options.out)
    described = {"chip": options.chip, **plain(found)}
    print(json.dumps(described, indent=1) if options.json else f"{options.chip}: {text(found)}")
    if options.out is not None:
        print(f"imcsim: {options.out}", file=sys.stderr)
    return DONE


def _check_figure(out: Path | None) -> None:
    if out is not None and out.suffix not in (".png", ".svg", ".pdf"):
        raise SpecError.of("--out", "must end in .png, .svg or .pdf", given=str(out))


def _layer(text: str) -> tuple[int, int]:
    """Rows and columns of "1152x256"."""
    parts = text.split("x")
    # int() takes signs, spaces and thousands of digits
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() and len(part) < 9 for part in parts):
        raise SpecError.of("--layer", "must be ROWSxCOLS", given=f'"{text}"', remedy="as in 1152x256")
    return int(parts[0]), int(parts[1])


def devices(options: argparse.Namespace) -> int:
    from imcsim.specs.codec import to_table
    from imcsim.specs.library import device_names, read_device

    _check_plot(options)
    if options.name is None:
        models = {name: read_device(name).title for name in device_names()}
        width = max(map(len, models))
        lines = [f"{name:{width}}  {title}" for name, title in models.items()]
        print(json.dumps(models, indent=1) if options.json else "\n".join(lines))
        return DONE
    model = read_device(options.name)
    if options.plot:
        _draw(model, options.out or Path(f"{Path(options.name).stem}.png"))
    elif options.toml:
        print(model.to_toml(), end="")
    elif options.json:
        notes = {path: to_table(note) for path, note in model.notes.items()}
        print(json.dumps({"name": model.name, "title": model.title, **to_table(model.spec), "notes": notes}, indent=1))
    else:
        print(_described(model))
    return DONE


def _check_plot(options: argparse.Namespace) -> None:
    problems = []
    if options.plot:
        if options.name is None:
            problems.append(Problem(("--plot",), "draws one device", remedy="give its NAME"))
        problems += [
            Problem(("--plot",), f"draws a figure and prints no file: --{other} does", remedy="give one of the two")
            for other in ("json", "toml")
            if getattr(options, other)
        ]
    elif options.out is not None:
        problems.append(Problem(("--out",), "is where --plot draws to", given=str(options.out), remedy="give --plot"))
    if problems:
        raise SpecError(problems)
    _check_figure(options.out)


def _draw(model: DeviceModel, out: Path) -> None:
    from imcsim.device_curves import tables
    from imcsim.device_figure import write_figure

    write_figure(tables(model.spec.cell, model.spec.array), f"{model.name}: {model.title}", out)
    print(f"imcsim: {out}", file=sys.stderr)


def _described(model: DeviceModel) -> str:
    from imcsim.specs.codec import to_table
    from imcsim.specs.pulsed import PulsedCell
    from imcsim.specs.resistive import ResistiveCell

    lines = [f"{model.name}: {model.title}", model.description]
    for component, values in to_table(model.spec).items():
        lines += _component(model, component, values)
    told = {ResistiveCell: _of_resistive, PulsedCell: _of_pulsed}.get(type(model.spec.cell), _of_sram)
    derived = told(model)
    return "\n".join([*lines, "", "derived", *(f"  {line}" for line in derived)])


def _component(model: DeviceModel, path: str, values: Mapping[str, Any]) -> list[str]:
    """The values of a component with their sources, those that it holds after them."""
    from imcsim.specs.codec import format_value

    lines, inner = ["", f"[{path}]"], []
    for key, value in values.items():
        if isinstance(value, Mapping):
            inner += _component(model, f"{path}.{key}", value)
            continue
        note = model.notes.get(f"{path}.{key}")
        unit = f" {note.unit}" if note and note.unit not in ("", "1") else ""
        lines.append(f"  {key} = {format_value(value)}{unit}")
        if note:
            valid = f"; valid {note.valid[0]:g} to {note.valid[1]:g}{unit}" if note.valid else ""
            reason = f": {note.reason}" if note.reason else ""
            lines.append(f"      {note.source}{reason}{valid}")
    return lines + inner


def _of_sram(model: DeviceModel) -> list[str]:
    from imcsim.cells import column, mismatch_sigma_rel

    analog = column(model.spec.cell, model.spec.array)
    return [
        f"mismatch of a cell: {mismatch_sigma_rel(model.spec.cell):.3g} of the unit current",
        f"swing: {analog.swing:.4g} MAC units of {model.spec.array.rows} rows",
        (
            f"read noise: {analog.cell_variance**0.5:.3g} of the unit current a conducting cell, "
            f"{analog.variance**0.5:.3g} MAC units a column"
        ),
    ]


def _of_resistive(model: DeviceModel) -> list[str]:
    """What a cell at g_max does, as a share of g_max."""
    import warnings

    import numpy as np

    from imcsim.cells.drift import drift_factor
    from imcsim.cells.programming import programming_sigma
    from imcsim.cells.read_noise import read_sigma
    from imcsim.specs.resistive import ResistiveCell

    cell = model.spec.cell
    assert isinstance(cell, ResistiveCell)
    full = np.array([cell.g_max_S])
    sigmas = programming_sigma(cell, full), read_sigma(cell, full, full, 0.0)
    written, noise = (float(sigma[0]) / cell.g_max_S for sigma in sigmas)
    lines = [f"a write to g_max is off by {written:.3g} of it (sigma)", f"read noise there, at once: {noise:.3g} of it"]
    if cell.drift is None:
        return [*lines, "drift: not known, so that it is read at its write alone"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [*lines, f"left of g_max after a day, on average: {float(drift_factor(cell, full, 86400.0)[0]):.3g}"]


def _of_pulsed(model: DeviceModel) -> list[str]:
    """What pulses do to the nominal device."""
    import numpy as np

    from imcsim.cells.pulsed import manufactured, symmetric_point
    from imcsim.errors import CapabilityError
    from imcsim.specs.pulsed import PulsedCell

    cell = model.spec.cell
    assert isinstance(cell, PulsedCell)
    device = cell.device
    steps = (device.w_max - device.w_min) / device.dw_min
    lines = [f"steps of nominal size from bound to bound: {steps:.4g}"]
    try:
        point = symmetric_point(manufactured(device, lambda _: np.zeros((1, 1, 1)))).item()
    except CapabilityError:
        return [*lines, "symmetric point: none, its steps up and down do not cross"]
    return [*lines, f"symmetric point: {point:.3g} of weights from {device.w_min:g} to {device.w_max:g}"]
