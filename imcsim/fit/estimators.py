"""All estimators by name, how they are set from words, and the fit of whatever a file of measurements holds."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from imcsim.errors import FitError, Problem, SpecError, did_you_mean
from imcsim.fit.adc import AdcFit
from imcsim.fit.drift import DriftFit
from imcsim.fit.mac import MacFit
from imcsim.fit.power_up import PowerUpFit
from imcsim.fit.programming import ProgrammingFit
from imcsim.fit.pulses import PulseFit
from imcsim.fit.read_noise import ReadNoiseFit
from imcsim.fit.result import FitResult
from imcsim.fit.spectrum import SpectrumFit
from imcsim.fit.telegraph import TelegraphFit
from imcsim.fit.variance import ComponentsFit, SpreadFit
from imcsim.measurements.files import Measurements
from imcsim.rng import child
from imcsim.specs.codec import parse_toml


class Estimator(Protocol):
    """A frozen configuration that fits one group of measurements."""

    @property
    def group(self) -> type[Any]:
        """The class of the group."""

    @property
    def kind(self) -> str:
        """What the command line calls it."""

    @property
    def name(self) -> str:
        """What it fits, in words."""

    def fits(self, data: Any) -> bool:
        """Whether the group holds what it needs."""

    def fit(self, data: Any, rng: np.random.Generator) -> FitResult:
        """The fit. Raises FitError."""


ESTIMATORS: Mapping[str, Callable[..., Any]] = {
    one.kind: one
    for one in (
        ProgrammingFit,
        ComponentsFit,
        DriftFit,
        ReadNoiseFit,
        SpectrumFit,
        TelegraphFit,
        AdcFit,
        MacFit,
        PulseFit,
        PowerUpFit,
        SpreadFit,
    )
}


@dataclass(frozen=True)
class Fits:
    """What came of a file: results by estimator, and of those that gave none why."""

    results: Mapping[str, FitResult]
    failures: Mapping[str, FitError]


def estimators(settings: Sequence[str] = (), only: Sequence[str] = ()) -> dict[str, Any]:
    """The estimators, all or `only` those named, as settings such as "drift.law=power" have them. Raises SpecError."""
    problems = [
        Problem(("--only",), f'unknown estimator "{name}"', remedy=did_you_mean(name, ESTIMATORS))
        for name in only
        if name not in ESTIMATORS
    ]
    chosen = {name: make() for name, make in ESTIMATORS.items() if not only or name in only}
    for text in settings:
        path, _, given = text.partition("=")
        name, _, field = path.partition(".")
        if name not in chosen:
            problems.append(
                Problem(("--set", path), "must name an estimator that is used", remedy=did_you_mean(name, chosen))
            )
            continue
        fields = {one.name for one in dataclasses.fields(chosen[name])}
        if field not in fields:
            problems.append(
                Problem(("--set", path), f'unknown field "{field}"', remedy=did_you_mean(field, sorted(fields)))
            )
            continue
        found = _value(typing.get_type_hints(type(chosen[name]))[field], given)
        if isinstance(found, str) and found.startswith("must be"):
            problems.append(Problem(("--set", path), found, given))
        else:
            chosen[name] = dataclasses.replace(chosen[name], **{field: found})
    if problems:
        raise SpecError(problems)
    return chosen


def _value(kind: Any, given: str) -> Any:
    """A word as a value of a type; what is wrong with it begins with "must be"."""
    if typing.get_origin(kind) is Literal:
        choices = typing.get_args(kind)
        return given if given in choices else f"must be one of {', '.join(choices)}"
    try:
        value = parse_toml(f"value = {given}")["value"]
    except SpecError:
        return f"must be {'true or false' if kind is bool else 'a number'}"
    if kind is bool:
        return value if isinstance(value, bool) else "must be true or false"
    if isinstance(value, bool) or not isinstance(value, int if kind is int else (int, float)):
        return f"must be {'a whole' if kind is int else 'a'} number"
    return value if kind is int else float(value)


def fit(
    measurements: Measurements,
    seed: int = 0,
    *,
    using: Mapping[str, Any] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Fits:
    """Fit every group of a file by every estimator that it has what it takes for; `using`, by default all.

    Bootstraps draw from streams named by the estimator under `seed`. `progress` is told of each estimator before it
    begins, and once at the end. Raises FitError where there is nothing to fit, or nothing could be fitted.
    """
    tasks = [
        (name, estimator, group)
        for name, estimator in (using or estimators()).items()
        if (group := measurements.groups.get(estimator.group.name)) is not None and estimator.fits(group)
    ]
    if not tasks:
        held = ", ".join(measurements.groups)
        raise FitError.of((), f"holds nothing that these estimators fit: it has {held}", source=measurements.source)
    results: dict[str, FitResult] = {}
    failures: dict[str, FitError] = {}
    for done, (name, estimator, group) in enumerate(tasks):
        if progress is not None:
            progress(name, done, len(tasks))
        try:
            results[name] = estimator.fit(group, child(seed, "fit", name))
        except FitError as error:
            failures[name] = error
    if progress is not None:
        progress("", len(tasks), len(tasks))
    if not results:
        raise FitError(
            problem.within(source=measurements.source) for error in failures.values() for problem in error.problems
        )
    return Fits(results, failures)
