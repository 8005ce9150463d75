"""The command line: parses words, calls, prints results to stdout, progress and errors to stderr.

Heavy modules are imported inside the commands, so that `imcsim --help` answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from imcsim.cli import chips, cost, fits, inspect, results, rules, studies
from imcsim.cli.codes import BAD_DATA, DONE, INTERRUPTED, WRONG_USAGE
from imcsim.cli.doctor import doctor
from imcsim.errors import CapabilityError, DataError, FitError, SpecError, StorageError
from imcsim.version import MODEL_VERSION, __version__


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
    except (DataError, FitError) as error:
        return _fail(error, BAD_DATA)
    except OSError as error:
        return _fail(f"{error}; {_KEPT}" if isinstance(error, StorageError) else error, WRONG_USAGE)
    except KeyboardInterrupt:
        return _fail(f"interrupted; {_KEPT}", INTERRUPTED)


_KEPT = "what is finished is kept, the same command goes on from there"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="imcsim",
        description="Emulate analog and SRAM in-memory-compute chips.",
        epilog="Exit codes: 0 done, 1 some points failed, 2 wrong usage or configuration, 3 bad data, 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"imcsim {__version__} (model version {MODEL_VERSION})")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    run = _command(commands, "run", studies.run, "run a study: a results folder with study.h5, CSV and figures")
    _study_arguments(run)
    run.add_argument("--out", type=Path, metavar="DIR", help="the results folder (default: results/NAME)")
    run.add_argument("--workers", type=int, metavar="N", help="processes (default: as many as physical cores)")
    run.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help='run on a Dask cluster: tcp://HOST:PORT or tls://HOST:PORT, or "local" to start one here',
    )
    run.add_argument(
        "--insecure", action="store_true", help="take a scheduler of another machine that has no certificates (tcp://)"
    )
    run.add_argument("--only", metavar="POINT", help="evaluate one point alone, by its id or the start of it")
    run.add_argument("--dry-run", action="store_true", help="say what a run would take: points, time and disk")
    run.add_argument("--profile", action="store_true", help="in one process, and say where its time goes")

    status = _command(commands, "status", results.status, "say how a results folder stands, and who is at work in it")
    status.add_argument("folder", type=Path, metavar="DIR")

    check = _command(commands, "check", studies.check, "check a study file and say what it would run")
    _study_arguments(check)

    show = _command(commands, "show", results.show, "print the table of a results folder")
    show.add_argument("folder", type=Path, metavar="DIR")
    show.add_argument(
        "--compare",
        metavar="PATH[=REFERENCE]",
        help="every cell against its counterpart at a value of a swept path (default: the first), or against float",
    )
    show.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="PATH=VALUES",
        help='these rows alone: level=0,2, tune.at=cell,- ("-": rows without the path); repeatable',
    )
    show.add_argument(
        "--budget",
        metavar="PATH=REFERENCE",
        help="every cell when it had spent the epochs, passes and writes of its counterpart at a value of a swept path",
    )
    show.add_argument("--thresholds", action="store_true", help="where each variant has lost two points on each ladder")
    show.add_argument("--markdown", action="store_true", help="the same as a table in Markdown")
    show.add_argument("--spread", action="store_true", help="what trainings, dies and reads each add to the spread")
    show.add_argument(
        "--yield", dest="accuracy", type=float, metavar="ACCURACY", help="the share of dies that reach it: 0.95"
    )
    show.add_argument("--target", type=float, metavar="SHARE", help="with --yield: how far so many dies reach it: 0.99")
    show.add_argument(
        "--along", metavar="PATH", help="with --target: along this path (default: the plot's x, or the last axis)"
    )

    show.add_argument(
        "--needed",
        metavar="PATH[=POINTS]",
        help="the smallest value of a swept path from which on accuracy stays so near float (default: 1 point)",
    )

    show.add_argument(
        "--points", type=Path, metavar="FILE.csv", help="write every point as comma-separated values, too"
    )

    plot = _command(commands, "plot", results.plot, "draw the figures of a results folder again")
    plot.add_argument("folder", type=Path, metavar="DIR")
    plot.add_argument("--out", type=Path, metavar="FOLDER", help="where the figures go (default: into DIR)")

    diff = _command(
        commands, "diff", results.diff, "say in what two results folders differ, and by more than luck or not"
    )
    diff.add_argument("first", type=Path, metavar="DIR1")
    diff.add_argument("second", type=Path, metavar="DIR2")

    report = _command(
        commands, "report", results.report, "make one HTML page of a results folder, which needs no server"
    )
    report.add_argument("folder", type=Path, metavar="DIR")
    report.add_argument("--out", type=Path, metavar="FILE.html", help="the page (default: DIR/report.html)")

    budget = _command(
        commands, "budget", chips.budget, "say where a chip's error comes from, closed forms beside emulation"
    )
    budget.add_argument("chip", metavar="CHIP", help="a device model's name, or the path of a TOML file")
    budget.add_argument(
        "--layer", default="1152x256", metavar="ROWSxCOLS", help="the weight matrix (default: 1152x256)"
    )
    budget.add_argument("--seed", type=int, default=0, help="of weights, inputs, dies and reads (default: 0)")
    budget.add_argument("--out", type=Path, metavar="FIGURE", help="draw it, too: a .png, .svg or .pdf file")
    _setting_argument(budget, "change a value of the chip: adc.bits=6; repeatable")

    devices = _command(
        commands, "devices", chips.devices, "list the device models, print one with its sources, or draw it"
    )
    devices.add_argument("name", nargs="?", metavar="NAME", help="a name from the list, or the path of a TOML file")
    devices.add_argument("--toml", action="store_true", help="print the model's file, to start one of your own from")
    devices.add_argument("--plot", action="store_true", help="draw the device: writes, levels, drift, read noise")
    devices.add_argument("--out", type=Path, metavar="FIGURE", help="with --plot: a .png, .svg or .pdf file (NAME.png)")

    held = _command(commands, "inspect", inspect.inspect, "say what a file of measurements holds")
    _measurement_arguments(held)

    fit = _command(
        commands,
        "fit",
        fits.fit,
        "fit noise models to a file of measurements: parameters, a device model, a report",
    )
    _measurement_arguments(fit)
    fit.add_argument("--out", type=Path, metavar="MODEL.toml", help="write what was fitted as a device model")
    fit.add_argument("--report", type=Path, metavar="DIR", help="write report.html and the figures")
    fit.add_argument("--base", metavar="DEVICE", help="the device whose array and converters the model takes")
    fit.add_argument(
        "--only", nargs="+", default=[], metavar="FIT", help="these fits alone: drift, read_noise, adc, ..."
    )
    fit.add_argument("--seed", type=int, default=0, help="of bootstraps (default: 0)")
    _setting_argument(fit, "set an estimator: drift.law=power; repeatable")

    of_rules = _command(
        commands, "rules", rules.rules, "list the learning rules, or tell of one what it needs and costs"
    )
    of_rules.add_argument("name", nargs="?", metavar="NAME", help="a name from the list")

    costs = _command(
        commands, "cost", cost.cost, "say what a step of each learning rule asks for on the network and chip of a study"
    )
    _study_arguments(costs)
    costs.add_argument("--samples", type=int, metavar="B", help="of a step (default: the study's batch)")
    costs.add_argument("--rules", nargs="+", metavar="RULE", help="these alone (default: all)")

    _command(commands, "doctor", doctor, "print versions, threads and cache folder, and run a self-test")
    return parser


def _command(commands: Any, name: str, function: Callable[[Any], int], summary: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=summary.capitalize() + ".")
    parser.set_defaults(command=function)
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    return parser


def _measurement_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE.h5", help="a file of measurements")
    parser.add_argument(
        "--map", type=Path, metavar="MAP.toml", help="where the fields stand in a file of another layout"
    )


def _study_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", type=Path, metavar="STUDY", help="the study's TOML file")
    _setting_argument(parser, "change a value of the file: chip.adc.bits=6; repeatable")
    parser.add_argument("--quick", action="store_true", help="a thinned-out study: is everything in place?")


def _setting_argument(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help=text)


def _fail(error: object, code: int) -> int:
    print(f"imcsim: {error}".replace("\n", "\nimcsim: "), file=sys.stderr)
    return code
