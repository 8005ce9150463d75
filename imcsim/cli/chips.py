"""The commands that take a chip: its error budget, the device models."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from imcsim.cli.codes import DONE
from imcsim.errors import SpecError

if TYPE_CHECKING:
    from imcsim.specs.library import DeviceModel


def budget(options: argparse.Namespace) -> int:
    from imcsim.budget.budget import budget, by_rows
    from imcsim.budget.report import plain, text
    from imcsim.experiment.settings import changed_chip
    from imcsim.specs.library import load

    if options.seed < 0:
        raise SpecError.of("--seed", "must be an integer of at least 0", given=str(options.seed))
    if options.out is not None and options.out.suffix not in (".png", ".svg", ".pdf"):
        raise SpecError.of("--out", "must end in .png, .svg or .pdf", given=str(options.out))
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

    if options.name is None:
        models = {name: read_device(name).title for name in device_names()}
        width = max(map(len, models))
        lines = [f"{name:{width}}  {title}" for name, title in models.items()]
        print(json.dumps(models, indent=1) if options.json else "\n".join(lines))
        return DONE
    model = read_device(options.name)
    if options.toml:
        print(model.to_toml(), end="")
    elif options.json:
        notes = {path: to_table(note) for path, note in model.notes.items()}
        print(json.dumps({"name": model.name, "title": model.title, **to_table(model.spec), "notes": notes}, indent=1))
    else:
        print(_described(model))
    return DONE


def _described(model: DeviceModel) -> str:
    from imcsim.cells import column, mismatch_sigma_rel
    from imcsim.specs.codec import format_value, to_table

    lines = [f"{model.name}: {model.title}", model.description]
    for component, values in to_table(model.spec).items():
        lines += ["", f"[{component}]"]
        for key, value in values.items():
            note = model.notes.get(f"{component}.{key}")
            unit = f" {note.unit}" if note and note.unit not in ("", "1") else ""
            lines.append(f"  {key} = {format_value(value)}{unit}")
            if note:
                valid = f"; valid {note.valid[0]:g} to {note.valid[1]:g}{unit}" if note.valid else ""
                reason = f": {note.reason}" if note.reason else ""
                lines.append(f"      {note.source}{reason}{valid}")
    analog = column(model.spec.cell, model.spec.array)
    lines += [
        "",
        "derived",
        f"  mismatch of a cell: {mismatch_sigma_rel(model.spec.cell):.3g} of the unit current",
        f"  swing: {analog.swing:.4g} MAC units of {model.spec.array.rows} rows",
        (
            f"  read noise: {analog.cell_variance**0.5:.3g} of the unit current a conducting cell, "
            f"{analog.variance**0.5:.3g} MAC units a column"
        ),
    ]
    return "\n".join(lines)
