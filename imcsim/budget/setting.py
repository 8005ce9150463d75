"""The statistical setting of a budget: which weights and inputs a design is asked about, and the chip programmed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from imcsim.calibration import choose_ranges
from imcsim.converters import dac as dacs
from imcsim.converters.dac import input_codes
from imcsim.converters.ranges import Ranges, fixed_ranges
from imcsim.crossbar import Crossbar
from imcsim.errors import CapabilityError, SpecError
from imcsim.manufacturing import nominal_die
from imcsim.rng import child
from imcsim.specs.chip import ChipSpec
from imcsim.specs.pulsed import PulsedCell
from imcsim.specs.resistive import ResistiveCell

Array = np.ndarray[Any, Any]

SAMPLES = 256
COLUMNS = 128  # columns of a layer are alike: these are emulated
CALIBRATION = 64, 32  # samples and columns from which the ADC ranges are chosen
LARGEST_ROWS, LARGEST_COLUMNS = 16384, 65536
MOST_CELLS = 2**21  # of the columns emulated: what a die of them takes is a few times as much memory


@dataclass(frozen=True, eq=False)
class Setting:
    """A design with weights and inputs of known law: weights ~ N(0, 1), inputs the positive part of N(0, 1).

    Half of the inputs are zero, as behind a ReLU; where the DAC is signed they are N(0, 1). `weights` (rows, columns)
    and `x` (samples, rows); `crossbar` holds the weights on the nominal die, input step and ADC ranges calibrated.
    """

    seed: int
    layer: tuple[int, int]
    weights: Array
    x: Array
    crossbar: Crossbar

    @property
    def spec(self) -> ChipSpec:
        return self.crossbar.die.spec

    @property
    def codes(self) -> Array:
        """The input codes (samples, rows)."""
        return input_codes(self.spec.dac, self.x, float(self.crossbar.input_step[0]))

    @property
    def unit(self) -> float:
        """What a step of weight x a step of input is worth."""
        return float(self.crossbar.scale[0] * self.crossbar.input_step[0])

    @property
    def ranges(self) -> Ranges:
        assert self.crossbar.ranges is not None  # calibrated
        return self.crossbar.ranges[0]

    def part(self, samples: int, columns: int) -> Setting:
        """The first samples and columns alone, the ranges as they are."""
        weights = self.weights[:, :columns]
        die = nominal_die(self.spec, weights.shape)
        crossbar = dataclasses.replace(self.crossbar, die=die, codes=self.crossbar.codes[..., :columns])
        return dataclasses.replace(self, weights=weights, x=self.x[:samples], crossbar=crossbar)

    def on(self, spec: ChipSpec) -> Setting:
        """The same weight and input codes on another design that has them: other arrays, another ADC."""
        die = nominal_die(spec, self.weights.shape)
        return dataclasses.replace(self, crossbar=_ranged(dataclasses.replace(self.crossbar, die=die), self.x))


def setting(
    spec: ChipSpec, layer: tuple[int, int], seed: int, *, samples: int = SAMPLES, columns: int = COLUMNS
) -> Setting:
    """The setting of a design for a layer of (rows, cols), of which at most `columns` columns are emulated.

    Raises SpecError where the layer is none, or too large to emulate, CapabilityError for cells without closed forms.
    """
    rows, cols = layer
    if isinstance(spec.cell, ResistiveCell | PulsedCell):
        remedy = "program a crossbar and read it: imcsim.manufacture(...).program(...).mvm(...)"
        raise CapabilityError.of("cell.kind", "the budget knows SRAM cells alone", f'"{spec.cell.kind}"', remedy)
    if not (1 <= rows <= LARGEST_ROWS and 1 <= cols <= LARGEST_COLUMNS):
        allowed = f"must be ROWSxCOLS, from 1x1 to {LARGEST_ROWS}x{LARGEST_COLUMNS}"
        raise SpecError.of("layer", allowed, given=f"{rows}x{cols}")
    cells_a_weight = len(spec.array.slice_bits) * (2 if spec.array.differential else 1)
    taken = min(cols, columns, max(MOST_CELLS // (rows * cells_a_weight), 8))
    weights = _normal((rows, taken), child(seed, "budget", "weights"))
    x = _normal((samples, rows), child(seed, "budget", "inputs"))
    x = x if spec.dac.signed else np.maximum(x, 0)
    crossbar = nominal_die(spec, weights.shape).program(weights, child(seed, "budget", "program"))
    crossbar = dataclasses.replace(crossbar, input_step=np.array([dacs.input_step(spec.dac, x)]))
    return Setting(seed, layer, weights, x, _ranged(crossbar, x))


def _normal(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """The quantiles of N(0, 1) in random order: moments and tails of a sample have no errors of their own."""
    from scipy.special import ndtri

    size = shape[0] * shape[1]
    return np.asarray(rng.permutation(ndtri((np.arange(size) + 0.5) / size)).reshape(shape))


def _ranged(crossbar: Crossbar, x: Array) -> Crossbar:
    """The crossbar with the ADC ranges that its design has, or that suit the first samples."""
    plan = crossbar.die.plan
    ranges = fixed_ranges(plan.spec.adc, plan.largest_values.tolist(), plan.signed_values)
    if ranges is None:
        samples, columns = CALIBRATION
        codes = input_codes(plan.spec.dac, x[:samples], float(crossbar.input_step[0]))
        ranges = choose_ranges(plan, crossbar.codes[0, :, :columns], codes)
    return dataclasses.replace(crossbar, ranges=(ranges,))
