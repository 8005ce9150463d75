"""The budget of a design: every source emulated and in closed form, and sweeps of ADC bits and rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from imcsim.budget.closed_forms import FORMS, estimates
from imcsim.budget.conversion import behind_converters
from imcsim.budget.emulation import Measured, emulated, total_error
from imcsim.budget.estimate import Estimate
from imcsim.budget.results import Budget, Line, Point, Range
from imcsim.budget.setting import Setting, setting
from imcsim.budget.sources import INTERACTION, NOISE, OF_CONVERSION, WORDS
from imcsim.budget.terms import Terms
from imcsim.errors import SpecError
from imcsim.specs.adc import IdealADC, MeasuredADC
from imcsim.specs.chip import ChipSpec

LIGHT_SAMPLES, LIGHT_COLUMNS, LIGHT_DIES = 128, 128, 2  # of sweeps, whose points share all draws
BITS = range(1, 13)


def budget(spec: ChipSpec, layer: tuple[int, int], *, seed: int = 0) -> Budget:
    """The budget of a design for a layer of (rows, cols). Raises SpecError where the layer is none, or too large."""
    at = setting(spec, layer, seed)
    terms = Terms(at)
    measured, of_sources = _lines(at, terms)
    return Budget(
        spec=spec,
        seed=seed,
        layer=layer,
        columns=at.weights.shape[1],
        signal_power=measured["signal"].power,
        signal=of_sources["signal"],
        lines=tuple(of_sources[name] for name in WORDS if name in of_sources),
        total=of_sources["total"],
        ahead=measured["analog"].power / terms.signal(),
        by_bits=tuple(_by_bits(at, terms)),
    )


def _lines(at: Setting, terms: Terms) -> tuple[dict[str, Measured], dict[str, Line]]:
    found, measured = estimates(terms), emulated(at)
    total = total_estimate(terms, found)
    together = (total.power or 0.0) - sum(one.power or 0.0 for one in found.values())
    found |= {INTERACTION: Estimate(together, doubt=total.doubt), "total": total, "signal": Estimate(terms.signal())}
    return measured, {name: _line(name, measured, found) for name in found}


def lines(at: Setting) -> dict[str, Line]:
    """The lines of a setting: its sources, what of them correlates, "signal" and "total"."""
    return _lines(at, Terms(at))[1]


def by_rows(spec: ChipSpec, layer: tuple[int, int], *, seed: int = 0) -> tuple[Point, ...]:
    """What arrays of other numbers of rows make of the same layer: powers of two up to the layer's, 1024 at most."""
    light = setting(spec, layer, seed, samples=LIGHT_SAMPLES, columns=LIGHT_COLUMNS)
    found = []
    for rows in [2**e for e in range(4, 11) if 2 ** (e - 1) < layer[0]]:
        array = spec.array
        if array.rows_parallel is not None and array.rows_parallel > rows:
            array = array.replace("rows_parallel", rows)
        at = light.on(spec.replace("array", array.replace("rows", rows)))
        terms = Terms(at)
        ours = estimates(terms)
        found.append(_point(rows, at, ours, total_estimate(terms, ours), terms.signal()))
    return tuple(found)


def _by_bits(at: Setting, terms: Terms) -> Iterator[Point]:
    adc = at.spec.adc
    if isinstance(adc, IdealADC | MeasuredADC):
        return
    light = at.part(LIGHT_SAMPLES, LIGHT_COLUMNS)
    ours = estimates(terms)
    for bits in BITS:
        try:
            spec = at.spec.replace("adc.bits", bits)
        except SpecError:  # a flash converter has its limit, a split array needs a bit of its own
            continue
        there = light.on(spec)
        own = terms.through(there)
        ours |= {name: FORMS[name](own) for name in OF_CONVERSION if name in ours}
        yield _point(bits, there, ours, total_estimate(own, ours), terms.signal())


def _point(number: int, at: Setting, found: Mapping[str, Estimate], total: Estimate, signal: float) -> Point:
    r = at.ranges
    spans = zip(r.lo, r.lsb, strict=True)
    return Point(
        at=number,
        emulated=total_error(at, LIGHT_DIES) / signal,
        total=(total.power or 0.0) / signal,
        closed_forms={name: (one.power or 0.0) / signal for name, one in found.items()},
        ranges=tuple(Range(s, lo, lo + lsb * r.max_code, lsb) for s, (lo, lsb) in enumerate(spans)),
    )


def total_estimate(terms: Terms, found: Mapping[str, Estimate]) -> Estimate:
    """The sum of the sources, less what rounding takes away."""
    powers = {name: one.power for name, one in found.items() if name not in ("weights", "inputs")}
    missing = [WORDS[name] for name, power in powers.items() if power is None]
    known = {name: power for name, power in powers.items() if power is not None}
    doubt = f"without {', '.join(missing)}" if missing else ""
    quantisation = terms.quantisation()
    if "adc_rounding" not in known:
        return Estimate(quantisation + sum(known.values()), doubt)
    left = behind_converters(terms)
    assert left.power is not None
    together = [*NOISE, *OF_CONVERSION]
    if terms.groups > 1:  # an offset is the same in every group of rows, which are else independent
        together.remove("adc_offset")
    rest = sum(power for name, power in known.items() if name not in together)
    return Estimate(quantisation + rest + left.power, doubt or left.doubt)


def _line(name: str, measured: Mapping[str, Measured], found: Mapping[str, Estimate]) -> Line:
    """A line, relative to the power that the signal has by the law of weights and inputs, not in the sample."""
    own, estimate, signal = measured[name], found[name], found["signal"].power
    assert signal is not None
    form = None if estimate.power is None else estimate.power / signal
    total = measured["total"].power / signal
    return Line(name, own.power / signal, own.standard_error / signal, form, estimate.doubt, estimate.remark, total)
