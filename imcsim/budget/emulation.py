"""What each source adds to the error of an output, by emulation: every source alone, the others switched off.

Quantisation is held against the product of the weights and inputs as given, the errors of cells, columns and rows
against the product of the codes. Converters are fed with all that the analog part gives, noise included, the same
draws with and without what is looked at.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from imcsim.budget.setting import Setting
from imcsim.budget.sources import INTERACTION, sources
from imcsim.converters import adc as adcs
from imcsim.converters import dac as dacs
from imcsim.converters.ranges import Ranges
from imcsim.crossbar import Die
from imcsim.kernels.column import Column
from imcsim.manufacturing import manufacture, nominal_die
from imcsim.rng import child, draw_key
from imcsim.specs.adc import ADC, IdealADC, UniformADC

Array = np.ndarray[Any, Any]

DIES = 4
FINEST_CODE = 2**20  # of the converter that stands for one without rounding: float32 resolves a sixteenth of a step


@dataclasses.dataclass(frozen=True)
class Measured:
    """A mean squared error, and the standard error of that mean over the columns of all dies."""

    power: float
    standard_error: float


def emulated(setting: Setting, dies: int = DIES) -> dict[str, Measured]:
    """The power of the "signal", of each source that the design has, of the analog part alone, and of the "total"."""
    bench = _Bench(setting, dies)
    errors = {"signal": bench.float_product[None]}
    for name in sources(setting):
        errors[name] = SOURCES[name](bench)
    found = {name: _measured(np.square(error)) for name, error in errors.items() if name != "adc_decisions"}
    if "adc_decisions" in errors:
        found["adc_decisions"] = _measured(errors["adc_decisions"])
    found = {name: found[name] for name in errors}
    found["analog"] = _measured(np.square(bench.analog - bench.float_product))
    found["total"] = _measured(np.square(bench.total - bench.float_product))
    together = found["total"].power - sum(found[name].power for name in errors if name != "signal")
    found[INTERACTION] = Measured(together, found["total"].standard_error)
    return found


def total_error(setting: Setting, dies: int) -> float:
    """The mean squared error of the outputs with everything switched on."""
    bench = _Bench(setting, dies)
    return float(np.square(bench.total - bench.float_product).mean())


def _measured(squares: Array) -> Measured:
    """The mean of squares (dies, samples, columns), and its error: that over columns or dies, that over samples."""
    by_die, by_sample, by_column = squares.mean(axis=(1, 2)), squares.mean(axis=(0, 2)), squares.mean(axis=1).ravel()
    of_die, of_sample, of_column = (
        float(means.var(ddof=1)) / means.size if means.size > 1 else 0.0 for means in (by_die, by_sample, by_column)
    )
    return Measured(float(squares.mean()), math.sqrt(max(of_die, of_column) + of_sample))


class _Bench:
    """Reads of a setting's weights on dies that have some of their errors and not the others."""

    def __init__(self, setting: Setting, dies: int) -> None:
        self.setting, self.plan, self.spec = setting, setting.crossbar.die.plan, setting.spec
        keys = [draw_key(child(setting.seed, "budget", "die", d)) for d in range(dies)]
        self.made = manufacture(self.spec, setting.weights.shape, keys)
        self.members = dies
        self.float_product = setting.x @ setting.weights
        self.codes_product = (setting.codes.astype(np.float64) @ setting.crossbar.codes[0]) * setting.unit
        self.nominal = dataclasses.replace(
            self.made,
            column=Column(),
            currents=np.ones((1, *self.made.currents.shape[1:]), np.float32).repeat(dies, axis=0),
            lost=None,
            dac=None,
            adc=self.no_adc_errors(self.spec.adc),
        )

    def no_adc_errors(self, adc: ADC) -> adcs.Errors:
        return adcs.no_errors(adc, self.members, self.plan.tiling.tiles, len(self.plan.slice_of))

    def read(self, die: Die, adc: ADC, ranges: Ranges) -> Array:
        """Outputs (dies, samples, columns) of a die through converters of a kind with these ranges."""
        own = dataclasses.replace(die, plan=dataclasses.replace(die.plan, spec=self.spec.replace("adc", adc)))
        crossbar = dataclasses.replace(self.setting.crossbar, die=own, ranges=(ranges,))
        assert die.members is not None  # the dies are an ensemble
        rngs = [child(self.setting.seed, "budget", "read", d) for d in range(die.members)]
        return crossbar.mvm(self.setting.x, rngs)

    def unconverted(self, die: Die) -> Array:
        count = self.plan.layout.slices
        return self.read(die, IdealADC(), Ranges((0.0,) * count, (1.0,) * count, 0))

    def alone(self, **errors: Any) -> Array:
        """What some errors of the dies add to what dies without any give."""
        return self.unconverted(dataclasses.replace(self.nominal, **errors)) - self.faultless

    @cached_property
    def faultless(self) -> Array:
        """The product of the codes, as arrays have it: what off cells conduct they hold in steps (1, samples, cols)."""
        if not self.plan.off_digit.any():
            return np.asarray(self.codes_product[None])
        one = nominal_die(self.spec, self.setting.weights.shape)
        return self.unconverted(dataclasses.replace(one, members=1, column=Column()))

    def transferred(self, *, limited: bool) -> Array:
        """Outputs (1, samples, columns) of columns that are noiseless but leak, droop, and clip where asked."""
        column = self.plan.column.noiseless()
        column = column if limited else column._replace(swing=math.inf, low=-math.inf)
        one = nominal_die(self.spec, self.setting.weights.shape)
        return self.unconverted(dataclasses.replace(one, members=1, column=column))

    # Through converters

    @cached_property
    def analog_die(self) -> Die:
        return dataclasses.replace(self.made, adc=self.nominal.adc)

    @cached_property
    def analog(self) -> Array:
        """Everything but the converters."""
        return self.unconverted(self.analog_die)

    @cached_property
    def total(self) -> Array:
        if isinstance(self.spec.adc, IdealADC):
            return self.analog
        return self.read(self.made, self.spec.adc, self.setting.ranges)

    @property
    def uniform(self) -> UniformADC:
        return UniformADC(bits=16, range="full")

    def fine(
        self, die: Die, gain: Array | None = None, offset_lsb: Array | None = None, noise_lsb: float = 0.0
    ) -> Array:
        """Outputs through converters of the same range with steps so fine that rounding loses nothing."""
        ranges, errors = self.setting.ranges, self.nominal.adc
        finer = FINEST_CODE // (ranges.max_code + 1)
        fine = Ranges(ranges.lo, tuple(lsb / finer for lsb in ranges.lsb), ranges.max_code * finer)
        errors = dataclasses.replace(
            errors,
            gain=errors.gain if gain is None else gain,
            offset_lsb=errors.offset_lsb if offset_lsb is None else finer * offset_lsb,
            noise_lsb=finer * noise_lsb,
        )
        return self.read(dataclasses.replace(die, adc=errors), self.uniform, fine)

    def fine_alone(self, **errors: Any) -> Array:
        """What errors of converters add to the codes of values that have no errors but those of the design."""
        die = dataclasses.replace(self.nominal, column=self.plan.column.noiseless())
        return self.fine(die, **errors) - self.fine(die)

    @cached_property
    def in_range(self) -> Array:
        return self.fine(self.analog_die)

    @cached_property
    def rounded(self) -> Array:
        adc = self.spec.adc
        plain = self.uniform
        if isinstance(adc, UniformADC):
            plain = dataclasses.replace(plain, rounding=adc.rounding)
        return self.read(self.analog_die, plain, self.setting.ranges)

    def decisions(self) -> Array:
        """What the converters' own kind adds to the squared error of rounding."""
        errors = self.nominal.adc
        made = dataclasses.replace(errors, elements=self.made.adc.elements, owner=self.made.adc.owner)
        own = self.read(dataclasses.replace(self.made, adc=made), self.spec.adc, self.setting.ranges)
        return np.asarray(np.square(own - self.analog) - np.square(self.rounded - self.analog))


def _column(bench: _Bench, **changes: Any) -> Array:
    return bench.alone(column=Column()._replace(**changes))


def _inputs(bench: _Bench) -> Array:
    entering = bench.setting.codes * float(bench.setting.crossbar.input_step[0])
    return ((entering - bench.setting.x) @ bench.setting.weights)[None]


def _dac_levels(bench: _Bench) -> Array:
    made = bench.made.dac
    assert made is not None  # the design has row errors
    return bench.alone(dac=dataclasses.replace(made, noise_lsb=0.0))


def _dac_noise(bench: _Bench) -> Array:
    made = bench.made.dac
    assert made is not None  # the design has row errors
    exact = np.broadcast_to(np.arange(made.levels.shape[-1], dtype=np.float32), made.levels.shape)
    return bench.alone(dac=dacs.RowErrors(np.ascontiguousarray(exact), made.noise_lsb))


def _mismatch(bench: _Bench) -> Array:
    # against the codes: that off cells are held in steps is no matter where mismatch spreads them
    return np.asarray(bench.alone(currents=bench.made.currents) + bench.faultless - bench.codes_product)


SOURCES: dict[str, Callable[[_Bench], Array]] = {
    "weights": lambda b: (b.setting.x @ (b.setting.crossbar.written - b.setting.weights))[None],
    "inputs": _inputs,
    "dac_levels": _dac_levels,
    "dac_noise": _dac_noise,
    "lost_bits": lambda b: b.alone(lost=b.made.lost),
    "mismatch": _mismatch,
    "read_noise": lambda b: _column(b, cell_variance=b.plan.column.cell_variance),
    "column_noise": lambda b: _column(b, variance=b.plan.column.variance),
    "compression": lambda b: b.transferred(limited=False) - b.faultless,
    "clipping": lambda b: b.transferred(limited=True) - b.transferred(limited=False),
    "adc_range": lambda b: b.in_range - b.analog,
    "adc_rounding": lambda b: b.rounded - b.in_range,
    "adc_offset": lambda b: b.fine_alone(offset_lsb=b.made.adc.offset_lsb),
    "adc_gain": lambda b: b.fine_alone(gain=b.made.adc.gain),
    "adc_decisions": _Bench.decisions,
    "adc_noise": lambda b: b.fine_alone(noise_lsb=b.made.adc.noise_lsb),
}
