"""The command that fits noise models to a file of measurements."""

from __future__ import annotations

import argparse
import json
import math
import sys
from typing import TYPE_CHECKING, Any

from imcsim.cli.codes import DONE, SOME_FAILED
from imcsim.errors import SpecError

if TYPE_CHECKING:
    from imcsim.fit.estimators import Fits
    from imcsim.measurements.files import Measurements
    from imcsim.specs.library import DeviceModel


def fit(options: argparse.Namespace) -> int:
    """Fit what a file holds: parameters to stdout, a device model to --out, figures and a page to --report."""
    from imcsim.fit.estimators import estimators
    from imcsim.fit.estimators import fit as fitted
    from imcsim.fit.model import device_model
    from imcsim.study.store import write_atomic

    if options.seed < 0:
        raise SpecError.of("--seed", "must be an integer of at least 0", given=str(options.seed))
    if options.out is not None and options.out.suffix != ".toml":
        raise SpecError.of("--out", "must end in .toml", given=str(options.out))
    using = estimators(options.set, options.only)
    if options.base is not None:
        from imcsim.specs.library import read_device

        read_device(options.base)  # what is wrong with it is told ahead of the work
    measurements = _read(options)
    with _Bar() as bar:
        found = fitted(measurements, options.seed, using=using, progress=bar)
    print(json.dumps(_plain(found), indent=1) if options.json else _told(found), flush=True)
    model = _model_of(found, measurements, options)
    if options.report is not None:
        from imcsim.fit_report import write_report

        write_report(found, measurements, model, options.report)
    if options.out is not None:
        # what was fitted is told already; where no model comes of it, this says why
        made = model or device_model(found.results, measurements, options.out.stem, options.base)
        write_atomic(options.out, made.to_toml().encode())
    for path in (options.out, options.report and options.report / "report.html"):
        if path is not None:
            print(f"imcsim: {path}", file=sys.stderr)
    return SOME_FAILED if found.failures else DONE


def _model_of(found: Fits, measurements: Measurements, options: argparse.Namespace) -> DeviceModel | None:
    """The device model of what was fitted; None where no part of a chip was, or none that a chip can have."""
    from imcsim.errors import FitError
    from imcsim.fit.model import device_model

    try:
        return device_model(found.results, measurements, options.out.stem if options.out else "fitted", options.base)
    except FitError:
        return None


def _read(options: argparse.Namespace) -> Measurements:
    from imcsim.measurements.files import read
    from imcsim.measurements.mapping import read_mapped

    return read(options.file) if options.map is None else read_mapped(options.file, options.map)


class _Bar:
    """Which estimator is at work: a bar on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self.bar: Any = None

    def __enter__(self) -> _Bar:
        return self

    def __call__(self, name: str, done: int, total: int) -> None:
        if sys.stderr.isatty():
            if self.bar is None:
                from tqdm import tqdm

                self.bar = tqdm(total=total, unit="fit")
            self.bar.update(done - self.bar.n)
            self.bar.set_description(name)
        elif name:
            print(f"imcsim: fitting {name}, {done + 1} of {total}", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()


def _plain(found: Fits) -> dict[str, Any]:
    def known(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return {
        "fits": {
            name: {
                "estimator": result.estimator,
                "group": result.group,
                "parameters": [
                    {
                        "name": one.name,
                        "value": known(one.value),
                        "unit": one.unit,
                        "se": known(one.se),
                        "low": known(one.low),
                        "high": known(one.high),
                        "interval": one.interval,
                        "what": one.what,
                    }
                    for one in result.parameters
                ],
                "goodness": {key: known(value) for key, value in result.goodness.items()},
                "warnings": list(result.warnings),
            }
            for name, result in found.results.items()
        },
        "failures": {name: [str(problem) for problem in error.problems] for name, error in found.failures.items()},
    }


_MOST_ROWS = 40  # of the parameters of a fit; --json and the report have all


def _told(found: Fits) -> str:
    lines: list[str] = []
    for result in found.results.values():
        lines += [result.estimator, *(f"  beware: {warning}" for warning in result.warnings)]
        shown = result.parameters[:_MOST_ROWS]
        width = max(len(one.name) for one in shown)
        for one in shown:
            known = math.isfinite(one.low) and math.isfinite(one.high)
            interval = f"[{one.low:.4g}, {one.high:.4g}]" if known else ""
            unit = one.unit if one.unit != "1" else ""
            value = f"{one.value:.4g}" if math.isfinite(one.value) else "-"
            lines.append(f"  {one.name:{width}}  {value:>11}  {interval:24}  {unit:5}  {one.what}".rstrip())
        if len(result.parameters) > _MOST_ROWS:
            lines.append(f"  and {len(result.parameters) - _MOST_ROWS} more: --json, or --report, tells all")
        how = sorted({one.interval for one in shown if one.interval})
        lines += [f"  95 % intervals: {'; '.join(how)}"] if how else []
        lines += [f"  {key}: {value:.4g}" for key, value in result.goodness.items()]
        lines.append("")
    lines += [
        f"{name} was not fitted: {problem}" for name, error in found.failures.items() for problem in error.problems
    ]
    return "\n".join(lines).rstrip()
