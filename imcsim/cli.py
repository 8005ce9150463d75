"""The command line: parses, calls, prints. Results go to stdout, progress and errors to stderr.

Heavy modules are imported inside the commands, so that `imcsim --help` answers at once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imcsim.errors import CapabilityError, DataError, SpecError
from imcsim.version import MODEL_VERSION, __version__

if TYPE_CHECKING:
    from imcsim.specs.library import DeviceModel
    from imcsim.study.plan import Plan

DONE, SOME_FAILED, WRONG_USAGE, BAD_DATA, INTERRUPTED = 0, 1, 2, 3, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 done, 1 some points failed, 2 wrong usage, 3 bad data, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        code = int(options.command(options))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # the reader has seen enough (`| head`); python would complain of it once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (SpecError, CapabilityError) as error:
        return _fail(error, WRONG_USAGE)
    except DataError as error:
        return _fail(error, BAD_DATA)
    except OSError as error:
        return _fail(error, WRONG_USAGE)
    except KeyboardInterrupt:
        print("imcsim: interrupted; what is finished is kept, the same command goes on from there", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="imcsim",
        description="Emulate analog and SRAM in-memory-compute chips.",
        epilog="Exit codes: 0 done, 1 some points failed, 2 wrong usage or configuration, 3 bad data, 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"imcsim {__version__} (model version {MODEL_VERSION})")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    run = _command(commands, "run", _run, "run a study: a results folder with study.h5, CSV and figures")
    _study_arguments(run)
    run.add_argument("--out", type=Path, metavar="DIR", help="the results folder (default: results/NAME)")

    check = _command(commands, "check", _check, "check a study file and say what it would run")
    _study_arguments(check)

    show = _command(commands, "show", _show, "print the table of a results folder")
    show.add_argument("folder", type=Path, metavar="DIR")

    plot = _command(commands, "plot", _plot, "draw the figures of a results folder again")
    plot.add_argument("folder", type=Path, metavar="DIR")
    plot.add_argument("--out", type=Path, metavar="FOLDER", help="where the figures go (default: into DIR)")

    budget = _command(commands, "budget", _budget, "say where a chip's error comes from, closed forms beside emulation")
    budget.add_argument("chip", metavar="CHIP", help="a device model's name, or the path of a TOML file")
    budget.add_argument(
        "--layer", default="1152x256", metavar="ROWSxCOLS", help="the weight matrix (default: 1152x256)"
    )
    budget.add_argument("--seed", type=int, default=0, help="of weights, inputs, dies and reads (default: 0)")
    budget.add_argument("--out", type=Path, metavar="FIGURE", help="draw it, too: a .png, .svg or .pdf file")
    _setting_argument(budget, "change a value of the chip: adc.bits=6; repeatable")

    devices = _command(commands, "devices", _devices, "list the device models, or print one with its sources")
    devices.add_argument("name", nargs="?", metavar="NAME", help="a name from the list, or the path of a TOML file")
    devices.add_argument("--toml", action="store_true", help="print the model's file, to start one of your own from")

    _command(commands, "doctor", _doctor, "print versions, threads and cache folder, and run a self-test")
    return parser


def _command(commands: Any, name: str, function: Callable[[Any], int], summary: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=summary.capitalize() + ".")
    parser.set_defaults(command=function)
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    return parser


def _study_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", type=Path, metavar="STUDY", help="the study's TOML file")
    _setting_argument(parser, "change a value of the file: chip.adc.bits=6; repeatable")
    parser.add_argument("--quick", action="store_true", help="a thinned-out study: is everything in place?")


def _setting_argument(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help=text)


# The commands


def _run(options: argparse.Namespace) -> int:
    from imcsim.experiment.evaluate import evaluate
    from imcsim.experiment.study_file import read_study
    from imcsim.plots import figures_are_current, study_figures
    from imcsim.study.run import run
    from imcsim.study.summary import format_summary
    from imcsim.study.table import read_table

    plan = read_study(options.study, options.set, quick=options.quick)
    _warn(plan)
    folder: Path = options.out or Path("results") / plan.name
    with _progress(plan) as progress:
        outcome = run(plan, folder, evaluate, progress)
    for name in outcome.damaged:
        print(f"imcsim: {folder / name} was damaged and made again", file=sys.stderr)
    results = folder / "study.h5"
    table = read_table(results)
    written = [] if figures_are_current(table, folder, results) else [str(p) for p in study_figures(table, folder)]
    if options.json:
        counts = {name: getattr(outcome, name) for name in ("points", "computed", "reused", "failed")}
        print(json.dumps({"folder": str(folder), **counts, **table.summary().plain()}, indent=1))
    else:
        print(format_summary(table.summary()))
        if outcome.computed == 0 and outcome.failed == 0:
            print(f"\nNothing to do: all {outcome.points} points were in {folder}")
        else:
            print(f"\n{outcome.computed} points computed, {outcome.reused} reused, {outcome.failed} failed")
        print("\n".join([str(results), *written]))
    if outcome.failed:
        print(f"imcsim: {outcome.failed} points failed: {folder / 'failures.jsonl'} says why", file=sys.stderr)
    return SOME_FAILED if outcome.failed else DONE


def _check(options: argparse.Namespace) -> int:
    from imcsim.experiment.study_file import read_study

    plan = read_study(options.study, options.set, quick=options.quick)
    _warn(plan)
    count = plan.replicates
    if options.json:
        print(json.dumps({"config": plan.config, "points": len(plan.points)}, indent=1))
        return DONE
    print(f"{plan.name}: sound")
    for axis in plan.axes:
        print(f"  {axis.path}: {', '.join(str(value) for value in axis.coordinates())}")
    print(
        f"  {len(plan.cells)} cells x {count.trainings} trainings x {count.dies} dies x {count.reads} reads"
        f" = {len(plan.points)} points"
    )
    return DONE


def _show(options: argparse.Namespace) -> int:
    from imcsim.study.summary import format_summary
    from imcsim.study.table import read_table

    summary = read_table(_study_file(options.folder)).summary()
    print(json.dumps(summary.plain(), indent=1) if options.json else format_summary(summary))
    return DONE


def _plot(options: argparse.Namespace) -> int:
    from imcsim.plots import study_figures
    from imcsim.study.table import read_table

    table = read_table(_study_file(options.folder))
    if table.plot is None:
        raise SpecError.of(("plot",), "the study asks for no plot", remedy="give its file a [plot] and run it again")
    folder = options.out or options.folder
    folder.mkdir(parents=True, exist_ok=True)
    paths = [str(path) for path in study_figures(table, folder)]
    print(json.dumps(paths, indent=1) if options.json else "\n".join(paths))
    return DONE


def _budget(options: argparse.Namespace) -> int:
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


def _devices(options: argparse.Namespace) -> int:
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


def _doctor(options: argparse.Namespace) -> int:
    import platform
    from importlib import metadata

    import numba
    import numpy as np

    from imcsim.kernels.jit import cache_folder
    from imcsim.kernels.philox import fill_normals
    from imcsim.kernels.reference import normals
    from imcsim.specs.library import device_folder, device_names

    drawn = np.empty(1000, np.float32)
    fill_normals(drawn, np.uint64(1), 0, np.uint32(2), np.uint32(3), np.uint32(4))
    sound = bool(np.allclose(drawn, normals(1000, 1, 2, 3, 4), atol=1e-4))
    packages = ("numpy", "numba", "scipy", "h5py", "matplotlib")
    report = {
        "imcsim": f"{__version__} (model version {MODEL_VERSION})",
        "python": f"{platform.python_version()} on {platform.platform()}",
        **{name: metadata.version(name) for name in packages},
        "threads": numba.get_num_threads(),
        "threading layer": numba.threading_layer(),
        "kernel cache": str(cache_folder() or "none: nothing can be written, kernels are compiled in every process"),
        "device models": f"{len(device_names())} in {device_folder()}",
        "self-test": "the kernels agree with their numpy twins"
        if sound
        else "FAILED: kernels and numpy twins disagree",
    }
    print(json.dumps(report, indent=1) if options.json else "\n".join(f"{k:16} {v}" for k, v in report.items()))
    return DONE if sound else SOME_FAILED


# Helpers


def _warn(plan: Plan) -> None:
    for warning in plan.warnings:
        print(f"imcsim: note: {warning}", file=sys.stderr)


def _study_file(folder: Path) -> Path:
    path = folder / "study.h5"
    if not path.is_file():
        raise SpecError.of(
            (), "holds no study.h5", remedy="give the folder that `imcsim run` wrote", source=str(folder)
        )
    return path


def _fail(error: Exception, code: int) -> int:
    print(f"imcsim: {error}".replace("\n", "\nimcsim: "), file=sys.stderr)
    return code


class _progress:  # noqa: N801  # used as a function
    """A bar with the time left on a terminal, a line now and then elsewhere; both on stderr."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.bar: Any = None
        self.lines = 0

    def __enter__(self) -> Callable[[int, int], None]:
        return self.update

    def update(self, done: int, total: int) -> None:
        if sys.stderr.isatty():
            if self.bar is None:
                from tqdm import tqdm

                # what an earlier run left is there at once, and tells nothing of the time that is left
                self.bar = tqdm(total=total, initial=done, desc=self.plan.name, unit="point")
            self.bar.update(done - self.bar.n)
        elif total and done * 10 // total > self.lines:
            self.lines = done * 10 // total
            print(f"{self.plan.name}: {done} of {total} points", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
