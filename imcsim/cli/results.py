"""The commands that take a results folder: its table, its figures, how it stands."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING

from imcsim.cli.codes import DONE
from imcsim.errors import SpecError, did_you_mean

if TYPE_CHECKING:
    from imcsim.study.needed import AllNeeded
    from imcsim.study.summary import Summary
    from imcsim.study.yields import Yields


def show(options: argparse.Namespace) -> int:
    from imcsim.study.budgets import at_equal_cost, format_budgets
    from imcsim.study.comparison import compare, format_comparisons
    from imcsim.study.needed import format_needed
    from imcsim.study.selection import selected, value_of
    from imcsim.study.spread import format_spread, plain_spread
    from imcsim.study.summary import format_summary
    from imcsim.study.table import open_study
    from imcsim.study.thresholds import format_thresholds, thresholds
    from imcsim.study.yields import format_yields

    table = open_study(options.folder)
    if options.points is not None:
        if not options.points.parent.is_dir():
            allowed = "must be a file in a folder that is there"
            raise SpecError.of("--points", allowed, str(options.points), "make the folder first")
        table.write_points(options.points)
    summary = table.summary()
    if options.where:
        summary = selected(summary, options.where)
    good = _yields(summary, options)
    wanted = _needed(summary, options.needed)
    found = None
    if options.compare is not None:
        path, given, reference = options.compare.partition("=")
        found = compare(summary, path, reference if given else None)
    lost = thresholds(summary) if options.thresholds or options.markdown else None
    budgets = None
    if options.budget is not None:
        path, _, reference = options.budget.partition("=")
        if path not in summary.axes:
            remedy = did_you_mean(path, summary.axes)
            raise SpecError.of("--budget", "must be path=reference, of a swept path", f'"{options.budget}"', remedy)
        budgets = at_equal_cost(summary, path, value_of(summary, path, reference, "--budget"))
    if options.json:
        comparison = {} if found is None else {"comparison": found.plain()}
        comparison |= {} if lost is None else {"thresholds": lost.plain()}
        comparison |= {} if budgets is None else {"budgets": budgets.plain()}
        comparison |= {} if good is None else {"yield": good.plain()}
        comparison |= {} if wanted is None else {"needed": wanted.plain()}
        spread = {"spread": plain_spread(summary)} if options.spread else {}
        print(json.dumps({**summary.plain(), **comparison, **spread}, indent=1))
        return DONE
    tables = [format_comparisons(found)] if found is not None else []
    tables += [format_spread(summary)] if options.spread else []
    tables += [] if lost is None else [format_thresholds(lost, markdown=options.markdown)]
    tables += [] if budgets is None else [format_budgets(budgets)]
    if good is not None and (options.accuracy is not None or options.target is not None):
        tables.append(format_yields(good))
    tables += [] if wanted is None or options.needed is None else [format_needed(wanted)]
    default = [format_summary(summary), *([] if good is None else [format_yields(good)])]
    default += [] if wanted is None else [format_needed(wanted)]
    print("\n".join(tables or default))
    return DONE


def _yields(summary: Summary, options: argparse.Namespace) -> Yields | None:
    """The yield that is asked for, by the options or by the study; None where by neither."""
    from imcsim.study.questions import YieldSpec
    from imcsim.study.yields import yields

    own = summary.yields
    accuracy = options.accuracy if options.accuracy is not None or own is None else own.accuracy
    target = options.target if options.target is not None or own is None else own.target
    if accuracy is None:
        for name in ("target", "along"):
            if getattr(options, name) is not None:
                given = str(getattr(options, name))
                raise SpecError.of(f"--{name}", "is of good dies", given, "say which are: --yield 0.95")
        return None
    for name, value in (("--yield", accuracy), ("--target", target)):
        if value is not None and not 0 <= value <= 1:
            raise SpecError.of(name, "must be a share from 0 to 1", f"{value:g}", "0.95 is 95 %")
    return yields(summary, YieldSpec(accuracy=accuracy, target=target), options.along)


def _needed(summary: Summary, given: str | None) -> AllNeeded | None:
    """What is needed along a path, by the option "path=points" or by the study; None where nobody asked."""
    from imcsim.study.needed import needed
    from imcsim.study.questions import SearchSpec

    if given is None:
        return None if summary.searched is None else needed(summary, summary.searched.asked)
    path, _, points = given.partition("=")
    try:
        within = float(points or 1) / 100
        if not 0 <= within <= 1:
            raise ValueError
    except ValueError:
        allowed = "must be path=points, 0 to 100 points of accuracy"
        raise SpecError.of("--needed", allowed, f'"{given}"', "as in chip.adc.bits=1") from None
    return needed(summary, SearchSpec(along=path, within=within))


def plot(options: argparse.Namespace) -> int:
    from imcsim.figures import study_figures
    from imcsim.study.table import open_study

    table = open_study(options.folder)
    if table.plot is None and not table.series:
        raise SpecError.of(("plot",), "the study asks for no plot", remedy="give its file a [plot] and run it again")
    folder = options.out or options.folder
    folder.mkdir(parents=True, exist_ok=True)
    paths = [str(path) for path in study_figures(table, folder)]
    print(json.dumps(paths, indent=1) if options.json else "\n".join(paths))
    return DONE


def diff(options: argparse.Namespace) -> int:
    from imcsim.study.difference import difference, format_difference
    from imcsim.study.table import open_study

    found = difference(open_study(options.first), open_study(options.second))
    if options.json:
        print(json.dumps(found.plain(), indent=1))
    else:
        print(format_difference(found, str(options.first), str(options.second)), end="")
    return DONE


def report(options: argparse.Namespace) -> int:
    from imcsim.report import write_report

    path = write_report(options.folder, options.out)
    print(json.dumps({"report": str(path), "bytes": path.stat().st_size}, indent=1) if options.json else path)
    return DONE


def status(options: argparse.Namespace) -> int:
    from imcsim.study.status import format_status, status

    state = status(options.folder)
    print(json.dumps(dataclasses.asdict(state), indent=1) if options.json else format_status(state))
    return DONE
